"""Progress by scale: how many runs ended how, how many are running, and how many are left.

plot_progress(get_progress_info(counts, planned=96)).show()
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.progress import LEFT, RUNNING
from storage.columns import COMPLETED, DIVERGED, FAILED, PARAMS, STATUSES, STOPPED, TOKENS

COLOURS = {
    COMPLETED: theme.SIZE_SCALE[1],
    RUNNING: theme.SIZE_SCALE[3],
    STOPPED: theme.SIZE_SCALE[2],
    DIVERGED: theme.NEUTRAL,
    FAILED: theme.ACCENT,
    LEFT: theme.faded(theme.NEUTRAL, 0.22),
}
MAX_BARS = 24
ROW_HEIGHT = 26  # px


class ProgressInfo(NamedTuple):
    """A bar a scale, by compute.

    Attributes
    ----------
    bars : params, tokens, then runs by what became of them: the columns named in `kinds`.
    kinds : those that some scale has.
    n_scales : how many there are; more than there are bars where they are too many.
    """

    bars: pd.DataFrame
    kinds: tuple[str, ...]
    n_scales: int


def get_progress_info(counts: pd.DataFrame, *, planned: int | None = None) -> ProgressInfo:
    """Lay the runs out by scale.

    Parameters
    ----------
    counts : as `dashboards.progress.scale_counts` returns them.
    planned : runs in all; what is left of them is shared evenly among the scales, as searches do.
    """
    begun = counts[[*STATUSES, RUNNING]].sum(axis="columns").to_numpy(dtype=float)
    n_left = 0 if planned is None else max(planned - int(begun.sum()), 0)
    counts = counts.assign(**{LEFT: _shared(begun, n_left)})
    kinds = tuple(kind for kind in COLOURS if counts[kind].sum() > 0)
    return ProgressInfo(
        counts[[PARAMS, TOKENS, *kinds]].tail(MAX_BARS).reset_index(drop=True), kinds, len(counts)
    )


def _shared(begun: NDArray[np.float64], n_left: int) -> NDArray[np.int64]:
    """Share the runs left so that all scales come to about the same number."""
    if not len(begun):
        return np.zeros(0, dtype=int)
    missing = np.clip((begun.sum() + n_left) / len(begun) - begun, 0, None)
    shares: NDArray[np.int64] = np.floor(missing * n_left / max(missing.sum(), 1)).astype(int)
    shares[: n_left - int(shares.sum())] += 1  # uneven divisions leave the rest to the smaller
    return shares


def plot_progress(info: ProgressInfo) -> go.Figure:
    """Draw the bars, the largest scale on top."""
    drawn = theme.figure(height=86 + ROW_HEIGHT * max(len(info.bars), 1))
    labels = [
        f"{theme.format_count(params)} × {theme.format_count(tokens)}"
        for params, tokens in zip(info.bars[PARAMS], info.bars[TOKENS], strict=True)
    ]
    for kind in info.kinds:
        drawn.add_trace(
            go.Bar(
                x=info.bars[kind],
                y=labels,
                orientation="h",
                name=kind,
                marker={"color": COLOURS[kind], "line": {"width": 0}},
                hovertemplate=f"%{{y}}: %{{x}} {kind}<extra></extra>",
            )
        )
    drawn.update_layout(barmode="stack", bargap=0.3, legend_traceorder="normal", showlegend=True)
    drawn.update_xaxes(title_text="runs", rangemode="tozero")
    drawn.update_yaxes(title_text="N × D", type="category", showgrid=False)
    if len(info.bars) < info.n_scales:
        drawn.add_annotation(
            text=f"the largest {len(info.bars)} of {info.n_scales} scales",
            **{"x": 1, "y": 0, "xref": "paper", "yref": "paper"},
            xanchor="right",
            yanchor="bottom",
        )
    return drawn
