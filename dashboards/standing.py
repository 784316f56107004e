"""How a sweep stands: what its states are called, and what to do next."""

from __future__ import annotations

from typing import Final, Literal

import pandas as pd
import streamlit as st

from dashboards import session
from dashboards.progress import POPULATION, Goal, Progress, goal, population_progress, progress
from dashboards.progress import scale_counts as count_scales
from storage.columns import PARAMS, STATUSES, TOKENS
from storage.drivers import seconds_since
from storage.legs import LegRecord
from storage.sweeps import (
    CANCELLED,
    DONE,
    INTERRUPTED,
    PAUSED,
    RUNNING,
    STOPPED,
    STOPPING,
    SweepRecord,
)

Colour = Literal["blue", "green", "orange", "red", "gray"]

COLOURS: Final[dict[str, Colour]] = {
    RUNNING: "blue",
    PAUSED: "orange",
    STOPPING: "orange",
    INTERRUPTED: "red",
    STOPPED: "gray",
    CANCELLED: "gray",
    DONE: "green",
}
LIVE: Final = (RUNNING, PAUSED, STOPPING)
TO_RESUME: Final = (INTERRUPTED, STOPPED, CANCELLED)


def show_state(record: SweepRecord) -> None:
    """Show the state as a badge, and beside it who runs the sweep, or what became of that."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(record.state, color=COLOURS[record.state])
        st.caption(state_sentence(record))


def state_sentence(record: SweepRecord) -> str:
    """Say what the state means now."""
    driver = record.running_in
    if driver is not None:
        ago = seconds_since(record.heartbeat or record.updated)
        what = {
            RUNNING: "Runs",
            PAUSED: "Begins no more runs until it is resumed;",
            STOPPING: "Lets the running runs finish, then ends;",
        }[record.state]
        return f"{what} in process {driver.pid} on {driver.host}, heard of {ago:.0f} s ago."
    if record.driver is not None:
        return "Its process was killed or its machine went down; nothing that had ended is lost."
    return {
        INTERRUPTED: "Its launch was interrupted; nothing that had ended is lost.",
        STOPPED: "It was stopped after its running runs had finished.",
        CANCELLED: "It was cancelled in the middle of its runs.",
        DONE: "All of its runs have ended." if record.spec_text else "Its runs were imported.",
    }.get(record.state, "No process runs it.")


def next_step(state: str, *, failed: int, scales: int, name: str) -> str:
    """Say what to do next with a sweep, in a few words or a command."""
    if state == PAUSED or state in TO_RESUME:
        return session.command(f"sweep resume {name}")
    if state in LIVE:
        return "watch it"
    if failed:
        return session.command(f"sweep retry {name}")
    if scales == 0:
        return "no run has completed"
    if scales == 1:
        return "add scales: a law needs two or more"
    return "predict for your model"


def counts_of(sweep: str, legs: list[LegRecord]) -> pd.DataFrame:
    """Return a sweep's runs by scale, see `dashboards.progress.scale_counts`."""
    return count_scales(session.store().scales(sweep), legs)


def progress_of(record: SweepRecord, counts: pd.DataFrame, legs: list[LegRecord]) -> Progress:
    """Say how far a sweep is.

    Parameters
    ----------
    legs : those that are running.
    """
    aim: Goal = goal(record.spec_text)
    if aim.method == POPULATION:
        ended = int(counts[list(STATUSES)].to_numpy().sum())
        return population_progress(aim, session.store().legs(record.name), ended)
    curves = session.curves(tuple(leg.run_id for leg in legs))
    reports = {run_id: len(curve) for run_id, curve in curves.items()}
    return progress(aim, counts, legs, reports)


def largest_best(counts: pd.DataFrame) -> tuple[float, float, float] | None:
    """Return N, D and the best loss of the largest scale that has a loss, by compute."""
    known = counts[counts["best_loss"].notna()]
    if known.empty:
        return None
    at = known.iloc[int((known[PARAMS] * known[TOKENS]).to_numpy().argmax())]
    return float(at[PARAMS]), float(at[TOKENS]), float(at["best_loss"])
