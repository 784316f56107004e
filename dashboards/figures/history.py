"""The history of a sweep: every run's loss in the order in which runs ended, and the best so far.

plot_history(get_history_info(runs)).show()
"""

from __future__ import annotations

from html import escape
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.run_rows import by_scale
from storage.columns import (
    BATCH_TOKENS,
    COMPLETED,
    CREATED,
    DIVERGED,
    FAILED,
    LOSS,
    LR,
    PARAMS,
    RUN_ID,
    STATUS,
    STOPPED,
    TOKENS,
)

Array = NDArray[np.float64]
Against = Literal["order", "time"]
Measure = Literal["loss", "excess"]

MAX_POINTS = 4_000
HIGHEST_QUANTILE = 0.95  # runs above it do not stretch the axis
SYMBOLS = {COMPLETED: "circle", STOPPED: "circle-open", DIVERGED: "x-thin-open", FAILED: "x-thin"}


class ScaleHistory(NamedTuple):
    """The runs of one scale in order.

    Attributes
    ----------
    points : run_id, lr, batch_tokens, status, `x` and `y`; `y` is NaN where there is no loss.
    x, best : the best so far, a point wherever it falls, and one at the end.
    """

    params: float
    tokens: float
    points: pd.DataFrame
    x: Array | pd.Series
    best: Array


class HistoryInfo(NamedTuple):
    """The scales, smallest first.

    Attributes
    ----------
    against : what is across: the order in which runs ended, or the time.
    measure : what is up: loss, or % above the best of the scale.
    n_runs : how many there are; more than are drawn where they are too many.
    ceiling : where higher and diverged runs are drawn; NaN where no run has a loss.
    sizes : all sizes, which share one scale of colours.
    """

    scales: tuple[ScaleHistory, ...]
    against: Against
    measure: Measure
    n_runs: int
    ceiling: float
    sizes: tuple[float, ...] = ()


def get_history_info(
    runs: pd.DataFrame,
    *,
    against: Against = "order",
    measure: Measure = "loss",
    max_points: int = MAX_POINTS,
) -> HistoryInfo:
    """Put the runs in order.

    Parameters
    ----------
    runs : a checked runs table. Where it does not tell when runs ended, its own order is taken,
        whatever `against` says.
    max_points : with more runs, evenly spaced ones are drawn; the best so far is always that of
        all.
    """
    ended = _ended(runs)
    timed = bool(ended.notna().all())
    against = against if timed else "order"
    ordered = runs.assign(x=ended).sort_values(["x", RUN_ID] if timed else RUN_ID, kind="stable")
    if against == "order":
        ordered["x"] = np.arange(1.0, len(ordered) + 1)
    step = max(-(-len(runs) // max_points), 1)
    scales = tuple(
        _scale(params, tokens, own, ordered["x"].iloc[-1], measure, step)
        for params, tokens, own in by_scale(ordered)
    )
    shown = np.array([y for scale in scales for y in scale.points["y"]], dtype=float)
    finite = shown[np.isfinite(shown)]
    highest_best = max((float(scale.best[0]) for scale in scales if len(scale.best)), default=0.0)
    return HistoryInfo(
        scales,
        against,
        measure,
        len(runs),
        max(float(np.quantile(finite, HIGHEST_QUANTILE)), highest_best) if len(finite) else np.nan,
    )


def _ended(runs: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """Return when each run ended, NaT where that is not told."""
    if CREATED not in runs:
        return pd.Series(pd.NaT, index=runs.index)
    # times of a database from before they were checked may not be in one form, or be none
    return pd.to_datetime(runs[CREATED], utc=True, format="ISO8601", errors="coerce")


def _scale(
    params: float, tokens: float, runs: pd.DataFrame, end: object, measure: Measure, step: int
) -> ScaleHistory:
    completed = runs[LOSS].where(runs[STATUS] == COMPLETED, np.inf).fillna(np.inf)
    best = np.minimum.accumulate(completed.to_numpy(dtype=float))
    falls = best < np.append(np.inf, best[:-1])
    shown = runs[LOSS].to_numpy(dtype=float)
    if measure == "excess":
        least = best[-1]
        best, shown = 100 * (best / least - 1), 100 * (shown / least - 1)
    columns = [RUN_ID, LR, BATCH_TOKENS, STATUS, "x"]
    x = runs.loc[falls, "x"]
    if falls.any():
        x = pd.concat([x, pd.Series([end])], ignore_index=True)
    return ScaleHistory(
        params,
        tokens,
        runs[columns].assign(y=shown).iloc[::step],
        x,
        np.append(best[falls], best[falls][-1:]),
    )


def plot_history(info: HistoryInfo) -> go.Figure:
    """Draw the best so far of each scale as steps, over all of its runs."""
    drawn = theme.figure(height=440)
    own = [scale.params for scale in info.scales]
    colours = theme.size_colours([*own, *info.sizes])
    in_legend = theme.named_in_legend(own)
    ceiling = info.ceiling
    for scale in info.scales:
        _draw_points(drawn, scale, colours[scale.params], ceiling)
    for scale in info.scales:
        size = theme.format_count(scale.params)
        drawn.add_trace(
            go.Scatter(
                x=scale.x,
                y=scale.best,
                mode="lines",
                line={"color": colours[scale.params], "width": 2.2, "shape": "hv"},
                name=size,
                legendgroup=size,
                showlegend=scale.params in in_legend,
                hovertemplate=f"best so far at N = {size}, D = "
                f"{theme.format_count(scale.tokens)}: %{{y:.4g}}<extra></extra>",
            )
        )
        in_legend.discard(scale.params)
    _set_axes(drawn, info)
    shown = sum(len(scale.points) for scale in info.scales)
    if shown < info.n_runs:
        drawn.add_annotation(
            text=f"{shown:,} of {info.n_runs:,} runs, evenly; the lines are of all",
            **{"x": 1, "y": 1, "xref": "paper", "yref": "paper"},
            xanchor="right",
            yanchor="bottom",
        )
    return drawn


def _draw_points(drawn: go.Figure, scale: ScaleHistory, colour: str, ceiling: float) -> None:
    size = theme.format_count(scale.params)
    for status, symbol in SYMBOLS.items():
        points = scale.points[scale.points[STATUS] == status]
        if points.empty:
            continue
        drawn.add_trace(
            go.Scatter(
                x=points["x"],
                y=points["y"].clip(upper=ceiling).fillna(ceiling),
                mode="markers",
                marker={
                    "symbol": symbol,
                    "size": 6,
                    "color": colour,
                    "opacity": 0.45,
                    "line": {"width": 1.3 if "open" in symbol or "thin" in symbol else 0},
                },
                text=[
                    f"<b>{escape(str(run_id))}</b> ({run_status})<br>N {size}, "
                    f"D {theme.format_count(scale.tokens)}<br>lr {theme.format_rate(lr)}, "
                    f"batch {theme.format_batch(batch)}<br>"
                    + ("no loss" if np.isnan(y) else f"{y:.4g}")
                    for run_id, lr, batch, run_status, _, y in points.itertuples(index=False)
                ],
                hovertemplate="%{text}<extra></extra>",
                legendgroup=size,
                showlegend=False,
                cliponaxis=False,
            )
        )


def _set_axes(drawn: go.Figure, info: HistoryInfo) -> None:
    across = "run, in the order in which they ended" if info.against == "order" else "time (UTC)"
    drawn.update_xaxes(title_text=across)
    if info.measure == "excess":
        drawn.update_yaxes(
            title_text="% above the best of its scale", range=[-1, info.ceiling * 1.05]
        )
        return
    drawn.update_yaxes(title_text="loss, nats a token")


def history_frame(info: HistoryInfo) -> pd.DataFrame:
    """Return what is drawn, a row a run: params, tokens, run_id, setting, status, x and y."""
    return pd.concat(
        [
            scale.points.assign(**{PARAMS: scale.params, TOKENS: scale.tokens})
            for scale in info.scales
        ],
        ignore_index=True,
    )
