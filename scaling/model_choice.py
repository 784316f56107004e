"""Which axes a law should stand on: each form is judged on the largest scales, left out of its fit.

A form is charged the error of the basin that it predicts for a scale that it did not see: the
residuals of that scale's runs, their mean taken off (how good the best loss is does not matter
here, where it is does), each weighted by how near it came to the best.

A law is asked for a target of so many parameters and tokens, so only forms that these answer are
chosen unasked. Width and depth in place of size are tried where the runs tell them and they say
something else than size does; `scaling.fitting.fit_law` takes them where they are asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scaling.axes import COMPUTE, SIZE_AND_TOKENS, listed, log_axes
from scaling.loss_surface import SurfaceData, surface
from scaling.problem import pose
from scaling.robust_fit import residual_variance
from scaling.selection import Selection
from storage.columns import DEPTH, PARAMS, TOKENS, WIDTH

CHOSEN_FROM = (SIZE_AND_TOKENS, COMPUTE)
MIN_SCALES = 5  # below, too few are left to judge by
MIN_JUDGES = 4  # runs of a scale left out: of one, once its mean is off, no error would be left
FOLDS = (1, 2)  # how many of the largest scales are left out
CLEARLY_BETTER = 0.8  # of the usual form's error; less may be chance


@dataclass(frozen=True)
class FormScore:
    """One form that was tried.

    Attributes
    ----------
    axes : what its scale is measured in.
    error_pct : its error on the scales left out, in % of loss; None where it was not judged.
    chosen : whether the law stands on it.
    """

    axes: tuple[str, ...]
    error_pct: float | None
    chosen: bool


def choose_axes(selection: Selection, *, try_shapes: bool = False) -> tuple[FormScore, ...]:
    """Score every form that can be told apart by leaving the largest scales out, and choose one.

    Size and tokens are chosen unless another form is clearly better, or where the runs are of too
    few scales, too few of the largest scales, or of one size or one token budget, to tell.

    Parameters
    ----------
    try_shapes : whether to score forms on width and depth too; they are never chosen.
    """
    scales = selection.scales
    tellable = len(scales) >= MIN_SCALES and scales["runs"].tail(max(FOLDS)).min() >= MIN_JUDGES
    if not tellable or scales[PARAMS].nunique() == 1 or scales[TOKENS].nunique() == 1:
        return (FormScore(SIZE_AND_TOKENS, None, True),)
    forms = (*CHOSEN_FROM, *(_shape_forms(selection) if try_shapes else ()))
    errors = {
        axes: float(np.mean([_error_pct(selection, axes, fold) for fold in FOLDS]))
        for axes in forms
    }
    best = min(CHOSEN_FROM, key=lambda axes: errors[axes])
    clear = errors[best] < CLEARLY_BETTER * errors[SIZE_AND_TOKENS]
    chosen = best if clear else SIZE_AND_TOKENS
    return tuple(FormScore(axes, error, axes == chosen) for axes, error in errors.items())


def unusual_choice(forms: tuple[FormScore, ...]) -> str | None:
    """Say that a form other than the usual one was chosen, so that it never changes unsaid."""
    chosen = next(form for form in forms if form.chosen)
    usual = next((form for form in forms if form.axes == SIZE_AND_TOKENS), chosen)
    if chosen is usual or chosen.error_pct is None or usual.error_pct is None:
        return None
    return (
        f"scale is measured in {listed(chosen.axes)}, as on the largest scales, left out, that was "
        f"{chosen.error_pct:.2g} % off and {listed(usual.axes)} {usual.error_pct:.2g} %"
    )


def _shape_forms(selection: Selection) -> list[tuple[str, ...]]:
    """Return the forms on width or depth that are none of the others under another name.

    Where each size has one width and each width one size, a law on width is the law on size; where
    width settles depth or the other way round, a law on both cannot tell them apart.
    """
    logs = {PARAMS: selection.log_scale[:, 0], **selection.log_shape}
    codes = {axis: np.unique(values, return_inverse=True)[1] for axis, values in logs.items()}

    def settles(one: str, other: str) -> bool:
        pairs = np.unique(np.stack([codes[one], codes[other]]), axis=1)
        return bool(pairs.shape[1] == codes[one].max() + 1)

    forms: list[tuple[str, ...]] = []
    for axis in selection.log_shape:
        others = [PARAMS, *(form[0] for form in forms)]
        renamed = any(settles(axis, other) and settles(other, axis) for other in others)
        if codes[axis].max() > 0 and not renamed:
            forms.append((axis, TOKENS))
    both = WIDTH in codes and DEPTH in codes
    if both and not settles(WIDTH, DEPTH) and not settles(DEPTH, WIDTH):
        forms.append((WIDTH, DEPTH, TOKENS))
    return forms


def _error_pct(selection: Selection, axes: tuple[str, ...], hold_out: int) -> float:
    n_fitted = len(selection.scales) - hold_out
    problem = pose(selection, axes, np.arange(n_fitted))
    on_axes = log_axes(axes, selection.log_scale, selection.log_shape)
    fit = problem.fit()
    n_axes = len(axes)
    squares, total = 0.0, 0.0
    for scale in range(n_fitted, len(selection.scales)):
        rows = selection.scale_index == scale
        data = SurfaceData(
            on_axes[rows] - problem.centre[:n_axes],
            selection.log_settings[rows] - problem.centre[n_axes:],
        )
        predicted, _ = surface(fit.theta, problem.layout, data)
        log_loss = selection.log_loss[rows]
        weight = 1 / residual_variance(log_loss - log_loss.min(), fit.noise)
        residual = log_loss - predicted[0]
        residual -= np.average(residual, weights=weight)
        squares += float(weight @ residual**2)
        total += float(weight.sum())
    return 100 * math.sqrt(squares / total)
