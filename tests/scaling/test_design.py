"""The next runs: what they promise, where they lie, and when no more are recommended."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from scaling.design import WORTHWHILE, check_candidates, default_candidates, plan_runs
from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.law import Law
from trainers.simulated import SimulatedLaw

TARGET = {"params": 1e9, "tokens": 2e10}


@pytest.fixture(scope="module")
def few(draw, truth) -> pd.DataFrame:
    return draw(truth, per_scale=6, noise=0.002)


@pytest.fixture(scope="module")
def law(few) -> Law:
    return fit_law(few, n_draws=50)


@pytest.fixture(scope="module")
def plan(law, few) -> pd.DataFrame:
    return plan_runs(law, few, **TARGET)


def test_candidates_lie_around_each_scale_s_optimum(law):
    candidates = default_candidates(law)
    assert len(candidates) == law.n_scales * 13 * 9
    for (params, tokens), group in candidates.groupby(["params", "tokens"]):
        best = law.optimum(params, tokens)
        for name, octaves in (("lr", 3), ("batch_tokens", 2)):
            away = np.log2(group[name] / float(best[name]))
            assert away.min() == pytest.approx(-octaves)
            assert away.max() == pytest.approx(octaves)


def test_no_candidate_has_a_batch_longer_than_its_run(draw):
    wants_huge_batches = SimulatedLaw(batch_coefficient=2000)
    law = fit_law(draw(wants_huge_batches, per_scale=12), n_draws=20)
    candidates = default_candidates(law)
    assert law.n_scales * 13 < len(candidates) < law.n_scales * 13 * 9
    assert (candidates["batch_tokens"] <= candidates["tokens"]).all()


def test_a_further_setting_is_varied_too(draw, truth):
    runs = draw(truth, per_scale=12)
    decay = 0.1 * np.exp(np.random.default_rng(1).uniform(-2, 2, len(runs)))
    runs = runs.assign(
        weight_decay=decay, loss=runs["loss"] * (1 + 0.003 * np.log(decay / 0.1) ** 2)
    )
    law = fit_law(runs, n_draws=30)
    assert law.settings == ("lr", "batch_tokens", "weight_decay")
    one = law.scales.head(1)
    candidates = default_candidates(law, one)
    assert len(candidates) == 13 * 9 * 3
    plan = plan_runs(law, runs, **TARGET, n_runs=2, candidates=candidates)
    assert {"weight_decay", "expected_regret_pct"} <= set(plan.columns)


def test_each_run_lowers_the_expected_regret_and_none_goes_below_the_floor(plan):
    regret = [plan.attrs["expected_regret_pct"], *plan["expected_regret_pct"]]
    assert len(plan) == 8
    assert all(later < earlier for earlier, later in pairwise(regret))
    assert regret[-1] > plan.attrs["floor_pct"] > 0
    assert (plan["flops"] == 6 * plan["params"] * plan["tokens"]).all()


def test_a_shorter_plan_is_the_beginning_of_a_longer_one(law, few, plan):
    shorter = plan_runs(law, few, **TARGET, n_runs=3)
    pd.testing.assert_frame_equal(shorter, plan.head(3))


def test_runs_are_off_the_optimum_where_loss_says_where_it_is(law, plan):
    best = law.optimum(plan["params"], plan["tokens"])
    away = np.hypot(*(np.log2(plan[name] / best[name]) for name in ("lr", "batch_tokens")))
    assert (away > 0.4).all()


def test_what_was_planned_and_run_lowers_the_regret_as_promised(few, plan, truth):
    columns = [plan[name] for name in ("params", "tokens", "lr", "batch_tokens")]
    done = pd.concat([few, plan.assign(loss=truth.loss(*columns))], ignore_index=True)
    again = plan_runs(fit_law(done, n_draws=50), done, **TARGET)
    before = plan.attrs["expected_regret_pct"]
    promised = plan["expected_regret_pct"].iloc[-1]
    assert promised / 2 < again.attrs["expected_regret_pct"] < min(before, 2 * promised)


def test_the_regret_of_now_is_the_one_that_predict_says(law, few, plan):
    predicted = law.predict(**TARGET).regret_pct.expected
    assert plan.attrs["expected_regret_pct"] == predicted
    other = plan_runs(law, few, params=1e8, tokens=2e9, n_runs=1)
    assert other.attrs["expected_regret_pct"] == law.predict(1e8, 2e9).regret_pct.expected


def test_it_stops_where_more_runs_hardly_help(draw, truth):
    runs = draw(truth, per_scale=200, noise=0.001)
    plan = plan_runs(fit_law(runs, n_draws=30), runs, **TARGET)
    assert plan.empty
    assert {"flops", "expected_regret_pct"} <= set(plan.columns)
    assert plan.attrs["expected_regret_pct"] >= plan.attrs["floor_pct"]


def test_each_run_that_is_recommended_is_worthwhile(draw, truth):
    runs = draw(truth, per_scale=24, noise=0.003, seed=1)
    plan = plan_runs(fit_law(runs, n_draws=50), runs, **TARGET, n_runs=40)
    after = [plan.attrs["expected_regret_pct"], *plan["expected_regret_pct"]]
    assert 0 < len(plan) < 40
    assert all(later <= (1 - WORTHWHILE) * before for before, later in pairwise(after))


def test_given_candidates_are_chosen_once_each_and_keep_their_columns(law, few):
    offer = default_candidates(law).sample(30, random_state=0).assign(note="mine")
    plan = plan_runs(law, few, **TARGET, n_runs=50, candidates=offer)
    assert 1 < len(plan) <= 30
    assert not plan.duplicated(["params", "tokens", "lr", "batch_tokens"]).any()
    assert set(plan["note"]) == {"mine"}


def test_the_order_of_candidates_does_not_matter(law, few):
    offer = default_candidates(law)
    shuffled = offer.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(
        plan_runs(law, few, **TARGET, n_runs=3, candidates=offer),
        plan_runs(law, few, **TARGET, n_runs=3, candidates=shuffled),
    )


@pytest.mark.parametrize(
    ("mend", "said"),
    [
        (lambda offer: offer.drop(columns="lr"), "no column 'lr'"),
        (lambda offer: offer.head(0), "no candidates"),
        (lambda offer: offer.assign(lr=-1.0), "row 1, column 'lr': -1.0"),
        (lambda offer: offer.assign(tokens="many"), "row 1, column 'tokens': many"),
        (lambda offer: offer.assign(params=np.inf), "row 1, column 'params': inf"),
    ],
)
def test_candidates_that_make_no_sense(law, mend, said):
    with pytest.raises(LawError, match=said):
        check_candidates(mend(default_candidates(law)), law.settings)


@pytest.mark.parametrize("wrong", [{"n_runs": 0}, {"params": -1.0}, {"tokens": np.nan}])
def test_a_plan_that_cannot_be_asked_for(law, few, wrong):
    with pytest.raises(LawError, match=next(iter(wrong))):
        plan_runs(law, few, **(TARGET | wrong))
