"""What `hyperlaw schedule` prints of laws of schedules, as tables and as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hyperlaw import output
from hyperlaw.output import Cell, frame_table, print_line

if TYPE_CHECKING:
    import pandas as pd

    from hyperlaw.schedule_answers import FittedSchedules

FORMULA: Final = (
    "L(t) = L0 + A·S(t)^-alpha - B·Σ_k (lr_{k-1} - lr_k)·(1 - (C·lr_k^-gamma·S_k(t) + 1)^-beta)"
)
TERMS: Final = {
    "L0": "loss without end of learning rate spent, nats a token",
    "A": "what learning rate spent, S, takes off",
    "alpha": "the power of S with which it does",
    "B": "what a fall of the rate gives back in the end",
    "C": "how soon it does",
    "beta": "the power with which what is left to give back falls",
    "gamma": "how much sooner after a fall to a lower rate",
}
SHOWN: Final = 11  # points of a refined schedule in a terminal


def print_schedule_law(fitted: FittedSchedules) -> None:
    """Print a law of schedules: its formula, constants, and how it predicts each curve left out."""
    import pandas as pd

    law = fitted.law
    print_line(f"Multi-Power Law of {law.curves} curves, {law.points} points after warm-up")
    print_line(f"  {FORMULA}")
    print_line(f"  median error of the fit {100 * law.error:.2g} % of loss")
    constants = pd.DataFrame(
        {"term": term, "value": getattr(law, term), "meaning": meaning}
        for term, meaning in TERMS.items()
    )
    cells = (
        Cell("term"),
        Cell("value", show=lambda value: f"{value:.4g}", right=True),
        Cell("meaning"),
    )
    output.stdout().print(frame_table(constants, cells, title="Constants"))
    errors = (
        Cell("run_id", "curve"),
        Cell("steps", show=output.whole, right=True),
        Cell("points", right=True),
        Cell("error_nats", "mean error", output.loss, right=True),
        Cell("final_error_nats", "at its end", lambda value: f"{value:+.4f}", right=True),
    )
    title = "Each curve, predicted without it, in nats"
    output.stdout().print(frame_table(fitted.left_out, errors, title=title))
    output.print_warnings(fitted.warnings)


def schedule_law_document(fitted: FittedSchedules) -> dict[str, object]:
    """Return what `schedule fit --json` prints."""
    return {
        "law": {term: getattr(fitted.law, term) for term in TERMS},
        "formula": FORMULA,
        "curves": fitted.law.curves,
        "points": fitted.law.points,
        "median_error_pct": 100 * fitted.law.error,
        "left_out": output.records(fitted.left_out),
        "warnings": list(fitted.warnings),
    }


def print_predicted(
    fitted: FittedSchedules, predicted: pd.DataFrame, warnings: tuple[str, ...]
) -> None:
    """Print the loss at the end of planned schedules, and how far off such predictions were."""
    cells = (
        Cell("schedule"),
        Cell("steps", show=output.whole, right=True),
        Cell("warmup_steps", "warm-up", output.whole, right=True),
        Cell("peak_lr", "peak lr", output.rate, right=True),
        Cell("final_lr", "final lr", output.rate, right=True),
        Cell("loss", "final loss", output.loss, right=True),
    )
    title = "Predicted loss at the end of each schedule"
    output.stdout().print(frame_table(predicted, cells, title=title))
    off = fitted.final_error_nats
    if off == off:
        print_line(
            f"the ends of curves left out were predicted to {off:.4f} nats on average, by the law "
            f"of the other {fitted.law.curves - 1}"
        )
    output.print_warnings(warnings)


def predicted_document(
    fitted: FittedSchedules, predicted: pd.DataFrame, warnings: tuple[str, ...]
) -> dict[str, object]:
    """Return what `schedule predict --json` prints."""
    return {
        "schedules": output.records(predicted),
        "curves": fitted.law.curves,
        "left_out": {
            "error_nats": fitted.error_nats,
            "final_error_nats": fitted.final_error_nats,
        },
        "warnings": list(warnings),
    }


def print_transfer(tuned: str, lr: float | None, factors: pd.DataFrame) -> None:
    """Print by what to multiply a tuned rate under other schedules."""
    cells = (
        Cell("schedule"),
        Cell("steps", show=output.whole, right=True),
        Cell("factor", "peak lr ×", output.rate, right=True),
        Cell("lr", "peak lr", output.rate, right=True),
        Cell("bound", "bound ×", output.rate, right=True),
    )
    shown = cells if lr is not None else tuple(cell for cell in cells if cell.column != "lr")
    at = "" if lr is None else f" at {output.rate(lr)}"
    title = f"From {tuned}, tuned{at}"
    output.stdout().print(frame_table(factors, shown, title=title))
    print_line(
        "by the bound of Schaipp et al. (arXiv 2501.18965) on the last iterate of a convex "
        "problem; of the bound, less is better"
    )


def print_refined(refined: pd.DataFrame) -> None:
    """Print a refined schedule at some of its steps."""
    import numpy as np

    rows = np.unique(np.linspace(0, len(refined) - 1, SHOWN).round().astype(int))
    cells = (
        Cell("step", show=output.whole, right=True),
        Cell("lr", show=output.rate, right=True),
    )
    print_line(f"refined schedule of {len(refined):,} steps, some of them:")
    output.stdout().print(frame_table(refined.iloc[rows], cells))


def transfer_document(tuned: str, lr: float | None, factors: pd.DataFrame) -> dict[str, object]:
    """Return what `schedule transfer --json` prints."""
    return {"tuned": {"schedule": tuned, "lr": lr}, "schedules": output.records(factors)}
