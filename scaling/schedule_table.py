"""Loss curves out of a table with a row a report, and how well a law of them predicts each.

curves = loss_curves(table, warmup_steps=2160)
law = fit_schedule_law(list(curves.values()))
left_out_errors(curves)               # each curve predicted by a law that has not seen it
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from scaling.errors import InsufficientDataError, LawError
from scaling.schedule_curves import Array, LossCurve, Schedule
from scaling.schedule_law import fit_schedule_law
from storage.columns import (
    BATCH_TOKENS,
    COMPLETED,
    LOSS,
    LR,
    PARAMS,
    RUN_ID,
    STATUS,
    STEP,
    WARMUP_STEPS,
)

ONE_MODEL = (PARAMS, BATCH_TOKENS)  # what all curves of one law have in common
HOLE = 2.0  # times the usual spacing of reports: a first report later than that misses the start
MAX_FOLDS = 10  # more curves are left out several at once


def loss_curves(
    table: pd.DataFrame, *, warmup_steps: int | None = None
) -> tuple[dict[str, LossCurve], tuple[str, ...]]:
    """Return the curves of a table by run, and warnings about them.

    Parameters
    ----------
    table : a table of curves as `storage.curves_table` checks it, with run_id, step, lr and loss.
        The rate is taken as a straight line between reports; reports without a loss only tell the
        rate. Where there is a column status, only completed runs count.
    warmup_steps : of every run; where None that of the column warmup_steps, and where that is
        missing the steps over which the recorded rate rises.

    Raises
    ------
    InsufficientDataError : no curve has a loss.
    LawError : curves of several models or batches, or a warm-up as long as a curve.
    """
    if STATUS in table.columns:
        table = table[table[STATUS] == COMPLETED]
    table = table[np.isfinite(table[LR].to_numpy(dtype=float))]
    for name in ONE_MODEL:
        if name in table.columns and (values := table[name].dropna().unique()).size > 1:
            few = ", ".join(f"{value:.10g}" for value in sorted(values)[:5])
            raise LawError(
                f"curves of {values.size} values of {name} ({few}{', …' * (values.size > 5)}): a "
                "law of schedules holds for one model and one batch; take the curves of one, as "
                f"with --only {name}={min(values):.10g}"
            )
    curves: dict[str, LossCurve] = {}
    unseen = []
    for run_id, rows in table.groupby(RUN_ID, sort=True):
        name = str(run_id)
        step, lr, loss = (rows[c].to_numpy(dtype=float) for c in (STEP, LR, LOSS))
        warmup = _warmup_steps(rows, warmup_steps)
        if warmup is None:
            warmup = recorded_warmup(step, lr)
            if warmup == 0 and len(step) > 1 and step[0] > HOLE * np.median(np.diff(step)):
                unseen.append((name, step[0]))
        measured = np.isfinite(loss) & (step > warmup)
        if not measured.any():
            continue
        try:
            schedule = Schedule.from_records(step, lr, warmup_steps=warmup)
            curves[name] = LossCurve(schedule, step[measured], loss[measured])
        except LawError as error:
            raise LawError(f"run '{name}': {error}") from error
    if not curves:
        raise InsufficientDataError("no run has a loss after its warm-up: nothing to fit a law to")
    if not unseen:
        return curves, ()
    which = "curve begins" if len(unseen) == 1 else "curves begin"
    return curves, (
        f"{len(unseen)} {which} late and at full rate, '{unseen[0][0]}' at step {unseen[0][1]:g}: "
        "taken to have had no warm-up; if there was one, say how long",
    )


def recorded_warmup(step: Array, lr: Array) -> int:
    """Return the step up to which a recorded rate rises from its first value; 0 where it does not.

    Parameters
    ----------
    step, lr : (n_records,), in order of step.
    """
    falls = np.flatnonzero(np.diff(lr) <= 0)
    rises = int(falls[0]) if len(falls) else len(lr) - 1
    return int(step[rises]) if rises > 0 else 0


def left_out_errors(curves: Mapping[str, LossCurve]) -> pd.DataFrame:
    """Predict each curve by a law fitted to the others, where there are enough of them.

    Returns
    -------
    A row a curve: run_id, steps (the schedule's length), points, error_nats (mean absolute error
    over its points, as predicted without it; NaN where the others carry no law) and
    final_error_nats (predicted less measured at its last point).
    """
    names = list(curves)
    rows: list[dict[str, object]] = []
    for fold in range(min(MAX_FOLDS, len(names))):
        left_out = names[fold::MAX_FOLDS]
        others = [curves[name] for name in names if name not in left_out]
        try:
            law = fit_schedule_law(others) if others else None
        except InsufficientDataError:
            law = None
        for name in left_out:
            curve = curves[name]
            error = np.full(len(curve.step), np.nan)
            if law is not None:
                error = law.loss(curve.schedule, curve.step) - curve.loss
            rows.append(
                {
                    RUN_ID: name,
                    "steps": len(curve.schedule.lr),
                    "points": len(curve.step),
                    "error_nats": float(np.abs(error).mean()),
                    "final_error_nats": float(error[-1]),
                }
            )
    return pd.DataFrame(rows).set_index(RUN_ID).loc[names].reset_index()


def _warmup_steps(rows: pd.DataFrame, given: int | None) -> int | None:
    if given is not None:
        return given
    if WARMUP_STEPS not in rows.columns or not np.isfinite(rows[WARMUP_STEPS].iloc[0]):
        return None
    return round(float(rows[WARMUP_STEPS].iloc[0]))
