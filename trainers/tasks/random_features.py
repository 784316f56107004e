"""A linear model on random features of data with a power-law spectrum: see its shape's module.

Features and target are jointly Gaussian, so samples of them are drawn as such, without the many
coordinates behind them: features by a Cholesky factor of their covariance, the target as their
best linear combination plus an independent rest. Features are the same for every seed, and those of
a narrow model are the first of a wide one's.

What is held out is 2·width samples whose second moments are those of the data exactly: the
mean loss over them is the expected loss itself, without the noise of sampling.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from trainers.config import RunConfig, Value
from trainers.flops import training_flops_per_token
from trainers.models.layers import Linear
from trainers.models.random_features_shape import (
    FEATURES_SEED,
    IRREDUCIBLE_LOSS,
    N_DRAWN,
    RandomFeaturesShape,
    random_features_shape,
)
from trainers.task import Batch


class RandomFeaturesModel(nn.Module):
    """A weight for each feature, which starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.readout = Linear(width, 1, "output", zero_rows=1)

    def forward(self, features: Tensor) -> Tensor:
        """features: (batch, width) → predictions (batch,)."""
        predictions: Tensor = self.readout(features).squeeze(-1)
        return predictions


class RandomFeaturesTask:
    """See `trainers.task.Task`; a batch is features (n, width) and targets (n,), float32."""

    sample_tokens = 1

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        shape = random_features_shape(config.shape, config.model)
        self.flops_per_token = float(training_flops_per_token(shape))
        factor, weights, rest = _joint_gaussian(shape)
        self._factor = factor.float().to(device)
        self._weights = weights.float().to(device)
        self._rest = rest
        variance = float((factor.T @ weights).square().sum()) + rest**2
        self.start_loss = variance / 2 + IRREDUCIBLE_LOSS
        columns = math.sqrt(shape.width) * self._factor.T
        explained = columns @ self._weights
        self._held_out = (
            torch.cat((columns, columns)),
            torch.cat((explained + rest, explained - rest)),
        )

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return the linear model."""
        return RandomFeaturesModel(random_features_shape(shape, options).width)

    def draw(self, n_samples: int, generator: torch.Generator) -> Batch:
        """Return independent samples."""
        width = len(self._weights)
        normal = torch.randn((n_samples, width + 1), generator=generator)
        normal = normal.to(self._weights.device)
        features = normal[:, :width] @ self._factor.T
        return features, features @ self._weights + self._rest * normal[:, width]

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the mean cost of the targets as Gaussians of variance 1, nats a sample."""
        features, targets = batch
        return (targets - model(features)).square().mean() / 2 + IRREDUCIBLE_LOSS

    def held_out(self, *, final: bool) -> Batch:
        """Return the samples whose mean loss is the expected loss."""
        return self._held_out


@lru_cache(maxsize=4)
def _joint_gaussian(shape: RandomFeaturesShape) -> tuple[Tensor, Tensor, float]:
    """Return what features and target are drawn by, float64.

    A factor L (width, width) of the features' covariance, the weights (width,) of the target's
    best linear prediction, and the standard deviation of what that leaves.
    """
    generator = torch.Generator().manual_seed(FEATURES_SEED)
    mixing = torch.randn((shape.width, N_DRAWN), generator=generator, dtype=torch.float64)
    index = torch.arange(1, N_DRAWN + 1, dtype=torch.float64)
    deviations = index**-shape.spectrum_exponent
    target = deviations * index**-shape.target_exponent  # Of coordinates of variance 1.
    mixing *= deviations
    # So many small coordinates are in every feature alike, as noise of its own.
    features = mixing @ mixing.T + torch.eye(shape.width) * _tail(2 * shape.spectrum_exponent)
    shared = mixing @ target
    factor = torch.linalg.cholesky(features)
    weights = torch.cholesky_solve(shared[:, None], factor)[:, 0]
    variance = float(target @ target) + _tail(1 + shape.params_exponent)
    return factor, weights, math.sqrt(variance - float(shared @ weights))


def _tail(power: float) -> float:
    """Return Σ j^-power over the coordinates that are not drawn, by the integral."""
    return float((N_DRAWN + 0.5) ** (1 - power) / (power - 1))
