"""The space of settings: what each searched hyperparameter may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpo.fields import Pair, PositiveInt, Scalar, Value, as_list, distinct, refuse


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if low == high:
        raise refuse(f"both bounds are {low:g}; a single value belongs under 'fixed'")
    if low > high:
        raise refuse(f"the bounds are the wrong way round; write [{high:g}, {low:g}]")
    return bounds


def _positive_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] <= 0:
        raise refuse(f"the lower bound {bounds[0]:g} has no logarithm; log bounds are above 0")
    return bounds


Bounds = Annotated[Pair, AfterValidator(_ascending)]
Choices = Annotated[tuple[Scalar, ...], AfterValidator(distinct)]


class Dimension(BaseModel):
    """One searched setting: a range on a log or a linear axis, or a list of choices.

    Attributes
    ----------
    log, uniform, choices : one of them; the ends of a range belong to it.
    multiple_of : a range holds only whole multiples of this number, 1 for whole numbers.
    steps : how many values of a range a grid takes, both ends among them.
    when : the setting is only there where another one has this value, or one of these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    log: Annotated[Bounds, AfterValidator(_positive_bounds)] | None = None
    uniform: Bounds | None = None
    choices: Choices | None = None
    multiple_of: PositiveInt | None = None
    steps: PositiveInt | None = None
    when: dict[str, Annotated[Choices, BeforeValidator(as_list)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in ("log", "uniform", "choices") if getattr(self, name) is not None]
        if len(given) != 1:
            shown = f"both {' and '.join(given)} are" if given else "no range is"
            raise refuse(f"{shown} given; write one of log, uniform, choices")
        if self.choices is not None and self.steps is not None:
            raise refuse("steps belongs to log or uniform; choices are their own steps")
        if self.multiple_of is not None:
            self._check_multiples(self.multiple_of)
        return self

    def _check_multiples(self, step: int) -> None:
        if self.bounds is None:
            raise refuse("multiple_of belongs to log or uniform; choices are given one by one")
        for bound in self.bounds:
            if bound % step:
                below = math.floor(bound / step) * step
                raise refuse(
                    f"the bound {bound:g} is not a multiple of {step}; "
                    f"the nearest are {below:g} and {below + step:g}"
                )

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Lowest and highest value of a range; None for choices."""
        return self.log or self.uniform

    def grid(self) -> tuple[Value, ...]:
        """The values of a grid, in order: the choices, or `steps` values that divide the range.

        A range must have its `steps`, at least 2; `hpo.checks` sees to it. Where they fall on the
        same multiple there are fewer.
        """
        if self.choices is not None:
            return self.choices
        assert self.bounds is not None
        assert self.steps is not None
        low, high = self.bounds
        fractions = (i / (self.steps - 1) for i in range(1, self.steps - 1))
        if self.log is not None:
            inner = tuple(low * math.exp(f * math.log(high / low)) for f in fractions)
        else:
            inner = tuple(low + f * (high - low) for f in fractions)
        values = (low, *inner, high)
        if self.multiple_of is None:
            return values
        step = self.multiple_of
        return tuple(dict.fromkeys(round(value / step) * step for value in values))


def present(space: Mapping[str, Dimension], setting: Mapping[str, Value]) -> dict[str, Value]:
    """Return the part of a setting that is there by the conditions (`when`) of the space."""
    return {name: value for name, value in setting.items() if _is_there(space, setting, name)}


def _is_there(space: Mapping[str, Dimension], setting: Mapping[str, Value], name: str) -> bool:
    # A condition on a setting that is itself not there does not hold; checks refuse circles.
    return all(
        setting.get(other) in values and _is_there(space, setting, other)
        for other, values in space[name].when.items()
    )
