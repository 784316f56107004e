"""Published laws on one's own runs: what each law's setting costs at each measured scale.

plot_published(get_published_info(compare(law, runs), law.name)).show()
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboards import theme
from storage.columns import PARAMS, TOKENS

LEAST_GAP = 0.01  # %; smaller gaps are drawn here, for the axis is logarithmic
ROW_HEIGHT = 38  # px
THIS_LAW = "this law"
SECOND_HAND = "†"


class LawGaps(NamedTuple):
    """One law's gaps over scales.

    Attributes
    ----------
    law : its name, with a dagger where its constants are quoted second-hand.
    gaps : %, a value a scale.
    scales : (params, tokens) of each.
    beyond : which of them lie outside the range that a published law was fitted to.
    mean : of the gaps.
    """

    law: str
    gaps: tuple[float, ...]
    scales: tuple[tuple[float, float], ...]
    beyond: tuple[bool, ...]
    mean: float


class PublishedInfo(NamedTuple):
    """Every law's gaps, the one of least mean gap first.

    Attributes
    ----------
    measure : what the gaps are measured from.
    sizes : all sizes, which share one scale of colours.
    """

    laws: tuple[LawGaps, ...]
    measure: str
    sizes: tuple[float, ...]


def get_published_info(comparison: pd.DataFrame, law_name: str) -> PublishedInfo:
    """Collect the gaps of a frame made by `scaling.backtest.compare` or `backtest`.

    The finer measure, a quadratic surface through each scale's best runs, is taken where every
    scale has one; else the measured run nearest to each law's setting.

    Parameters
    ----------
    law_name : the user's own law among those of the frame.
    """
    measured = comparison["nearest_gap_pct"].notna()
    comparison = comparison[measured] if measured.any() else comparison
    smooth = bool(np.isfinite(comparison["quadratic_gap_pct"].to_numpy(dtype=float)).all())
    column = "quadratic_gap_pct" if smooth else "nearest_gap_pct"
    laws = []
    for name in comparison["law"].unique():
        rows = comparison[comparison["law"] == name]
        laws.append(
            LawGaps(
                law=THIS_LAW if name == law_name else _label(str(name), rows),
                gaps=tuple(float(gap) for gap in rows[column]),
                scales=tuple(zip(rows[PARAMS].tolist(), rows[TOKENS].tolist(), strict=True)),
                beyond=tuple(in_range is False for in_range in rows["in_range"]),
                mean=float(rows[column].mean()),
            )
        )
    return PublishedInfo(
        laws=tuple(sorted(laws, key=lambda law: law.mean)),
        measure=(
            "loss above the scale's optimum, %" if smooth else "loss above the scale's best run, %"
        ),
        sizes=tuple(sorted({float(size) for size in comparison[PARAMS]})),
    )


def _label(name: str, rows: pd.DataFrame) -> str:
    return f"{name} {SECOND_HAND}" if rows["second_hand"].any() else name


def _named_only(name: str) -> go.Scatter:
    """Return a trace that is only a line of the legend."""
    return go.Scatter(x=[None], y=[None], mode="markers", marker={"opacity": 0}, name=name)


def plot_published(info: PublishedInfo) -> go.Figure:
    """Draw a row a law: a dot a scale, open where the law claims none, and a bar at the mean."""
    drawn = theme.figure(height=130 + ROW_HEIGHT * len(info.laws))
    colours = theme.size_colours(info.sizes)
    named: set[float] = set()
    for law in info.laws:
        for (params, tokens), gap, beyond in zip(law.scales, law.gaps, law.beyond, strict=True):
            drawn.add_trace(
                go.Scatter(
                    x=[max(gap, LEAST_GAP)],
                    y=[law.law],
                    mode="markers",
                    marker={
                        "size": 9,
                        "color": colours[params],
                        "opacity": 0.85,
                        "symbol": "circle-open" if beyond else "circle",
                    },
                    name=theme.format_count(params),
                    legendgroup=str(params),
                    showlegend=params not in named,
                    hovertemplate=(
                        f"{law.law} at N = {theme.format_count(params)}, "
                        f"D = {theme.format_count(tokens)}: {theme.format_percent(gap)}"
                        + (", outside its range" if beyond else "")
                        + "<extra></extra>"
                    ),
                    cliponaxis=False,
                )
            )
            named.add(params)
    drawn.add_trace(
        go.Scatter(
            x=[max(law.mean, LEAST_GAP) for law in info.laws],
            y=[law.law for law in info.laws],
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 24, "color": theme.ACCENT, "line_width": 3},
            name="mean",
            text=[theme.format_percent(law.mean) for law in info.laws],
            hovertemplate="%{y}: mean %{text}<extra></extra>",
            cliponaxis=False,
        )
    )
    if any(law.law.endswith(SECOND_HAND) for law in info.laws):
        drawn.add_trace(_named_only(f"{SECOND_HAND} quoted second-hand"))
    gaps = np.array([gap for law in info.laws for gap in law.gaps] or [1.0])
    drawn.update_xaxes(
        theme.log_axis(info.measure, gaps.clip(min=LEAST_GAP), "loss"),
        labelalias={f"{LEAST_GAP}": f"≤ {LEAST_GAP}"},
    )
    drawn.update_yaxes(
        categoryorder="array",
        dtick=1,
        categoryarray=[law.law for law in reversed(info.laws)],
        range=[-0.6, len(info.laws) - 0.4],
    )
    return drawn
