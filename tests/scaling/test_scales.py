"""Which runs are of one scale, where budgets are whole steps of many batches."""

import numpy as np
import pandas as pd
import pytest

from scaling.backtest import held_out
from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.scales import on_common_scales, scale_numbers
from scaling.selection import select


@pytest.fixture(scope="module")
def whole_steps(runs) -> pd.DataFrame:
    """The runs as trained: as many whole steps of the batch as come nearest to the budget."""
    steps = (runs["tokens"] / runs["batch_tokens"]).round()
    tokens = (steps * runs["batch_tokens"]).where(steps > 100, runs["tokens"])
    assert tokens.nunique() > 30
    return runs.assign(tokens=tokens)


def test_budgets_of_whole_steps_are_of_one_scale(runs, whole_steps):
    np.testing.assert_array_equal(scale_numbers(whole_steps), scale_numbers(runs))
    assert len(select(whole_steps).scales) == len(select(runs).scales) == 6


def test_intervals_are_those_of_the_budgets_as_they_were_meant(runs, whole_steps):
    meant, trained = (
        fit_law(table, n_draws=100).predict(1e9, 2e10) for table in (runs, whole_steps)
    )
    for name, ours in meant.optimum.items():
        theirs = trained.optimum[name]
        assert np.log(theirs.high / theirs.low) == pytest.approx(
            np.log(ours.high / ours.low), rel=0.1
        )


def test_what_is_on_common_scales_stays_so_and_so_do_its_parts(whole_steps):
    common = on_common_scales(whole_steps)
    pd.testing.assert_frame_equal(on_common_scales(common), common)
    part = common.sample(frac=0.3, random_state=0)
    pd.testing.assert_frame_equal(on_common_scales(part), part)


def test_scales_a_tenth_apart_are_two(runs):
    twins = pd.concat([runs, runs.assign(tokens=runs["tokens"] * 1.1)])
    assert len(select(twins).scales) == 12


def test_budgets_that_lie_everywhere_are_not_all_one_scale():
    tokens = np.geomspace(1e8, 1e10, 2000)
    common = on_common_scales(pd.DataFrame({"params": 1e7, "tokens": tokens}))["tokens"]
    assert (tokens / common < 1.031).all()
    assert 100 < common.nunique() < 200


def test_a_scale_that_the_law_nearly_saw_is_one_it_saw(runs, whole_steps):
    law = fit_law(runs, n_draws=2)
    largest = whole_steps[whole_steps["params"] == 1.6e8]
    with pytest.raises(LawError, match="would prove nothing"):
        held_out(law, largest[on_common_scales(largest)["tokens"] > 2e9])
