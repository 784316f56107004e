"""The gradient noise scale of a run while it trains: the batch beyond which larger ones buy little.

A gradient over n samples has covariance Σ/n, with Σ that of one sample's. So the gradient of a part
of a batch and that of all of it tell |G|² of the true gradient and tr Σ, both without bias, and
B_noise = tr Σ / |G|² is the critical batch (McCandlish et al., arXiv 1812.06162, section 2 and
appendix A, second-hand). One step's estimates are rough, and a ratio of rough numbers is biased:
both are averaged over steps before they are divided.

What is measured is the gradient that the optimizer is given, before clipping. For Adam, which
scales it, B_noise is an indication of the critical batch and no more.

`scaling.gradient_noise` has the same for squared norms that were measured elsewhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

HALF_LIFE = 10
"""Measurements after which one counts for half in the averages."""
_KEPT = 0.5 ** (1 / HALF_LIFE)


@dataclass(frozen=True)
class GradientNoise:
    """Signal and noise of a gradient, averaged over samples."""

    squared_norm: float
    """|G|² of the true gradient; an estimate may be negative."""
    trace: float
    """tr Σ: the summed variance of one sample's gradient."""

    @property
    def critical_batch(self) -> float:
        """B_noise = tr Σ / |G|², in samples; infinite where no gradient rises above the noise."""
        return self.trace / self.squared_norm if self.squared_norm > 0 else math.inf


def estimate(
    squared_norm: float, squared_difference: float, n_part: int, n_whole: int
) -> GradientNoise:
    """Estimate signal and noise from the gradients of a batch and of a part of it.

    Parameters
    ----------
    squared_norm : of the gradient averaged over the whole batch.
    squared_difference : squared norm of the part's gradient minus the whole's, whose expectation
        is tr Σ·(1/n_part − 1/n_whole): the whole holds the part.
    n_part, n_whole : samples in each, 0 < n_part < n_whole.
    """
    trace = squared_difference / (1 / n_part - 1 / n_whole)
    return GradientNoise(squared_norm - trace / n_whole, trace)


def gradients(model: nn.Module) -> list[Tensor]:
    """Return the gradient in `model`, a tensor a parameter; zeros where none reached it."""
    return [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for parameter in model.parameters()
    ]


def measured(
    part: Sequence[Tensor], whole: Sequence[Tensor], n_part: int, n_whole: int
) -> GradientNoise:
    """Estimate signal and noise from two gradients as `gradients` returns them; see `estimate`."""
    norms = torch.stack(torch._foreach_norm(list(whole)))
    differences = torch.stack(torch._foreach_norm(torch._foreach_sub(list(part), list(whole))))
    squared = torch.stack((norms, differences)).double().square().sum(dim=1)
    squared_norm, squared_difference = squared.tolist()
    return estimate(squared_norm, squared_difference, n_part, n_whole)


@dataclass
class NoiseAverage:
    """Exponential averages of |G|² and tr Σ over measurements, rid of the bias of their start."""

    squared_norm: float = 0.0
    trace: float = 0.0
    weight: float = 0.0
    """Of the measurements so far, towards 1; 0 before the first."""

    def add(self, measured: GradientNoise) -> None:
        """Take up a measurement; one that is not finite, of a run that blows up, is left out."""
        if not (math.isfinite(measured.squared_norm) and math.isfinite(measured.trace)):
            return
        for name in ("squared_norm", "trace"):
            new = (1 - _KEPT) * getattr(measured, name)
            setattr(self, name, _KEPT * getattr(self, name) + new)
        self.weight = _KEPT * self.weight + 1 - _KEPT

    @property
    def noise(self) -> GradientNoise:
        """The averages; all noise and no signal before the first measurement."""
        weight = self.weight or 1.0
        return GradientNoise(self.squared_norm / weight, self.trace / weight)

    @property
    def critical_batch(self) -> float | None:
        """B_noise in samples; None where nothing was measured or no gradient rises above noise."""
        found = self.noise.critical_batch
        return found if math.isfinite(found) else None

    def state_dict(self) -> dict[str, float]:
        """Return the averages as plain data."""
        return {name: getattr(self, name) for name in ("squared_norm", "trace", "weight")}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Take up averages."""
        for name, value in state.items():
            setattr(self, name, value)
