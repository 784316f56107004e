"""The report's section on checks of transfer that were made of its sweeps' models."""

from __future__ import annotations

import math

from dashboards.figures.basin_check import get_basin_check_info, plot_basin_check
from dashboards.figures.coordinate_check import (
    SlopeRow,
    get_changes_info,
    get_slopes_info,
    plot_changes,
    plot_slopes,
)
from dashboards.report_content import ReportContent
from dashboards.report_parts import Panel, Section, Table, panel
from scaling.coordinate_slopes import worst
from scaling.transfer_check import TransferCheck
from scaling.transfer_words import PASSED, held_words, sentences, signed

MAX_ROWS = 20
"""Layers in a report: a figure is no taller than a page."""


def checks(content: ReportContent) -> Section | None:
    """Tell what was checked, how it came out, and what was measured; None where nothing was."""
    if not content.checks:
        return None
    text: list[str] = []
    panels: list[Panel] = []
    rows: list[tuple[str, ...]] = []
    for check in content.checks:
        said = ". ".join(f"{one[0].upper()}{one[1:]}" for one in sentences(check))
        text.append(f"{check.subject.title}: {PASSED[check.passed]}. {said}.")
        panels += _panels(check)
        if check.slopes:
            shown = get_slopes_info(check).rows[:MAX_ROWS]
            rows += [_row(check, row, several=len(content.checks) > 1) for row in shown]
    names = ["layer", "over", "slope", "90 % interval", "verdict"]
    if len(content.checks) > 1:
        names.insert(0, "check")
    table = Table(names, rows, range(len(names))) if rows else None
    return Section(
        "Checks of transfer",
        tuple(text),
        tuple(panels),
        table,
        "A slope is that of the log of a layer's change in its first optimizer steps on the log of "
        "size: 0 is as far at every size, which a learning rate that transfers needs.",
    )


def _panels(check: TransferCheck) -> list[Panel]:
    panels = []
    if check.slopes:
        info = get_slopes_info(check)
        left_out = len(info.rows) - MAX_ROWS
        caption = (
            "How the change of each layer's output grows with size; within the band it passes."
        )
        if left_out > 0:
            caption += f" {left_out} layers with smaller slopes, or not judged, are left out."
        drawn = plot_slopes(info, max_rows=MAX_ROWS)
        panels.append(panel(drawn, f"Slope of each layer, {check.name}", caption))
    steepest = worst(check.slopes)
    if steepest is not None and math.isfinite(steepest.slope.value):
        changes = get_changes_info(check, steepest.axis, steepest.layer)
        heading = f"The worst: {steepest.layer}, over {steepest.axis}"
        caption = "RMS of the change after each step, the mean over seeds: level lines pass."
        panels.append(panel(plot_changes(changes), heading, caption))
    for basin in check.basins:
        heading = f"Basins over {basin.axis}{held_words(basin)}, {check.name}"
        caption = "Mean loss over seeds; a parabola through the best rate and its neighbours."
        drawn = plot_basin_check(get_basin_check_info(basin))
        panels.append(panel(drawn, heading, caption))
    return panels


def _row(check: TransferCheck, row: SlopeRow, *, several: bool) -> tuple[str, ...]:
    ends = "–" if math.isnan(row.low) else f"{signed(row.low)} to {signed(row.high)}"
    cells = (row.layer, row.axis, signed(row.slope), ends, row.verdict)
    return (check.name, *cells) if several else cells
