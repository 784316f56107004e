"""Parallel coordinates: every run a line through its settings to what it reached.

plot_parallel_coordinates(get_parallel_coordinates_info(measured, settings, objective)).show()
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.measured import ceiling, left_out, thin
from dashboards.objective import OBJECTIVE, Objective
from dashboards.settings import MAX_VALUES, Setting, round_numbers, varies
from storage.columns import PARAMS, TOKENS

Array = NDArray[np.float64]

MAX_LINES = 2_000
NO_LOSS = 1.06  # where runs without a loss end, in lengths of the last axis
LINEAR_TICKS = 5
BUNDLE = 0.014  # lines through one of a few values are spread by this, to both sides
MISSING = -0.06  # where a run without a setting crosses its axis
GREY = 0.06  # up to here a line's colour is that of runs without a loss


class Dimension(NamedTuple):
    """One axis: places of the lines on it from 0 to 1, and its labels."""

    title: str
    places: Array
    ticks: tuple[float, ...]
    labels: tuple[str, ...]


class ParallelCoordinatesInfo(NamedTuple):
    """The lines.

    Attributes
    ----------
    runs : the runs that are drawn, worst first.
    dimensions : sizes and settings, and the objective last.
    colour : of each line, (n_lines,): 1 at the best, a little above `GREY` at the ceiling, 0
        without a loss; lines of a greater value are drawn over others.
    n_runs, n_above, n_without : runs in all, above the last axis, and without a loss.
    """

    runs: pd.DataFrame
    dimensions: tuple[Dimension, ...]
    colour: Array
    n_runs: int
    n_above: int
    n_without: int


def get_parallel_coordinates_info(
    measured: pd.DataFrame, settings: Sequence[Setting], objective: Objective
) -> ParallelCoordinatesInfo:
    """Lay the lines out; where there are too many, a sample is drawn (see `thin`)."""
    shown = thin(measured, MAX_LINES)
    values = shown[OBJECTIVE].to_numpy(dtype=float)
    everyone = measured[OBJECTIVE].to_numpy(dtype=float)
    top, floor = (
        ceiling(everyone),
        float(np.min(everyone, initial=np.inf, where=~np.isnan(everyone))),
    )
    span = (top - floor) or 1.0
    reached = np.clip((values - floor) / span, 0, 1)
    sizes = [_size(name, measured[name]) for name in (PARAMS, TOKENS) if varies(measured[name])]
    last = [floor + span * share for share in (0, 0.25, 0.5, 0.75, 1)]
    labels = [_round(value, span) for value in last] if math.isfinite(floor) else []
    without = np.isnan(values)
    return ParallelCoordinatesInfo(
        runs=shown,
        dimensions=(
            *(_dimension(setting, shown[setting.name]) for setting in (*sizes, *settings)),
            Dimension(
                objective.short_title,
                np.where(without, NO_LOSS, reached),
                (*(0, 0.25, 0.5, 0.75, 1)[: len(labels)], NO_LOSS),
                (*labels, "no loss"),
            ),
        ),
        colour=np.where(without, 0.0, 1 - (1 - 1.5 * GREY) * reached),
        n_runs=len(measured),
        n_above=int((everyone > top).sum()),
        n_without=int(np.isnan(everyone).sum()),
    )


def _size(name: str, column: pd.Series) -> Setting:
    """Return N or D as an axis beside the settings."""
    values = np.unique(column.to_numpy(dtype=float))
    few = tuple(values.tolist()) if len(values) <= MAX_VALUES else ()
    return Setting(name, "log", few, float(values[0]), float(values[-1]))


def _round(value: float, span: float) -> str:
    return f"{value:.{max(0, 2 - math.floor(math.log10(span)))}f}"


def _dimension(setting: Setting, column: pd.Series) -> Dimension:
    titles = {PARAMS: "N", TOKENS: "D"}
    coordinates = setting.coordinates(column)
    if setting.kind == "category":
        ticks = [float(place) for place in range(len(setting.choices))]
        labels = [setting.text(value) for value in setting.choices]
        low, high = 0.0, float(max(len(ticks) - 1, 1))
    else:
        log = setting.kind == "log"
        ends = np.array([setting.low, setting.high])
        low, high = np.log10(ends) if log else ends
        if log:
            marks = _log_marks(setting.low, setting.high)
        else:
            marks = np.array(setting.choices or round_numbers(low, high, LINEAR_TICKS), dtype=float)
            low, high = min(low, marks[0]), max(high, marks[-1])
        ticks = [float(place) for place in (np.log10(marks) if log else marks)]
        labels = [setting.text(float(mark)) for mark in marks]
        if setting.name in titles:
            labels = [theme.format_count(float(mark)) for mark in marks]
    span = (high - low) or 1.0
    places = (coordinates - low) / span
    if setting.choices:
        places = places + np.random.default_rng(0).uniform(-BUNDLE, BUNDLE, len(places))
    return Dimension(
        titles.get(setting.name, setting.title),
        np.where(np.isnan(places), MISSING, places),
        (*((tick - low) / span for tick in ticks), *([MISSING] * bool(np.isnan(places).any()))),
        (*labels, *(["not set"] * bool(np.isnan(places).any()))),
    )


def _log_marks(low: float, high: float) -> Array:
    """Return some five round numbers and both ends of a log axis."""
    decades = math.log10(high / low)
    mantissas = (1, 2, 5) if decades < 2.5 else (1, 3) if decades < 4 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inner = [m * 10.0**k for k in powers for m in mantissas]
    room = 0.07 * decades  # of a label
    kept = [
        mark
        for mark in inner
        if math.log10(low) + room < math.log10(mark) < math.log10(high) - room
    ]
    return np.array([low, *kept, high])


def plot_parallel_coordinates(info: ParallelCoordinatesInfo) -> go.Figure:
    """Draw the lines, coloured by what they reached; the axes can be brushed and moved."""
    drawn = theme.figure(height=460)
    steps = np.linspace(GREY, 1, len(theme.SIZE_SCALE))
    shades = [[step, shade] for step, shade in zip(steps, theme.SIZE_SCALE[::-1], strict=True)]
    drawn.add_trace(
        go.Parcoords(
            dimensions=[
                {
                    "label": dimension.title,
                    "values": dimension.places,
                    "tickvals": dimension.ticks,
                    "ticktext": dimension.labels,
                    "range": [
                        min(0.0, *dimension.ticks) - 0.02,
                        max(1.0, *dimension.ticks) + 0.02,
                    ],
                }
                for dimension in info.dimensions
            ],
            line={
                "color": info.colour,
                "cmin": 0,
                "cmax": 1,
                "colorscale": [[0, theme.NEUTRAL], [GREY, theme.NEUTRAL], *shades],
                "showscale": False,
            },
            labelangle=-20,
            tickfont={"size": 11},
            labelside="top",
            unselected={"line": {"opacity": 0.06}},
        )
    )
    drawn.update_layout(margin={"l": 56, "r": 64, "t": 84, "b": 28})
    text = left_out(len(info.runs), info.n_runs, info.n_above, info.n_without)
    if text:
        drawn.add_annotation(
            text=text, x=1, y=0, yshift=-8, xref="paper", yref="paper", yanchor="top"
        )
    return drawn
