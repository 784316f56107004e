"""Forecasts of unfinished curves: known power laws, honest spread, and what must not spoil them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.errors import LawError
from scaling.learning_curves import forecast_curves

N_REPORTS = 40


def power_laws(rng, count, *, noise=0.0, floor=(0.3, 1.0), height=(0.3, 2.0), steepness=(0.3, 0.9)):
    """Whole curves, (count, N_REPORTS), each with a floor, a height and an exponent of its own."""
    report = np.arange(1, N_REPORTS + 1)
    floors, heights, exponents = (
        rng.uniform(*ends, (count, 1)) for ends in (floor, height, steepness)
    )
    return floors + heights * report**-exponents + noise * rng.standard_normal((count, N_REPORTS))


def test_exact_power_laws_are_continued():
    curves = power_laws(np.random.default_rng(0), 30)
    forecast = forecast_curves([curve[:10] for curve in curves], N_REPORTS)
    to_fall = curves[:, 9] - curves[:, -1]
    off = np.abs(forecast.end - curves[:, -1])
    assert np.median(off / to_fall) < 0.25


def test_intervals_hold_as_often_as_they_say_on_noisy_curves():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(10):
        curves = power_laws(rng, 40, noise=0.01)
        lengths = rng.integers(3, 25, 40)
        forecast = forecast_curves([c[:n] for c, n in zip(curves, lengths, strict=True)], N_REPORTS)
        held.extend(np.abs(curves[:, -1] - forecast.end) < 1.645 * forecast.end_sd)
    assert 0.85 <= np.mean(held) <= 1.0


def test_spread_shrinks_as_a_run_goes_on():
    curves = power_laws(np.random.default_rng(2), 20, noise=0.005)
    spreads = [
        np.median(forecast_curves([c[:n] for c in curves], N_REPORTS).end_sd) for n in (3, 10, 30)
    ]
    assert spreads[0] > spreads[1] > spreads[2] > 0


def test_other_curves_tell_how_far_a_short_one_will_fall():
    rng = np.random.default_rng(3)
    slow = power_laws(rng, 20, steepness=(0.15, 0.2))
    fast = power_laws(rng, 20, steepness=(2.0, 2.5))
    short = 0.5 + 1.0 * np.arange(1, 5) ** -0.5
    falls = [
        short[-1] - forecast_curves([short, *others], N_REPORTS).end[0] for others in (slow, fast)
    ]
    assert falls[0] > falls[1]


def test_finished_curves_are_their_own_and_diverged_ones_infinite():
    whole = np.linspace(2.0, 1.0, N_REPORTS)
    whole[30] = 0.5
    forecast = forecast_curves([whole, [1.0, np.nan], [2.0, np.inf, 3.0], [1.5, 1.4]], N_REPORTS)
    assert (forecast.end[0], forecast.end_sd[0]) == (1.0, 0.0)
    assert (forecast.best[0], forecast.best_sd[0]) == (0.5, 0.0)
    assert np.isinf(forecast.end[1:3]).all()
    assert np.isinf(forecast.best[1:3]).all()
    assert np.isfinite(forecast.end[3])


def test_best_is_no_higher_than_the_lowest_so_far_or_the_end():
    curves = power_laws(np.random.default_rng(4), 30, noise=0.05)
    forecast = forecast_curves([c[:8] for c in curves], N_REPORTS)
    assert (forecast.best <= np.minimum(curves[:, :8].min(axis=1), forecast.end) + 1e-12).all()
    assert (forecast.best_sd <= forecast.end_sd + 1e-12).all()


def test_one_spike_does_not_spoil_the_others():
    curves = [c[:8] for c in power_laws(np.random.default_rng(5), 30)]
    before = forecast_curves(curves, N_REPORTS)
    after = forecast_curves([*curves, [1.0, 1e16, 1e9, 2.0, 1.0, 1e12, 3.0, 1.0]], N_REPORTS)
    assert after.end[:-1] == pytest.approx(before.end, abs=0.1)


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-5, 5))
def test_units_and_shifts_of_the_loss_do_not_matter(scale, shift):
    curves = power_laws(np.random.default_rng(6), 10, noise=0.01)[:, :6]
    plain = forecast_curves(list(curves), N_REPORTS)
    moved = forecast_curves(list(scale * (curves + shift)), N_REPORTS)
    assert moved.end == pytest.approx(scale * (plain.end + shift), rel=1e-6, abs=1e-6 * scale)
    assert moved.end_sd == pytest.approx(scale * plain.end_sd, rel=1e-4)


@pytest.mark.parametrize("curves", [[[0.7]], [[0.7], [0.6], [0.5]], [[0.7, 0.7, 0.7]]])
def test_curves_that_say_nothing_are_continued_level(curves):
    forecast = forecast_curves(curves, N_REPORTS)
    assert forecast.end == pytest.approx([curve[-1] for curve in curves])
    assert np.isfinite(forecast.end_sd).all()


@pytest.mark.parametrize("length", [0, N_REPORTS + 1])
def test_a_curve_of_a_wrong_length_is_refused(length):
    with pytest.raises(LawError, match=f"curve 1 has {length} reports; a curve has 1 to 40"):
        forecast_curves([[1.0], [1.0] * length], N_REPORTS)


def test_no_curves_have_no_forecasts():
    assert forecast_curves([], N_REPORTS).end.shape == (0,)
