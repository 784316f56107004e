"""The basin check: loss against learning rate at each size, and what the smallest one's rate costs.

plot_basin_check(get_basin_check_info(basin)).show()
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme
from scaling.basin import Basin
from scaling.basin_check import BasinCheck
from storage.columns import LOSS, LR

Array = NDArray[np.float64]

LINE_POINTS = 61
SHOWN_PCT = 8.0  # losses further above the largest size's best are drawn at the top edge


class BasinCheckInfo(NamedTuple):
    """What a basin check measured.

    Attributes
    ----------
    axis : width, depth or params.
    basins : from the smallest size to the largest.
    line_lr, line_loss : each basin's rates and losses along its parabola and lines; NaN between
        rates of which one diverged.
    copied : the smallest size's best rate, and the loss at the largest size there: what it is at
        least where too few rates were tried, infinite where that size diverges.
    """

    axis: str
    basins: tuple[Basin, ...]
    line_lr: tuple[Array, ...]
    line_loss: tuple[Array, ...]
    copied: tuple[float, float]

    @property
    def table(self) -> pd.DataFrame:
        """A row a size and rate; the loss is missing where the size diverged."""
        rows = [
            {self.axis: basin.size, LR: lr, LOSS: loss}
            for basin in self.basins
            for lr, loss in (
                *zip(basin.lrs, basin.losses, strict=True),
                *((lr, math.nan) for lr in basin.diverged),
            )
        ]
        return pd.DataFrame(rows).sort_values([self.axis, LR], ignore_index=True)


def get_basin_check_info(check: BasinCheck) -> BasinCheckInfo:
    """Lay a basin check out."""
    lines = [_line_rates(basin) for basin in check.basins]
    lr = check.basins[0].lr
    return BasinCheckInfo(
        check.axis,
        check.basins,
        tuple(lines),
        tuple(
            np.array([basin.loss_at(at) if basin.surrounds(at) else math.nan for at in line])
            for basin, line in zip(check.basins, lines, strict=True)
        ),
        (lr, check.basins[-1].loss_at(lr)),
    )


def _line_rates(basin: Basin) -> Array:
    if not basin.losses:
        return np.array([])
    return np.geomspace(basin.lrs[0], basin.lrs[-1], LINE_POINTS)


def plot_basin_check(info: BasinCheckInfo) -> go.Figure:
    """Draw the basins with their optima; the red diamond is the smallest one's at the largest.

    Rates that diverged are crosses at the top edge.
    """
    drawn = theme.figure(height=440)
    colours = theme.size_colours(basin.size for basin in info.basins)
    known = [basin for basin in info.basins if basin.losses]
    best = [basin.loss for basin in known]
    top = max(best) * (1 + SHOWN_PCT / 100)
    for basin, line_lr, line_loss in zip(info.basins, info.line_lr, info.line_loss, strict=True):
        colour, name = colours[basin.size], f"{info.axis} {basin.size:g}"
        losses = np.array(basin.losses)
        drawn.add_trace(
            go.Scatter(
                x=line_lr,
                y=np.where(line_loss <= top, line_loss, np.nan),
                mode="lines",
                line={"color": colour, "width": 1.5},
                name=name,
                legendgroup=name,
                hoverinfo="skip",
            )
        )
        drawn.add_trace(
            go.Scatter(
                x=basin.lrs,
                y=losses.clip(max=top),
                mode="markers",
                marker={
                    "size": 8,
                    "color": colour,
                    "symbol": np.where(losses > top, "triangle-up-open", "circle"),
                },
                name=name,
                legendgroup=name,
                showlegend=False,
                customdata=losses,
                hovertemplate=f"{name}, lr %{{x:.3g}}: loss %{{customdata:.4f}}<extra></extra>",
                cliponaxis=False,
            )
        )
    if any(basin.diverged for basin in info.basins):
        drawn.add_trace(_crosses(info, colours, top))
    drawn.add_trace(
        go.Scatter(
            x=[basin.lr for basin in known],
            y=best,
            mode="markers",
            marker={
                "size": 15,
                "symbol": "star",
                "color": [colours[basin.size] for basin in known],
                "line": {"width": 1, "color": theme.NEUTRAL},
            },
            name="optimum",
            hovertemplate="best at lr %{x:.3g}: loss %{y:.4f}<extra></extra>",
        )
    )
    lr, loss = info.copied
    bound = "" if info.basins[-1].surrounds(lr) else "at least "
    told = "it diverges" if math.isinf(loss) else f"loss {bound}{loss:.4f}"
    drawn.add_vline(x=lr, line={"color": theme.ACCENT, "width": 1, "dash": "dot"})
    drawn.add_trace(
        go.Scatter(
            x=[lr],
            y=[min(loss, top)],
            mode="markers",
            marker={"size": 12, "symbol": "diamond-open", "color": theme.ACCENT, "line_width": 2},
            name="the smallest size's rate at the largest",
            hovertemplate=f"lr %{{x:.3g}}: {told}<extra></extra>",
            cliponaxis=False,
        )
    )
    rates = np.concatenate([(*basin.lrs, *basin.diverged) for basin in info.basins])
    drawn.update_xaxes(theme.log_axis("learning rate", rates, "rate"))
    floor = min(best)
    drawn.update_yaxes(
        title_text="loss, nats a token",
        range=[floor - 0.06 * (top - floor), top],
        tickformat=".4~g",
    )
    return drawn


def _crosses(info: BasinCheckInfo, colours: dict[float, str], top: float) -> go.Scatter:
    """Return a cross at the top edge for each rate at which a size diverged."""
    marks = [(lr, basin.size) for basin in info.basins for lr in basin.diverged]
    return go.Scatter(
        x=[lr for lr, _ in marks],
        y=[top] * len(marks),
        mode="markers",
        marker={
            "size": 9,
            "symbol": "x-thin-open",
            "color": [colours[size] for _, size in marks],
            "line": {"width": 1.6},
        },
        name="diverged",
        customdata=[size for _, size in marks],
        hovertemplate=f"{info.axis} %{{customdata}}, lr %{{x:.3g}}: diverged<extra></extra>",
        cliponaxis=False,
    )
