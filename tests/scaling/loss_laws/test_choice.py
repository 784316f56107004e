"""Loss laws by name, and how each form predicts the scales left out."""

import numpy as np
import pandas as pd
import pytest

from scaling.errors import InsufficientDataError, LawError
from scaling.loss_laws.choice import CONSTANT, fit_form, held_out_forms
from scaling.loss_laws.published import published_loss_law
from scaling.loss_laws.sparse import average_params, gradual_pruning, with_average_params

CHINCHILLA = published_loss_law("besiroglu-2024").law
REPEATED = published_loss_law("muennighoff-2023").law


@pytest.fixture(scope="module")
def dense() -> pd.DataFrame:
    """Runs of Chinchilla's law, 0.1 % of noise."""
    rng = np.random.default_rng(0)
    params, ratio = np.meshgrid(np.geomspace(1e7, 1e9, 6), [5.0, 20.0, 80.0])
    runs = pd.DataFrame({"params": params.ravel(), "tokens": (params * ratio).ravel()})
    loss = CHINCHILLA.loss(runs["params"], runs["tokens"])
    return runs.assign(loss=loss * np.exp(rng.normal(0, 1e-3, len(runs))))


@pytest.fixture(scope="module")
def pruned() -> pd.DataFrame:
    """Runs whose loss follows the average of their params, half and four fifths pruned away."""
    params, tokens = np.meshgrid(np.geomspace(1e7, 1e9, 8), [1e9, 3e9, 1e10, 1e11])
    runs = pd.DataFrame({"params": params.ravel(), "tokens": tokens.ravel()})
    runs["final_sparsity"] = np.resize([0.0, 0.5, 0.8], len(runs))
    averaged = with_average_params(runs)
    return runs.assign(loss=CHINCHILLA.loss(averaged["params"], averaged["tokens"]))


def test_the_form_that_made_the_runs_predicts_best(dense: pd.DataFrame) -> None:
    scores = held_out_forms(dense).set_index("law")
    assert list(scores.index[:1]) in (["chinchilla"], ["besiroglu-2024"])
    fitted = scores[scores["fitted"]]["error_pct"]
    assert fitted.idxmin() == "chinchilla"
    assert fitted["chinchilla"] < 0.2 < fitted[CONSTANT]
    assert (scores["scales"] == 4).all()


def test_the_order_of_the_runs_does_not_matter(dense: pd.DataFrame) -> None:
    shuffled = dense.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(held_out_forms(shuffled), held_out_forms(dense))


def test_repeated_data_is_tried_where_the_runs_tell_it() -> None:
    rows = [
        {"params": n, "unique_tokens": u, "tokens": u * epochs}
        for n in np.geomspace(1e7, 1e9, 5)
        for u in (1e8, 1e9)
        for epochs in (1, 4, 16, 64)
    ]
    runs = pd.DataFrame(rows)
    runs["loss"] = REPEATED.loss(runs["params"], runs["tokens"], runs["unique_tokens"])
    scores = held_out_forms(runs).set_index("law")["error_pct"]
    assert scores["repeated-data"] < 0.1 < scores["chinchilla"]
    assert scores["muennighoff-2023"] < 1e-6


def test_sparse_runs_are_fitted_by_their_average_params(pruned: pd.DataFrame) -> None:
    terms = fit_form(pruned, "sparse", n_draws=20).constants()
    assert terms["alpha"][0] == pytest.approx(0.3478, rel=0.01)
    dense_fit = fit_form(pruned, "chinchilla", n_draws=0)
    assert dense_fit.objective > 100 * fit_form(pruned, "sparse", n_draws=0).objective
    scores = held_out_forms(pruned).set_index("law")["error_pct"]
    assert scores["sparse"] < 0.05 < scores["chinchilla"]


def test_average_params_follow_each_run_s_own_schedule(pruned: pd.DataFrame) -> None:
    runs = pruned.iloc[[2, 2]].assign(pruning_start=[0.25, 0.5], pruning_end=[0.75, 1.0])
    found = with_average_params(runs.assign(flops=6 * runs["params"] * runs["tokens"]))
    expected = [
        average_params(*gradual_pruning(float(runs["params"].iloc[0]), 0.8, 1.0, start=s, end=e))
        for s, e in ((0.25, 0.75), (0.5, 1.0))
    ]
    assert found["params"].tolist() == pytest.approx(expected)
    assert found["flops"].tolist() == pytest.approx(6 * found["params"] * found["tokens"])
    measured = with_average_params(runs.assign(flops=1e20))
    assert measured["flops"].tolist() == [1e20, 1e20]


@pytest.mark.parametrize(
    ("form", "given", "message"),
    [
        ("chincilla", {}, "no form 'chincilla'; did you mean 'chinchilla'?"),
        ("kaplan", {"r_data": 15.0}, "the form 'kaplan' has no R"),
        ("sparse", {}, "no column 'final_sparsity'; sparse pre-training needs it"),
        ("repeated-data", {}, "no column 'unique_tokens'"),
    ],
)
def test_what_a_form_cannot_do_is_said(
    dense: pd.DataFrame, form: str, given: dict[str, float], message: str
) -> None:
    with pytest.raises(LawError, match=message):
        fit_form(dense, form, **given)


def test_leaving_all_out_is_refused(dense: pd.DataFrame) -> None:
    with pytest.raises(InsufficientDataError, match="18 of 18 scales cannot be left out"):
        held_out_forms(dense, hold_out=18)


def test_a_form_that_cannot_be_fitted_says_why(dense: pd.DataFrame) -> None:
    scores = held_out_forms(dense, hold_out=16).set_index("law")
    assert "at least 3 are needed" in scores.loc["chinchilla", "reason"]
    assert np.isnan(scores.loc["chinchilla", "error_pct"])
