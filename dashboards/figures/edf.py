"""The distribution of what runs reached: the share of runs that got below each loss.

Runs without a loss count as never getting there, so a line ends below 100 % where some diverged.

plot_edf(get_edf_info(measured, objective)).show()
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.measured import ceiling, groups, left_out, note
from dashboards.objective import OBJECTIVE, Objective

Array = NDArray[np.float64]

MAX_STEPS = 400  # of a line
FIRST_PCT = 0.01  # a relative axis is logarithmic, and begins here


class Distribution(NamedTuple):
    """The runs of one colour: what they reached, in order, and the share (0 to 1) that did."""

    label: str
    colour: str
    value: Array
    share: Array
    n_runs: int


class EdfInfo(NamedTuple):
    """All lines; the axis ends at `top`."""

    lines: tuple[Distribution, ...]
    title: str
    relative: bool
    top: float
    n_above: int
    n_without: int


def get_edf_info(measured: pd.DataFrame, objective: Objective) -> EdfInfo:
    """Collect a line for each sweep where there are several, else for each size."""
    everyone = measured[OBJECTIVE].to_numpy(dtype=float)
    top = ceiling(everyone)
    return EdfInfo(
        lines=tuple(
            _distribution(group.label, group.colour, group.runs[OBJECTIVE].to_numpy(dtype=float))
            for group in groups(measured)
        ),
        title=objective.title,
        relative=objective.relative,
        top=top,
        n_above=int((everyone > top).sum()),
        n_without=int(np.isnan(everyone).sum()),
    )


def _distribution(label: str, colour: str, values: Array) -> Distribution:
    ordered = np.sort(values[~np.isnan(values)])
    share = np.arange(1, len(ordered) + 1) / max(len(values), 1)
    if len(ordered) > MAX_STEPS:
        chosen = np.linspace(0, len(ordered) - 1, MAX_STEPS).round().astype(int)
        ordered, share = ordered[chosen], share[chosen]
    return Distribution(label, colour, ordered, share, len(values))


def plot_edf(info: EdfInfo) -> go.Figure:
    """Draw the lines as steps."""
    drawn = theme.figure(height=440)
    least = FIRST_PCT if info.relative else 0.0
    in_legend = {
        info.lines[int(place)].label for place in theme.named_in_legend(range(len(info.lines)))
    }
    for line in info.lines:
        drawn.add_trace(
            go.Scatter(
                x=line.value.clip(min=least),
                y=100 * line.share,
                mode="lines",
                line={"color": line.colour, "width": 2.2, "shape": "hv"},
                name=line.label,
                showlegend=line.label in in_legend,
                hovertemplate=(
                    f"%{{y:.1f}} % of {line.n_runs:,} runs ({line.label}) "
                    "at %{x:.4g} or below<extra></extra>"
                ),
            )
        )
    if info.relative:
        values = np.concatenate([line.value for line in info.lines])
        shown = values[values <= info.top].clip(min=least)
        drawn.update_xaxes(theme.log_axis(info.title, shown, "loss"))
    else:
        low = min((float(line.value[0]) for line in info.lines if len(line.value)), default=0.0)
        pad = 0.03 * ((info.top - low) or 1.0)
        drawn.update_xaxes(title_text=info.title, range=[low - pad, info.top + pad])
    drawn.update_yaxes(title_text="share of runs, %", range=[0, 102])
    note(drawn, left_out(0, 0, info.n_above, info.n_without))
    return drawn
