"""Residuals: what the law leaves unexplained, against how far a run was from its optimum.

plot_residuals(get_residuals_info(law, runs)).show()
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.band import band
from dashboards.figures.run_rows import by_value, describe
from scaling.law import Law
from storage.columns import BATCH_TOKENS, LOSS, LR, PARAMS, RUN_ID, TOKENS

Array = NDArray[np.float64]

LEAST_HEIGHT = 0.01  # %; runs nearer to the optimum are drawn here, for the axis is logarithmic
BAND_SIGMAS = 1.645  # 90 % of a normal residual
SHOWN = 1.3  # the axis reaches this many times the largest residual, or
MOST = 0.9  # this many times the band of this share of the runs, where that is less


class ResidualsInfo(NamedTuple):
    """Residuals of the runs that the law could use.

    Attributes
    ----------
    points : params, tokens, lr, batch_tokens, loss, run_id, predicted, residual_pct, height_pct.
    height, band : the residual, ±%, that nine of ten runs should stay within, by height.
    limit : residuals beyond ±limit are drawn at the edge.
    within : share of the runs inside the band.
    sizes : all sizes, which share one scale of colours.
    """

    points: pd.DataFrame
    height: Array
    band: Array
    limit: float
    within: float
    sizes: tuple[float, ...]


def get_residuals_info(law: Law, runs: pd.DataFrame) -> ResidualsInfo:
    """Compare each run with the law.

    Parameters
    ----------
    runs : a checked runs table; runs without a finite loss are passed over.
    """
    points = law.residuals(runs).sort_values("height_pct", kind="stable", ignore_index=True)
    height = points["height_pct"].clip(lower=LEAST_HEIGHT).to_numpy(dtype=float)
    band = BAND_SIGMAS * points["expected_pct"].to_numpy(dtype=float)
    residual = points["residual_pct"].to_numpy(dtype=float)
    columns = [PARAMS, TOKENS, LR, BATCH_TOKENS, LOSS, RUN_ID]
    kept = points[[*columns, "predicted", "residual_pct", "height_pct"]]
    return ResidualsInfo(
        points=kept,
        height=height,
        band=band,
        limit=SHOWN * float(min(np.quantile(band, MOST), max(np.abs(residual).max(), band.min()))),
        within=float((np.abs(residual) <= band).mean()),
        sizes=tuple(sorted(float(size) for size in points[PARAMS].unique())),
    )


def plot_residuals(info: ResidualsInfo) -> go.Figure:
    """Draw residuals against height above the optimum."""
    drawn = theme.figure(height=420)
    edge = info.band.clip(max=info.limit)
    expected = "90 % are expected here"
    drawn.add_trace(band(info.height, -edge, edge, expected, colour=theme.NEUTRAL, opacity=0.18))
    colours = theme.size_colours(info.sizes)
    named = theme.named_in_legend(info.points[PARAMS])
    points = info.points.assign(height=info.height)
    for size, group in by_value(points, PARAMS):
        residual = group["residual_pct"].to_numpy(dtype=float)
        outside = np.abs(residual) > info.limit
        drawn.add_trace(
            theme.scatter(len(group))(
                x=group["height"],
                y=residual.clip(-info.limit, info.limit),
                mode="markers",
                marker={
                    "size": 6,
                    "opacity": 0.75,
                    "color": colours[size],
                    "symbol": np.where(
                        outside,
                        np.where(residual > 0, "triangle-up-open", "triangle-down-open"),
                        "circle",
                    ),
                },
                name=theme.format_count(size),
                showlegend=size in named,
                text=[
                    f"{text}<br>by the law {predicted:.4f}"
                    for text, predicted in zip(describe(group), group["predicted"], strict=True)
                ],
                hovertemplate="%{text}<extra></extra>",
                cliponaxis=False,
            )
        )
    drawn.add_hline(y=0, line={"color": theme.NEUTRAL, "width": 1})
    drawn.update_xaxes(theme.log_axis("loss above the scale's optimum, %", info.height, "loss"))
    drawn.update_yaxes(
        title_text="measured over predicted, %", range=[-1.05 * info.limit, 1.05 * info.limit]
    )
    return drawn
