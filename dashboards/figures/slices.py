"""Slices: what runs reached against each setting, a panel a setting.

plot_slices(get_slices_info(measured, settings, objective)).show()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dashboards import theme
from dashboards.figures.measured import (
    ceiling,
    groups,
    left_out,
    legend_entry,
    named,
    note,
    thin,
)
from dashboards.figures.run_rows import describe
from dashboards.objective import OBJECTIVE, Objective
from dashboards.settings import Setting

Array = NDArray[np.float64]

COLUMNS = 2
MAX_PANELS = 8
MAX_POINTS = 1_500  # of all panels: each is a mark of its own to the browser
MARGIN = {"l": 66, "b": 96}  # px; where axes and legend need more, all marks are drawn twice
BINS = 20  # at most, of a setting with many values
RUNS_A_BIN = 12  # about: a line through fewer would tell of the other settings
GOOD = 0.1  # the line goes through the best tenth of each bin
MIN_RUNS = 5  # in a bin, for the line to pass through it
JITTER = 0.22  # of points of one of a few values, to both sides, in steps between values
NAMED_DECADES = 1.4  # an axis over more names whole decades only
HEADROOM = 0.06  # above the ceiling, in spans, where runs without a loss stand


class Slice(NamedTuple):
    """One panel.

    Attributes
    ----------
    setting : on the horizontal axis.
    x : of each point that is drawn, (n_points,), as `Setting.plotted` returns it, spread a
        little where it takes few values.
    middle, good : of each bin, the setting and what its best tenth reached; of all runs.
    """

    setting: Setting
    x: Array
    middle: Array
    good: Array


class SlicesInfo(NamedTuple):
    """All panels.

    Attributes
    ----------
    points : the runs that are drawn, worst first.
    floor, top : ends of the vertical axis; higher runs are drawn at the top.
    n_settings : there were, of which the panels show the first.
    n_runs, n_above, n_without : runs in all, above the top, and without a loss.
    """

    points: pd.DataFrame
    slices: tuple[Slice, ...]
    title: str
    floor: float
    top: float
    n_settings: int
    n_runs: int
    n_above: int
    n_without: int


def get_slices_info(
    measured: pd.DataFrame, settings: Sequence[Setting], objective: Objective
) -> SlicesInfo:
    """Lay the panels out; where runs are too many, a sample is drawn (see `thin`)."""
    shown = settings[:MAX_PANELS]
    points = thin(measured, MAX_POINTS // max(len(shown), 1))
    values = measured[OBJECTIVE].to_numpy(dtype=float)
    top = ceiling(values)
    return SlicesInfo(
        points=points,
        slices=tuple(_slice(setting, points, measured) for setting in shown),
        title=objective.short_title,
        floor=float(np.min(values, initial=np.inf, where=~np.isnan(values))),
        top=top,
        n_settings=len(settings),
        n_runs=len(measured),
        n_above=int((values > top).sum()),
        n_without=int(np.isnan(values).sum()),
    )


def _slice(setting: Setting, points: pd.DataFrame, measured: pd.DataFrame) -> Slice:
    x = _spread(setting, points[setting.name])
    known = measured[OBJECTIVE].notna() & measured[setting.name].notna()
    values = measured.loc[known, OBJECTIVE].to_numpy(dtype=float)
    places = setting.coordinates(measured.loc[known, setting.name])
    distinct = np.unique(places)
    n_bins = min(max(len(places) // RUNS_A_BIN, 1), BINS)
    if len(distinct) > n_bins and not setting.choices:
        edges = np.linspace(distinct[0], distinct[-1], n_bins + 1)
        bins = np.clip(np.digitize(places, edges) - 1, 0, n_bins - 1)
    else:
        bins = np.searchsorted(distinct, places)
    table = pd.DataFrame({"bin": bins, "place": places, "value": values}).groupby("bin")
    enough = (table.size() >= MIN_RUNS).to_numpy()
    middle = table["place"].mean().to_numpy(dtype=float)[enough]
    good = table["value"].quantile(GOOD).to_numpy(dtype=float)[enough]
    return Slice(setting, x, 10**middle if setting.kind == "log" else middle, good)


def _spread(setting: Setting, column: pd.Series) -> Array:
    """Return where points stand: beside one another where many share one of a few values."""
    if not setting.choices:
        return setting.plotted(column)
    places = setting.coordinates(column)
    distinct = np.unique(places[~np.isnan(places)])
    room = JITTER * (np.diff(distinct).min() if len(distinct) > 1 else 1.0)
    moved = places + np.random.default_rng(0).uniform(-room, room, len(places))
    return np.asarray(10**moved if setting.kind == "log" else moved, dtype=float)


def plot_slices(info: SlicesInfo) -> go.Figure:
    """Draw the panels in two columns, one vertical axis for all."""
    rows = -(-len(info.slices) // COLUMNS)
    columns = min(COLUMNS, len(info.slices))
    drawn = make_subplots(
        figure=theme.figure(height=70 + 300 * rows),
        rows=max(rows, 1),
        cols=max(columns, 1),
        shared_yaxes=True,
        horizontal_spacing=0.04,
        vertical_spacing=0.28 / max(rows, 1),
    )
    span = (info.top - info.floor) or 1.0
    edge = info.top + HEADROOM * span
    texts = describe(info.points)
    for number, panel in enumerate(info.slices):
        row, column = number // COLUMNS + 1, number % COLUMNS + 1
        _draw_points(drawn, info, panel, texts, edge, row, column)
        drawn.add_trace(
            go.Scatter(
                x=panel.middle,
                y=panel.good.clip(max=info.top),
                mode="lines",
                line={"color": theme.ACCENT, "width": 2.2},
                name="best tenth",
                legendgroup="best tenth",
                showlegend=number == 0,
                hovertemplate="the best tenth here: %{y:.4g}<extra></extra>",
            ),
            row=row,
            col=column,
        )
        drawn.update_xaxes(_narrow(panel.setting.axis()), row=row, col=column)
    drawn.update_yaxes(range=[info.floor - 0.04 * span, info.top + 2 * HEADROOM * span])
    drawn.update_layout(margin=MARGIN)
    for row in range(1, rows + 1):
        drawn.update_yaxes(title_text=info.title, row=row, col=1)
    note(drawn, left_out(len(info.points), info.n_runs, info.n_above, info.n_without))
    return drawn


def _narrow(axis: dict[str, Any]) -> dict[str, Any]:
    """Name only decades on a long log axis: two panels stand side by side on a phone too."""
    low, high = axis.get("range", (0, 0))
    if axis.get("type") == "log" and high - low > NAMED_DECADES:
        return axis | {"dtick": 1, "minor": {"dtick": "D1", "ticks": "outside", "ticklen": 2}}
    return axis


def _draw_points(
    drawn: go.Figure,
    info: SlicesInfo,
    panel: Slice,
    texts: list[str],
    edge: float,
    row: int,
    column: int,
) -> None:
    split = groups(info.points.assign(_x=panel.x, _text=texts))
    in_legend = named(split) if (row, column) == (1, 1) else set()
    for group in split:
        drawn.add_trace(legend_entry(group, in_legend), row=row, col=column)
        values = group.runs[OBJECTIVE].to_numpy(dtype=float)
        symbols = np.select(
            [np.isnan(values), values > info.top], ["x-thin-open", "triangle-up-open"], "circle"
        )
        drawn.add_trace(
            go.Scatter(
                x=group.runs["_x"],
                y=np.where(np.isnan(values), edge, np.minimum(values, info.top)),
                mode="markers",
                marker={
                    "size": 6,
                    "color": group.colour,
                    "opacity": 0.6,
                    "symbol": symbols,
                    "line": {"width": np.where(symbols == "circle", 0, 1.2)},
                },
                legendgroup=group.label,
                showlegend=False,
                text=group.runs["_text"],
                hovertemplate="%{text}<br>%{y:.4g}<extra></extra>",
                cliponaxis=False,
            ),
            row=row,
            col=column,
        )
