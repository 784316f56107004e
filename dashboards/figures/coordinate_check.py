"""The coordinate check: how each layer's change grows with size, and the measurements behind it.

plot_slopes(get_slopes_info(check)).show()
plot_changes(get_changes_info(check, "width", "blocks.1")).show()
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from scaling.coordinate_slopes import AXIS, LAYER, LOG_RMS, SIZE, TOLERANCE, step_means
from scaling.transfer_check import TransferCheck
from scaling.transfer_words import HOLDS, layer_verdict
from storage.columns import STEP

Array = NDArray[np.float64]

ROW_HEIGHT = 24  # px
MAX_ROWS = 40
MARKS = {
    True: ("circle", theme.SIZE_SCALE[1]),
    False: ("x", theme.ACCENT),
    None: ("circle-open", theme.NEUTRAL),
}
"""Symbol and colour of a layer by how it came out: to be told apart without colour."""


class SlopeRow(NamedTuple):
    """One layer over one axis.

    Attributes
    ----------
    axis, layer : what grew, and the layer's name.
    slope, low, high : of log RMS on log size, with its 90 % interval; NaN where there is none.
    verdict : in words.
    holds : True, False, or None where it is not judged.
    """

    axis: str
    layer: str
    slope: float
    low: float
    high: float
    verdict: str
    holds: bool | None


class SlopesInfo(NamedTuple):
    """A row a layer and axis, the worst of those that are judged first.

    Attributes
    ----------
    rows : all of them.
    tolerance : the largest absolute slope that passes.
    """

    rows: tuple[SlopeRow, ...]
    tolerance: float

    @property
    def axes(self) -> tuple[str, ...]:
        """What grew, in order."""
        return tuple(dict.fromkeys(row.axis for row in self.rows))


def get_slopes_info(check: TransferCheck) -> SlopesInfo:
    """Take the slopes of a check."""
    rows = [
        SlopeRow(
            one.axis,
            one.layer,
            one.slope.value,
            one.slope.low,
            one.slope.high,
            layer_verdict(one),
            one.holds,
        )
        for one in check.slopes
    ]
    return SlopesInfo(tuple(rows), TOLERANCE)


def plot_slopes(info: SlopesInfo, *, max_rows: int = MAX_ROWS) -> go.Figure:
    """Draw a layer's slope on a line of its own; the band is what passes.

    Only the first `max_rows` are drawn; a slope that is not finite stands at the right edge.
    """
    rows = info.rows[:max_rows]
    labels = [_label(row, several=len(info.axes) > 1) for row in rows]
    finite = [
        end for row in rows for end in (row.slope, row.low, row.high) if math.isfinite(end)
    ] or [0.0]
    edge = max(info.tolerance * 1.6, *map(abs, finite)) * 1.05
    drawn = theme.figure(height=130 + ROW_HEIGHT * max(len(rows), 1))
    drawn.add_vrect(
        x0=-info.tolerance,
        x1=info.tolerance,
        fillcolor=theme.NEUTRAL,
        opacity=0.18,
        line_width=0,
        layer="below",
    )
    drawn.add_vline(x=0, line={"color": theme.NEUTRAL, "width": 1})
    for holds, (symbol, colour) in MARKS.items():
        chosen = [i for i, row in enumerate(rows) if row.holds is holds]
        if not chosen:
            continue
        slopes = np.array([rows[i].slope for i in chosen])
        drawn.add_trace(
            go.Scatter(
                x=np.where(np.isfinite(slopes), slopes, edge),
                y=[labels[i] for i in chosen],
                mode="markers",
                marker={"size": 9, "color": colour, "symbol": symbol},
                error_x={
                    "type": "data",
                    "array": np.nan_to_num([rows[i].high - rows[i].slope for i in chosen]),
                    "arrayminus": np.nan_to_num([rows[i].slope - rows[i].low for i in chosen]),
                    "thickness": 1.5,
                    "width": 3,
                },
                name=HOLDS[holds],
                text=[rows[i].verdict for i in chosen],
                hovertemplate="%{y}: %{x:+.3f}, %{text}<extra></extra>",
            )
        )
    drawn.update_xaxes(title_text="slope on log size", range=[-edge, edge])
    drawn.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=labels[::-1],
        showgrid=False,
        tickmode="linear",
        dtick=1,
        tickfont_size=11,
    )
    drawn.update_layout(showlegend=True)
    return drawn


def _label(row: SlopeRow, *, several: bool) -> str:
    return f"{row.layer}, {row.axis}" if several else row.layer


class ChangesInfo(NamedTuple):
    """How far one layer's output moved, by size and step.

    Attributes
    ----------
    axis, layer : what grew, and the layer's name.
    sizes : ascending.
    steps : those at which it moved at every size, ascending.
    rms : (steps, sizes), the RMS of its change; the geometric mean over the seeds.
    """

    axis: str
    layer: str
    sizes: Array
    steps: tuple[int, ...]
    rms: Array

    @property
    def table(self) -> pd.DataFrame:
        """A row a step and size."""
        step, size = np.meshgrid(self.steps, self.sizes, indexing="ij")
        return pd.DataFrame(
            {"step": step.ravel(), self.axis: size.ravel(), "rms": self.rms.ravel()}
        )


def get_changes_info(check: TransferCheck, axis: str, layer: str) -> ChangesInfo:
    """Take the measurements of one layer over one axis; of none where it has none."""
    changes = check.changes
    own = changes[(changes[AXIS] == axis).to_numpy() & (changes[LAYER] == layer).to_numpy()]
    means = step_means(own).pivot_table(index=STEP, columns=SIZE, values=LOG_RMS)
    means = means.dropna().sort_index()
    return ChangesInfo(
        axis,
        layer,
        np.sort(means.columns.to_numpy(dtype=float)),
        tuple(int(step) for step in means.index),
        np.exp(means.sort_index(axis="columns").to_numpy(dtype=float)),
    )


def plot_changes(info: ChangesInfo) -> go.Figure:
    """Draw the layer's change against size, a line a step: level lines pass."""
    drawn = theme.figure(height=400)
    colours = theme.size_colours(info.steps)
    named = theme.named_in_legend(info.steps)
    for step, rms in zip(info.steps, info.rms, strict=True):
        drawn.add_trace(
            go.Scatter(
                x=info.sizes,
                y=rms,
                mode="lines+markers",
                line={"color": colours[step], "width": 2},
                marker={"size": 7},
                name=f"step {step}",
                showlegend=step in named,
                hovertemplate=f"step {step}, {info.axis} %{{x}}: %{{y:.3g}}<extra></extra>",
            )
        )
    drawn.update_xaxes(theme.log_axis(info.axis, info.sizes, "count"))
    drawn.update_xaxes(
        tickmode="array", tickvals=info.sizes, ticktext=[f"{size:g}" for size in info.sizes]
    )
    drawn.update_yaxes(theme.log_axis("RMS of the change", info.rms.ravel(), "loss"))
    drawn.update_layout(showlegend=True)
    return drawn
