"""One run's learning curve beside that of the best run of its scale, and its learning rate.

plot_run_curve(get_run_curve_info(run_id, best_run_id, curves)).show()
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboards import theme
from dashboards.figures.measured import loss_axis
from storage.curves import Curve


class RunCurveInfo(NamedTuple):
    """A run's curve, and that of its scale's best run; None where that is itself or unknown."""

    run_id: str
    curve: Curve
    best_run_id: str | None
    best: Curve | None


def get_run_curve_info(
    run_id: str, best_run_id: str | None, curves: Mapping[str, Curve]
) -> RunCurveInfo | None:
    """Pair the curves; None where the run has none."""
    curve = curves.get(run_id)
    if curve is None or not len(curve):
        return None
    best = curves.get(best_run_id) if best_run_id not in (None, run_id) else None
    return RunCurveInfo(run_id, curve, best_run_id if best is not None else None, best)


def plot_run_curve(info: RunCurveInfo) -> go.Figure:
    """Draw held-out and training loss, and under them the learning rate."""
    drawn = make_subplots(
        figure=theme.figure(height=480),
        rows=2,
        cols=1,
        shared_xaxes=True,
        row_heights=[3, 1],
        vertical_spacing=0.06,
    )
    curve = info.curve
    if info.best is not None:
        _line(drawn, info.best, "loss", f"best of its scale, {info.best_run_id}", theme.NEUTRAL)
    _line(drawn, curve, "train_loss", "training loss", theme.SIZE_SCALE[1], dash="dot")
    _line(drawn, curve, "loss", "held-out loss", theme.ACCENT)
    _line(drawn, curve, "lr", "learning rate", theme.SIZE_SCALE[0], row=2)
    values = [curve.loss, curve.train_loss, *([info.best.loss] if info.best is not None else [])]
    drawn.update_yaxes(loss_axis("loss, nats a token", np.concatenate(values)), row=1)
    drawn.update_yaxes(title_text="lr", rangemode="tozero", row=2)
    drawn.update_xaxes(title_text="tokens trained on", tickformat="~s", row=2)
    return drawn


def _line(
    drawn: go.Figure,
    curve: Curve,
    quantity: str,
    name: str,
    colour: str,
    *,
    dash: str = "solid",
    row: int = 1,
) -> None:
    values = getattr(curve, quantity)
    finite = np.isfinite(values)
    drawn.add_trace(
        go.Scatter(
            x=curve.tokens[finite],
            y=values[finite],
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": dash},
            marker={"size": 4},
            name=name,
            showlegend=row == 1,
            hovertemplate=f"{name}: %{{y:.4g}} at %{{x:.3s}} tokens<extra></extra>",
        ),
        row=row,
        col=1,
    )
