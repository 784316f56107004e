"""The law's optimum: the best learning rate or batch as scale grows, up to the target.

The law is drawn along one token budget, the target's (see `way`). Scales that were measured at
another budget are moved to that one by the law, so that what is left between point and line is what
the law did not explain; hovering tells what was measured.

    plot_law(get_law_info(law, runs, "lr", target=prediction.target)).show()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.band import band
from dashboards.figures.way import MeasuredScale, measured_scales, scales_trace, way_through
from scaling.evidence import setting_name
from scaling.law import Law
from scaling.prediction import Interval, Target
from scaling.published import PUBLISHED
from scaling.published_law import situation
from storage.columns import (
    BATCH_TOKENS,
    DEPTH,
    LR,
    PARAMS,
    TOKENS,
    WIDTH,
)

Array = NDArray[np.float64]

BAND_POINTS = 25  # of the band, evenly in the log of scale
AXIS_TITLES = {
    LR: "best learning rate",
    BATCH_TOKENS: "best batch, tokens a step",
    PARAMS: "parameters N",
    TOKENS: "training tokens D",
}


class OptimumPath(NamedTuple):
    """The law's optimum along one course, with its interval."""

    label: str
    along: Array
    value: Array
    low: Array
    high: Array


class PublishedPath(NamedTuple):
    """What a published law says along the same scales as the path with the band."""

    name: str
    value: Array


class LawInfo(NamedTuple):
    """One setting's optimum against scale.

    Attributes
    ----------
    setting : "lr" or "batch_tokens".
    axis : "params", or "tokens" where all runs have one size.
    path : the law from the smallest scale to the target, with its interval.
    published : published laws along `path`, those whose constants were read first-hand.
    measured, held_out : the scales that the law was fitted to, and those that it did not see.
    target : the target's place on the axis and its predicted optimum; None where there is none.
    level : coverage of the band.
    sizes : all sizes, which share one scale of colours.
    """

    setting: str
    axis: str
    path: OptimumPath
    published: tuple[PublishedPath, ...]
    measured: tuple[MeasuredScale, ...]
    held_out: tuple[MeasuredScale, ...]
    target: tuple[float, Interval] | None
    level: float
    sizes: tuple[float, ...]


def get_law_info(
    law: Law,
    runs: pd.DataFrame,
    setting: str,
    *,
    held_out: Sequence[pd.DataFrame] = (),
    target: Target | None = None,
    level: float = 0.9,
) -> LawInfo:
    """Follow the law's optimum through the scales of the runs, and to the target.

    Parameters
    ----------
    runs : those that the law was fitted to, a checked runs table.
    setting : one that the law places (`law.settings`).
    held_out : runs of scales that the law did not see, a table a scale.
    target : where to go on to; None stays among the measured scales.
    level : coverage of the band.

    Raises
    ------
    ValueError : the law does not place this setting.
    """
    if setting not in law.settings:
        raise ValueError(
            f"the law does not place {setting!r}; it places {theme.listed(law.settings)}"
        )
    way = way_through(law, target)
    axis = way.course.axis
    measured = measured_scales(runs, law, setting, way)
    unseen = tuple(
        scale for table in held_out for scale in measured_scales(table, law, setting, way)
    )
    aimed = None
    if target is not None:
        interval = law.predict(
            target.params,
            target.tokens,
            width=target.width,
            depth=target.depth,
            level=level,
        ).optimum[setting]
        aimed = (target.params if axis == PARAMS else target.tokens, interval)
    reached = [scale.along for scale in (*measured, *unseen)] + ([aimed[0]] if aimed else [])
    along = np.geomspace(min(reached), max(reached), BAND_POINTS)
    scales = [
        {name: float(values[i]) for name, values in way.scales(along).items()}
        for i in range(len(along))
    ]
    band = [
        law.predict(
            scale[PARAMS],
            scale[TOKENS],
            width=scale.get(WIDTH),
            depth=scale.get(DEPTH),
            level=level,
        ).optimum[setting]
        for scale in scales
    ]
    return LawInfo(
        setting=setting,
        axis=axis,
        path=OptimumPath(
            label=way.course.label,
            along=along,
            value=np.array([interval.value for interval in band]),
            low=np.array([interval.low for interval in band]),
            high=np.array([interval.high for interval in band]),
        ),
        published=_published_paths(law, scales, setting),
        measured=measured,
        held_out=unseen,
        target=aimed,
        level=level,
        sizes=tuple(sorted({scale.params for scale in (*measured, *unseen)})),
    )


def _published_paths(
    law: Law, scales: Sequence[dict[str, float]], setting: str
) -> tuple[PublishedPath, ...]:
    at = [
        situation(
            law,
            scale[PARAMS],
            scale[TOKENS],
            shape={axis: scale[axis] for axis in law.shape_axes},
        )
        for scale in scales
    ]
    paths = (
        PublishedPath(
            published.name,
            np.array([published.optimum(scale).get(setting, np.nan) for scale in at]),
        )
        for published in PUBLISHED
        if published.checked
    )
    return tuple(path for path in paths if np.isfinite(path.value).any())


def plot_law(info: LawInfo) -> go.Figure:
    """Draw the optimum on log axes, with its band, the measured scales and the published laws."""
    drawn = theme.figure(height=500)
    for dash, path in zip(theme.DASHES, info.published, strict=False):
        drawn.add_trace(
            go.Scatter(
                x=info.path.along,
                y=path.value,
                mode="lines",
                line={"color": theme.NEUTRAL, "width": 1.2, "dash": dash},
                name=path.name,
                hovertemplate=path.name + ": %{y:.3g}<extra></extra>",
            )
        )
    _draw_band(drawn, info)
    colours = theme.size_colours(info.sizes)
    for scales, name, symbol in (
        (info.measured, "best runs", "circle"),
        (info.held_out, "held-out scale", "square-open"),
    ):
        if scales:
            label = info.path.label
            drawn.add_trace(scales_trace(scales, name, symbol, colours, info.setting, label))
    if info.target is not None:
        _draw_target(drawn, info, *info.target)
    title = f"{AXIS_TITLES[info.axis]}, at {info.path.label}"
    drawn.update_xaxes(theme.log_axis(title, info.path.along, "count"))
    scales = (*info.measured, *info.held_out)
    ends = [[scale.low * scale.move, scale.high * scale.move] for scale in scales]
    published = [path.value for path in info.published]
    shown = np.concatenate([info.path.low, info.path.high, *ends, *published])
    kind: theme.Kind = "count" if info.setting.endswith("tokens") else "rate"
    title = AXIS_TITLES.get(info.setting, f"best {setting_name(info.setting)}")
    drawn.update_yaxes(theme.log_axis(title, shown, kind))
    return drawn


def _draw_band(drawn: go.Figure, info: LawInfo) -> None:
    path = info.path
    drawn.add_trace(band(path.along, path.low, path.high, f"{info.level:.0%} interval"))
    drawn.add_trace(
        go.Scatter(
            x=info.path.along,
            y=info.path.value,
            mode="lines",
            line={"color": theme.ACCENT, "width": 2.4},
            name="this law",
            customdata=np.stack([info.path.low, info.path.high], axis=1),
            hovertemplate=(
                f"the law at {info.path.label}: %{{y:.3g}}"
                "<br>%{customdata[0]:.3g} – %{customdata[1]:.3g}<extra></extra>"
            ),
        )
    )


def _draw_target(drawn: go.Figure, info: LawInfo, at: float, interval: Interval) -> None:
    drawn.add_trace(
        go.Scatter(
            x=[at],
            y=[interval.value],
            mode="markers",
            marker={"symbol": "star", "size": 16, "color": theme.ACCENT},
            name="target",
            hovertemplate=(
                f"target: {theme.format_setting(info.setting, interval.value)}<br>"
                f"{theme.format_setting(info.setting, interval.low)} – "
                f"{theme.format_setting(info.setting, interval.high)}<extra></extra>"
            ),
        )
    )
