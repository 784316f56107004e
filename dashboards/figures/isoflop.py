"""isoFLOP curves: loss against model size at fixed compute, and the best size of each budget.

plot_isoflop(get_isoflop_info(loss_law, runs, budgets=[1e21]))
plot_best_sizes(get_isoflop_info(loss_law, runs))
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
from scaling.errors import InsufficientDataError
from scaling.loss_laws.approaches import isoflop_minima
from scaling.loss_laws.budget import FLOPS_6ND, frontier_table
from scaling.loss_laws.law import LossLaw
from scaling.loss_laws.optimal_scaling import OptimalScaling
from scaling.loss_laws.points import scale_points
from storage.columns import FLOPS, LOSS, PARAMS, TOKENS

Array = NDArray[np.float64]

CURVES = 6  # of measured compute, evenly in its log
SHOWN = 5.0  # of that, the axis shows at least this
POINTS = 61  # of each curve, and of the frontier
AROUND = 30.0  # a curve is drawn from this many times below its best size to as many above
BEYOND = 100.0  # the frontier goes to this many times the largest measured compute


class BudgetCurve(NamedTuple):
    """Loss at one compute.

    Attributes
    ----------
    flops : 6·N·D.
    params, loss : along the curve.
    best_params, best_loss : its minimum.
    asked : whether it is a budget that was asked for, not one of the measured range.
    """

    flops: float
    params: Array
    loss: Array
    best_params: float
    best_loss: float
    asked: bool


class IsoflopInfo(NamedTuple):
    """Curves of fixed compute, and how the best size grows with compute.

    Attributes
    ----------
    curves : by compute.
    points : the best loss of each measured scale: params, tokens, loss, flops.
    frontier : a row a budget: budget, and params, tokens and loss, each with _low and _high.
    lines : the best sizes by the other approaches that the runs carry.
    refused : approach -> why the runs do not carry it.
    asked : the rows of `frontier` for the budgets that were asked for.
    """

    curves: tuple[BudgetCurve, ...]
    points: pd.DataFrame
    frontier: pd.DataFrame
    lines: tuple[OptimalScaling, ...]
    refused: dict[str, str]
    asked: pd.DataFrame


def get_isoflop_info(
    law: LossLaw, runs: pd.DataFrame, *, budgets: Sequence[float] = ()
) -> IsoflopInfo:
    """Lay out what a loss law says of each compute, beside the runs.

    Parameters
    ----------
    law : over params and tokens, fitted to these runs.
    runs : a runs table.
    budgets : FLOPs of budgets to add.
    """
    points = scale_points(runs, (PARAMS, TOKENS))
    points = points.assign(**{FLOPS: FLOPS_6ND.of(points[PARAMS], points[TOKENS])})
    low, high = float(points[FLOPS].min()), float(points[FLOPS].max())
    measured = np.geomspace(low, high, CURVES) if high > low else np.array([low])
    wanted = sorted({*measured.tolist(), *(float(budget) for budget in budgets)})
    best = frontier_table(law, wanted)
    end = max([BEYOND * high, *budgets])
    lines, refused = _other_approaches(runs)
    return IsoflopInfo(
        curves=tuple(
            _curve(law, *row, asked=row[0] in budgets)
            for row in best[["budget", PARAMS, LOSS]].to_numpy(dtype=float).tolist()
        ),
        points=points,
        frontier=frontier_table(law, np.geomspace(low, end, POINTS)),
        lines=lines,
        refused=refused,
        asked=frontier_table(law, list(budgets)) if budgets else best.head(0),
    )


def _curve(
    law: LossLaw, flops: float, best_params: float, best_loss: float, *, asked: bool
) -> BudgetCurve:
    params = np.geomspace(best_params / AROUND, best_params * AROUND, POINTS)
    return BudgetCurve(
        flops=flops,
        params=params,
        loss=law.loss(params, flops / (6 * params)),
        best_params=best_params,
        best_loss=best_loss,
        asked=asked,
    )


def _other_approaches(
    runs: pd.DataFrame,
) -> tuple[tuple[OptimalScaling, ...], dict[str, str]]:
    try:
        return (isoflop_minima(runs),), {}
    except InsufficientDataError as error:
        return (), {"isoFLOP parabolas": str(error)}


def plot_isoflop(info: IsoflopInfo) -> go.Figure:
    """Draw loss against size, a curve a compute, with its minimum and the measured scales."""
    drawn = theme.figure(height=460)
    colours = theme.size_colours(curve.flops for curve in info.curves)
    for curve in info.curves:
        colour = theme.ACCENT if curve.asked else colours[curve.flops]
        drawn.add_trace(
            go.Scatter(
                x=curve.params,
                y=curve.loss,
                mode="lines",
                line={"color": colour, "width": 2, "dash": "dash" if curve.asked else "solid"},
                name=f"{theme.format_flops(curve.flops)} FLOP",
                hovertemplate=(
                    f"{theme.format_flops(curve.flops)} FLOP<br>N %{{x:.3s}}, loss %{{y:.4f}}"
                    "<extra></extra>"
                ),
            )
        )
    nearest = np.array([curve.flops for curve in info.curves if not curve.asked])
    flops = info.points[FLOPS].to_numpy(dtype=float)
    index = np.abs(np.log(flops[:, None] / nearest)).argmin(axis=1)
    drawn.add_trace(
        go.Scatter(
            x=info.points[PARAMS],
            y=info.points[LOSS],
            mode="markers",
            marker={"size": 8, "color": [colours[float(nearest[i])] for i in index]},
            name="best run of a scale",
            text=[
                f"N {theme.format_count(row[PARAMS])}, D {theme.format_count(row[TOKENS])}<br>"
                f"{theme.format_flops(row[FLOPS])} FLOP, loss {row[LOSS]:.4f}"
                for row in info.points.to_dict(orient="records")
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    drawn.add_trace(
        go.Scatter(
            x=[curve.best_params for curve in info.curves],
            y=[curve.best_loss for curve in info.curves],
            mode="markers",
            marker={"symbol": "diamond", "size": 10, "color": theme.ACCENT},
            name="best size",
            hovertemplate="best N %{x:.3s}, loss %{y:.4f}<extra></extra>",
        )
    )
    best = np.array([curve.best_params for curve in info.curves])
    sizes = [*info.points[PARAMS], *(best / SHOWN), *(best * SHOWN)]
    losses = [*info.points[LOSS], *(curve.best_loss for curve in info.curves)]
    drawn.update_xaxes(theme.log_axis("parameters N", sizes, "count"))
    drawn.update_yaxes(theme.log_axis("loss, nats a token", losses, "loss"))
    return drawn


def plot_best_sizes(info: IsoflopInfo) -> go.Figure:
    """Draw the best size against compute, with its interval, by each approach."""
    drawn = theme.figure(height=420)
    budget = info.frontier["budget"].to_numpy(dtype=float)
    low, high = (info.frontier[f"params_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
    if np.isfinite(low).all():
        drawn.add_trace(band(budget, low, high, "90% interval"))
    drawn.add_trace(
        go.Scatter(
            x=budget,
            y=info.frontier[PARAMS],
            mode="lines",
            line={"color": theme.ACCENT, "width": 2.4},
            name="the loss law",
            customdata=np.stack([low, high, info.frontier[TOKENS]], axis=1),
            hovertemplate=(
                "%{x:.3g} FLOP: N %{y:.3s}<br>%{customdata[0]:.3s} – %{customdata[1]:.3s}"
                "<br>D %{customdata[2]:.3s}<extra></extra>"
            ),
        )
    )
    for dash, line in zip(theme.DASHES, info.lines, strict=False):
        drawn.add_trace(
            go.Scatter(
                x=budget,
                y=[line.at(float(one))[0].value for one in budget],
                mode="lines",
                line={"color": theme.NEUTRAL, "width": 1.6, "dash": dash},
                name=line.approach,
                hovertemplate=f"{line.approach}: N %{{y:.3s}}<extra></extra>",
            )
        )
        drawn.add_trace(
            go.Scatter(
                x=line.points[FLOPS],
                y=line.points[PARAMS],
                mode="markers",
                marker={"symbol": "circle-open", "size": 9, "color": theme.NEUTRAL},
                name="their minima",
                hovertemplate="%{x:.3g} FLOP: N %{y:.3s}<extra></extra>",
            )
        )
    drawn.add_trace(
        go.Scatter(
            x=info.points[FLOPS],
            y=info.points[PARAMS],
            mode="markers",
            marker={"size": 6, "color": theme.NEUTRAL, "opacity": 0.6},
            name="measured scales",
            hovertemplate="%{x:.3g} FLOP, N %{y:.3s}<extra></extra>",
        )
    )
    if not info.asked.empty:
        drawn.add_trace(
            go.Scatter(
                x=info.asked["budget"],
                y=info.asked[PARAMS],
                mode="markers",
                marker={"symbol": "star", "size": 15, "color": theme.ACCENT},
                name="asked about",
                hovertemplate="%{x:.3g} FLOP: N %{y:.3s}<extra></extra>",
            )
        )
    drawn.update_xaxes(theme.log_axis("compute, FLOP", budget, "flops"))
    shown = np.concatenate([info.frontier[PARAMS], info.points[PARAMS]])
    drawn.update_yaxes(theme.log_axis("compute-optimal parameters N", shown, "count"))
    return drawn
