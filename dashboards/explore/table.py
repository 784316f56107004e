"""The table under the plots: the filtered runs, to sort, to download, and to open one by one."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboards import frame, session, theme
from dashboards.explore.plots import Shown
from dashboards.figures.run_curve import get_run_curve_info, plot_run_curve
from dashboards.objective import MEASURED, OBJECTIVE
from dashboards.settings import Setting
from storage.columns import (
    COMPLETED,
    FLOPS,
    LOSS,
    PARAMS,
    REASON,
    RUN_ID,
    SECONDS,
    SEED,
    STATUS,
    SWEEP,
    TOKENS,
)

RUN, SORT, FALLING = "run", "sort", "falling"
MAX_ROWS = 1_000
"""Of the table in the browser; the download has all."""
PETA = 1e15
"""A browser's table does not format numbers above 2^53: FLOPs are shown in PFLOP."""


def show_table(shown: Shown) -> None:
    """Show the filtered runs, the best first, and the run that is chosen."""
    names = _columns(shown)
    sort, turn, save = st.columns([4, 2, 2], vertical_alignment="bottom")
    by = sort.selectbox(
        "Sort by",
        (OBJECTIVE, *names),
        format_func=lambda name: shown.objective.title if name == OBJECTIVE else name,
        key=SORT,
        bind="query-params",
    )
    falling = turn.toggle("Largest first", key=FALLING, bind="query-params")
    ordered = shown.runs.sort_values(by, ascending=not falling, kind="stable", na_position="last")
    rows = ordered.head(MAX_ROWS)
    save.download_button(
        f"CSV of {len(ordered):,} runs",
        lambda: ordered.drop(columns=list(MEASURED[1:])).to_csv(index=False).encode(),
        file_name="runs.csv",
        mime="text/csv",
        on_click="ignore",
        width="stretch",
    )
    st.dataframe(
        rows[[RUN_ID, OBJECTIVE, *names]].assign(**{FLOPS: rows[FLOPS] / PETA}),
        hide_index=True,
        column_config=_formats(shown),
        key="runs",
        on_select=_choose,
        selection_mode="single-row",
    )
    st.session_state["runs-shown"] = rows[RUN_ID].tolist()
    if len(rows) < len(ordered):
        st.caption(f"The first {MAX_ROWS:,} of {len(ordered):,} runs in this order.")
    _show_run(shown)


def _choose() -> None:
    """Take the row that was clicked as the run to open."""
    chosen = st.session_state["runs"]["selection"]["rows"]
    if chosen:
        st.session_state[RUN] = st.session_state["runs-shown"][chosen[0]]


def _columns(shown: Shown) -> list[str]:
    """Return the table's columns after the objective: outcome, scale, settings, cost, reason."""
    several = [SWEEP] if len(shown.sweeps) > 1 else []
    settings = [setting.name for setting in shown.settings]
    names = [STATUS, *several, LOSS, PARAMS, TOKENS, *settings, SEED, FLOPS, SECONDS, REASON]
    return [name for name in names if name in shown.runs]


def _formats(shown: Shown) -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        OBJECTIVE: number(
            shown.objective.short_title if shown.objective.relative else shown.objective.loss_title,
            format="%.3f" if shown.objective.relative else "%.4f",
        ),
        LOSS: number("loss", format="%.4f"),
        PARAMS: number("N", format="compact"),
        TOKENS: number("D", format="compact"),
        FLOPS: number("PFLOP", format="%.3g"),
        SECONDS: number("seconds", format="%.1f"),
        **{
            setting.name: number(setting.title, format=_digits(setting))
            for setting in shown.settings
            if not pd.isna(setting.low)
        },
    }


def _digits(setting: Setting) -> str | None:
    return None if setting.name.endswith("tokens") else "%.3g"


def _show_run(shown: Shown) -> None:
    run_id = st.text_input(
        "Run",
        key=RUN,
        bind="query-params",
        placeholder="choose a row, or write a run's name",
        help="A link with ?run=NAME opens a run.",
    )
    if not run_id:
        return
    found = shown.all_runs[(shown.all_runs[RUN_ID] == run_id).to_numpy()]
    if found.empty:
        st.warning(f"There is no run '{run_id}' in {theme.listed(shown.sweeps)}.")
        return
    run = found.iloc[0]
    st.subheader(str(run_id))
    for column, (label, value) in zip(st.columns(4), _headline(run), strict=True):
        column.metric(label, value)
    if REASON in run and isinstance(run[REASON], str):
        st.error(run[REASON])
    curve_side, setting_side = st.columns([3, 2])
    with setting_side:
        st.dataframe(_setting_table(run), hide_index=True)
    with curve_side:
        _show_curve(run, shown.all_runs)


def _headline(run: pd.Series) -> list[tuple[str, str]]:
    loss = f"{run[LOSS]:.4f}" if pd.notna(run[LOSS]) else "–"
    return [
        ("ended", str(run[STATUS])),
        ("final loss, nats a token", loss),
        ("N", theme.format_count(float(run[PARAMS]))),
        ("D", theme.format_count(float(run[TOKENS]))),
    ]


def _setting_table(run: pd.Series) -> pd.DataFrame:
    hidden = {RUN_ID, LOSS, STATUS, REASON, PARAMS, TOKENS}
    known = {name: value for name, value in run.items() if name not in hidden and pd.notna(value)}
    texts = [f"{v:.6g}" if isinstance(v, float) else str(v) for v in known.values()]
    return pd.DataFrame({"": list(known), "of this run": texts})


def _show_curve(run: pd.Series, runs: pd.DataFrame) -> None:
    same = runs[
        ((runs[PARAMS] == run[PARAMS]) & (runs[TOKENS] == run[TOKENS])).to_numpy()
        & (runs[STATUS] == COMPLETED).to_numpy()
    ]
    best = None if same.empty else str(same.loc[same[LOSS].idxmin(), RUN_ID])
    names = tuple(dict.fromkeys([str(run[RUN_ID]), *([best] if best else [])]))
    info = get_run_curve_info(str(run[RUN_ID]), best, session.curves(names))
    if info is None:
        st.info("This run has no learning curve; runs of a sweep launched here keep theirs.")
        return
    frame.show_figure(plot_run_curve(info), "run-curve")
