"""Laws on width and depth are planned with and checked on scales left out, as others are."""

import pandas as pd
import pytest

from scaling.backtest import backtest, compare, held_out, leave_out
from scaling.design import default_candidates, plan_runs
from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.law import Law

AXES = ("width", "depth", "tokens")
TARGET = {"params": 2e9, "tokens": 4e10}
SHAPE = {"width": 4096, "depth": 10}


@pytest.fixture(scope="module")
def by_shape(shaped: pd.DataFrame) -> Law:
    return fit_law(shaped, axes=AXES, n_draws=40)


def test_a_plan_asks_for_the_target_s_shape_and_offers_the_scales_own(shaped, by_shape):
    candidates = default_candidates(by_shape)
    measured = by_shape.scales[["params", "tokens", "width", "depth"]]
    assert len(candidates.merge(measured)) == len(candidates)
    with pytest.raises(LawError, match="give the target's width"):
        plan_runs(by_shape, shaped, **TARGET)
    few = shaped.groupby(["width", "depth", "tokens"]).head(5)
    law = fit_law(few, axes=AXES, n_draws=40)
    plan = plan_runs(law, few, **TARGET, **SHAPE, n_runs=3)
    assert {"width", "depth"} <= set(plan.columns)
    assert plan.attrs["expected_regret_pct"] == pytest.approx(
        law.predict(**TARGET, **SHAPE).regret_pct.expected
    )
    after = plan["expected_regret_pct"]
    assert after.is_monotonic_decreasing
    assert after.iloc[-1] < plan.attrs["expected_regret_pct"]


def test_candidates_without_a_shape_have_that_of_their_size(shaped, by_shape):
    told = default_candidates(by_shape).query("depth == 4")
    plans = [
        plan_runs(by_shape, shaped, **TARGET, **SHAPE, n_runs=2, candidates=candidates)
        for candidates in (told, told.drop(columns=["width", "depth"]))
    ]
    assert plans[0]["lr"].tolist() == plans[1]["lr"].tolist()
    assert plans[0].attrs == pytest.approx(plans[1].attrs)


def test_a_law_on_shape_is_checked_at_the_shapes_left_out(shaped):
    left = leave_out(shaped, hold_out=2, axes=AXES)
    assert left.law.axes == AXES
    assert len(left.fitted) + sum(left.scales["runs"]) == len(shaped)
    checks = left.checks()
    assert [check.shape for check in checks] == left.scales[["width", "depth"]].to_dict("records")
    scores = left.scores()
    own = scores[scores["law"] == left.law.name]
    assert own["width"].tolist() == [check.shape["width"] for check in checks]
    assert own["lr"].tolist() == [check.optimum["lr"] for check in checks]
    assert own["nearest_gap_pct"].tolist() == [check.nearest_gap_pct for check in checks]
    pd.testing.assert_frame_equal(backtest(shaped, hold_out=2, axes=AXES), scores)


def test_one_size_in_two_shapes_is_two_scales(shaped, by_shape):
    other = shaped["depth"] == 8
    shallow_and_wide = shaped.assign(
        params=shaped["params"].where(~other, shaped["params"] / 2),
        tokens=shaped["tokens"].where(~other, shaped["tokens"] / 2),
    )
    law = fit_law(shallow_and_wide, axes=AXES, n_draws=20)
    scores = compare(law, shallow_and_wide)
    assert (scores["law"] == law.name).sum() == 12
    largest = shallow_and_wide[["params", "tokens"]].max()
    of_largest = shallow_and_wide[["params", "tokens"]].eq(largest).all(axis=1)
    with pytest.raises(LawError, match="these have 2"):
        held_out(by_shape, shallow_and_wide[of_largest])


def test_runs_without_the_column_are_refused(shaped, by_shape):
    with pytest.raises(LawError, match="no such column"):
        compare(by_shape, shaped.drop(columns="width"))
