"""The rounds of a law-guided sweep: the regret expected at its target, by the compute spent.

plot_rounds(get_rounds_info(store.rounds("guided"))).show()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import plotly.graph_objects as go

from dashboards import theme

if TYPE_CHECKING:
    from storage.rounds import RoundRecord

HIGHEST_PCT = 100.0  # at twice the best loss a run is lost; more than that says no more


class RoundsInfo(NamedTuple):
    """The rounds that had a law, in order; entry i of each is one round.

    Attributes
    ----------
    number, runs, flops : of the round; runs and FLOPs are what had been trained by its end.
    regret_pct : expected at the target, in % of loss, at most `HIGHEST_PCT`.
    without_law : how many rounds came before the runs carried a law.
    """

    number: tuple[int, ...]
    runs: tuple[int, ...]
    flops: tuple[float, ...]
    regret_pct: tuple[float, ...]
    without_law: int


def get_rounds_info(rounds: Sequence[RoundRecord]) -> RoundsInfo:
    """Take what is drawn from the store's rounds."""
    known = [
        (record.number, record.runs, record.flops, min(record.expected_regret_pct, HIGHEST_PCT))
        for record in rounds
        if record.expected_regret_pct is not None
    ]
    number, runs, flops, regret = zip(*known, strict=True) if known else ((), (), (), ())
    return RoundsInfo(number, runs, flops, regret, len(rounds) - len(known))


def plot_rounds(info: RoundsInfo) -> go.Figure:
    """Draw regret against compute on log axes."""
    drawn = theme.figure(height=320)
    drawn.add_trace(
        go.Scatter(
            x=info.flops,
            y=info.regret_pct,
            mode="lines+markers",
            line={"color": theme.ACCENT, "width": 2},
            marker={"size": 7},
            customdata=list(zip(info.number, info.runs, strict=True)),
            hovertemplate=(
                "round %{customdata[0]}, %{customdata[1]} runs<br>"
                "%{x:.3g} FLOP: expected regret %{y:.2g} %<extra></extra>"
            ),
            showlegend=False,
        )
    )
    drawn.update_xaxes(theme.log_axis("training compute so far, FLOP", info.flops, "flops"))
    drawn.update_yaxes(
        theme.log_axis("expected regret at the target, % of loss", info.regret_pct, "loss")
    )
    return drawn
