"""The held-out check: runs of a size that the law did not see, and the setting it predicted.

plot_held_out(get_held_out_info(held_out(law, runs), law)).show()
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.run_rows import by_value, describe
from scaling.backtest import HeldOut
from scaling.law import Law
from storage.columns import BATCH_TOKENS, LOSS, LR, PARAMS, RUN_ID, TOKENS

Array = NDArray[np.float64]

LINE_POINTS = 121
SHOWN_PCT = 12.0  # runs further above the best are drawn at the top edge
OUTSIDE = 10.0  # the axis follows a prediction outside the measured rates up to this factor


class HeldOutInfo(NamedTuple):
    """One held-out scale.

    Attributes
    ----------
    title : the scale and the measured regret.
    points : the runs, by batch and learning rate: params, tokens, lr, batch_tokens, loss, run_id.
    law_lr, law_loss : the law at this scale and its own best batch.
    predicted_lr, predicted_batch_tokens, predicted_loss : the law's optimum; the batch is NaN
        where the law does not place it.
    nearest, best : (lr, loss) of the measured run nearest to the prediction, and of the best run.
    ceiling : the highest loss shown.
    """

    title: str
    points: pd.DataFrame
    law_lr: Array
    law_loss: Array
    predicted_lr: float
    predicted_batch_tokens: float
    predicted_loss: float
    nearest: tuple[float, float]
    best: tuple[float, float]
    ceiling: float


def get_held_out_info(result: HeldOut, law: Law) -> HeldOutInfo:
    """Lay a checked scale out; `law` is the one that was checked."""
    points = result.runs.sort_values([BATCH_TOKENS, LR], kind="stable", ignore_index=True)
    predicted_lr = result.optimum[LR]
    low, high = float(points[LR].min()), float(points[LR].max())
    law_lr = np.geomspace(
        min(low, max(predicted_lr, low / OUTSIDE)),
        max(high, min(predicted_lr, high * OUTSIDE)),
        LINE_POINTS,
    )
    return HeldOutInfo(
        title=(
            f"N = {theme.format_count(result.params)}, D = {theme.format_count(result.tokens)}: "
            f"measured regret {theme.format_percent(result.nearest_gap_pct)}"
        ),
        points=points[[PARAMS, TOKENS, LR, BATCH_TOKENS, LOSS, RUN_ID]],
        law_lr=law_lr,
        law_loss=law.loss(result.params, result.tokens, law_lr, **result.shape),
        predicted_lr=predicted_lr,
        predicted_batch_tokens=result.optimum.get(BATCH_TOKENS, np.nan),
        predicted_loss=result.predicted_loss,
        nearest=(float(result.nearest[LR]), float(result.nearest[LOSS])),
        best=(float(result.best[LR]), float(result.best[LOSS])),
        ceiling=float(result.best[LOSS]) * (1 + SHOWN_PCT / 100),
    )


def plot_held_out(info: HeldOutInfo) -> go.Figure:
    """Draw loss against learning rate, a line a batch, with prediction and best run marked."""
    drawn = theme.figure(title=info.title, height=460)
    colours = theme.size_colours(info.points[BATCH_TOKENS])
    named = theme.named_in_legend(info.points[BATCH_TOKENS])
    top = min(info.ceiling, float(info.points[LOSS].max()))
    for batch, group in by_value(info.points, BATCH_TOKENS):
        colour = colours[batch]
        above = group[LOSS].to_numpy(dtype=float) > top
        drawn.add_trace(
            go.Scatter(
                x=group[LR],
                y=group[LOSS].clip(upper=top),
                mode="lines+markers",
                line={"color": colour, "width": 1},
                marker={
                    "size": 7,
                    "color": colour,
                    "symbol": np.where(above, "triangle-up-open", "circle"),
                },
                name=f"batch {theme.format_batch(batch)}",
                showlegend=batch in named,
                text=describe(group),
                hovertemplate="%{text}<extra></extra>",
                cliponaxis=False,
            )
        )
    drawn.add_trace(
        go.Scatter(
            x=info.law_lr,
            y=info.law_loss,
            mode="lines",
            line={"color": theme.ACCENT, "width": 2},
            name="the law",
            hovertemplate="the law: loss %{y:.4f} at lr %{x:.3g}<extra></extra>",
        )
    )
    _mark(drawn, info.nearest, "nearest run", "circle-open", theme.ACCENT)
    _mark(drawn, info.best, "best run", "star", theme.NEUTRAL)
    at = (info.predicted_lr, info.predicted_loss)
    _mark(drawn, at, "predicted", "diamond", theme.ACCENT, _predicted(info))
    drawn.update_xaxes(theme.log_axis("learning rate", info.law_lr, "rate"))
    floor = min(float(info.points[LOSS].min()), info.predicted_loss)
    pad = 0.05 * (top - floor) or 0.01 * floor
    drawn.update_yaxes(title_text="loss, nats a token", range=[floor - pad, top + pad])
    return drawn


def _predicted(info: HeldOutInfo) -> str:
    text = f"lr {theme.format_rate(info.predicted_lr)}"
    if np.isfinite(info.predicted_batch_tokens):
        text += f", batch {theme.format_count(info.predicted_batch_tokens)}"
    return text


def _mark(
    drawn: go.Figure, at: tuple[float, float], name: str, symbol: str, colour: str, more: str = ""
) -> None:
    drawn.add_trace(
        go.Scatter(
            x=[at[0]],
            y=[at[1]],
            mode="markers",
            marker={
                "symbol": symbol,
                "size": 14,
                "color": colour,
                "line": {"width": 2 if symbol.endswith("open") else 0},
            },
            name=name,
            hovertemplate=f"{name} {more}<br>loss %{{y:.4f}} at lr %{{x:.3g}}<extra></extra>",
        )
    )
