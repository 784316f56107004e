"""What a sweep is made of: points, and the legs in which they are trained.

A *point* is one run to be done: a scale, a setting, a seed. A *leg* is a stretch of its training,
from where the run stands up to one of its reports. Most runs have one leg, from the start to the
end; a run that is frozen and thawed, or a member of a population, has several, and each may begin
with the weights of another run and go on with other hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo.fields import Value
from hpo.ladder import Scale

Setting = dict[str, Value]


@dataclass(frozen=True)
class Point:
    """One run to be done. `setting` holds the searched and the fixed hyperparameters."""

    run_id: str
    scale: Scale
    setting: Mapping[str, Value]
    seed: int


@dataclass(frozen=True)
class Origin:
    """The state that a leg begins with: that of a run after so many reports."""

    run_id: str
    reports: int


@dataclass(frozen=True)
class Leg:
    """A stretch of one run.

    Attributes
    ----------
    point : the run, with the setting of this leg.
    reports : train until the run has made this many reports in all; it may end before, by itself.
    origin : where to begin; None for the start of training. The run's own id goes on where it
        stood, another one takes over that run's weights and optimizer state.
    """

    point: Point
    reports: int
    origin: Origin | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run stands at the end of a leg.

    Attributes
    ----------
    point : the run, with the setting of the leg.
    losses : held-out loss at each report so far, nats a token; NaN where it diverged.
    status : "running" where the leg ended before the run did, else as in the runs table.
    flops, seconds : training so far.
    """

    point: Point
    losses: tuple[float, ...]
    status: str
    flops: float
    seconds: float
