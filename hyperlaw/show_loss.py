"""What `hyperlaw loss` prints of laws of loss by scale, as tables and as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from hyperlaw import output
from hyperlaw.output import Cell, frame_table, print_line

if TYPE_CHECKING:
    import pandas as pd

    from hyperlaw.loss_answers import OptimalAnswer
    from scaling.loss_laws.budget import Allocation
    from scaling.loss_laws.crossover import Crossover
    from scaling.loss_laws.law import LossLaw
    from scaling.prediction import Interval

PARAMETRIC: Final = "parametric fit"
AVERAGED: Final = "params are averages over training, pruned as the runs tell"


def print_loss_law(law: LossLaw, runs: int, held_out: pd.DataFrame | None, level: float) -> None:
    """Print a law of loss: formula, objective, constants, and how each form predicts.

    Parameters
    ----------
    runs : how many were given.
    held_out : of `scaling.loss_laws.choice.held_out_forms`, None where nothing can be left out.
    """
    from scaling.loss_laws.huber_fit import DELTA

    print_line(f"law '{law.name}': the best losses of {len(law.points)} scales, of {runs} runs")
    print_line(f"  {law.form.formula}")
    if law.name == "sparse":
        print_line(f"  {AVERAGED}")
    print_line(
        f"  objective {law.objective:.6f} (Huber, δ = {DELTA:g}, on log loss), "
        f"median error {median_error_pct(law):.2g} % of loss"
    )
    number = partial(_number, digits=4)
    cells = (
        Cell("term"),
        *(Cell(name, show=number, right=True) for name in ("value", "low", "high")),
        Cell("meaning"),
    )
    title = f"Constants, with {100 * level:g} % intervals"
    output.stdout().print(frame_table(law.terms(level=level), cells, title=title))
    if held_out is not None:
        print_held_out(held_out)
    output.print_warnings(law.warnings)


def print_held_out(held_out: pd.DataFrame) -> None:
    """Print how each form predicts the largest scales, left out of its fit."""
    cells = (
        Cell("law"),
        Cell("error_pct", "error", output.percent, right=True),
        Cell(
            "fitted", "constants", lambda fitted: "fitted to the others" if fitted else "published"
        ),
        Cell("reason"),
    )
    shown = cells if (held_out["reason"] != "").any() else cells[:-1]
    scales = int(held_out["scales"].max())
    which = "largest scale" if scales == 1 else f"{scales} largest scales"
    title = f"Mean error on the {which}, left out"
    output.stdout().print(frame_table(held_out, shown, title=title))


def loss_law_document(
    law: LossLaw, runs: int, held_out: pd.DataFrame | None, level: float
) -> dict[str, object]:
    """Return what `loss fit --json` prints: all but the draws."""
    return {
        "name": law.name,
        "form": law.form.name,
        "formula": law.form.formula,
        "runs": runs,
        "scales": len(law.points),
        "objective": law.objective,
        "median_error_pct": median_error_pct(law),
        "level": level,
        "terms": output.records(law.terms(level=level)),
        "held_out": None if held_out is None else output.records(held_out),
        "warnings": list(law.warnings),
    }


def median_error_pct(law: LossLaw) -> float:
    """Return the median distance of the fitted points from the law, in % of loss."""
    import numpy as np

    from storage.columns import LOSS

    predicted = law.loss(*law.points[list(law.form.axes)].to_numpy(dtype=float).T)
    return float(100 * np.median(np.abs(law.points[LOSS].to_numpy(dtype=float) / predicted - 1)))


def print_optimal(answer: OptimalAnswer, level: float) -> None:
    """Print the best N and D of each budget by each approach, and how they grow with compute."""
    import pandas as pd

    rows = pd.DataFrame(_flat(row) for row in _allocation_rows(answer, level))
    unit = answer.allocations[0].unit
    cells = (
        Cell("budget", unit, _number, right=True),
        Cell("approach"),
        Cell("params", "N", output.count, right=True),
        Cell("params_interval", "interval", right=True),
        Cell("tokens", "D", output.count, right=True),
        Cell("tokens_interval", "interval", right=True),
    )
    title = f"Best N and D for a budget of {unit}, with {100 * level:g} % intervals"
    output.stdout().print(frame_table(rows, cells, title=title))
    for best in answer.allocations:
        print_line(
            f"{_number(best.budget)} {unit}: loss {_interval(best.loss, output.loss)} by the law "
            f"'{answer.law.name}' at {_number(best.tokens_per_param.value)} tokens a parameter; "
            f"expected regret {output.percent(best.regret_pct.expected)}"
        )
    for scaling in answer.scalings:
        params, tokens = (scaling.exponent(name, level=level) for name in ("params", "tokens"))
        print_line(
            f"{scaling.approach}: N grows as C^{_interval(params, _three)}, "
            f"D as C^{_interval(tokens, _three)}"
        )
    for note in answer.notes:
        print_line(f"note: {note}")
    for approach, reason in answer.refused.items():
        print_line(f"note: no {approach}: {reason}")
    output.print_warnings(answer.warnings)


def optimal_document(answer: OptimalAnswer, level: float) -> dict[str, object]:
    """Return what `loss optimal --json` prints."""
    return {
        "law": {"name": answer.law.name, "scales": len(answer.law.points)},
        "unit": answer.allocations[0].unit,
        "level": level,
        "budgets": [
            {
                "budget": allocation.budget,
                "answers": [
                    {name: value for name, value in row.items() if name != "budget"}
                    for row in _allocation_rows(answer, level)
                    if row["budget"] == allocation.budget
                ],
            }
            for allocation in answer.allocations
        ],
        "growth": [
            {
                "approach": scaling.approach,
                "params_exponent": _ends(scaling.exponent("params", level=level)),
                "tokens_exponent": _ends(scaling.exponent("tokens", level=level)),
            }
            for scaling in answer.scalings
        ],
        "no_answer": answer.refused,
        "notes": list(answer.notes),
        "warnings": list(answer.warnings),
    }


def print_crossovers(found: Sequence[tuple[str, str, Crossover]]) -> None:
    """Print where recipes cross, a sentence a pair."""
    for first, second, crossing in found:
        print_line(f"{first} and {second}: {crossing}")


def crossovers_document(found: Sequence[tuple[str, str, Crossover]]) -> dict[str, object]:
    """Return what `loss crossover --json` prints; an open end of an interval is null."""
    return {
        "crossovers": [
            {
                "first": first,
                "second": second,
                "budget": None if crossing.budget is None else _ends(crossing.budget),
                "unit": crossing.unit,
                "searched": {"low": crossing.searched[0], "high": crossing.searched[1]},
                "better_below": crossing.better_below,
                "better_above": crossing.better_above,
                "certainty": crossing.certainty,
            }
            for first, second, crossing in found
        ]
    }


def _allocation_rows(answer: OptimalAnswer, level: float) -> list[dict[str, Any]]:
    rows = []
    for allocation in answer.allocations:
        rows.append(_by_law(allocation))
        for scaling in answer.scalings:
            if scaling.approach == PARAMETRIC:  # the law itself, which has answered above
                continue
            params, tokens = scaling.at(allocation.budget, level=level)
            ratio = scaling.tokens_per_param(allocation.budget, level=level)
            rows.append(
                {
                    "budget": allocation.budget,
                    "approach": scaling.approach,
                    "params": _ends(params),
                    "tokens": _ends(tokens),
                    "tokens_per_param": _ends(ratio),
                }
            )
    return rows


def _by_law(allocation: Allocation) -> dict[str, Any]:
    document = allocation.to_dict()
    kept = ("budget", "params", "tokens", "tokens_per_param", "loss", "regret_pct")
    return {"approach": PARAMETRIC} | {key: document[key] for key in kept}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return one row of the table: N and D, and their intervals as text."""
    flat: dict[str, Any] = {"budget": row["budget"], "approach": row["approach"]}
    for name in ("params", "tokens"):
        ends = row[name]
        flat[name] = ends["value"]
        flat[f"{name}_interval"] = f"{output.count(ends['low'])}–{output.count(ends['high'])}"
    return flat


def _ends(value: Interval) -> dict[str, float]:
    return {"value": value.value, "low": value.low, "high": value.high}


def _interval(value: Interval, show: Any) -> str:
    return f"{show(value.value)} ({show(value.low)}–{show(value.high)})"


def _three(value: float) -> str:
    return f"{value:.3f}"


def _number(value: float, digits: int = 3) -> str:
    """Write a number of any size: 0.3478, 482, 2085, 5.76e+23."""
    if value == 0 or not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"
