"""A plan: what each next run is expected to bring for its compute, and where the runs lie.

plot_promise(get_plan_info(plan, law))
plot_places(get_plan_info(plan, law))
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dashboards import theme
from scaling.errors import LawError
from scaling.law import Law
from scaling.loss_laws.step_time import fit_step_time
from scaling.prediction import Target
from storage.columns import BATCH_TOKENS, FLOPS, LR, PARAMS, TOKENS

Array = NDArray[np.float64]

NO_BATCH = 1.0  # drawn on one line where the law places no batch


class PlanInfo(NamedTuple):
    """A plan laid out.

    Attributes
    ----------
    runs : a row a planned run, in order: params, tokens, settings, flops, spent (compute up to and
        with this run) and expected_regret_pct after it.
    now_pct, floor_pct : expected regret before any run, and what no run of these scales removes.
    measured : params and tokens of the scales that were measured.
    target : the scale that the plan is for.
    optima : the law's settings at the measured scales.
    sizes : all sizes, which share one scale of colours.
    """

    runs: pd.DataFrame
    now_pct: float
    floor_pct: float
    measured: pd.DataFrame
    target: Target
    optima: pd.DataFrame
    sizes: tuple[float, ...]


def get_plan_info(plan: pd.DataFrame, law: Law, target: Target) -> PlanInfo:
    """Lay out a frame of `scaling.design.plan_runs`, made for this law and target."""
    scales = law.scales[[PARAMS, TOKENS, *law.shape_axes]]
    asked = {str(axis): scales[axis].to_numpy(dtype=float) for axis in scales.columns}
    optima = pd.DataFrame({PARAMS: asked[PARAMS], **law.optimum(**asked)})
    return PlanInfo(
        runs=plan.assign(spent=plan[FLOPS].cumsum()),
        now_pct=float(plan.attrs["expected_regret_pct"]),
        floor_pct=float(plan.attrs["floor_pct"]),
        measured=scales,
        target=target,
        optima=optima,
        sizes=tuple(sorted({float(size) for size in [*scales[PARAMS], *plan[PARAMS]]})),
    )


def planned_seconds(planned: pd.DataFrame, runs: pd.DataFrame) -> pd.Series | None:
    """Return how long each planned run takes; None where the runs do not tell."""
    try:
        step_time = fit_step_time(runs)
    except LawError:
        return None
    low, high = step_time.batches
    own = planned[BATCH_TOKENS] if BATCH_TOKENS in planned.columns else low
    if low == high and BATCH_TOKENS in planned.columns:
        return None
    return pd.Series(step_time.seconds(planned[PARAMS], planned[TOKENS], own), index=planned.index)


def plot_promise(info: PlanInfo) -> go.Figure:
    """Draw expected regret at the target against the compute spent, a step a run."""
    drawn = theme.figure(height=360)
    spent = np.concatenate([[0.0], info.runs["spent"].to_numpy(dtype=float)])
    regret = np.concatenate([[info.now_pct], info.runs["expected_regret_pct"].to_numpy(float)])
    texts = ["now", *_described(info.runs)]
    drawn.add_trace(
        go.Scatter(
            x=spent,
            y=regret,
            mode="lines+markers",
            line={"color": theme.ACCENT, "width": 2.2, "shape": "hv"},
            marker={"size": 8, "color": theme.ACCENT},
            name="expected regret",
            text=texts,
            hovertemplate="%{text}<br>%{y:.3g} % after %{x:.3g} FLOP<extra></extra>",
        )
    )
    drawn.add_trace(
        go.Scatter(
            x=[0.0, float(spent[-1])],
            y=[info.floor_pct, info.floor_pct],
            mode="lines",
            line={"color": theme.NEUTRAL, "width": 1.4, "dash": "dash"},
            name="stays, whatever small runs are done",
            hovertemplate="%{y:.3g} %<extra></extra>",
        )
    )
    drawn.update_xaxes(title_text="compute of the planned runs, FLOP", rangemode="tozero")
    drawn.update_xaxes(tickformat=".2~e", labelalias={"0e+0": "0"}, nticks=6)
    drawn.update_yaxes(title_text="expected regret at the target, %", rangemode="tozero")
    return drawn


def plot_places(info: PlanInfo) -> go.Figure:
    """Draw where the runs lie: in size and tokens, and in learning rate and batch."""
    has_batch = BATCH_TOKENS in info.runs.columns
    drawn = make_subplots(
        figure=theme.figure(height=720),
        rows=2,
        cols=1,
        vertical_spacing=0.16,
        subplot_titles=["Which scales", "Which settings"],
    )
    drawn.update_annotations(x=0, xanchor="left")
    colours = theme.size_colours(info.sizes)
    _dots(drawn, info.measured, PARAMS, TOKENS, theme.NEUTRAL, "measured scales", 1)
    counted = info.runs.groupby([PARAMS, TOKENS], as_index=False).size()
    drawn.add_trace(
        go.Scatter(
            x=counted[PARAMS],
            y=counted[TOKENS],
            mode="markers+text",
            marker={
                "size": 12 + 4 * np.sqrt(counted["size"].to_numpy(dtype=float)),
                "color": [colours[float(size)] for size in counted[PARAMS]],
            },
            text=counted["size"].astype(str),
            textfont={"color": "#ffffff", "size": 12},
            name="planned runs, how many",
            hovertemplate="%{text} runs at N = %{x:.3s}, D = %{y:.3s}<extra></extra>",
            cliponaxis=False,
        ),
        row=1,
        col=1,
    )
    drawn.add_trace(
        go.Scatter(
            x=[info.target.params],
            y=[info.target.tokens],
            mode="markers",
            marker={"symbol": "star", "size": 16, "color": theme.ACCENT},
            name="target",
            hovertemplate="target<extra></extra>",
        ),
        row=1,
        col=1,
    )
    planned = info.runs if has_batch else info.runs.assign(**{BATCH_TOKENS: NO_BATCH})
    optima = info.optima if has_batch else info.optima.assign(**{BATCH_TOKENS: NO_BATCH})
    _dots(drawn, optima, LR, BATCH_TOKENS, theme.NEUTRAL, "the law's optima there", 2)
    drawn.add_trace(
        go.Scatter(
            x=planned[LR],
            y=planned[BATCH_TOKENS],
            mode="markers",
            marker={
                "size": 11,
                "color": [colours[float(size)] for size in planned[PARAMS]],
            },
            name="planned runs",
            showlegend=False,
            text=_described(info.runs),
            hovertemplate="%{text}<extra></extra>",
            cliponaxis=False,
        ),
        row=2,
        col=1,
    )
    sizes = [*info.measured[PARAMS], *planned[PARAMS], info.target.params]
    tokens = [*info.measured[TOKENS], *planned[TOKENS], info.target.tokens]
    drawn.update_xaxes(theme.log_axis("parameters N", sizes, "count"), row=1)
    drawn.update_yaxes(theme.log_axis("training tokens D", tokens, "count"), row=1)
    rates = [*planned[LR], *optima[LR]]
    drawn.update_xaxes(theme.log_axis("learning rate", rates, "rate"), row=2)
    batches = [*planned[BATCH_TOKENS], *optima[BATCH_TOKENS]]
    drawn.update_yaxes(theme.log_axis("batch, tokens a step", batches, "count"), row=2)
    if not has_batch:
        drawn.update_yaxes(visible=False, row=2)
    return drawn


def _dots(
    drawn: go.Figure, points: pd.DataFrame, x: str, y: str, colour: str, name: str, row: int
) -> None:
    drawn.add_trace(
        go.Scatter(
            x=points[x],
            y=points[y],
            mode="markers",
            marker={"size": 9, "color": colour, "symbol": "circle-open", "line": {"width": 1.6}},
            name=name,
            hovertemplate="%{x:.3s}, %{y:.3s}<extra></extra>",
            cliponaxis=False,
        ),
        row=row,
        col=1,
    )


def _described(runs: pd.DataFrame) -> list[str]:
    settings = [name for name in (LR, BATCH_TOKENS) if name in runs.columns]
    return [
        f"run {place}: N {theme.format_count(run[PARAMS])}, D {theme.format_count(run[TOKENS])}<br>"
        + ", ".join(f"{name} {theme.format_setting(name, run[name])}" for name in settings)
        for place, run in enumerate(runs.to_dict(orient="records"), start=1)
    ]
