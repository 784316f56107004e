"""The lineage of a population: how far each run came, and who took over whose state, and when.

plot_lineage(get_lineage_info(store.lineage("my-population"))).show()
"""

from __future__ import annotations

from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from dashboards import theme
from storage.columns import LOSS, RUN_ID
from storage.lineage import State
from storage.lineage import ancestry as states_before

LANE_HEIGHT = 22  # px
MAX_LANES = 200
LEG_COLUMNS = (
    "number",
    RUN_ID,
    "origin_run_id",
    "origin_reports",
    "exploit",
    "reports",
    "reached",
    LOSS,
    "seed",
    "started",
    "ended",
)
"""Columns of `Store.lineage` that are no settings."""


class Stretch(NamedTuple):
    """A leg in its run's lane.

    Attributes
    ----------
    lane : counted from the bottom.
    begun, reached : reports.
    rank : 0 for the least loss among the legs that ended there, 1 for the most; NaN without one.
    survives : whether the best run's weights went through it.
    """

    run_id: str
    lane: int
    begun: int
    reached: int
    loss: float
    rank: float
    survives: bool


class Exploit(NamedTuple):
    """One run took over another's state at a report."""

    reports: int
    from_lane: int
    to_lane: int
    from_run: str
    to_run: str
    survives: bool


class LineageInfo(NamedTuple):
    """A lane a run, the best at the top.

    Attributes
    ----------
    lanes : run_ids from the bottom up.
    best : the run of least loss among those that came furthest; None where no leg has ended.
    n_runs : how many there are; more than there are lanes where they are too many.
    """

    lanes: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    exploits: tuple[Exploit, ...]
    best: str | None
    n_runs: int


def best_run(lineage: pd.DataFrame) -> str | None:
    """Return the run of least loss among those that came furthest."""
    ended = lineage[lineage["reached"].notna() & np.isfinite(lineage[LOSS].astype(float))]
    if ended.empty:
        return None
    furthest = ended[ended["reached"] == ended["reached"].max()]
    return str(furthest.sort_values([LOSS, "number"], kind="stable")[RUN_ID].iloc[0])


def ancestry(lineage: pd.DataFrame, run_id: str) -> pd.DataFrame:
    """Return the legs that a run's weights came through, from the start of training on.

    Parameters
    ----------
    lineage : as `Store.lineage` returns it.
    """
    ended = lineage[lineage["reached"].notna()]
    columns = [RUN_ID, "reached", "origin_run_id", "origin_reports"]
    place: dict[State, object] = {}
    origins: list[tuple[State, State | None]] = []
    for index, name, reached, origin, reports in ended[columns].itertuples():
        state = (str(name), int(reached))
        place[state] = index
        origins.append((state, (origin, int(reports)) if isinstance(origin, str) else None))
    return lineage.loc[[place[state] for state in states_before(origins, run_id)]]


def get_lineage_info(lineage: pd.DataFrame, *, max_lanes: int = MAX_LANES) -> LineageInfo:
    """Lay the legs out.

    Parameters
    ----------
    lineage : as `Store.lineage` returns it.
    max_lanes : with more runs, the best have a lane.
    """
    best = best_run(lineage)
    survivors = set() if best is None else set(ancestry(lineage, best)["number"])
    ended = lineage[lineage["reached"].notna()]
    last = ended.drop_duplicates(RUN_ID, keep="last").sort_values(
        ["reached", LOSS], ascending=[False, True], kind="stable"
    )
    order = [str(name) for name in last[RUN_ID]][:max_lanes]
    lanes = tuple(reversed(order))
    lane_of = {name: lane for lane, name in enumerate(lanes)}
    rank = ended.groupby("reached")[LOSS].rank() - 1
    most = rank.groupby(ended["reached"]).transform("max").clip(lower=1)
    shown = ended.assign(rank=rank / most)
    shown = shown[shown[RUN_ID].isin(lane_of)]
    return LineageInfo(
        lanes=lanes,
        stretches=tuple(
            Stretch(
                str(leg[RUN_ID]),
                lane_of[str(leg[RUN_ID])],
                int(leg["origin_reports"]) if pd.notna(leg["origin_reports"]) else 0,
                int(leg["reached"]),
                float(leg[LOSS]),
                float(leg["rank"]),
                leg["number"] in survivors,
            )
            for leg in shown.to_dict(orient="records")
        ),
        exploits=tuple(
            Exploit(
                int(leg["origin_reports"]),
                lane_of[str(leg["origin_run_id"])],
                lane_of[str(leg[RUN_ID])],
                str(leg["origin_run_id"]),
                str(leg[RUN_ID]),
                leg["number"] in survivors,
            )
            for leg in shown[shown["exploit"].astype(bool)].to_dict(orient="records")
            if str(leg["origin_run_id"]) in lane_of
        ),
        best=best,
        n_runs=int(lineage[RUN_ID].nunique()),
    )


def plot_lineage(info: LineageInfo) -> go.Figure:
    """Draw a lane a run, and an arrow from the run whose state was taken to the one with it."""
    drawn = theme.figure(height=130 + LANE_HEIGHT * len(info.lanes))
    for stretch in info.stretches:
        drawn.add_trace(_lane(stretch))
    for exploit in info.exploits:
        drawn.add_annotation(
            x=exploit.reports,
            y=exploit.to_lane,
            ax=exploit.reports,
            ay=exploit.from_lane,
            **{"xref": "x", "yref": "y", "axref": "x", "ayref": "y"},
            text="",
            showarrow=True,
            arrowhead=2,
            arrowwidth=2 if exploit.survives else 1.5,
            arrowcolor=theme.ACCENT if exploit.survives else theme.NEUTRAL,
            opacity=1.0 if exploit.survives else 0.9,
        )
    drawn.add_trace(_marks(info.exploits))
    drawn.update_xaxes(title_text="reports of training", rangemode="tozero", dtick=_step(info))
    drawn.update_yaxes(
        tickvals=list(range(len(info.lanes))),
        ticktext=[escape(name) for name in info.lanes],
        showgrid=False,
        range=[-0.7, len(info.lanes) - 0.3],
    )
    if len(info.lanes) < info.n_runs:
        drawn.add_annotation(
            text=f"{len(info.lanes)} of {info.n_runs} runs",
            **{"x": 1, "y": 1, "xref": "paper", "yref": "paper"},
            xanchor="right",
            yanchor="bottom",
        )
    return drawn


def _lane(stretch: Stretch) -> go.Scatter:
    (colour,) = sample_colorscale(list(theme.SIZE_SCALE), [np.nan_to_num(stretch.rank, nan=1.0)])
    return go.Scatter(
        x=[stretch.begun, stretch.reached],
        y=[stretch.lane, stretch.lane],
        mode="lines+markers",
        line={
            "color": theme.ACCENT if stretch.survives else colour,
            "width": 5 if stretch.survives else 3,
        },
        marker={"size": [0, 7], "color": colour},
        hovertemplate=(
            f"<b>{escape(stretch.run_id)}</b><br>report {stretch.reached}: "
            + ("diverged" if np.isnan(stretch.loss) else f"loss {stretch.loss:.4f}")
            + "<extra></extra>"
        ),
        showlegend=False,
    )


def _marks(exploits: tuple[Exploit, ...]) -> go.Scatter:
    """Points at the arrows' ends that are not seen, but can be pointed at as arrows cannot."""
    return go.Scatter(
        x=[exploit.reports for exploit in exploits],
        y=[exploit.to_lane for exploit in exploits],
        mode="markers",
        marker={"size": 12, "opacity": 0},
        text=[
            f"after report {exploit.reports}, <b>{escape(exploit.to_run)}</b> went on from "
            f"the state of <b>{escape(exploit.from_run)}</b>"
            for exploit in exploits
        ],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _step(info: LineageInfo) -> int:
    return max(max((stretch.reached for stretch in info.stretches), default=1) // 10, 1)
