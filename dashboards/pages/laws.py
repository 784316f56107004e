"""Laws: the law of a sweep's runs, how well it holds, and the published ones beside it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import frame, session, theme
from dashboards.figures.basins import get_basins_info, plot_basins
from dashboards.figures.held_out import get_held_out_info, plot_held_out
from dashboards.figures.law import get_law_info, plot_law
from dashboards.figures.published import get_published_info, plot_published
from dashboards.figures.residuals import get_residuals_info, plot_residuals
from dashboards.report_text import held_out_sentence, not_compared
from scaling.backtest import HeldOut, compare, held_out
from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.law import Law
from storage.columns import PARAMS, TOKENS


def show() -> None:
    """Show the law of the chosen sweep."""
    sweeps = frame.open_database()
    if sweeps is None:
        return
    sweep = frame.choose_sweep(sweeps)
    st.title(sweep)
    runs = frame.need_runs(sweep)
    if runs is None:
        return
    try:
        law = session.law(sweep)
    except LawError as error:
        st.warning(f"There is no law yet: {error}")
        return
    frame.show_figure(plot_basins(get_basins_info(runs, law)), "basins")
    for setting in law.settings:
        st.code(law.formula(setting), language=None)
        frame.show_figure(plot_law(get_law_info(law, runs, setting)), f"law-{setting}")
    st.dataframe(law.terms(), hide_index=True)
    frame.show_figure(plot_residuals(get_residuals_info(law, runs)), "residuals")
    _show_held_out(runs)
    _show_published(law, runs)


@st.cache_data(max_entries=16, show_spinner="Checking the law on the largest scale")
def _check_on_largest(runs: pd.DataFrame) -> tuple[HeldOut, Law]:
    """Fit without the largest scale, and check the law on it."""
    scale = runs[[PARAMS, TOKENS]].to_numpy(dtype=float)
    largest = (scale == scale[scale.prod(axis=1).argmax()]).all(axis=1)
    law = fit_law(runs[~largest])
    return held_out(law, runs[largest]), law


def _show_held_out(runs: pd.DataFrame) -> None:
    try:
        check, law = _check_on_largest(runs)
    except LawError as error:
        st.info(f"A check that leaves the largest scale out is not possible yet: {error}")
        return
    st.write(f"Fitted without the largest scale. {held_out_sentence(check)}")
    drawn = plot_held_out(get_held_out_info(check, law))
    theme.take_title(drawn)
    frame.show_figure(drawn, "held-out")


def _show_published(law: Law, runs: pd.DataFrame) -> None:
    comparison = compare(law, runs)
    st.write(
        "This law and the best constant were fitted to these very runs. Dots are open outside the "
        "range that a published law was fitted to."
    )
    frame.show_figure(plot_published(get_published_info(comparison, law.name)), "published")
    st.caption(not_compared(comparison))
