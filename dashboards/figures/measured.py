"""What the figures of measured runs share: samples, clipped axes, and colours by sweep or size.

Measured runs are a runs table with the columns of `dashboards.objective.MEASURED`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.run_rows import by_value
from dashboards.objective import OBJECTIVE
from storage.columns import PARAMS, SWEEP, TOKENS

Array = NDArray[np.float64]

SVG_POINTS = 5_000
"""More points than these make a figure of vectors slow in a browser."""
FAR_OUT = 3.0  # interquartile ranges above the upper quartile (Tukey's outer fence)
LOG_FROM = 3.0


class Group(NamedTuple):
    """Runs of one colour: of a sweep, or of a model size."""

    label: str
    colour: str
    runs: pd.DataFrame


def ceiling(values: Array) -> float:
    """Return the highest value that a clipped axis shows: the greatest, or Tukey's outer fence.

    NaN where no value is finite.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan")
    low, high = np.quantile(finite, [0.25, 0.75])
    return float(min(finite.max(), high + FAR_OUT * (high - low)))


def thin(measured: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Return at most about `limit` runs: the best of each scale, the others evenly by objective.

    They stand worst first, so that the best are drawn over the others.
    """
    ordered = measured.sort_values(OBJECTIVE, ascending=False, na_position="first", kind="stable")
    if len(ordered) <= limit:
        return ordered
    best = ~ordered.duplicated([PARAMS, TOKENS], keep="last").to_numpy()
    others = np.flatnonzero(~best)
    room = max(limit - int(best.sum()), 0)
    chosen = best.copy()
    chosen[others[np.linspace(0, len(others) - 1, room).round().astype(int)]] = True
    return ordered[chosen]


def groups(measured: pd.DataFrame, sizes: Iterable[float] = ()) -> list[Group]:
    """Split runs by sweep where there are several, else by size; each has its colour.

    `sizes` are further ones that share the scale of colours.
    """
    sweeps = sorted(measured[SWEEP].astype(str).unique())
    if len(sweeps) > 1:
        colours = list(theme.size_colours(range(len(sweeps))).values())
        return [
            Group(sweep or "no sweep", colour, measured[(measured[SWEEP] == sweep).to_numpy()])
            for sweep, colour in zip(sweeps, colours, strict=True)
        ]
    colours_by_size = theme.size_colours([*measured[PARAMS].unique(), *sizes])
    return [
        Group(theme.format_count(size), colours_by_size[size], runs)
        for size, runs in by_value(measured, PARAMS)
    ]


def named(all_groups: list[Group]) -> set[str]:
    """Choose which groups the legend names."""
    places = theme.named_in_legend(range(len(all_groups)))
    return {group.label for place, group in enumerate(all_groups) if place in places}


def legend_entry(group: Group, in_legend: set[str]) -> go.Scatter:
    """Return a trace that only names a group: in the legend a run far out is no group's sign."""
    return go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={"size": 8, "color": group.colour},
        name=group.label,
        legendgroup=group.label,
        showlegend=group.label in in_legend,
    )


def loss_axis(title: str, losses: Array) -> dict[str, Any]:
    """Describe an axis of losses: logarithmic where they differ by more than a factor of 3."""
    known = losses[np.isfinite(losses) & (losses > 0)]
    if len(known) and known.max() > LOG_FROM * known.min():
        return theme.log_axis(title, known, "loss")
    return {"title_text": title, "tickformat": ".4~g"}


def note(drawn: go.Figure, text: str) -> None:
    """Write a note into the upper right corner of a figure, above its axes."""
    if text:
        drawn.update_layout(margin_t=34)
        place: dict[str, Any] = {"x": 1, "y": 1, "xref": "paper", "yref": "paper", "yshift": 4}
        drawn.add_annotation(text=text, xanchor="right", yanchor="bottom", **place)


def left_out(n_drawn: int, n_runs: int, n_above: int = 0, n_without: int = 0) -> str:
    """Say what a figure does not show as it is; empty where it shows everything."""
    parts = [f"{n_drawn:,} of {n_runs:,} runs drawn"] if n_drawn < n_runs else []
    if n_above:
        parts.append(f"△ {n_above:,} lie{'s' * (n_above == 1)} above the axis")
    if n_without:
        parts.append(f"× {n_without:,} without a loss")
    return " · ".join(parts)
