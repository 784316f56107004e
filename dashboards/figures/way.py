"""The way that an optimum is followed along, and the measured scales beside it.

It leads through the plane of scales at one token budget. A law on width and depth is followed along
N too, with the width and depth that the measured scales have at each N on average, and the target
has at its.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.budgets import Course, budgets
from dashboards.figures.run_rows import by_scale_of
from scaling.law import Law
from scaling.prediction import Target
from storage.columns import COMPLETED, FLOPS, LOSS, PARAMS, STATUS, TOKENS

Array = NDArray[np.float64]

EQUAL_SIGMAS = 2.0  # runs within this many σ of the best run's loss are as good, for all we know


class Way(NamedTuple):
    """A course through the plane of scales, and the shape of the models along it.

    Attributes
    ----------
    shape : width or depth -> its log at N = 1, and its exponent in N.
    """

    course: Course
    shape: dict[str, tuple[float, float]]

    def scales(self, at: Array) -> dict[str, Array]:
        """Return params, tokens, width and depth where the axis takes the values `at`."""
        params, tokens = self.course.scales(at)
        of_shape = {
            axis: np.exp(level + exponent * np.log(params))
            for axis, (level, exponent) in self.shape.items()
        }
        return {PARAMS: params, TOKENS: tokens, **of_shape}


def way_through(law: Law, target: Target | None) -> Way:
    """Return the way through the target, or else through the largest measured scale."""
    axis = PARAMS if np.ptp(law.scales[PARAMS].to_numpy()) > 0 else TOKENS
    return Way(_course(law, axis, target), _shape_lines(law, target))


def _shape_lines(law: Law, target: Target | None) -> dict[str, tuple[float, float]]:
    """Draw width and depth as power laws of N: as the scales have them, through the target."""
    lines = {}
    log_n = np.log(law.scales[PARAMS].to_numpy(dtype=float))
    for axis in law.shape_axes:
        logs = np.log(law.scales[axis].to_numpy(dtype=float))
        exponent = float(np.polyfit(log_n, logs, 1)[0]) if np.ptp(log_n) > 0 else 0.0
        at, value = float(log_n.mean()), float(logs.mean())
        if target is not None:
            at, value = math.log(target.params), math.log(target.shape[axis])
        lines[axis] = (value - exponent * at, exponent)
    return lines


def _course(law: Law, axis: str, target: Target | None) -> Course:
    largest = law.scales.iloc[int(law.scales[FLOPS].to_numpy().argmax())]
    params, tokens = (
        (float(largest[PARAMS]), float(largest[TOKENS]))
        if target is None
        else (target.params, target.tokens)
    )
    if axis == TOKENS:
        return Course(TOKENS, params, per_param=False)
    per_param = budgets(law.scales[[PARAMS, TOKENS]])[0].per_param
    return Course(PARAMS, tokens / params if per_param else tokens, per_param)


class MeasuredScale(NamedTuple):
    """The best run of a scale, and the range of the setting that the noise cannot exclude.

    Attributes
    ----------
    params, tokens : the scale.
    along : its place on the axis.
    value : the setting of the best run.
    low, high : over the runs that are as good within the noise.
    move : factor from the scale's own token budget to the path's, by the law.
    loss : of the best run, nats a token.
    n_runs : completed runs of the scale.
    """

    params: float
    tokens: float
    along: float
    value: float
    low: float
    high: float
    move: float
    loss: float
    n_runs: int


def measured_scales(
    runs: pd.DataFrame, law: Law, setting: str, way: Way
) -> tuple[MeasuredScale, ...]:
    """Return each scale of the completed runs, with the setting of its best run moved to the way.

    It is moved along the tokens by the law; `move` tells how far.
    """
    scales = []
    for scale, group in by_scale_of(runs[runs[STATUS] == COMPLETED], law):
        params, tokens = scale[PARAMS], scale[TOKENS]
        loss = group[LOSS].to_numpy(dtype=float)
        values = group[setting].to_numpy(dtype=float)
        equal = values[loss <= loss.min() * (1 + EQUAL_SIGMAS * law.noise)]
        along = params if way.course.axis == PARAMS else tokens
        on_course = law.optimum(**way.scales(np.array([along])))[setting]
        scales.append(
            MeasuredScale(
                params=params,
                tokens=tokens,
                along=along,
                value=float(values[loss.argmin()]),
                low=float(equal.min()),
                high=float(equal.max()),
                move=float(on_course[0] / law.optimum(**scale)[setting]),
                loss=float(loss.min()),
                n_runs=len(group),
            )
        )
    return tuple(scales)


def scales_trace(
    scales: Sequence[MeasuredScale],
    name: str,
    symbol: str,
    colours: Mapping[float, str],
    setting: str,
    label: str,
) -> go.Scatter:
    """Return the trace of measured scales, each moved to the way.

    Parameters
    ----------
    name, symbol : in the legend, and plotly's name of the mark.
    colours : by size.
    setting : whose optimum they show.
    label : of the way's course.
    """
    return go.Scatter(
        x=[scale.along for scale in scales],
        y=[scale.value * scale.move for scale in scales],
        mode="markers",
        marker={
            "symbol": symbol,
            "size": 10,
            "color": [colours[scale.params] for scale in scales],
            "line": {"width": 2.5 if symbol.endswith("open") else 0},
        },
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [(scale.high - scale.value) * scale.move for scale in scales],
            "arrayminus": [(scale.value - scale.low) * scale.move for scale in scales],
            "color": theme.NEUTRAL,
            "thickness": 1,
            "width": 0,
        },
        name=name,
        text=[_describe(scale, setting, label) for scale in scales],
        hovertemplate="%{text}<extra></extra>",
    )


def _describe(scale: MeasuredScale, setting: str, label: str) -> str:
    value, low, high = (
        theme.format_setting(setting, number) for number in (scale.value, scale.low, scale.high)
    )
    text = (
        f"N {theme.format_count(scale.params)}, D {theme.format_count(scale.tokens)}<br>"
        f"best of {scale.n_runs} runs: {value}, loss {scale.loss:.4f}<br>"
        f"as good within the noise: {low} – {high}"
    )
    if not np.isclose(scale.move, 1):
        text += f"<br>drawn × {scale.move:.3g}, which the law says it is at {label}"
    return text
