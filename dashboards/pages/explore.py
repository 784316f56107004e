"""Explore: the runs of a sweep, their learning curves, and the table of them."""

from __future__ import annotations

import streamlit as st

from dashboards import frame, session
from dashboards.figures.curves import get_curves_info, plot_curves
from dashboards.report_text import status_counts
from storage.columns import RUN_ID


def show() -> None:
    """Show the runs of the chosen sweep."""
    sweeps = frame.open_database()
    if sweeps is None:
        return
    sweep = frame.choose_sweep(sweeps)
    st.title(sweep)
    runs = frame.need_runs(sweep)
    if runs is None:
        return
    st.caption(status_counts(runs))
    info = get_curves_info(runs, session.curves(tuple(runs[RUN_ID].astype(str))))
    if info.curves:
        frame.show_figure(plot_curves(info), "curves")
    else:
        st.info("These runs have no learning curves; runs of a sweep launched here keep theirs.")
    st.dataframe(runs, hide_index=True)
    spec_text = session.store().sweep(sweep).spec_text
    if spec_text:
        st.code(spec_text, language="yaml")
