"""The schedules that a population found: each setting over training, along the path of the weights.

plot_schedules(get_schedules_info(store.lineage("my-population"))).show()
"""

from __future__ import annotations

from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from dashboards import theme
from dashboards.figures.lineage import LEG_COLUMNS, ancestry, best_run
from storage.columns import LOSS, RUN_ID

MAX_PATHS = 60
PANEL_HEIGHT = 230  # px
LOG_FROM = 8.0  # a positive setting that varies by this factor or more has a log axis


class Path(NamedTuple):
    """What the weights of one run went through.

    Attributes
    ----------
    loss : of the run at its last report, nats a token.
    rank : 0 for the least loss of the runs drawn, 1 for the most.
    reports : where each leg began, and where the last one ended.
    taken : by setting, an entry a leg and the last one again.
    """

    run_id: str
    loss: float
    rank: float
    reports: tuple[int, ...]
    taken: dict[str, tuple[float, ...]]
    is_best: bool


class SchedulesInfo(NamedTuple):
    """The paths, the best last, and the settings that changed on some of them.

    `schedule` has a row a leg of the best run's path where something changed: run_id, reports, and
    the settings.
    """

    settings: tuple[str, ...]
    paths: tuple[Path, ...]
    schedule: pd.DataFrame
    n_runs: int


def get_schedules_info(lineage: pd.DataFrame, *, max_paths: int = MAX_PATHS) -> SchedulesInfo:
    """Follow each run that came furthest back to the start of training.

    Parameters
    ----------
    lineage : as `Store.lineage` returns it.
    max_paths : with more runs, the best ones are drawn.
    """
    best = best_run(lineage)
    if best is None:
        return SchedulesInfo((), (), pd.DataFrame(), 0)
    numeric = [
        name
        for name in lineage.columns
        if name not in LEG_COLUMNS and pd.api.types.is_numeric_dtype(lineage[name])
    ]
    settings = tuple(name for name in numeric if len(lineage[name].unique()) > 1)
    last = lineage[lineage["reached"] == lineage["reached"].max()].sort_values(LOSS, kind="stable")
    last = last[last[LOSS].notna()]
    names = [str(name) for name in last[RUN_ID]]
    drawn = names[:max_paths]
    paths = [
        _path(ancestry(lineage, name), name, i / max(len(drawn) - 1, 1), settings, best)
        for i, name in enumerate(drawn)
    ]
    own = ancestry(lineage, best)
    changed = (own[list(settings)] != own[list(settings)].shift()).any(axis="columns")
    changed |= own[RUN_ID] != own[RUN_ID].shift()
    schedule = own.loc[changed].assign(reports=own["origin_reports"].fillna(0).astype(int))
    return SchedulesInfo(
        settings,
        tuple(reversed(paths)),
        schedule[[RUN_ID, "reports", *settings]].reset_index(drop=True),
        len(names),
    )


def _path(
    legs: pd.DataFrame, run_id: str, rank: float, settings: tuple[str, ...], best: str
) -> Path:
    begun = legs["origin_reports"].fillna(0).astype(int).tolist()
    return Path(
        run_id,
        float(legs[LOSS].iloc[-1]),
        rank,
        (*begun, int(legs["reached"].iloc[-1])),
        {name: (*legs[name].tolist(), legs[name].iloc[-1]) for name in settings},
        run_id == best,
    )


def plot_schedules(info: SchedulesInfo) -> go.Figure:
    """Draw a panel a setting; paths are coloured by the final loss of their run."""
    rows = max(len(info.settings), 1)
    drawn = make_subplots(
        figure=theme.figure(height=100 + PANEL_HEIGHT * rows),
        rows=rows,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.16 / rows,
    )
    for row, setting in enumerate(info.settings, start=1):
        for path in info.paths:
            drawn.add_trace(_line(path, setting, is_named=row == 1), row=row, col=1)
        values = [value for path in info.paths for value in path.taken[setting]]
        positive = np.array([value for value in values if value > 0])
        if len(positive) == len(values) and positive.max() >= LOG_FROM * positive.min():
            drawn.update_yaxes(theme.log_axis(setting, positive, "rate"), row=row)
        else:
            drawn.update_yaxes(title_text=setting, row=row)
    drawn.update_xaxes(title_text="reports of training", row=rows)
    if len(info.paths) < info.n_runs:
        drawn.add_annotation(
            text=f"the best {len(info.paths)} of {info.n_runs} runs",
            **{"x": 1, "y": 1, "xref": "paper", "yref": "paper"},
            xanchor="right",
            yanchor="bottom",
        )
    return drawn


def _line(path: Path, setting: str, *, is_named: bool) -> go.Scatter:
    (colour,) = sample_colorscale(list(theme.SIZE_SCALE), [path.rank])
    return go.Scatter(
        x=path.reports,
        y=path.taken[setting],
        mode="lines+markers" if path.is_best else "lines",
        line={
            "color": theme.ACCENT if path.is_best else colour,
            "width": 3 if path.is_best else 1.6,
            "shape": "hv",
        },
        marker={"size": 6},
        opacity=1.0 if path.is_best else 0.8,
        name=_name(path),
        legendgroup=path.run_id,
        showlegend=is_named and (path.is_best or path.rank == 1.0),
        hovertemplate=(
            f"<b>{escape(path.run_id)}</b>, final loss {path.loss:.4f}<br>"
            f"from report %{{x}}: {escape(setting)} %{{y:.4g}}<extra></extra>"
        ),
    )


def _name(path: Path) -> str:
    which = "the best run" if path.is_best else "the worst of these"
    return f"{which}, loss {path.loss:.4f}"
