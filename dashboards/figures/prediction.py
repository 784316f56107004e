"""The prediction: each setting's interval at the target, beside what published laws say.

plot_prediction(get_prediction_info(law.predict(params=7e9, tokens=1.4e11), law)).show()
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboards import theme
from scaling.law import Law
from scaling.prediction import Interval, Prediction
from scaling.published import published_optima
from scaling.published_law import situation
from storage.columns import BATCH_TOKENS, LR

TITLES = {LR: "learning rate", BATCH_TOKENS: "batch, tokens a step"}


class SettingInfo(NamedTuple):
    """One setting: this law's interval, and (name, value) of each published law that has one."""

    setting: str
    interval: Interval
    published: tuple[tuple[str, float], ...]


class PredictionInfo(NamedTuple):
    """What is predicted for one target."""

    target: str
    settings: tuple[SettingInfo, ...]
    loss: str
    regret: str
    level: float


def get_prediction_info(
    prediction: Prediction, law: Law, *, experts: float = math.nan
) -> PredictionInfo:
    """Put the published laws beside a prediction.

    Parameters
    ----------
    law : the one that predicted.
    experts : of each layer, which some published laws ask for; NaN where not known.
    """
    target = prediction.target
    published = published_optima(
        situation(law, target.params, target.tokens, experts=experts, shape=target.shape)
    ).set_index("law")
    return PredictionInfo(
        target=(
            f"N = {theme.format_count(target.params)}, D = {theme.format_count(target.tokens)}"
        ),
        settings=tuple(
            SettingInfo(
                name,
                interval,
                _said(published, name),
            )
            for name, interval in prediction.optimum.items()
        ),
        loss=(
            f"loss {prediction.loss.value:.4f} "
            f"({prediction.loss.low:.4f} – {prediction.loss.high:.4f})"
        ),
        regret=(
            f"expected regret {theme.format_percent(prediction.regret_pct.expected)}, "
            f"at most {theme.format_percent(prediction.regret_pct.p90)} in 9 of 10"
        ),
        level=prediction.level,
    )


def _said(published: pd.DataFrame, setting: str) -> tuple[tuple[str, float], ...]:
    if setting not in published:
        return ()
    values = published[setting].dropna()
    return tuple(zip(values.index.astype(str), values.tolist(), strict=True))


def plot_prediction(info: PredictionInfo) -> go.Figure:
    """Draw a row of intervals a setting, on log axes, the setting's own unit under it."""
    rows = max(len(info.settings), 1)
    heights = [len(setting.published) + 2.0 for setting in info.settings] or [1.0]
    drawn = make_subplots(
        figure=theme.figure(
            title=f"{info.target}: {info.loss}, {info.regret}",
            height=150 + int(34 * sum(heights)),
        ),
        rows=rows,
        cols=1,
        row_heights=heights,
        vertical_spacing=0.32 / rows if rows > 1 else 0,
    )
    for row, setting in enumerate(info.settings, start=1):
        _draw_setting(drawn, setting, info.level, row)
    return drawn


def _draw_setting(drawn: go.Figure, info: SettingInfo, level: float, row: int) -> None:
    interval = info.interval
    names = [name for name, _ in info.published]
    values = [value for _, value in info.published]
    texts = [theme.format_setting(info.setting, value) for value in values]
    drawn.add_vrect(
        x0=interval.low,
        x1=interval.high,
        fillcolor=theme.faded(theme.ACCENT, 0.12),
        line_width=0,
        row=row,
        col=1,
    )
    drawn.add_trace(
        go.Scatter(
            x=values,
            y=names,
            mode="markers+text",
            marker={"size": 9, "color": theme.NEUTRAL},
            text=texts,
            textposition="top center",
            textfont={"size": 11, "color": theme.NEUTRAL},
            name="published laws",
            showlegend=row == 1,
            legendgroup="published",
            hovertemplate="%{y}: %{text}<extra></extra>",
            cliponaxis=False,
        ),
        row=row,
        col=1,
    )
    drawn.add_trace(
        go.Scatter(
            x=[interval.value],
            y=["this law"],
            mode="markers+text",
            marker={"symbol": "diamond", "size": 13, "color": theme.ACCENT},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [interval.high - interval.value],
                "arrayminus": [interval.value - interval.low],
                "color": theme.ACCENT,
                "thickness": 3,
                "width": 6,
            },
            text=[theme.format_setting(info.setting, interval.value)],
            textposition="top center",
            textfont={"size": 13, "color": theme.ACCENT},
            name=f"this law, {level:.0%} interval",
            showlegend=row == 1,
            legendgroup="law",
            hovertemplate=(
                f"this law: {theme.format_setting(info.setting, interval.low)} – "
                f"{theme.format_setting(info.setting, interval.high)}<extra></extra>"
            ),
            cliponaxis=False,
        ),
        row=row,
        col=1,
    )
    kind: theme.Kind = "rate" if info.setting == LR else "count"
    title = TITLES.get(info.setting, info.setting)
    spread = np.array([interval.low, interval.high, *values])
    drawn.update_xaxes(
        theme.log_axis(title, [*spread, *(spread * 1.15), *(spread / 1.15)], kind), row=row
    )
    drawn.update_yaxes(
        categoryorder="array",
        dtick=1,
        categoryarray=[*reversed(names), "this law"],
        range=[-0.6, len(names) + 0.75],
        showgrid=False,
        row=row,
    )
