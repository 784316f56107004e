"""Sweep: one sweep as it runs; its progress, its runs, what failed and why, and its file."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboards import frame, session, standing, theme
from dashboards.controls import show_controls
from dashboards.failures import failures
from dashboards.figures.curves import choose_runs, get_curves_info, plot_curves
from dashboards.figures.history import get_history_info, history_frame, plot_history
from dashboards.figures.progress import get_progress_info, plot_progress
from dashboards.figures.rounds import get_rounds_info, plot_rounds
from dashboards.progress import Progress, duration, goal
from storage.columns import (
    BATCH_TOKENS,
    FAILED,
    FLOPS,
    LOSS,
    LR,
    PARAMS,
    RUN_ID,
    SECONDS,
    STATUS,
    TOKENS,
)
from storage.legs import LegRecord
from storage.sweeps import DONE, SweepRecord

REFRESH_SECONDS, SLOW_REFRESH_SECONDS = 2.0, 15.0
MANY_RUNS = 5_000  # above this the page of a running sweep refreshes slowly
MEASURES = {"loss": "Loss", "excess": "% above its scale's best"}
AGAINST = {"order": "Order", "time": "Time"}


def show() -> None:
    """Show the chosen sweep."""
    opened = frame.open_sweep()
    if opened is None:
        return
    sweep, sweeps = opened
    record = session.store().sweep(sweep)
    n_runs = int(sweeps.loc[sweeps["name"] == sweep, "runs"].iloc[0])
    every = _refresh_seconds(record, n_runs)
    st.fragment(_show_standing, run_every=every)(sweep, record.state)
    st.fragment(_show_figures, run_every=every)(sweep)
    _show_file(record)


def _refresh_seconds(record: SweepRecord, n_runs: int) -> float | None:
    """How often to look again: soon while it runs, never once it is done."""
    if record.running_in is not None and n_runs <= MANY_RUNS:
        return REFRESH_SECONDS
    return None if record.state == DONE else SLOW_REFRESH_SECONDS


def _show_standing(sweep: str, state_before: str) -> None:
    """Show how the sweep stands: numbers, what runs and what failed."""
    record = session.store().sweep(sweep)
    if record.state != state_before:
        st.rerun()
    legs = session.running(record)
    counts = standing.counts_of(sweep, legs)
    far = standing.progress_of(record, counts, legs)
    # A container each: what comes and goes in one must not make the browser draw the others anew.
    with st.container():
        standing.show_state(record)
        show_controls(record, int(counts[FAILED].sum()))
    with st.container():
        _show_numbers(far, counts, is_done=record.state == DONE)
    if counts.empty:
        st.info("None of its runs has begun yet.")
        return
    with st.container():
        _show_running(running_now(legs))
    with st.container():
        _show_failures(session.runs(sweep))


def _show_figures(sweep: str) -> None:
    """Show the figures of the sweep as it is now."""
    record = session.store().sweep(sweep)
    legs = session.running(record)
    counts = standing.counts_of(sweep, legs)
    if counts.empty:
        return
    runs = session.runs(sweep)
    with st.container():
        _show_progress(counts, standing.progress_of(record, counts, legs))
    with st.container():
        _show_history(runs)
    with st.container():
        _show_curves(runs, running_now(legs))
    with st.container():
        _show_rounds(record)


def _show_numbers(far: Progress, counts: pd.DataFrame, *, is_done: bool) -> None:
    if far.fraction is not None and not is_done:
        st.progress(min(far.fraction, 1.0), text=f"{far.fraction:.0%} done")
    of = f" of {far.planned:,}" if far.planned is not None else ""
    best = standing.largest_best(counts)
    numbers = [
        ("Runs ended", f"{far.ended:,}{of}"),
        ("Running now", str(far.running)),
        ("Time left", "–" if far.seconds_left is None else f"≈ {duration(far.seconds_left)}"),
        ("Compute", f"{theme.format_flops(float(counts[FLOPS].sum()))} FLOP"),
        ("Run time", duration(float(counts[SECONDS].sum()))),
    ]
    if best is not None:
        params, tokens, loss = best
        at = f"{theme.format_count(params)} × {theme.format_count(tokens)}"
        numbers.insert(3, (f"Best loss at {at}", f"{loss:.4f}"))
    with st.container(horizontal=True, gap="medium"):
        for label, value in numbers:
            st.metric(label, value, width="content")


def _show_progress(counts: pd.DataFrame, far: Progress) -> None:
    info = get_progress_info(counts, planned=far.planned)
    _show_figure(plot_progress(info), "progress", "Runs by scale", counts)


def running_now(legs: Sequence[LegRecord]) -> pd.DataFrame:
    """Return a row a run that is being trained: how far it is, and its last loss.

    Columns run_id, params, tokens, lr, batch_tokens, status, report, of, loss and seconds.
    """
    curves = session.curves(tuple(leg.run_id for leg in legs))
    rows = []
    for leg in legs:
        curve = curves.get(leg.run_id)
        has_report = curve is not None and len(curve) > 0
        rows.append(
            {
                RUN_ID: leg.run_id,
                PARAMS: float(leg.scale[PARAMS]),
                TOKENS: float(leg.scale[TOKENS]),
                LR: float(leg.setting.get(LR, float("nan"))),
                BATCH_TOKENS: float(leg.setting.get(BATCH_TOKENS, float("nan"))),
                STATUS: "running",
                "report": len(curve) if curve is not None else 0,
                "of": leg.reports,
                LOSS: float(curve.loss[-1]) if curve is not None and has_report else float("nan"),
                SECONDS: float(curve.seconds[-1]) if curve is not None and has_report else 0.0,
            }
        )
    columns = (RUN_ID, PARAMS, TOKENS, LR, BATCH_TOKENS, STATUS, "report", "of", LOSS, SECONDS)
    return pd.DataFrame(rows, columns=list(columns))


def _show_running(running: pd.DataFrame) -> None:
    if running.empty:
        return
    st.subheader("Running now")
    shown = pd.DataFrame(
        {
            "Run": running[RUN_ID],
            "N": running[PARAMS].map(theme.format_count),
            "D": running[TOKENS].map(theme.format_count),
            "lr": running[LR].map(theme.format_rate),
            "batch": running[BATCH_TOKENS].map("{:,.0f}".format),
            "report": [
                f"{report} of {of}"
                for report, of in zip(running["report"], running["of"], strict=True)
            ],
            "last loss": running[LOSS],
            "trained for": running[SECONDS].map(duration),
        }
    )
    config = {"last loss": st.column_config.NumberColumn(format="%.4f")}
    st.dataframe(shown, hide_index=True, key="running", column_config=config)


def _show_failures(runs: pd.DataFrame) -> None:
    table = failures(runs)
    if table.empty:
        return
    st.subheader("Failed runs")
    names = {"reason": "What went wrong", "runs": "Runs", "run": "Last one"}
    st.dataframe(table.rename(columns=names), hide_index=True, key="failures")


def _show_history(runs: pd.DataFrame) -> None:
    if not runs[LOSS].notna().any():
        return
    st.subheader("History")
    with st.container(horizontal=True):
        measure = st.segmented_control(
            "Show",
            list(MEASURES),
            format_func=MEASURES.__getitem__,
            default="loss",
            required=True,
            key="history",
            bind="query-params",
        )
        against = st.segmented_control(
            "Against",
            list(AGAINST),
            format_func=AGAINST.__getitem__,
            default="order",
            required=True,
            key="against",
            bind="query-params",
        )
    info = get_history_info(
        runs,
        against="time" if against == "time" else "order",
        measure="excess" if measure == "excess" else "loss",
    )
    frame.show_figure(plot_history(info), "history-figure", data=lambda: history_frame(info))


def _show_curves(runs: pd.DataFrame, running: pd.DataFrame) -> None:
    chosen = choose_runs(runs[runs[STATUS] != FAILED])
    names = (*chosen[RUN_ID].astype(str), *running[RUN_ID].astype(str))
    curves = session.curves(names)
    info = get_curves_info(
        chosen, curves, running=running, n_curves=int((runs[STATUS] != FAILED).sum())
    )
    if info.curves:
        _show_figure(plot_curves(info), "curves", "Learning curves")


def _show_rounds(record: SweepRecord) -> None:
    rounds = session.store().rounds(record.name)
    info = get_rounds_info(rounds)
    if not rounds:
        return
    aim = goal(record.spec_text)
    if not info.number:
        st.info("Its runs carry no law yet; the expected regret is told from the first law on.")
        return
    _show_figure(plot_rounds(info), "rounds", "Rounds: what each brought")
    at = ""
    if aim.target is not None:
        params, tokens = (theme.format_count(value) for value in aim.target)
        at = f" at its target, N = {params} and D = {tokens}"
    st.caption(
        f"Expected regret{at}: {theme.format_percent(info.regret_pct[-1])} after round "
        f"{info.number[-1]}, with {info.runs[-1]} runs."
    )


def _show_figure(
    drawn: go.Figure, key: str, heading: str, data: pd.DataFrame | None = None
) -> None:
    """Show a figure under its heading."""
    st.subheader(heading)
    frame.show_figure(drawn, key, data=None if data is None else lambda: data)


def _show_file(record: SweepRecord) -> None:
    if not record.spec_text:
        st.caption("These runs were imported; there is no sweep file.")
        return
    with st.expander("Sweep file"):
        st.code(record.spec_text, language="yaml")
        st.download_button(
            "Download",
            record.spec_text,
            file_name=f"{record.name}.yaml",
            mime="application/yaml",
            on_click="ignore",
        )
