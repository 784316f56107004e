"""Explore: what the settings did: plots of a sweep's runs, or of several, and the table of them.

One filter bar governs every plot and the table; all of its state stands in the URL.
"""

from __future__ import annotations

import streamlit as st

from dashboards import frame
from dashboards.explore import bar
from dashboards.explore.compared import TooManyCurvesError, compared, measured
from dashboards.explore.plots import Shown, show_plots
from dashboards.explore.table import show_table
from dashboards.filters import keep, keep_top, shown_sentence
from dashboards.objective import OBJECTIVE
from storage.columns import PARAMS, TOKENS


def show() -> None:
    """Show the runs of the chosen sweep, and of those that it is compared with."""
    opened = frame.open_sweep()
    if opened is None:
        return
    if frame.need_runs(opened.name) is None:
        return
    with st.container(border=True):
        shown = _choose(opened.name, opened.sweeps["name"].tolist())
    if shown is None:
        return
    show_plots(shown)
    show_table(shown)


def _choose(sweep: str, names: list[str]) -> Shown | None:
    """Show the filter bar; return what is left of the runs, or None, having said why."""
    chosen = bar.choose_compared(sweep, names)
    everything = compared(chosen)
    row = st.container(horizontal=True)
    filters = bar.choose_filters(everything.runs, everything.settings, row)
    kept = keep(everything.runs, filters, everything.settings)
    if kept.empty:
        st.warning("No run meets these filters; take one of them back.")
        return None
    objective = bar.choose_objective(kept, row)
    if objective is None:
        return None
    try:
        found = measured(everything, kept, objective)
    except TooManyCurvesError as error:
        st.warning(f"{error}.")
        return None
    top = keep_top(found, filters.top_pct)
    if top.empty:
        st.warning(f"None of these runs has a {objective.loss_title}; compare by the final loss.")
        return None
    st.caption(
        shown_sentence(
            len(top),
            len(everything.runs),
            len(top[[PARAMS, TOKENS]].drop_duplicates()),
            objective.title,
            int(top[OBJECTIVE].isna().sum()),
        )
    )
    return Shown(top, everything.settings, objective, chosen, everything.runs)
