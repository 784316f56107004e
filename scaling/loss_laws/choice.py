"""Loss laws by the name of their form, and how each form predicts the largest scales.

law = fit_form(runs, "kaplan")
held_out_forms(runs)                  # each form fitted without the largest scales, scored on them
"""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np
import pandas as pd

from scaling.errors import InsufficientDataError, LawError
from scaling.loss_laws.fitting import fit_loss_law
from scaling.loss_laws.forms import CHINCHILLA, Form, PowerLawSum
from scaling.loss_laws.kaplan import KAPLAN
from scaling.loss_laws.law import LossLaw
from scaling.loss_laws.points import scale_points
from scaling.loss_laws.published import PUBLISHED_LOSS_LAWS
from scaling.loss_laws.repeated_data import RepeatedData
from scaling.loss_laws.sparse import FINAL_SPARSITY, with_average_params
from storage.columns import FLOPS, LOSS, PARAMS, TOKENS, UNIQUE_TOKENS

REPEATED, SPARSE = "repeated-data", "sparse"
FORM_NAMES = ("chinchilla", "kaplan", REPEATED, SPARSE, "flops")
HELD_OUT = 0.2  # of the scales, the largest by compute, are left out where no number is given
SAME_COMPUTE = 1e-6  # scales as large as the least one left out are left out, too
CONSTANT = "no further gain"  # the peer of all laws: the lowest loss that was fitted


def fit_form(
    runs: pd.DataFrame,
    form: str = "chinchilla",
    *,
    r_data: float | None = None,
    r_params: float | None = None,
    name: str | None = None,
    n_draws: int = 200,
    seed: int = 0,
) -> LossLaw:
    """Fit a loss law whose form is given by name to the best loss of each scale.

    Parameters
    ----------
    runs : a runs table with params, tokens and loss; unique_tokens for `repeated-data`,
        final_sparsity for `sparse` (see `scaling.loss_laws.sparse.with_average_params`).
    form : of `FORM_NAMES`. `sparse` is Chinchilla's form over params averaged over training,
        `flops` a floor and one power law of compute.
    r_data, r_params : R*_D and R*_N of `repeated-data` where they are known.
    name : what the law is to be called, the form's name where None.
    n_draws, seed : as of `scaling.loss_laws.fitting.fit_loss_law`.

    Raises
    ------
    InsufficientDataError : the runs cannot carry this law.
    LawError : no such form, a column is missing, or R* is given to a form that has none.
    """
    formula = _formula(form, r_data, r_params)
    return fit_loss_law(
        runs_for(form, runs), formula, name=name or form, n_draws=n_draws, seed=seed
    )


def runs_for(form: str, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs as a form takes them: with averaged params where it is `sparse`."""
    return with_average_params(runs) if form == SPARSE else runs


def held_out_forms(
    runs: pd.DataFrame,
    *,
    hold_out: int | None = None,
    r_data: float | None = None,
    r_params: float | None = None,
) -> pd.DataFrame:
    """Leave the largest scales out, fit every form to the others, and score it on those left out.

    Published laws, whose constants are of other data and other tokenizers, and a loss that stays
    at the lowest one fitted stand beside them.

    Parameters
    ----------
    runs : as `fit_form` takes it; forms whose column is missing are not tried.
    hold_out : how many scales at least, the largest by compute; a fifth of them where None.
    r_data, r_params : R*_D and R*_N of `repeated-data` where they are known.

    Returns
    -------
    A row a law, the best first: law, scales (left out), error_pct (mean absolute error, in % of
    loss), fitted (whether to these runs), reason (why a form could not be fitted, else "").

    Raises
    ------
    InsufficientDataError : no scale would be left to fit to.
    """
    trained = with_average_params(runs) if FINAL_SPARSITY in runs.columns else runs
    compute = 6.0 * trained[PARAMS] * trained[TOKENS]
    usable = runs.assign(**{FLOPS: trained[FLOPS] if FLOPS in trained.columns else compute})
    scales = scale_points(usable, (FLOPS, PARAMS, TOKENS))
    count = max(1, round(HELD_OUT * len(scales))) if hold_out is None else hold_out
    if not 0 < count < len(scales):
        raise InsufficientDataError(
            f"{count} of {len(scales)} scales cannot be left out: one or more must be, and one or "
            "more must stay"
        )
    least = (1 - SAME_COMPUTE) * float(np.sort(scales[FLOPS].to_numpy())[-count])
    kept, left_out = usable[usable[FLOPS] < least], usable[usable[FLOPS] >= least]

    rows = [
        _scored(form, kept, left_out, r_data, r_params)
        for form in FORM_NAMES
        if _is_tried(form, runs)
    ]
    for published in PUBLISHED_LOSS_LAWS:
        if set(published.law.form.axes) <= set(runs.columns):
            rows.append(_score(published.law, left_out) | {"fitted": False})
    points = scale_points(left_out, (PARAMS, TOKENS))
    if (kept_points := scale_points(kept, (PARAMS, TOKENS))).size:
        error = _error_pct(np.full(len(points), kept_points[LOSS].min()), points)
        rows.append({"law": CONSTANT, "scales": len(points), "error_pct": error, "fitted": True})
    unsaid = {"scales": len(points), "error_pct": np.nan, "reason": ""}
    table = pd.DataFrame([unsaid | row for row in rows])
    columns = ["law", "scales", "error_pct", "fitted", "reason"]
    return table[columns].sort_values("error_pct", kind="stable", ignore_index=True)


def _formula(form: str, r_data: float | None, r_params: float | None) -> Form:
    if form not in FORM_NAMES:
        close = get_close_matches(form, FORM_NAMES, n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        raise LawError(f"no form {form!r}; {meant}there are {', '.join(FORM_NAMES)}")
    if form != REPEATED and (r_data is not None or r_params is not None):
        raise LawError(f"the form {form!r} has no R*; r_data and r_params are of {REPEATED!r}")
    if form == REPEATED:
        return RepeatedData(r_data, r_params)
    if form == "kaplan":
        return KAPLAN
    return PowerLawSum((FLOPS,)) if form == "flops" else CHINCHILLA


def _is_tried(form: str, runs: pd.DataFrame) -> bool:
    needed = {REPEATED: UNIQUE_TOKENS, SPARSE: FINAL_SPARSITY}.get(form)
    return needed is None or needed in runs.columns


def _scored(
    form: str,
    kept: pd.DataFrame,
    left_out: pd.DataFrame,
    r_data: float | None,
    r_params: float | None,
) -> dict[str, object]:
    of_form = (r_data, r_params) if form == REPEATED else (None, None)
    try:
        law = fit_form(kept, form, r_data=of_form[0], r_params=of_form[1], n_draws=0)
    except InsufficientDataError as error:
        return {"law": form, "fitted": True, "reason": str(error)}
    return _score(law, runs_for(form, left_out)) | {"fitted": True}


def _score(law: LossLaw, runs: pd.DataFrame) -> dict[str, object]:
    points = scale_points(runs, law.form.axes)
    predicted = law.loss(*points[list(law.form.axes)].to_numpy(dtype=float).T)
    return {"law": law.name, "scales": len(points), "error_pct": _error_pct(predicted, points)}


def _error_pct(
    predicted: np.ndarray[tuple[int, ...], np.dtype[np.float64]], points: pd.DataFrame
) -> float:
    return float(100 * np.mean(np.abs(predicted / points[LOSS].to_numpy(dtype=float) - 1)))
