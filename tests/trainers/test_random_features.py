"""Random features: the law is known, and SGD is held against its exact expectation."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch

from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.models.random_features_shape import IRREDUCIBLE_LOSS, RandomFeaturesShape
from trainers.registry import kind
from trainers.tasks.random_features import RandomFeaturesModel, RandomFeaturesTask

Array = npt.NDArray[np.float64]
BATCH = 16
CONFIG = RunConfig(
    "random-features",
    {"width": 32},
    256 * BATCH,
    {"lr": 0.05, "batch_tokens": BATCH},
    parametrization="mup",
    base={"width": 16},
    reports=1,
)
"""At the base width 0.05 is half of what diverges."""


def excess(width: int, samples: int, seed: int = 0, **options: float) -> float:
    """Return by how much a run's loss lies above the irreducible one."""
    config = replace(CONFIG, shape={"width": width}, tokens=samples, seed=seed, model=options)
    return kind("random-features").build(config).step().loss - IRREDUCIBLE_LOSS


class Problem(NamedTuple):
    """What SGD faces at a width, along the eigenvectors of the features' covariance."""

    eigenvalues: Array
    weights: Array
    """The best ones."""
    rest: float
    """Mean square that they leave."""


def problem(width: int, **options: float) -> Problem:
    config = replace(CONFIG, shape={"width": width}, model=options)
    task = RandomFeaturesTask(config, torch.device("cpu"))
    features, targets = (part.double().numpy() for part in task.held_out(final=True))
    eigenvalues, vectors = np.linalg.eigh(features.T @ features / len(features))
    weights = np.linalg.lstsq(features, targets, rcond=None)[0]
    return Problem(
        eigenvalues, vectors.T @ weights, float(np.mean((targets - features @ weights) ** 2))
    )


def expected_excess(width: int, samples: int) -> float:
    """Return its expectation over SGD's samples, by the recursion of the error's second moments.

    With features φ ~ N(0, K) and a step of rate η on a batch B, the second moment m of the error
    along each eigenvector of K, of eigenvalue λ, becomes
    m(1 - 2ηλ + η²λ²(1 + 1/B)) + η²λ(Σ λm + rest)/B, by Wick's theorem.
    """
    eigenvalues, weights, rest = problem(width)
    moments = weights**2
    rate = 0.05 * 16 / width  # muP: the rate times r_n, the forward multiplier 1/r_n twice
    for _ in range(samples // BATCH):
        risk = eigenvalues @ moments + rest
        moments *= 1 - 2 * rate * eigenvalues + (rate * eigenvalues) ** 2 * (1 + 1 / BATCH)
        moments += rate**2 * eigenvalues * risk / BATCH
    return float(eigenvalues @ moments + rest) / 2


@pytest.mark.parametrize(("width", "samples"), [(16, 4096), (64, 1024), (128, 8192)])
def test_sgd_does_what_is_expected_of_it(width: int, samples: int):
    found = np.mean([excess(width, samples, seed) for seed in range(6)])
    assert found == pytest.approx(expected_excess(width, samples), rel=0.1)


def slope(loss: Callable[[int], float], sizes: list[int]) -> float:
    """Return minus the power by which `loss` falls over `sizes`."""
    return -float(np.polyfit(np.log(sizes), np.log([loss(size) for size in sizes]), 1)[0])


OPTIONS = pytest.mark.parametrize(
    "options", [{}, {"spectrum_exponent": 0.8, "target_exponent": 0.2}], ids=["default", "other"]
)


@OPTIONS
def test_losses_fall_with_the_known_power_of_samples(options: dict[str, float]):
    def loss(samples: int) -> float:
        return float(np.mean([excess(384, samples, seed, **options) for seed in range(3)]))

    expected = RandomFeaturesShape(384, **options).tokens_exponent
    assert slope(loss, [512, 1024, 2048, 4096]) == pytest.approx(expected, abs=0.1)


@OPTIONS
def test_what_no_training_learns_falls_with_the_known_power_of_width(options: dict[str, float]):
    expected = RandomFeaturesShape(32, **options).params_exponent
    found = slope(lambda width: problem(width, **options).rest, [32, 64, 128, 256, 512])
    assert found == pytest.approx(expected, abs=0.1)


def test_the_powers_of_the_default():
    law = RandomFeaturesShape(64)
    assert (law.params_exponent, law.tokens_exponent) == (1.5, 0.75)


def test_what_is_held_out_has_the_moments_of_the_data():
    task = RandomFeaturesTask(replace(CONFIG, shape={"width": 4}), torch.device("cpu"))
    features, targets = task.held_out(final=True)
    drawn_features, drawn_targets = task.draw(400_000, torch.Generator().manual_seed(0))

    def moments(features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        both = torch.cat((features, targets[:, None]), 1)
        return both.T @ both / len(both)

    expected = moments(drawn_features, drawn_targets)
    torch.testing.assert_close(moments(features, targets), expected, rtol=0.05, atol=0.02)
    assert task.start_loss == pytest.approx(
        IRREDUCIBLE_LOSS + targets.square().mean().item() / 2, rel=1e-5
    )


def test_a_wide_model_has_the_features_of_a_narrow_one():
    narrow, wide = (
        RandomFeaturesTask(replace(CONFIG, shape={"width": width}), torch.device("cpu"))
        for width in (8, 16)
    )

    def covariance(task: RandomFeaturesTask) -> torch.Tensor:
        features = task.held_out(final=True)[0]
        return features.T @ features / len(features)

    torch.testing.assert_close(covariance(wide)[:8, :8], covariance(narrow))
    assert len(RandomFeaturesModel(8).readout.weight[0]) == 8


def test_it_is_trained_by_plain_sgd_unless_told_otherwise():
    setting = kind("random-features").complete(CONFIG.setting)
    assert (setting["optimizer"], setting["weight_decay"], setting["grad_clip"]) == ("sgd", 0, 0)
    assert kind("gpt").complete(CONFIG.setting)["optimizer"] == "adamw"


def test_a_rate_that_is_too_high_diverges():
    hot = replace(CONFIG, setting={**CONFIG.setting, "lr": 0.5})
    report = kind("random-features").build(hot).step()
    assert report.status == "diverged"
    assert math.isnan(report.loss)


@pytest.mark.parametrize(
    ("shape", "model", "says"),
    [
        ({"width": 4096}, {}, "width is 4096; it must be at most 1024 features"),
        ({"width": 16, "depth": 2}, {}, "unknown shape key 'depth'"),
        ({"width": 16}, {"spectrum_exponent": 0.5}, "it must be a number above 0.5"),
        ({"width": 16}, {"target_exponent": 0.5}, "at least 0 and below 0.5"),
    ],
)
def test_what_has_no_known_law_is_refused(
    shape: dict[str, int], model: dict[str, float], says: str
):
    with pytest.raises(TrainerError, match=says):
        kind("random-features").check(replace(CONFIG, shape=shape, base={}, model=model))
