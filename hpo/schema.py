"""What a sweep file may hold: `SweepSpec` and its parts, frozen, with defaults.

Types and single values are checked here; what needs the trainer (names of settings, sizes
that can be built) is checked by `hpo.checks`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
    with_config,
)

from hpo.fields import (
    Nonnegative,
    NonnegativeInt,
    Number,
    Part,
    Positive,
    PositiveAxis,
    PositiveInt,
    PositiveIntAxis,
    Scalar,
    refuse,
    show,
)
from hpo.search_keys import Search
from hpo.space import Dimension
from trainers.config import Change, Command

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _name(value: object) -> object:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise refuse(
            f"{show(value)} is not a name; letters, digits, '.', '_' and '-' are, 64 at most"
        )
    return value


def _text(value: object) -> object:
    if not isinstance(value, str) or not value.strip():
        raise refuse(f"{show(value)} is not text")
    return value


Text = Annotated[str, BeforeValidator(_text)]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class CommandKeys(Command):
    """A training script as the trainer: what may stand under `trainer` where that is a mapping."""

    command: Text
    loss: Text = "loss"
    block_params: Positive = 12
    timeout_minutes: Positive | None = None
    cwd: Text = "."


NAMED, SCRIPT = "named", "script"
"""The two forms of `trainer`; pydantic writes them into the paths of its errors."""


def _form_of_trainer(value: object) -> str:
    return SCRIPT if isinstance(value, dict | Command) else NAMED


class Scales(BaseModel):
    """The axes of the ladder: token budgets, and beside them an axis for each part of the shape.

    `tokens` are budgets D; `tokens_per_param` are ratios D/N. Exactly one of the two is given.
    The keys beyond them (width, depth, ...) are the trainer's and end in `shape`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, PositiveIntAxis] = Field(init=False)

    tokens: PositiveIntAxis | None = None
    tokens_per_param: PositiveAxis | None = None

    @property
    def shape(self) -> dict[str, tuple[int, ...]]:
        """The values of each part of the shape, such as ``{"width": (32, 64), "depth": (2,)}``."""
        return dict(self.__pydantic_extra__)

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.tokens is None and self.tokens_per_param is None:
            raise refuse("no token budget is given; add tokens_per_param or tokens")
        if self.tokens is not None and self.tokens_per_param is not None:
            raise refuse("both tokens and tokens_per_param are given; keep one of them")
        return self


class ListedScale(BaseModel):
    """The scale of one listed point: its token budget D, and beside it the model's shape."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, PositiveInt] = Field(init=False)

    tokens: PositiveInt

    @property
    def shape(self) -> dict[str, int]:
        """The parts of the shape, such as ``{"width": 32, "depth": 2}``."""
        return dict(self.__pydantic_extra__)


class ListedPoint(Part):
    """One run of a listed sweep; where it gives no seed it has the sweep's."""

    scale: ListedScale
    setting: dict[str, Scalar]
    seed: NonnegativeInt | None = None


class Changed(BaseModel):
    """What changes in mid-run: `at` a part of the steps; the keys beyond it are settings."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Scalar] = Field(init=False)

    at: Number

    @property
    def change(self) -> Change:
        """The same for a trainer."""
        return Change(self.at, dict(self.__pydantic_extra__))


class Resources(Part):
    """What one run occupies while it trains. A fraction of a GPU lets runs share it.

    Runs that are fused, so many as one computation, occupy it together; None: as many as pay.
    """

    cpus: Positive = 1
    gpus: Nonnegative = 0
    fused: PositiveInt | None = None

    @model_validator(mode="after")
    def _whole_above_one(self) -> Self:
        for name, amount in (("cpus", self.cpus), ("gpus", self.gpus)):
            if amount > 1 and amount != int(amount):
                raise refuse(f"{name} is {amount}; above 1 it must be a whole number")
        return self


class StartFrom(Part):
    """The finished run whose final state every run of a sweep begins with."""

    sweep: Text
    run: Text


class SweepSpec(Part):
    """A sweep as its file describes it. Read one with `hpo.spec.load_spec`.

    The runs are either searched, over `scales` and `space`, or listed outright as `points`;
    `hpo.listed` sees to it that one of the two is given.
    """

    name: Annotated[str, BeforeValidator(_name)]
    trainer: Annotated[
        Annotated[Text, Tag(NAMED)] | Annotated[CommandKeys, Tag(SCRIPT)],
        Discriminator(_form_of_trainer),
    ]
    parametrization: Text = "sp"
    parametrization_options: dict[str, Scalar] = Field(default_factory=dict)
    base: dict[str, PositiveInt] | None = None
    data: Text | None = None
    scales: Scales | None = None
    search: Annotated[Search, Field(discriminator="method")]
    space: dict[str, Dimension] = Field(default_factory=dict, min_length=1)
    points: Annotated[tuple[ListedPoint, ...], Field(min_length=1)] | None = None
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    changes: tuple[Changed, ...] = ()
    model: dict[str, Scalar] = Field(default_factory=dict)
    runs: PositiveInt | None = None
    seeds: PositiveInt = 1
    seed: NonnegativeInt = 0
    reports: PositiveInt = 8
    final_states: NonnegativeInt = 0
    start_from: StartFrom | None = None
    resources: Resources = Resources()
