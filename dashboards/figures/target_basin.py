"""The basin at the target: what a learning rate or batch off the optimum is expected to cost.

plot_target_basin(get_target_basin_info(law, prediction, "lr")).show()
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.band import band
from dashboards.figures.prediction import TITLES
from scaling.law import Law
from scaling.prediction import Interval, Prediction
from scaling.what_if import what_if

Array = NDArray[np.float64]

POINTS = 81
OCTAVES = 3.0  # shown on both sides of the predicted optimum
SHOWN_PCT = 12.0  # regret above this is cut off
HEADROOM = 1.3  # the axis reaches this many times the expected regret at its ends, or the cut


class TargetBasinInfo(NamedTuple):
    """One setting's basin at the target.

    Attributes
    ----------
    setting : the one that changes along the axis.
    along : its values.
    regret, low, high : loss above the target's optimum, %: expected, and its interval.
    loss : nats a token, by the law.
    optimum : of the setting, with its interval; None where it was fixed.
    chosen : (value, expected regret) of the setting that is asked about; None for the optimum.
    level : coverage of the band.
    """

    setting: str
    along: Array
    regret: Array
    low: Array
    high: Array
    loss: Array
    optimum: Interval | None
    chosen: tuple[float, float] | None
    level: float


def get_target_basin_info(
    law: Law,
    prediction: Prediction,
    setting: str,
    *,
    others: Mapping[str, float] | None = None,
    chosen: float | None = None,
) -> TargetBasinInfo:
    """Cut the law's basin at the target along one setting.

    Parameters
    ----------
    law : the one that predicted.
    setting : one that the law places.
    others : what the other settings are; at the law's optimum where left out.
    chosen : the value of `setting` that is asked about.
    """
    target = prediction.target
    interval = prediction.optimum.get(setting)
    middle = (
        float(law.optimum(target.params, target.tokens, **target.shape)[setting])
        if interval is None
        else interval.value
    )
    values = middle * 2.0 ** np.linspace(-OCTAVES, OCTAVES, POINTS)
    beside = dict(others or {})
    found = what_if(law, target, beside | {setting: values}, level=prediction.level)
    asked = None
    if chosen is not None:
        one = what_if(law, target, beside | {setting: chosen}, level=prediction.level)
        asked = (chosen, float(one.regret_pct[0]))
    return TargetBasinInfo(
        setting=setting,
        along=values,
        regret=found.regret_pct,
        low=found.regret_low,
        high=found.regret_high,
        loss=found.loss,
        optimum=interval,
        chosen=asked,
        level=prediction.level,
    )


def target_basin_frame(info: TargetBasinInfo) -> pd.DataFrame:
    """Return the curve as a table: the setting, loss, regret and its interval."""
    return pd.DataFrame(
        {
            info.setting: info.along,
            "loss": info.loss,
            "regret_pct": info.regret,
            "regret_low": info.low,
            "regret_high": info.high,
        }
    )


def plot_target_basin(info: TargetBasinInfo) -> go.Figure:
    """Draw expected regret against the setting, with its band and what is asked about."""
    drawn = theme.figure(height=300)
    top = min(SHOWN_PCT, HEADROOM * float(max(info.regret[0], info.regret[-1], 0.01)))
    low, high = info.low.clip(max=top), info.high.clip(max=top)
    drawn.add_trace(band(info.along, low, high, f"{info.level:.0%} interval"))
    drawn.add_trace(
        go.Scatter(
            x=info.along,
            y=info.regret,
            mode="lines",
            line={"color": theme.ACCENT, "width": 2.4},
            name="expected",
            customdata=np.stack([info.loss, info.low, info.high], axis=1),
            hovertemplate=(
                "%{x:.3g}: %{y:.3g} % above the optimum<br>%{customdata[1]:.2g} – "
                "%{customdata[2]:.2g} %<br>loss %{customdata[0]:.4f}<extra></extra>"
            ),
        )
    )
    if info.chosen is not None:
        drawn.add_trace(
            go.Scatter(
                x=[info.chosen[0]],
                y=[min(info.chosen[1], top)],
                mode="markers",
                marker={"symbol": "diamond", "size": 13, "color": theme.ACCENT},
                name="asked about",
                hovertemplate="%{x:.3g}<extra></extra>",
                cliponaxis=False,
            )
        )
    kind: theme.Kind = "count" if info.setting.endswith("tokens") else "rate"
    title = TITLES.get(info.setting, info.setting)
    drawn.update_xaxes(theme.log_axis(title, info.along, kind))
    drawn.update_yaxes(title_text="regret, % of loss", range=[-0.03 * top, top])
    return drawn
