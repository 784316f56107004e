"""Population: who took over whose state, and the schedules that a population-based sweep found."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import frame, session, standing
from dashboards.figures.lineage import LineageInfo, get_lineage_info, plot_lineage
from dashboards.figures.schedules_found import get_schedules_info, plot_schedules
from storage.columns import RUN_ID
from storage.sweeps import SweepRecord

REFRESH_SECONDS = 5.0
MAX_EXPLOITS = 1_000  # rows of the table


def show() -> None:
    """Show the chosen sweep's population."""
    opened = frame.open_sweep()
    if opened is None:
        return
    sweep = opened.name
    record = session.store().sweep(sweep)
    every = REFRESH_SECONDS if record.running_in is not None else None
    st.fragment(_show_live, run_every=every)(sweep, record.state)


def _show_live(sweep: str, state_before: str) -> None:
    record = session.store().sweep(sweep)
    if record.state != state_before:
        st.rerun()
    if not session.store().has_exploits(sweep):
        _say_what_it_shows(record)
        return
    lineage = session.store().lineage(sweep)
    info = get_lineage_info(lineage)
    st.caption(_summary(info, record))
    st.subheader("Who took over whose state")
    frame.show_figure(plot_lineage(info), "lineage", data=lambda: lineage)
    st.caption(
        "A lane a run, the best on top; an arrow goes from the run whose state was taken to the "
        "one that went on from it. Dark blue legs were among the best at their report, yellow ones "
        "among the worst. Red: the weights that the best run ended with."
    )
    _show_schedules(lineage, record)
    _show_exploits(info)


def _say_what_it_shows(record: SweepRecord) -> None:
    if record.state in standing.LIVE:
        st.info("None of its runs has taken over another's state yet.")
        return
    st.info(
        "For a sweep whose runs take over each other's state, this page shows who took over whom, "
        "and the schedules of hyperparameters that came of it. Launch one with "
        "`search: {method: population}` in its file."
    )


def _summary(info: LineageInfo, record: SweepRecord) -> str:
    best = "" if info.best is None else f" The best is {info.best}."
    times = "once" if len(info.exploits) == 1 else f"{len(info.exploits)} times"
    return (
        f"{info.n_runs} runs; {times} one took over another's state. The sweep is "
        f"{record.state}.{best}"
    )


def _show_schedules(lineage: pd.DataFrame, record: SweepRecord) -> None:
    info = get_schedules_info(lineage)
    if not info.settings:
        return
    st.subheader("The schedules found")
    frame.show_figure(plot_schedules(info), "schedules", data=lambda: info.schedule)
    st.caption(
        "Each line is what the weights of one run went through, whichever runs trained them; blue "
        "ended with the least loss, yellow with the most. Red is the best run's schedule:"
    )
    names = {RUN_ID: "trained by", "reports": "from report"}
    st.dataframe(info.schedule.rename(columns=names), hide_index=True, key="schedule")
    if record.running_in is None:
        st.write("To replay it in one run of its own, with a sweep file to launch:")
        st.code(session.command(f"sweep schedule {record.name} --out replay.yaml"), language="bash")


def _show_exploits(info: LineageInfo) -> None:
    with st.expander(f"All {len(info.exploits)} takeovers"):
        table = pd.DataFrame(
            [
                {
                    "after report": exploit.reports,
                    "from": exploit.from_run,
                    "to": exploit.to_run,
                    "in the best run's past": exploit.survives,
                }
                for exploit in info.exploits[:MAX_EXPLOITS]
            ]
        )
        st.dataframe(table, hide_index=True, key="exploits")
