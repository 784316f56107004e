"""The basins: loss against learning rate, a line a size, a panel a token budget.

plot_basins(get_basins_info(runs, law)).show()
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dashboards import theme
from dashboards.figures.budgets import Budget, budgets
from dashboards.figures.run_rows import by_value, describe
from scaling.law import Law
from scaling.scales import on_common_scales
from storage.columns import (
    BATCH_TOKENS,
    COMPLETED,
    DIVERGED,
    LOSS,
    LR,
    PARAMS,
    RUN_ID,
    STATUS,
    TOKENS,
)

Array = NDArray[np.float64]

LINE_POINTS = 121  # of each line, over the measured learning rates
NEAR_BATCH = 1.5  # a run whose batch is within this factor of the best one lies on the line's slice
HEADROOM = 0.6  # panel's height above its highest optimum, as a share of the spread of optima
MIN_HEADROOM = 0.04  # and at least this share of the loss there
OUTSIDE = 10.0  # a line follows an optimum outside the measured rates up to this factor
MAX_LINES = 12  # a panel with more scales shows this many, evenly spaced by size


class Line(NamedTuple):
    """The law at one scale and its best batch, over the learning rates that were tried there."""

    params: float
    tokens: float
    lr: Array
    loss: Array
    best_lr: float
    best_batch_tokens: float
    best_loss: float


class BasinPanel(NamedTuple):
    """One token budget.

    Attributes
    ----------
    title : the budget.
    points : completed and diverged runs: params, tokens, lr, batch_tokens, loss, run_id and
        `near_batch`, True where the batch is about the one that the lines are drawn at.
    lines : a line a scale, smallest first.
    path_lr, path_loss : the predicted optimum as size grows through the panel.
    n_scales : how many scales the budget has; more than there are lines where they are too many.
    floor, ceiling : the range of loss shown; higher and diverged runs are drawn at the ceiling.
    """

    title: str
    points: pd.DataFrame
    lines: tuple[Line, ...]
    path_lr: Array
    path_loss: Array
    n_scales: int
    floor: float
    ceiling: float


class BasinsInfo(NamedTuple):
    """All panels, and the sizes that share one scale of colours."""

    panels: tuple[BasinPanel, ...]
    sizes: tuple[float, ...]


def get_basins_info(runs: pd.DataFrame, law: Law) -> BasinsInfo:
    """Lay out the runs and the law's slices through them.

    Parameters
    ----------
    runs : a checked runs table; stopped and failed runs are left out.
    law : fitted to these runs, or to some of them.
    """
    shown = on_common_scales(runs[runs[STATUS].isin([COMPLETED, DIVERGED])])
    scales = shown[[PARAMS, TOKENS, *law.shape_axes]].drop_duplicates()
    return BasinsInfo(
        panels=tuple(_panel(budget, shown, law) for budget in budgets(scales)),
        sizes=tuple(sorted(float(size) for size in shown[PARAMS].unique())),
    )


def _panel(budget: Budget, runs: pd.DataFrame, law: Law) -> BasinPanel:
    keys = [PARAMS, TOKENS, *law.shape_axes]
    points = runs.merge(budget.scales, on=keys)
    drawn = np.unique(
        np.linspace(0, len(budget.scales) - 1, min(MAX_LINES, len(budget.scales))).astype(int)
    )
    lines = tuple(
        _line(dict(zip(keys, scale, strict=True)), points, law)
        for scale in budget.scales.iloc[drawn][keys].to_numpy(dtype=float).tolist()
    )
    best = np.array([line.best_loss for line in lines])
    measured = points[LOSS].to_numpy(dtype=float)
    finite = measured[np.isfinite(measured)]
    top = best.max() + max(HEADROOM * np.ptp(best), MIN_HEADROOM * best.max())
    floor = min(best.min(), finite.min(initial=np.inf))
    best_batch = _best_batch(points, law)
    ratio = np.abs(np.log(points[BATCH_TOKENS].to_numpy(dtype=float) / best_batch))
    path_lr, path_loss = _path(lines, budget.scales, law)
    columns = [PARAMS, TOKENS, LR, BATCH_TOKENS, LOSS, RUN_ID]
    return BasinPanel(
        title=budget.label,
        points=points[columns].assign(near_batch=ratio <= np.log(NEAR_BATCH)),
        lines=lines,
        path_lr=path_lr,
        path_loss=path_loss,
        n_scales=len(budget.scales),
        floor=float(floor - 0.04 * (top - floor)),
        ceiling=float(top),
    )


def _best_batch(points: pd.DataFrame, law: Law) -> Array:
    """Return each run's best batch by the law; its own where the law does not place batches."""
    if BATCH_TOKENS not in law.settings:
        return points[BATCH_TOKENS].to_numpy(dtype=float)
    keys = (PARAMS, TOKENS, *law.shape_axes)
    return law.optimum(**{key: points[key].to_numpy(dtype=float) for key in keys})[BATCH_TOKENS]


def _line(scale: dict[str, float], points: pd.DataFrame, law: Law) -> Line:
    own = points[np.logical_and.reduce([points[key] == value for key, value in scale.items()])]
    optimum = {name: float(value) for name, value in law.optimum(**scale).items()}
    best_lr = optimum[LR]
    low, high = float(own[LR].min()), float(own[LR].max())
    lr = np.geomspace(
        min(low, max(best_lr, low / OUTSIDE)),
        max(high, min(best_lr, high * OUTSIDE)),
        LINE_POINTS,
    )
    return Line(
        params=scale[PARAMS],
        tokens=scale[TOKENS],
        lr=lr,
        loss=law.loss(**scale, lr=lr),
        best_lr=best_lr,
        best_batch_tokens=optimum.get(BATCH_TOKENS, float(own[BATCH_TOKENS].median())),
        best_loss=float(law.loss(**scale)),
    )


def _path(lines: tuple[Line, ...], scales: pd.DataFrame, law: Law) -> tuple[Array, Array]:
    """Follow the optimum through the panel's scales, all but N interpolated between sizes."""
    drawn = {line.params for line in lines}
    by_size = scales[scales[PARAMS].isin(drawn)].drop_duplicates(PARAMS, keep="last")
    if len(by_size) < 2:
        return np.array([]), np.array([])
    sizes = by_size[PARAMS].to_numpy(dtype=float)
    along = np.geomspace(sizes[0], sizes[-1], LINE_POINTS)
    at = {
        key: np.exp(np.interp(np.log(along), np.log(sizes), np.log(by_size[key].to_numpy(float))))
        for key in (TOKENS, *law.shape_axes)
    }
    return law.optimum(**{PARAMS: along, **at})[LR], law.loss(**{PARAMS: along, **at})


def plot_basins(info: BasinsInfo) -> go.Figure:
    """Draw the panels under one another; a single panel where the info has one."""
    rows = max(len(info.panels), 1)
    drawn = make_subplots(
        figure=theme.figure(height=120 + 380 * rows),
        rows=rows,
        cols=1,
        subplot_titles=[panel.title for panel in info.panels],
        vertical_spacing=0.28 / rows,
    )
    colours = theme.size_colours(info.sizes)
    drawn.update_annotations(x=0, xanchor="left")
    in_legend = theme.named_in_legend(line.params for panel in info.panels for line in panel.lines)
    for row, panel in enumerate(info.panels, start=1):
        _draw_points(drawn, panel, colours, row)
        for line in panel.lines:
            _draw_line(drawn, line, colours[line.params], row, named=line.params in in_legend)
            in_legend.discard(line.params)
        _draw_optima(drawn, panel, row)
        rates = np.concatenate([line.lr for line in panel.lines])
        drawn.update_xaxes(theme.log_axis("learning rate", rates, "rate"), row=row)
        drawn.update_yaxes(
            title_text="loss, nats a token",
            range=[panel.floor, panel.ceiling + 0.03 * (panel.ceiling - panel.floor)],
            row=row,
        )
        if len(panel.lines) < panel.n_scales:
            drawn.add_annotation(
                text=f"{len(panel.lines)} of {panel.n_scales} scales have their line drawn",
                **{"x": 1, "y": 0, "xref": "x domain", "yref": "y domain"},
                xanchor="right",
                yanchor="bottom",
                row=row,
                col=1,
            )
    return drawn


def _draw_line(drawn: go.Figure, line: Line, colour: str, row: int, *, named: bool) -> None:
    size = theme.format_count(line.params)
    drawn.add_trace(
        go.Scatter(
            x=line.lr,
            y=line.loss,
            mode="lines",
            line={"color": colour, "width": 2.2},
            name=size,
            legendgroup=size,
            showlegend=named,
            hovertemplate=(
                f"the law at N = {size}, D = {theme.format_count(line.tokens)}, "
                f"batch {theme.format_count(line.best_batch_tokens)}"
                "<br>lr %{x:.3g}, loss %{y:.4f}<extra></extra>"
            ),
        ),
        row=row,
        col=1,
    )


def _draw_points(drawn: go.Figure, panel: BasinPanel, colours: dict[float, str], row: int) -> None:
    loss = panel.points[LOSS].to_numpy(dtype=float)
    diverged = ~np.isfinite(loss)
    above = loss > panel.ceiling
    near = panel.points["near_batch"].to_numpy(dtype=bool)
    for place, symbol, size, opacity in (
        (~diverged & ~above & ~near, "circle", 4.5, 0.28),
        (~diverged & ~above & near, "circle", 7, 0.95),
        (above, "triangle-up-open", 7, 0.6),
        (diverged, "x-thin-open", 8, 0.75),
    ):
        for params, points in by_value(panel.points[place], PARAMS):
            drawn.add_trace(
                theme.scatter(len(points))(
                    x=points[LR],
                    y=points[LOSS].clip(upper=panel.ceiling).fillna(panel.ceiling),
                    mode="markers",
                    marker={
                        "symbol": symbol,
                        "size": size,
                        "opacity": opacity,
                        "color": colours[params],
                        "line": {"width": 1.4 if symbol.endswith("open") else 0},
                    },
                    text=describe(points),
                    hovertemplate="%{text}<extra></extra>",
                    legendgroup=theme.format_count(params),
                    showlegend=False,
                    cliponaxis=False,
                ),
                row=row,
                col=1,
            )


def _draw_optima(drawn: go.Figure, panel: BasinPanel, row: int) -> None:
    drawn.add_trace(
        go.Scatter(
            x=panel.path_lr,
            y=panel.path_loss,
            mode="lines",
            line={"color": theme.ACCENT, "width": 1.6, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        ),
        row=row,
        col=1,
    )
    drawn.add_trace(
        go.Scatter(
            x=[line.best_lr for line in panel.lines],
            y=[line.best_loss for line in panel.lines],
            mode="markers",
            marker={"symbol": "diamond", "size": 10, "color": theme.ACCENT},
            text=[
                f"the law's optimum at N = {theme.format_count(line.params)}, "
                f"D = {theme.format_count(line.tokens)}<br>lr {theme.format_rate(line.best_lr)}, "
                f"batch {theme.format_count(line.best_batch_tokens)}, loss {line.best_loss:.4f}"
                for line in panel.lines
            ],
            hovertemplate="%{text}<extra></extra>",
            name="predicted optimum",
            legendgroup="optimum",
            showlegend=row == 1,
        ),
        row=row,
        col=1,
    )
