"""When a run is gone: a rule on its training losses that spares slow and rough runs.

A run has diverged when a training loss is not finite, or when after its warm-up every loss of
`patience` steps in a row lay more than a nat above where it started (a uniform guess).
A run that learned anything at all, or that spikes and comes back, is never near that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

GONE_ABOVE_START = 1.0
"""Nats a token above the loss of a guess that knows nothing."""
PATIENCE_FRACTION = 0.1
"""Of the run's steps."""
LEAST_PATIENCE = 10


@dataclass
class DivergenceWatch:
    """Reads a run's training losses in order."""

    steps: int
    warmup_steps: int
    start_loss: float
    """Nats a token of a guess that knows nothing."""
    step: int = 0
    above: int = 0
    """Steps in a row above `gone_loss`, warm-up not counted."""

    @property
    def gone_loss(self) -> float:
        """The loss above which a run has lost all that it knew, nats a token."""
        return self.start_loss + GONE_ABOVE_START

    @property
    def patience(self) -> int:
        """How many steps in a row may lie above `gone_loss`."""
        return max(LEAST_PATIENCE, round(PATIENCE_FRACTION * self.steps))

    def gone(self, losses: Sequence[float]) -> bool:
        """Read the losses of the next steps and return whether the run has diverged."""
        for loss in losses:
            self.step += 1
            if not math.isfinite(loss):
                return True
            late = self.step > self.warmup_steps
            self.above = self.above + 1 if late and loss > self.gone_loss else 0
            if self.above >= self.patience:
                return True
        return False
