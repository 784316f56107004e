"""Transfer: by how many octaves each optimum moves as the model doubles, with its interval.

plot_drift(get_drift_info({"mup": law})).show()
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import plotly.graph_objects as go

from dashboards import theme
from scaling.axes import POWERS_OF_SIZE, SYMBOLS
from scaling.law import Law
from scaling.law_terms import NO_DRIFT
from storage.columns import BATCH_TOKENS, LR

ROW_HEIGHT = 34  # px
SETTINGS = {LR: "learning rate", BATCH_TOKENS: "batch"}
VERDICTS = {True: "it stays put", False: "it moves", None: "the runs cannot tell"}
COLOURS = {True: theme.SIZE_SCALE[1], False: theme.ACCENT, None: theme.NEUTRAL}


class DriftRow(NamedTuple):
    """One optimum of one law.

    Attributes
    ----------
    setting : its column.
    axis : what doubles, as a symbol: N, W or L.
    octaves, low, high : a doubling of the axis; negative where the optimum falls.
    tolerance : octaves within which it stays put.
    holds : True, False, or None where the runs do not tell.
    """

    law: str
    setting: str
    axis: str
    octaves: float
    low: float
    high: float
    tolerance: float
    holds: bool | None

    @property
    def label(self) -> str:
        """What moves, as a reader would name it."""
        return f"{SETTINGS.get(self.setting, self.setting)} as {self.axis} doubles"

    @property
    def verdict(self) -> str:
        """In words."""
        return VERDICTS[self.holds]


class DriftInfo(NamedTuple):
    """A row an optimum, those of one setting together."""

    rows: tuple[DriftRow, ...]


def get_drift_info(laws: Mapping[str, Law]) -> DriftInfo:
    """Take the drift of every law, by name; a law on compute has none."""
    rows = [
        DriftRow(
            name,
            drift.setting,
            SYMBOLS[drift.axis],
            drift.octaves.value,
            drift.octaves.low,
            drift.octaves.high,
            NO_DRIFT * POWERS_OF_SIZE[drift.axis],
            drift.holds,
        )
        for name, law in laws.items()
        for drift in law.drift()
    ]
    return DriftInfo(tuple(sorted(rows, key=lambda row: (row.setting != LR, row.setting))))


def plot_drift(info: DriftInfo) -> go.Figure:
    """Draw the intervals; the band is where an optimum counts as staying put."""
    drawn = theme.figure(height=120 + ROW_HEIGHT * max(len(info.rows), 1))
    laws = {row.law for row in info.rows}
    labels = [row.label if len(laws) == 1 else f"{row.label}, {row.law}" for row in info.rows]
    band = max((row.tolerance for row in info.rows), default=NO_DRIFT)
    drawn.add_vrect(
        x0=-band, x1=band, fillcolor=theme.NEUTRAL, opacity=0.18, line_width=0, layer="below"
    )
    drawn.add_vline(x=0, line={"color": theme.NEUTRAL, "width": 1})
    for holds, verdict in VERDICTS.items():
        chosen = [i for i, row in enumerate(info.rows) if row.holds is holds]
        if not chosen:
            continue
        rows = [info.rows[i] for i in chosen]
        drawn.add_trace(
            go.Scatter(
                x=[row.octaves for row in rows],
                y=[labels[i] for i in chosen],
                mode="markers",
                marker={"size": 10, "color": COLOURS[holds]},
                error_x={
                    "type": "data",
                    "array": [row.high - row.octaves for row in rows],
                    "arrayminus": [row.octaves - row.low for row in rows],
                    "thickness": 2,
                },
                name=verdict,
                hovertemplate="%{y}: %{x:+.3f} octaves<extra></extra>",
            )
        )
    drawn.update_xaxes(title_text="octaves a doubling of size")
    drawn.update_yaxes(
        type="category", categoryorder="array", categoryarray=labels[::-1], showgrid=False
    )
    drawn.update_layout(showlegend=True)
    return drawn
