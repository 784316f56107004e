"""What is asked of laws of schedules: the loss under others, and the rate that goes with them.

The command line (`hyperlaw schedule`) and the facade answer from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hyperlaw.errors import InputError
from storage.columns import GRAD_NORM, LOSS, LR, RUN_ID, STEP

if TYPE_CHECKING:
    import pandas as pd

    from hyperlaw.planned_schedules import PlannedSchedule
    from scaling.schedule_curves import LossCurve
    from scaling.schedule_law import ScheduleLaw

NEEDS = (STEP, LR, LOSS)
NORMS = (STEP, GRAD_NORM)
FAR_STEPS = 3.0  # beyond this many times the longest curve, say so


@dataclass(frozen=True)
class FittedSchedules:
    """A law of schedules, the curves it is fitted to, and how it predicts each left out.

    Attributes
    ----------
    law : the Multi-Power Law.
    curves : by run.
    left_out : of `scaling.schedule_table.left_out_errors`.
    warnings : what the curves could not say.
    """

    law: ScheduleLaw
    curves: dict[str, LossCurve]
    left_out: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def error_nats(self) -> float:
        """The mean absolute error over curves that were left out, nats a token; NaN if none."""
        return float(self.left_out["error_nats"].mean())

    @property
    def final_error_nats(self) -> float:
        """The mean absolute error at the last point of curves that were left out."""
        return float(self.left_out["final_error_nats"].abs().mean())

    @property
    def warmup_steps(self) -> int | None:
        """The warm-up of the curves, None where they differ."""
        found = {curve.schedule.warmup_steps for curve in self.curves.values()}
        return found.pop() if len(found) == 1 else None

    @property
    def peak_lr(self) -> float | None:
        """The peak rate of the curves, None where they differ."""
        peaks = [float(curve.schedule.lr.max()) for curve in self.curves.values()]
        return peaks[0] if max(peaks) <= min(peaks) * (1 + 1e-6) else None


def fit_curves(table: pd.DataFrame, warmup_steps: int | None = None) -> FittedSchedules:
    """Fit the Multi-Power Law to a table of curves of one model.

    Raises
    ------
    InsufficientDataError : too few points, or no curve whose rate changes after its warm-up.
    LawError : curves of several models or batches.
    """
    from scaling.schedule_law import fit_schedule_law
    from scaling.schedule_table import left_out_errors, loss_curves

    curves, warnings = loss_curves(table, warmup_steps=warmup_steps)
    law = fit_schedule_law(list(curves.values()))
    return FittedSchedules(law, curves, left_out_errors(curves), (*warnings, *law.warnings))


def predict_schedules(
    fitted: FittedSchedules, planned: Sequence[PlannedSchedule], lr: float | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the loss at the end of each planned schedule, and warnings.

    Parameters
    ----------
    lr : peak rate of every schedule; that of the curves for shapes where None.

    Returns
    -------
    A row a schedule: schedule, steps, peak_lr, final_lr, warmup_steps, loss (nats a token).
    """
    import pandas as pd

    rows, warnings = [], list(fitted.warnings)
    schedules = [curve.schedule for curve in fitted.curves.values()]
    longest = max(len(schedule.lr) for schedule in schedules)
    peaks = [float(schedule.lr.max()) for schedule in schedules]
    for plan in planned:
        peak = fitted.peak_lr if lr is None and plan.is_shape else lr
        if peak is None and plan.is_shape:
            raise InputError(
                f"the curves have peak rates from {min(peaks):g} to {max(peaks):g}; name the "
                "planned one with --lr"
            )
        schedule = plan.with_peak(peak)
        steps, top = len(schedule.lr), float(schedule.lr.max())
        if steps > FAR_STEPS * longest:
            warnings.append(
                f"{plan.name}: {steps / longest:.3g} times as long as the longest curve"
            )
        if not min(peaks) * 0.999 <= top <= max(peaks) * 1.001:
            warnings.append(
                f"{plan.name}: its peak rate {top:.3g} is not among those of the curves, "
                f"{min(peaks):.3g} to {max(peaks):.3g}; what another peak does they do not show"
            )
        rows.append(
            {
                "schedule": plan.name,
                "steps": steps,
                "peak_lr": top,
                "final_lr": float(schedule.lr[-1]),
                "warmup_steps": schedule.warmup_steps,
                "loss": float(fitted.law.loss(schedule, [steps])[0]),
            }
        )
    return pd.DataFrame(rows), tuple(warnings)


def transfer_rates(
    tuned: PlannedSchedule, planned: Sequence[PlannedSchedule], lr: float | None
) -> pd.DataFrame:
    """Return the factor on a tuned peak rate under each planned schedule, by the Schaipp bound.

    Returns
    -------
    A row a schedule: schedule, steps, factor, lr (None where no tuned rate is given) and bound,
    the least bound over that of the tuned schedule: below 1, theory prefers this one.
    """
    import pandas as pd

    from scaling.schedule_transfer import bound_terms

    if lr is not None and not lr > 0:
        raise InputError(f"--lr {lr:g}: a peak rate must be positive")
    of_tuned = bound_terms(tuned.rates.lr / tuned.rates.lr.max())
    rows = []
    for plan in planned:
        terms = bound_terms(plan.rates.lr / plan.rates.lr.max())
        factor = terms.best_base_rate / of_tuned.best_base_rate
        rows.append(
            {
                "schedule": plan.name,
                "steps": len(plan.rates.lr),
                "factor": factor,
                "lr": None if lr is None else lr * factor,
                "bound": terms.best_bound / of_tuned.best_bound,
            }
        )
    return pd.DataFrame(rows)


def refine_schedule(
    norms: pd.DataFrame,
    *,
    optimizer: Literal["sgd", "adam"],
    smoothing: float,
    lr: float | None,
) -> pd.DataFrame:
    """Return the schedule that recorded gradient norms call for: step from 0, and lr.

    Parameters
    ----------
    norms : a table of curves of one run with step and grad_norm; between records straight lines.
    lr : peak rate; 1 where None.
    """
    import numpy as np
    import pandas as pd

    from scaling.schedule_transfer import refined_schedule

    runs = norms[RUN_ID].unique()
    if len(runs) > 1:
        raise InputError(
            f"the norms are of {len(runs)} runs ({', '.join(map(str, runs[:3]))}, …); take those "
            "of one with --only run_id=NAME"
        )
    if lr is not None and not lr > 0:
        raise InputError(f"--lr {lr:g}: a peak rate must be positive")
    step = norms[STEP].to_numpy(dtype=float)
    every = np.arange(round(step[0]), round(step[-1]) + 1)
    rates = refined_schedule(
        np.interp(every, step, norms[GRAD_NORM].to_numpy(dtype=float)),
        optimizer=optimizer,
        smoothing=smoothing,
    )
    return pd.DataFrame({STEP: np.arange(len(rates)), LR: rates * (1.0 if lr is None else lr)})
