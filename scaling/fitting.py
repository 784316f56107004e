"""From a runs table to a law.

law = fit_law(runs)
law.predict(params=7e9, tokens=1.4e11)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from scaling.axes import SIZE_AND_TOKENS, checked_axes, shape_axes
from scaling.divergence import divergence_warning
from scaling.law import Law
from scaling.model_choice import FormScore, choose_axes, unusual_choice
from scaling.problem import pose
from scaling.scales import on_common_scales
from scaling.selection import Selection, have_diverged, select


def fit_law(
    runs: pd.DataFrame,
    *,
    name: str = "loss-surface",
    settings: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
    try_shapes: bool = False,
    n_draws: int = 200,
    seed: int = 0,
) -> Law:
    """Fit the joint loss surface to all completed runs, with its uncertainty.

    Parameters
    ----------
    runs : a runs table; of its columns params, tokens, lr, batch_tokens and loss are needed.
    name : what the law is to be called.
    settings : columns of the hyperparameters to place, "lr" among them, each positive; where None,
        rate, batch, and weight decay and warm-up where the runs of a scale vary them.
    axes : what scale is measured in: some of params, width, depth, tokens and flops, such as
        ("width", "tokens"), whose law is asked with the target's width. Where None, ("params",
        "tokens") or ("flops",), whichever does better on the largest scales when they are left out.
    try_shapes : whether to score forms on width and depth beside those, for `Law.forms` to show.
        Where the runs tell such forms from size, this takes a few times as long as the fit.
    n_draws : surfaces drawn for the intervals.
    seed : of the draws; the same runs in any order and the same seed give the same law.

    Raises
    ------
    InsufficientDataError : the runs cannot carry a law; the message says what is lacking.
    LawError : a column is missing, or settings or axes are none that a law can have.
    """
    runs = on_common_scales(runs)  # diverged ones too
    if axes is None:
        selection = select(runs, settings)
        forms = choose_axes(selection, try_shapes=try_shapes)
    else:
        asked = checked_axes(tuple(axes))
        selection = select(runs, settings, asked)
        forms = (FormScore(asked, None, True),)
    chosen = next(form.axes for form in forms if form.chosen)
    unusual = unusual_choice(forms)
    problem = pose(selection, chosen)
    best = problem.fit()
    law = Law(
        name=name,
        settings=selection.settings,
        axes=chosen,
        theta=best.theta[0],
        draws=problem.draws(best, n_draws=n_draws, seed=seed),
        centre=problem.centre,
        noise=float(best.noise[0]),
        scales=_with_diverged(selection, runs, (*SIZE_AND_TOKENS, *shape_axes(chosen))),
        mu_parametrized=selection.mu_parametrized,
        warnings=selection.warnings if unusual is None else (*selection.warnings, unusual),
        forms=forms,
    )
    diverging = divergence_warning(law, runs)
    return law if diverging is None else replace(law, warnings=(diverging, *law.warnings))


def _with_diverged(selection: Selection, runs: pd.DataFrame, keys: tuple[str, ...]) -> pd.DataFrame:
    """Count beside each fitted scale the runs of it that diverged."""
    counts = runs.loc[have_diverged(runs), list(keys)].astype(float).groupby(list(keys)).size()
    of_scales = pd.MultiIndex.from_frame(selection.scales[list(keys)].astype(float))
    return selection.scales.assign(diverged=counts.reindex(of_scales, fill_value=0).to_numpy())
