"""What is printed of a check of transfer: a table of layers, a table of basins, and the verdict."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from hyperlaw import output
from hyperlaw.output import Cell, frame_table, print_line

if TYPE_CHECKING:
    from scaling.basin_check import BasinCheck
    from scaling.coordinate_slopes import LayerSlope
    from scaling.transfer_check import TransferCheck

SHOWN: Final = 20
"""Layers in the table, the worst of them; --json has all."""


def check_document(check: TransferCheck) -> dict[str, object]:
    """Return a check as it is printed with --json."""
    from scaling.coordinate_slopes import TOLERANCE, worst

    steepest = worst(check.slopes)
    sizes = check.changes.groupby("axis")["size"].unique()
    return {
        "name": check.name,
        "created": check.created,
        "subject": asdict(check.subject),
        "setting": dict(check.setting),
        "data": check.data,
        "passed": check.passed,
        "coordinate": {
            "passed": check.coordinate_holds,
            "tolerance": TOLERANCE,
            "sizes": {str(axis): sorted(map(int, of_axis)) for axis, of_axis in sizes.items()},
            "worst": None if steepest is None else _slope(steepest),
            "slopes": [_slope(one) for one in check.slopes],
        },
        "basins": [
            {
                "axis": basin.axis,
                "held": dict(basin.held),
                "passed": basin.holds,
                "octaves": asdict(basin.octaves),
                "regret_pct": asdict(basin.regret_pct),
                "tolerance_pct": basin.tolerance_pct,
                "edges": list(basin.edges),
                "diverges_from": basin.diverges_from,
                "optima": [
                    {
                        "size": one.size,
                        "lr": one.lr,
                        "loss": one.loss,
                        "at_edge": one.at_edge,
                        "diverged": list(one.diverged),
                    }
                    for one in basin.basins
                ],
            }
            for basin in check.basins
        ],
    }


def print_check(check: TransferCheck) -> None:
    """Print a check, worst layers first."""
    import pandas as pd

    from scaling.transfer_words import PASSED, layer_verdict, sentences, signed

    print_line(f"check '{check.name}': {check.subject.title}")
    rows = pd.DataFrame(
        {
            "layer": one.layer,
            "axis": one.axis,
            "slope": one.slope.value,
            "interval": f"{signed(one.slope.low)} to {signed(one.slope.high)}"
            if math.isfinite(one.slope.low)
            else "–",
            "verdict": layer_verdict(one),
        }
        for one in check.slopes[:SHOWN]
    )
    cells = (
        Cell("layer"),
        Cell("axis", "over"),
        Cell("slope", show=signed, right=True),
        Cell("interval", "90 % interval", right=True),
        Cell("verdict"),
    )
    if not rows.empty:
        title = "Growth of each layer's change with size: slope of log RMS on log size"
        output.stdout().print(frame_table(rows, cells, title=title))
    if (left_out := len(check.slopes) - SHOWN) > 0:
        print_line(f"  and {left_out} layers with smaller slopes, or not judged; --json has all")
    for basin in check.basins:
        _print_basin(basin)
    for sentence in sentences(check):
        print_line(sentence)
    print_line(f"transfer check: {PASSED[check.passed]}")


def _print_basin(basin: BasinCheck) -> None:
    import pandas as pd

    from scaling.transfer_words import basin_note, held_words

    rows = pd.DataFrame(
        {
            "size": one.size,
            "lr": one.lr,
            "loss": one.loss,
            "note": basin_note(one),
        }
        for one in basin.basins
    )
    cells = (
        Cell("size", basin.axis, output.whole, right=True),
        Cell("lr", "best lr", output.rate, right=True),
        Cell("loss", show=output.loss, right=True),
        Cell("note", ""),
    )
    title = f"Best learning rate by {basin.axis}{held_words(basin)}"
    output.stdout().print(frame_table(rows, cells, title=title))


def _slope(one: LayerSlope) -> dict[str, object]:
    plain = {"axis": one.axis, "layer": one.layer, "slope": asdict(one.slope)}
    return {**plain, "steps": one.steps, "judged": one.judged, "holds": one.holds}
