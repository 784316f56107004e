"""What one run is asked to be, and how big it will be: plain values, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Value = float | int | str
"""A setting's or a model option's value (bool is an int)."""


class Size(NamedTuple):
    """How many parameters a shape has."""

    params: int
    """N: the non-embedding parameters, the readout left out too."""
    params_total: int


@dataclass(frozen=True)
class Change:
    """Settings that change in mid-run, one row of a piecewise schedule: `trainers.changes`."""

    at: float
    """Where, as a part of the run's steps: above 0 and below 1."""
    setting: Mapping[str, Value]
    """The new values, by name; they hold until a later change names them again."""


@dataclass(frozen=True)
class Command:
    """A training script of any kind, run as a process of its own: see `trainers.command`."""

    command: str
    """The program and its arguments, with places for values: "python train.py --lr {lr}"."""
    loss: str = "loss"
    """The name of the held-out loss in the JSON lines that the script prints."""
    block_params: float = 12
    """Parameters of a block in squares of its width: N = block_params·depth·width²."""
    timeout_minutes: float | None = None
    """A run that takes longer is ended, and failed; None: no limit."""
    cwd: str = "."
    """The folder in which it is run."""

    def __str__(self) -> str:
        """Return the command as it is written."""
        return self.command


@dataclass(frozen=True)
class RunConfig:
    """One run: a scale, a setting and a seed.

    Everything a run depends on is here: the same configuration on the same machine gives the
    same losses.
    """

    trainer: str | Command
    """A built-in ("gpt", "simulated"), a class of your own ("module:Class"), or a command."""
    shape: Mapping[str, int]
    """The size of the model, e.g. {"width": 64, "depth": 2}."""
    tokens: int
    """D: the training budget; the run takes `max(1, round(tokens / batch_tokens))` steps."""
    setting: Mapping[str, Value]
    """The hyperparameters by name; what is left out takes the trainer's default."""
    seed: int = 0
    """Draws the initial weights and the order of the data."""
    parametrization: str = "sp"
    base: Mapping[str, int] = field(default_factory=dict)
    """The shape at which every parametrization equals `sp`; a key left out is the run's own."""
    parametrization_options: Mapping[str, Value] = field(default_factory=dict)
    """Where sources of a parametrization disagree: `trainers.scaling_rules.RULE_OPTIONS`."""
    data: str = "python-stdlib"
    """"python-stdlib", or the path of a text file or folder."""
    model: Mapping[str, Value] = field(default_factory=dict)
    """Model options by name, e.g. {"head_size": 16, "mlp": "swiglu"}."""
    reports: int = 8
    """How many times the run reports, evenly spaced, the last time at its end."""
    changes: tuple[Change, ...] = ()
    """What of `setting` changes in mid-run, in order."""
    folder: str = field(default="", compare=False)
    """A folder of the run's own, for what its trainer writes beside its state; empty: none."""

    @property
    def base_shape(self) -> dict[str, int]:
        """The base shape with the run's own size for every key that `base` leaves out."""
        return {**self.shape, **self.base}
