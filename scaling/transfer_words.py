"""A check of transfer in words: the same in the terminal, the dashboard and the report."""

from __future__ import annotations

import math
from typing import Final

from scaling.basin import Basin
from scaling.basin_check import BasinCheck
from scaling.coordinate_slopes import TOLERANCE, LayerSlope, worst
from scaling.prediction import Interval
from scaling.transfer_check import TransferCheck

HOLDS: Final = {True: "holds", False: "moves with size", None: "not judged"}
PASSED: Final = {True: "passed", False: "failed", None: "cannot tell"}
SERVES: Final = {
    True: "serves the largest size",
    False: "does not serve the largest size",
    None: "may serve the largest size, or not",
}


def signed(value: float) -> str:
    """Write a slope or a drift with its sign.

    >>> signed(0.0462), signed(-1.0)
    ('+0.046', '−1.000')
    """
    return f"{value:+.3f}".replace("-", "−") if math.isfinite(value) else "not finite"


def layer_verdict(one: LayerSlope) -> str:
    """Say how one layer came out."""
    return HOLDS[one.holds] if math.isfinite(one.slope.value) else "not finite"


def sentences(check: TransferCheck) -> list[str]:
    """Say how each part of a check came out, and what is known to make such a check fail."""
    said = [] if check.changes.empty else [_coordinate(check)]
    return [*said, *map(_basin, check.basins), *_advice(check)]


def held_words(basin: BasinCheck) -> str:
    """Say what else was equal in a basin check: " at depth 2", or nothing."""
    held = ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in basin.held.items()
    )
    return f" at {held}" if held else ""


def basin_note(basin: Basin) -> str:
    """Say why the best rate of a size may not be its optimum; nothing where it is."""
    if not basin.losses:
        return "diverged at every rate"
    if basin.outermost:
        return "at the edge of the rates"
    return "the next rate diverged" if basin.at_edge else ""


def _coordinate(check: TransferCheck) -> str:
    judged = [one for one in check.slopes if one.judged]
    steepest = worst(check.slopes)
    if steepest is None:
        return f"coordinate check: none of {len(check.slopes)} layers is judged"
    wrong = sum(not one.holds for one in judged)
    how = (
        f"{wrong} of {len(judged)} layers do not move alike at every size"
        if wrong
        else f"all {len(judged)} layers move alike at every size"
    )
    return (
        f"coordinate check: {how} (a slope of at most {TOLERANCE:g} passes); the worst is "
        f"{steepest.layer} over {steepest.axis}, {_with_ends(steepest.slope)}"
    )


def _basin(basin: BasinCheck) -> str:
    smallest = f"{basin.axis} {basin.basins[0].size:g}"
    said = [
        f"basin check over {basin.axis}{held_words(basin)}: the best rate of {smallest} "
        f"{SERVES[basin.holds]}: {_cost(basin)}"
    ]
    if math.isfinite(basin.octaves.value):
        said.append(f"the best rate moves by {_with_ends(basin.octaves)} octaves a doubling")
    if basin.edges:
        edges = ", ".join(f"{size:g}" for size in basin.edges)
        said.append(f"at {basin.axis} {edges} it is at the edge of the rates: widen them")
    if basin.holds is None:
        said += _missing_rates(basin)
    return "; ".join(said)


def _cost(basin: BasinCheck) -> str:
    largest = f"{basin.axis} {basin.basins[-1].size:g}"
    if basin.diverges_from is not None:
        rate = f"{basin.diverges_from:.3g}"
        return f"{largest} diverges there, as at least one of its seeds did at {rate}"
    paid = basin.regret_pct
    if math.isnan(paid.value):
        return f"{largest} diverged at every rate that was tried, all of them higher"
    ends = "" if math.isnan(paid.low) else f"{paid.low:.2g} to {paid.high:.2g} %; "
    return (
        f"it costs {'at least ' if basin.at_least else ''}{paid.value:.2g} % of loss at {largest} "
        f"({ends}at most {basin.tolerance_pct:g} % passes)"
    )


def _missing_rates(basin: BasinCheck) -> list[str]:
    """Say which rates would tell more, beside wider ones at the sizes that need these."""
    smallest, largest = basin.basins[0], basin.basins[-1]
    said = [
        f"at {basin.axis} {one.size:g} the next rate diverged: try rates between"
        for one in (smallest, largest)
        if one.losses and one.at_edge and not one.outermost
    ]
    if basin.diverges_from is None and not largest.surrounds(smallest.lr):
        said.append(
            f"{basin.axis} {largest.size:g} has not a loss on both sides of that rate: try it at "
            f"{smallest.lr:.3g}"
        )
    return said


def _advice(check: TransferCheck) -> list[str]:
    wrong = [one for one in check.slopes if one.judged and not one.holds]
    subject = check.subject
    if not wrong:
        return []
    advice = []
    if subject.optimizer == "sgd" and float(check.setting.get("grad_clip", 1.0)) > 0:
        advice.append(
            "note: with sgd a step is as large as the gradient, and the norm at which grad_clip "
            "clips falls with width: check with grad_clip 0"
        )
    if subject.options.get("embedding_lr") == "sqrt":
        advice.append(
            "note: an embedding whose rate falls as the root of width moves less, the wider the "
            "model (slope −0.5): that is the rule, and embedding_lr constant is the other one"
        )
    return advice


def _with_ends(interval: Interval) -> str:
    if math.isnan(interval.low):
        return signed(interval.value)
    return f"{signed(interval.value)} ({signed(interval.low)} to {signed(interval.high)})"
