"""The Pareto front: the least loss for what it cost, in compute or in time.

plot_pareto(get_pareto_info(measured, "flops")).show()
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.measured import (
    SVG_POINTS,
    groups,
    left_out,
    legend_entry,
    loss_axis,
    named,
    note,
    thin,
)
from dashboards.figures.run_rows import describe
from dashboards.objective import FLOPS_THEN, LOSS_THEN, SECONDS_THEN, Objective

Array = NDArray[np.float64]
Cost = Literal["flops", "seconds"]

COST_COLUMNS: dict[Cost, str] = {"flops": FLOPS_THEN, "seconds": SECONDS_THEN}
COST_TITLES: dict[Cost, str] = {"flops": "training compute, FLOP", "seconds": "training time, s"}
OUTSIDE = 1.25  # losses are shown up to this many times the front's highest


class ParetoInfo(NamedTuple):
    """The runs and the front.

    Attributes
    ----------
    points : the runs that are drawn, worst first; all of those on the front are among them.
    front : the runs that no other run undercuts in loss for the same or less cost, cheapest first.
    top : the highest loss shown.
    n_runs, n_above : runs with a loss and a cost, and how many of them lie above the axis.
    sizes : all sizes, which share one scale of colours.
    """

    points: pd.DataFrame
    front: pd.DataFrame
    cost: Cost
    loss_title: str
    top: float
    n_runs: int
    n_above: int
    sizes: tuple[float, ...] = ()


def get_pareto_info(
    measured: pd.DataFrame, cost: Cost, objective: Objective, *, max_points: int = SVG_POINTS
) -> ParetoInfo:
    """Find the front of all runs; where they are too many to draw, a sample is (see `thin`)."""
    column = COST_COLUMNS[cost]
    known = measured[(measured[LOSS_THEN].notna() & (measured[column] > 0)).to_numpy()]
    front = pareto_front(known, column)
    loss = known[LOSS_THEN].to_numpy(dtype=float)
    first = float(front[LOSS_THEN].max()) if len(front) else np.nan
    top = (
        float(min(np.max(loss, initial=-np.inf), max(OUTSIDE * first, np.median(loss))))
        if len(front)
        else np.nan
    )
    sample = thin(known, max_points - len(front))
    return ParetoInfo(
        points=pd.concat([sample, front[~front.index.isin(sample.index)]]),
        front=front,
        cost=cost,
        loss_title=f"{objective.loss_title}, nats a token",
        top=top,
        n_runs=len(known),
        n_above=int((loss > top).sum()),
    )


def pareto_front(runs: pd.DataFrame, cost_column: str) -> pd.DataFrame:
    """Return the runs of least loss at their cost or less, cheapest first; of equals, one."""
    ordered = runs.sort_values([cost_column, LOSS_THEN], kind="stable")
    loss = ordered[LOSS_THEN].to_numpy(dtype=float)
    before = np.concatenate([[np.inf], np.minimum.accumulate(loss)[:-1]])
    return ordered[loss < before]


def plot_pareto(info: ParetoInfo) -> go.Figure:
    """Draw all runs, and the front through the best of them, on log axes."""
    drawn = theme.figure(height=480)
    column = COST_COLUMNS[info.cost]
    split = groups(info.points, info.sizes) if len(info.points) else []
    in_legend = named(split)
    for group in split:
        drawn.add_trace(legend_entry(group, in_legend))
        loss = group.runs[LOSS_THEN].to_numpy(dtype=float)
        drawn.add_trace(
            go.Scatter(
                x=group.runs[column],
                y=loss.clip(max=info.top),
                mode="markers",
                marker={
                    "size": 6,
                    "color": group.colour,
                    "opacity": 0.55,
                    "symbol": np.where(loss > info.top, "triangle-up-open", "circle"),
                },
                legendgroup=group.label,
                showlegend=False,
                text=describe(group.runs),
                hovertemplate="%{text}<br>%{x:.3g}<extra></extra>",
                cliponaxis=False,
            )
        )
    drawn.add_trace(
        go.Scatter(
            x=info.front[column],
            y=info.front[LOSS_THEN],
            mode="lines+markers",
            line={"color": theme.ACCENT, "width": 2, "shape": "hv"},
            marker={"size": 9, "symbol": "diamond", "color": theme.ACCENT},
            name=f"front, {len(info.front)} runs",
            text=describe(info.front),
            hovertemplate="%{text}<br>%{x:.3g}<extra></extra>",
            cliponaxis=False,
        )
    )
    loss = info.points[LOSS_THEN].to_numpy(dtype=float)
    drawn.update_xaxes(theme.log_axis(COST_TITLES[info.cost], info.points[column], "flops"))
    drawn.update_yaxes(loss_axis(info.loss_title, loss[loss <= info.top]))
    note(drawn, left_out(len(info.points), info.n_runs, info.n_above))
    return drawn
