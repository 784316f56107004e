"""What every trainer is to its caller: a stream of reports and a state that can be kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Status = Literal["running", "completed", "diverged"]


@dataclass(frozen=True)
class Report:
    """Where a run stands."""

    step: int
    """Optimizer steps taken so far."""
    tokens: int
    """Tokens trained on so far."""
    flops: float
    """Training FLOPs so far, evaluation not counted."""
    loss: float
    """Held-out loss, nats a token; NaN where the run has diverged."""
    train_loss: float
    """Mean training loss since the report before, nats a token."""
    lr: float
    """Learning rate of the last step taken, before the parametrization's multipliers."""
    seconds: float
    """Time spent training so far, evaluation not counted."""
    status: Status
    noise_scale: float | None = None
    """Critical batch by the gradient noise scale, tokens; None where it is not measured, or where
    the noise hides the gradient."""


class Trainer(Protocol):
    """One run in progress. A class of your own needs these three methods and `sizes`.

    It is called with a `RunConfig`, and its classmethod `sizes(shape, model)` returns the pair
    (non-embedding parameters, all parameters).

    A class attribute `live_settings` may name the settings that can change in mid-run. It says
    that `load_state_dict` leaves them as they were configured, and that the run obeys
    `RunConfig.changes` (`trainers.changes.timeline` tells the setting of each step). Without it a
    population may search any setting but batch_tokens, and no run may have changes.
    """

    def step(self) -> Report:
        """Train up to the next report and return it; the last one is not "running"."""
        ...

    def state_dict(self) -> dict[str, object]:
        """Return all that `load_state_dict` needs to go on as if nothing had happened: plain data.

        It is a snapshot: training on must not alter it.
        """
        ...

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take up the state of another trainer: its weights, moments and counters.

        Its configuration is this one's, or differs in the seed and in settings that are live. Those
        come from this trainer's own configuration, never from the state: with torch, set them on
        the optimizer again after its own `load_state_dict`, which brings those of the state. The
        order of the data is best that of this trainer's seed, from the state's step on.
        """
        ...


@runtime_checkable
class Closing(Protocol):
    """A trainer that has more than memory to let go of, such as a process, has this as well."""

    def close(self) -> None:
        """Let go of it: the run is over, or is stopped or paused here. Any number of times."""
        ...
