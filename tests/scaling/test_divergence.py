"""Runs that diverged have no loss, but a law that says their rate is told of."""

import numpy as np
import pandas as pd
import pytest

from scaling.fitting import fit_law

FAR = "diverged"


def cliff(runs: pd.DataFrame, truth, part: float) -> pd.DataFrame:
    """Let runs of more than this part of their scale's best rate diverge."""
    best = truth.optimum(runs["params"].to_numpy(), runs["tokens"].to_numpy()).lr
    lost = runs["lr"] > part * best
    return runs.assign(
        loss=runs["loss"].where(~lost), status=np.where(lost, "diverged", "completed")
    )


def of(law, words: str) -> list[str]:
    return [text for text in law.warnings if words in text]


def test_a_best_rate_at_which_runs_diverged_is_named(runs, truth):
    law = fit_law(cliff(runs, truth, 0.85), n_draws=2)
    (said,) = of(law, "is one at which runs diverged")
    assert "of 6 scales" in said
    assert "take a lower rate" in said


def test_rates_that_diverge_far_above_the_best_are_no_news(runs, truth):
    law = fit_law(cliff(runs, truth, 3.0), n_draws=2)
    assert not of(law, FAR)


def test_a_run_that_diverged_among_others_that_did_not_says_nothing(runs):
    middle = runs.groupby(["params", "tokens"]).head(2).index
    table = runs.assign(
        loss=runs["loss"].where(~runs.index.isin(middle)),
        status=np.where(runs.index.isin(middle), "diverged", "completed"),
    )
    assert not of(fit_law(table, n_draws=2), FAR)


@pytest.mark.parametrize(
    ("part", "said"), [(0.6, "is the last before runs diverged"), (None, "at the edge")]
)
def test_an_edge_beyond_which_runs_diverged_is_told_from_one_that_was_not_passed(
    runs, truth, part, said
):
    table = cliff(runs, truth, 0.6)
    if part is None:
        table = table[table["status"] == "completed"]
    law = fit_law(table, n_draws=2)
    assert of(law, f"learning rate {said}") or of(law, f"learning rate lies {said}")
    assert bool(of(law, "widen the range")) == (part is None)
