"""Runs tables drawn from a surface whose law is known."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from trainers.simulated import SimulatedLaw

SHAPES = [(width, depth) for width in (256, 512, 1024) for depth in (4, 8)]
SCALES = tuple((n, ratio * n) for n in (1e7, 4e7, 1.6e8) for ratio in (8, 40))


def draw_runs(
    truth: SimulatedLaw,
    *,
    scales: Sequence[tuple[float, float]] = SCALES,
    per_scale: int = 24,
    noise: float = 0.001,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw settings within a factor of eight around each scale's optimum, and measure them."""
    rng = np.random.default_rng(seed)
    frames = []
    for params, tokens in scales:
        best = truth.optimum(params, tokens)
        lr = best.lr * np.exp(rng.uniform(-2.1, 2.0, per_scale))
        batch = best.batch_tokens * np.exp(rng.uniform(-2.1, 2.1, per_scale))
        loss = truth.loss(params, tokens, lr, batch) * np.exp(noise * rng.normal(size=per_scale))
        frames.append(
            pd.DataFrame(
                {"params": params, "tokens": tokens, "lr": lr, "batch_tokens": batch, "loss": loss}
            )
        )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="session")
def truth() -> SimulatedLaw:
    return SimulatedLaw(irreducible=1.7)


@pytest.fixture(scope="session")
def runs(truth: SimulatedLaw) -> pd.DataFrame:
    return draw_runs(truth)


@pytest.fixture(scope="session")
def draw() -> Callable[..., pd.DataFrame]:
    return draw_runs


@pytest.fixture(scope="session")
def shaped() -> pd.DataFrame:
    """Runs of a grid of shapes whose optimal rate follows width alone, two of them of one size."""
    rng = np.random.default_rng(4)
    frames = []
    for width, depth in SHAPES:
        params = 12.0 * depth * width**2
        for tokens in (8 * params, 40 * params):
            best_lr, best_batch = 2e-3 * (width / 512) ** -1.0, 3e5 * (tokens / 1e9) ** 0.5
            lr = best_lr * np.exp(rng.uniform(-2, 2, 16))
            batch = best_batch * np.exp(rng.uniform(-2, 2, 16))
            height = 0.02 * np.log(lr / best_lr) ** 2 + 0.01 * np.log(batch / best_batch) ** 2
            loss = 1.7 + (params / 4e7) ** -0.35 + (tokens / 1e9) ** -0.35
            scale = {"params": params, "tokens": tokens, "width": width, "depth": depth}
            measured = loss * np.exp(height + 0.001 * rng.normal(size=16))
            frames.append(
                pd.DataFrame({**scale, "lr": lr, "batch_tokens": batch, "loss": measured})
            )
    return pd.concat(frames, ignore_index=True)
