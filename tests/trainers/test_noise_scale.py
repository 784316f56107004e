"""The critical batch on the fly, against the exact one of a linear regression."""

import math
from dataclasses import replace

import pytest
import torch

from tests.trainers.linear_task import FEATURES, NOISE, LinearTask, Weights, noise_scale
from tests.trainers.running import finish, start, with_setting
from trainers.config import Change, RunConfig
from trainers.errors import TrainerError
from trainers.noise_scale import GradientNoise, NoiseAverage, estimate, gradients, measured

BATCH = 256 * LinearTask.sample_tokens
STILL = {"lr": 1e-12, "batch_tokens": BATCH, "warmup_fraction": 0.0, "schedule": "constant"}
LINEAR = RunConfig(
    "tests.trainers.linear_task:LinearTask", {"features": FEATURES}, 90 * BATCH, STILL, reports=3
)


def test_the_estimates_are_those_of_two_batch_sizes():
    """McCandlish et al. give them from squared norms at two sizes: halves and the whole."""
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(10, 7, generator=generator, dtype=torch.float64) + 0.3
    first, second, whole = samples[:5].mean(0), samples[5:].mean(0), samples.mean(0)
    small = float((first.square().sum() + second.square().sum()) / 2)
    large = float(whole.square().sum())
    found = measured([first[:3], first[3:]], [whole[:3], whole[3:]], 5, 10)
    assert found.squared_norm == pytest.approx((10 * large - 5 * small) / (10 - 5))
    assert found.trace == pytest.approx((small - large) / (1 / 5 - 1 / 10))


@pytest.mark.parametrize(("n_part", "n_whole"), [(1, 2), (3, 8), (2, 64)])
def test_the_estimates_are_unbiased(n_part: int, n_whole: int):
    """Over many batches of samples with known mean and variance, whatever the part."""
    generator = torch.Generator().manual_seed(1)
    mean, sd, n_features = 0.5, 2.0, 40
    noise = sd * torch.randn(1500, n_whole, n_features, generator=generator, dtype=torch.float64)
    found = [
        measured([batch[:n_part].mean(0)], [batch.mean(0)], n_part, n_whole)
        for batch in mean + noise
    ]
    squared_norm, trace = mean**2 * n_features, sd**2 * n_features
    within = 5 * trace / n_whole / math.sqrt(1500)  # five standard errors, generously
    assert sum(f.squared_norm for f in found) / len(found) == pytest.approx(
        squared_norm, abs=within + 0.1
    )
    assert sum(f.trace for f in found) / len(found) == pytest.approx(trace, rel=0.03)


def test_the_average_has_no_bias_of_its_start_and_forgets():
    average = NoiseAverage()
    assert average.critical_batch is None
    average.add(GradientNoise(2.0, 6.0))
    assert average.noise == GradientNoise(2.0, 6.0)
    assert average.critical_batch == 3.0
    for _ in range(400):
        average.add(GradientNoise(1.0, 10.0))
    assert average.critical_batch == pytest.approx(10.0)


def test_noise_that_hides_the_gradient_has_no_critical_batch():
    average = NoiseAverage()
    average.add(estimate(squared_norm=1.0, squared_difference=2.0, n_part=4, n_whole=8))
    assert average.noise.squared_norm < 0
    assert average.noise.critical_batch == math.inf
    assert average.critical_batch is None


def test_what_is_not_finite_is_left_out():
    average = NoiseAverage()
    average.add(GradientNoise(2.0, 6.0))
    average.add(GradientNoise(math.nan, math.nan))
    assert average.critical_batch == 3.0


def test_a_parameter_that_no_gradient_reaches_counts_as_zero():
    model = Weights()
    assert torch.equal(gradients(model)[0], torch.zeros(FEATURES))


def test_a_run_reports_the_noise_scale_of_a_linear_model():
    """At weights that stand still, against tr Σ / |G|² by its formula, in tokens."""
    trainer = start(with_setting(LINEAR, noise_every=1))
    reports = finish(trainer)
    exact = noise_scale(trainer.state_dict()["model"]["w"])
    assert [report.noise_scale for report in reports] == pytest.approx([exact] * 3, rel=0.2)
    assert exact > LinearTask.sample_tokens * (FEATURES + 1)
    assert NOISE > 0


def test_it_is_not_measured_unless_asked_for():
    assert {report.noise_scale for report in finish(start(LINEAR))} == {None}


@pytest.mark.parametrize("noise_every", [1, 7])
def test_measuring_changes_nothing_else(config: RunConfig, noise_every: int):
    """Losses, rates and all: bit for bit those of the run that does not measure."""
    plain, measuring = (
        finish(start(run)) for run in (config, with_setting(config, noise_every=noise_every))
    )
    assert measuring[-1].noise_scale is not None
    assert [replace(report, noise_scale=None) for report in measuring] == plain


def test_a_saved_run_goes_on_measuring(config: RunConfig):
    run = with_setting(config, noise_every=3)
    straight = start(run)
    reports = finish(straight)
    first, second = start(run), start(run)
    before = [first.step(), first.step()]
    second.load_state_dict(first.state_dict())
    assert [replace(r, seconds=0.0) for r in before] + finish(second) == reports


@pytest.mark.parametrize(("name", "value"), [("noise_every", 1), ("norm_test", 0.5)])
def test_a_batch_of_one_sample_has_no_parts(config: RunConfig, name: str, value: float):
    single = with_setting(config, batch_tokens=16, **{name: value})
    with pytest.raises(TrainerError, match=r"a single context; .* must be at least 32"):
        start(single)


def test_it_measures_under_a_batch_that_grows():
    staged = replace(LINEAR, changes=(Change(0.3, {"batch_multiple": 3}),))
    trainer = start(with_setting(staged, noise_every=1))
    found = finish(trainer)[-1].noise_scale
    assert found == pytest.approx(noise_scale(trainer.state_dict()["model"]["w"]), rel=0.25)
