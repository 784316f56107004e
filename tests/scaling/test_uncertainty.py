"""What draws of a law spread over: noise, scales off the power laws, and what runs do not say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scaling.axes import SIZE_AND_TOKENS
from scaling.fitting import fit_law
from scaling.loss_surface import optimum
from scaling.problem import pose
from scaling.selection import select
from scaling.uncertainty import OWN_DEVIATION, OWN_LOSS_DEVIATION, draw_surfaces, own_deviations

LADDER = tuple((n, ratio * n) for n in (1e7, 2e7, 4e7, 8e7, 1.6e8, 3.2e8) for ratio in (8, 40))


def posed(runs: pd.DataFrame):
    problem = pose(select(runs), SIZE_AND_TOKENS)
    return problem, problem.fit()


def draws_of(problem, best, n_draws=200, seed=0):
    return problem.draws(best, n_draws=n_draws, seed=seed)


def log_lr(problem, theta):
    """Log learning rate of least loss in the middle of the ladder, (n_surfaces,)."""
    return optimum(theta, problem.layout, np.zeros((1, 2)))[:, 0, 0]


def deviations_of(problem, best):
    return own_deviations(
        problem.layout,
        problem.data,
        problem.log_loss,
        problem.scale_index,
        problem.prior,
        best.theta[0],
        float(best.noise[0]),
    )


def test_scales_of_one_run_each_have_noise_as_well(draw, truth):
    """Weights within a scale of one run would always be one, and its noise forgotten."""
    alone = [(1e7 * 1.1**k, 2e8 * 1.1**k) for k in range(60)]
    together = [scale for scale in alone[::12] for _ in range(12)]
    spread = []
    for scales in (alone, together):
        problem, best = posed(draw(truth, scales=scales, per_scale=1, noise=0.02))
        spread.append(log_lr(problem, draws_of(problem, best)).std())
    assert spread[0] == pytest.approx(spread[1], rel=0.35)


def shifted(runs: pd.DataFrame, column: str, sd: float, seed: int = 0) -> pd.DataFrame:
    """Multiply a column by a factor of each scale's own."""
    own = sd * np.random.default_rng(seed).standard_normal(len(LADDER))
    index = runs.groupby(["params", "tokens"], sort=False).ngroup().to_numpy()
    return runs.assign(**{column: runs[column] * np.exp(own[index])})


@pytest.fixture(scope="module")
def clean(draw, truth):
    return draw(truth, scales=LADDER, per_scale=24, noise=0.0005)


def test_the_same_seed_gives_the_same_draws(clean):
    problem, best = posed(clean)
    ours, again = (draws_of(problem, best, n_draws=5, seed=3) for _ in range(2))
    np.testing.assert_array_equal(ours, again)
    assert (ours != draws_of(problem, best, n_draws=5, seed=4)).all()


def test_draws_lie_about_the_fit_and_spread_with_the_noise(draw, truth):
    spreads = []
    for noise in (0.001, 0.03):
        problem, best = posed(draw(truth, noise=noise))
        drawn = log_lr(problem, draws_of(problem, best))
        assert abs(np.median(drawn) - log_lr(problem, best.theta)[0]) < 0.6 * drawn.std()
        spreads.append(drawn.std())
    assert spreads[1] > 2.5 * spreads[0]


def test_runs_without_end_at_few_scales_leave_the_scales_own_deviations(draw, truth):
    problem, best = posed(draw(truth, per_scale=300, noise=0.0005))
    drawn = log_lr(problem, draws_of(problem, best))
    six_scales = OWN_DEVIATION / np.sqrt(6)
    assert 0.5 * six_scales < drawn.std() < 2 * six_scales


@pytest.mark.parametrize(("column", "kind"), [("lr", 0), ("batch_tokens", 1)])
def test_scales_whose_optimum_leaves_the_power_law_are_seen_to(clean, column, kind):
    _, expected = deviations_of(*posed(clean))
    assert expected[kind] < OWN_DEVIATION
    _, found = deviations_of(*posed(shifted(clean, column, 0.4)))
    assert 0.2 < found[kind] < 0.5
    assert found[1 - kind] < 1.5 * OWN_DEVIATION


def test_scales_whose_loss_leaves_the_law_are_seen_to(clean):
    _, expected = deviations_of(*posed(clean))
    assert expected[-1] < OWN_LOSS_DEVIATION
    _, found = deviations_of(*posed(shifted(clean, "loss", 0.02)))
    assert 0.008 < found[-1] < 0.03


def test_scales_that_disagree_widen_the_draws(clean):
    agreeing, disagreeing = posed(clean), posed(shifted(clean, "lr", 0.4))
    spreads = [
        log_lr(problem, draws_of(problem, best)).std() for problem, best in (agreeing, disagreeing)
    ]
    assert spreads[1] > 2 * spreads[0]


def test_what_the_runs_do_not_say_keeps_the_spread_of_the_prior(draw, truth):
    one_size = draw(truth, scales=[(4e7, ratio * 4e7) for ratio in (5, 10, 20, 40)])
    problem, best = posed(one_size)
    in_params = problem.layout.centre_of(0).start + 1
    drawn = draws_of(problem, best, n_draws=400)[:, in_params]
    assert drawn.std() == pytest.approx(problem.prior.sd[in_params], rel=0.15)


def test_numbers_of_scales_are_only_names(clean):
    problem, best = posed(clean)
    renamed = replace(problem, scale_index=3 * problem.scale_index + 7)
    np.testing.assert_array_equal(
        draws_of(renamed, best, n_draws=5), draws_of(problem, best, n_draws=5)
    )


def test_a_run_that_diverged_unnoticed_does_not_widen_the_draws(draw, truth):
    runs = draw(truth)
    spoilt = runs.assign(loss=runs["loss"].where(np.arange(len(runs)) % 20 != 7, 9.0))
    spreads = [
        log_lr(problem, draws_of(problem, best)).std()
        for problem, best in (posed(runs), posed(spoilt))
    ]
    assert spreads[1] < 2 * spreads[0]


def test_one_draw_and_one_scale_are_taken(clean):
    problem, best = posed(clean)
    rows = problem.scale_index == 0
    drawn = draw_surfaces(
        problem.layout,
        problem.data._replace(scale=problem.data.scale[rows], settings=problem.data.settings[rows]),
        problem.log_loss[rows],
        problem.scale_index[rows],
        problem.prior,
        best.theta[0],
        float(best.noise[0]),
        n_draws=1,
        seed=0,
    )
    assert drawn.shape == (1, problem.layout.size)
    assert np.isfinite(drawn).all()


def test_one_absurd_draw_does_not_decide_the_expected_regret(clean):
    law = fit_law(clean, n_draws=50)
    usual = law.predict(1e9, 2e10).regret_pct.expected
    law.draws[0, law.layout.centre_of(0).start] += 200.0
    assert law.predict(1e9, 2e10).regret_pct.expected <= usual + 100 / 50
