"""Surfaces whose truth is known, fitted back from runs of them, clean, noisy and spoilt."""

import numpy as np
import pytest

from scaling import robust_fit
from scaling.loss_surface import Layout, SurfaceData, optimum, surface
from scaling.priors import Prior
from scaling.robust_fit import fit_surfaces, residual_variance, student_weight

LAYOUT = Layout(n_settings=1)
# log E; log A, log B; log α, log β; centre, its exponents in N and D; log R; skew; steepness.
TRUTH = np.array([0.5, -0.7, -0.9, -1.0, -1.1, 0.2, -0.5, 0.3, -2.0, 0.2, 0.0, 0.0])
PRIOR = Prior(mean=np.array([0.4, -1, -1, -1, -1, 0, 0, 0, -2, 0, 0, 0.0]), sd=np.full(12, 0.8))
SCALES = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
PER_SCALE = 20


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    scale = np.repeat(SCALES, PER_SCALE, axis=0)
    best = optimum(TRUTH[None], LAYOUT, scale)[0]
    return SurfaceData(scale, best + rng.uniform(-2, 2, (len(scale), 1)))


def measure(data, noise, seed=0):
    clean = surface(TRUTH[None], LAYOUT, data)[0][0]
    return clean + noise * np.random.default_rng(seed).standard_normal(len(clean))


def fit(data, log_loss, weights=None, **options):
    weights = np.ones((1, len(data.scale))) if weights is None else weights
    mean = np.repeat(PRIOR.mean[None], len(weights), axis=0)
    return fit_surfaces(LAYOUT, data, log_loss, weights, PRIOR, mean, mean, **options)


def optima(found):
    return optimum(found.theta, LAYOUT, SCALES)[..., 0]


def test_the_surface_is_found_where_the_runs_are_clean(data):
    found = fit(data, measure(data, noise=1e-4))
    np.testing.assert_allclose(optima(found), optima_of_truth(), atol=0.02)
    predicted = surface(found.theta, LAYOUT, data)[0][0]
    np.testing.assert_allclose(predicted, measure(data, noise=0.0), atol=1e-3)


def optima_of_truth():
    return optimum(TRUTH[None], LAYOUT, SCALES)[..., 0]


@pytest.mark.parametrize("noise", [0.002, 0.01])
def test_the_noise_is_found(data, noise):
    found = fit(data, measure(data, noise))
    # σ is the scale of a Student-t law of four degrees of freedom: its deviation is √2 times that.
    assert np.sqrt(2) * found.noise[0] == pytest.approx(noise, rel=0.35)


def test_runs_that_half_diverged_hardly_move_the_optimum(data):
    clean = measure(data, noise=0.002)
    spoilt = clean + np.where(np.arange(len(clean)) % 10 == 3, 0.4, 0.0)
    moved = optima(fit(data, spoilt)) - optima(fit(data, clean))
    assert np.abs(moved).max() < 0.1


def test_a_run_that_weighs_two_is_that_run_twice(data):
    log_loss = measure(data, noise=0.005)
    weights = np.random.default_rng(1).integers(0, 3, (1, len(log_loss)))
    rows = np.repeat(np.arange(len(log_loss)), weights[0])
    repeated = SurfaceData(data.scale[rows], data.settings[rows])
    once = fit(data, log_loss, weights.astype(float), noise=0.003)
    twice = fit(repeated, log_loss[rows], noise=0.003)
    np.testing.assert_allclose(once.theta, twice.theta, atol=1e-5)


def test_each_surface_may_have_losses_of_its_own(data, monkeypatch):
    losses = np.stack([measure(data, noise=0.004, seed=seed) for seed in range(3)])
    alone = [fit(data, log_loss, noise=0.003).theta[0] for log_loss in losses]
    monkeypatch.setattr(robust_fit, "_CHUNK_RUNS", 2 * losses.shape[1])  # two surfaces at once
    together = fit(data, losses, np.ones(losses.shape), noise=0.003).theta
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_runs_high_above_the_optimum_are_expected_to_miss_by_more():
    variance = residual_variance(np.array([0.0, 0.01, 0.1]), 0.002)
    assert variance[0] == pytest.approx(0.002**2)
    assert variance[2] > 100 * variance[1]


def test_a_residual_counts_less_the_larger_it_is():
    weight = student_weight(np.array([0.0, 1.0, -10.0]), np.array(1.0))
    assert weight[0] > 1 > weight[2]
    assert weight[1] == pytest.approx(1.0)
