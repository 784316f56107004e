"""A linear regression as a task of one's own, whose gradient and its noise are known exactly."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from trainers.config import RunConfig, Value
from trainers.parametrization import Fans, Tag, tag
from trainers.task import Batch

FEATURES = 32
NOISE = 3.0
"""Standard deviation of the targets about the true weights' predictions."""
TRUE_WEIGHT = 1.5


class Weights(nn.Module):
    """x (..., FEATURES) → x · w."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tag(nn.Parameter(torch.empty(FEATURES)), Tag("vector", Fans(1, FEATURES)))

    def forward(self, x: Tensor) -> Tensor:
        """Return x · w."""
        return x @ self.w


class LinearTask:
    """½(x·w − y)², with x standard normal and y = x·w* + noise; each sample counts for 4 tokens."""

    sample_tokens = 4
    start_loss = 1e6

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self._device = device

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return the weights."""
        return Weights()

    def draw(self, n_samples: int, generator: torch.Generator) -> Batch:
        """Return features and targets."""
        x = torch.randn(n_samples, FEATURES, generator=generator)
        y = TRUE_WEIGHT * x.sum(1) + NOISE * torch.randn(n_samples, generator=generator)
        return x.to(self._device), y.to(self._device)

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return half the mean squared error."""
        x, y = batch
        return (model(x) - y).square().mean() / 2

    def held_out(self, *, final: bool) -> Batch:
        """Return samples of a seed of their own."""
        return self.draw(256, torch.Generator().manual_seed(1_000_003))


def noise_scale(w: Tensor) -> float:
    """Return tr Σ / |G|² in tokens at the weights `w`.

    With δ = w − w*, a sample's gradient x(x·δ − ε) has mean δ and covariance
    |δ|²·I + δδᵀ + NOISE²·I.
    """
    signal = float((w - TRUE_WEIGHT).square().sum())
    trace = (FEATURES + 1) * signal + FEATURES * NOISE**2
    return LinearTask.sample_tokens * trace / signal
