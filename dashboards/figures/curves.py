"""Learning curves: held-out loss against tokens, coloured by size, the best of each scale strong.

plot_curves(get_curves_info(runs, curves)).show()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.measured import ceiling, note
from storage.columns import BATCH_TOKENS, LOSS, LR, PARAMS, RUN_ID, STATUS, TOKENS
from storage.curves import Curve

Array = NDArray[np.float64]

MAX_CURVES = 60


class DrawnCurve(NamedTuple):
    """One run's curve where its loss is finite, and what the run was."""

    run_id: str
    params: float
    run_tokens: float
    lr: float
    batch_tokens: float
    status: str
    tokens: Array
    loss: Array
    is_best: bool
    is_running: bool


class CurvesInfo(NamedTuple):
    """The curves drawn, the best of each scale last, and how many there were to draw from.

    Those of runs that are still running come before the best.

    Attributes
    ----------
    top : upper end of the vertical axis, which a run that all but diverged rises above.
    """

    curves: tuple[DrawnCurve, ...]
    n_curves: int
    sizes: tuple[float, ...]
    top: float


def choose_runs(runs: pd.DataFrame, *, max_curves: int = MAX_CURVES) -> pd.DataFrame:
    """Choose whose curves to draw: the best run of each scale, then the others evenly by loss.

    With many runs it is worth asking the store for these curves only.

    Parameters
    ----------
    runs : a checked runs table.
    """
    known = runs.sort_values([PARAMS, TOKENS, LOSS], kind="stable")
    best = _best(known)
    others = known[~known[RUN_ID].isin(best[RUN_ID])]
    room = max(max_curves - len(best), 0)
    if len(others) > room:
        others = others.iloc[np.linspace(0, len(others) - 1, room).round().astype(int)]
    return pd.concat([others, best])


def _best(by_loss: pd.DataFrame) -> pd.DataFrame:
    return by_loss.drop_duplicates([PARAMS, TOKENS]).dropna(subset=[LOSS])


def get_curves_info(
    runs: pd.DataFrame,
    curves: Mapping[str, Curve],
    *,
    running: pd.DataFrame | None = None,
    max_curves: int = MAX_CURVES,
    n_curves: int | None = None,
) -> CurvesInfo:
    """Choose the curves: the best of each scale, all that are running, the others by final loss.

    Parameters
    ----------
    runs : a checked runs table, of runs that have ended.
    curves : by run_id; runs without one, or without a finite loss in it, are passed over.
    running : runs that have not ended, with the columns run_id, params, tokens, lr, batch_tokens
        and status.
    n_curves : how many there are in all, where `runs` are only those chosen.
    """
    usable = [name for name, curve in curves.items() if np.isfinite(curve.loss).any()]
    known = runs[runs[RUN_ID].isin(usable)]
    chosen = choose_runs(known, max_curves=max_curves)
    best = set(_best(known.sort_values([PARAMS, TOKENS, LOSS], kind="stable"))[RUN_ID])
    is_best = chosen[RUN_ID].isin(best)
    others, strong = chosen[~is_best], chosen[is_best]
    under_way = runs.iloc[:0] if running is None else running[running[RUN_ID].isin(usable)]
    sizes = {float(size) for table in (runs, under_way) for size in table[PARAMS].unique()}
    drawn = tuple(
        _drawn(run, curves[str(run[RUN_ID])], is_best=table is strong, is_running=is_running)
        for table, is_running in ((others, False), (under_way, True), (strong, False))
        for _, run in table.iterrows()
    )
    return CurvesInfo(
        curves=drawn,
        n_curves=(len(known) if n_curves is None else n_curves) + len(under_way),
        sizes=tuple(sorted(sizes)),
        top=_top(drawn),
    )


def _top(curves: Sequence[DrawnCurve]) -> float:
    """Return the highest loss that is no outlier on a log axis; NaN where there is none."""
    losses = np.concatenate([np.empty(0), *(curve.loss for curve in curves)])
    return float(np.exp(ceiling(np.log(losses[losses > 0]))))


def _drawn(run: pd.Series, curve: Curve, *, is_best: bool, is_running: bool) -> DrawnCurve:
    finite = np.isfinite(curve.loss) & (curve.tokens > 0)
    return DrawnCurve(
        run_id=str(run[RUN_ID]),
        params=float(run[PARAMS]),
        run_tokens=float(run[TOKENS]),
        lr=float(run[LR]),
        batch_tokens=float(run[BATCH_TOKENS]),
        status=str(run[STATUS]),
        tokens=curve.tokens[finite],
        loss=curve.loss[finite],
        is_best=is_best,
        is_running=is_running,
    )


def plot_curves(info: CurvesInfo) -> go.Figure:
    """Draw the curves on log axes."""
    drawn = theme.figure(height=480)
    colours = theme.size_colours(info.sizes)
    in_legend = theme.named_in_legend(curve.params for curve in info.curves if curve.is_best)
    for curve in info.curves:
        size = theme.format_count(curve.params)
        drawn.add_trace(
            go.Scatter(
                x=curve.tokens,
                y=curve.loss,
                mode="lines+markers" if curve.is_best or curve.is_running else "lines",
                line={
                    "color": colours[curve.params],
                    "width": 2.4 if curve.is_best else 1.8 if curve.is_running else 1,
                    "dash": "dot" if curve.is_running else "solid",
                },
                marker={"size": 5},
                opacity=1.0 if curve.is_best or curve.is_running else 0.3,
                name=size,
                legendgroup=size,
                showlegend=curve.is_best and curve.params in in_legend,
                hovertemplate=(
                    f"<b>{escape(curve.run_id)}</b> ({curve.status})<br>"
                    f"N {size}, D {theme.format_count(curve.run_tokens)}, "
                    f"lr {theme.format_rate(curve.lr)}, "
                    f"batch {theme.format_batch(curve.batch_tokens)}<br>"
                    "%{x:.3s} tokens: loss %{y:.4f}<extra></extra>"
                ),
            )
        )
        if curve.is_best:
            in_legend.discard(curve.params)
    tokens = [float(value) for curve in info.curves for value in curve.tokens]
    loss = [float(value) for curve in info.curves for value in curve.loss if value <= info.top]
    drawn.update_xaxes(theme.log_axis("tokens trained on", tokens, "count"))
    drawn.update_yaxes(theme.log_axis("held-out loss, nats a token", loss, "loss"))
    note(drawn, _left_out(info))
    return drawn


def _left_out(info: CurvesInfo) -> str:
    n_drawn = len(info.curves)
    n_above = sum(1 for curve in info.curves if curve.loss.max() > info.top)
    parts = []
    if n_drawn < info.n_curves:
        parts.append(f"{n_drawn} of {info.n_curves:,} curves, evenly by final loss")
    if n_above:
        parts.append(f"{n_above:,} rise{'s' * (n_above == 1)} above the axis")
    return " · ".join(parts)
