"""isoFLOP curves on the Laws page: the loss law, and the best size of any compute."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import frame, theme
from dashboards.chosen_law import ChosenLaw, loss_law_of
from dashboards.figures.isoflop import (
    BEYOND,
    get_isoflop_info,
    plot_best_sizes,
    plot_isoflop,
)
from storage.columns import FLOPS, LOSS, PARAMS, TOKENS


def show_isoflop(chosen: ChosenLaw) -> None:
    """Show the loss law of the runs; LawError where they carry none."""
    law = loss_law_of(chosen)
    runs = chosen.runs
    assert runs is not None, "without runs there is no loss law"
    for warning in law.warnings:
        st.warning(warning)
    largest = float(chosen.law.scales[FLOPS].max())
    text = st.text_input(
        "Compute to ask about, FLOP", theme.format_flops(BEYOND * largest), help="1e21",
        key="budget", bind="query-params",
    )  # fmt: skip
    try:
        budgets = [theme.parse_count(text, "compute in FLOP", "1e21 or 5.9e21")]
    except ValueError as error:
        st.error(str(error))
        budgets = []
    info = get_isoflop_info(law, runs, budgets=budgets)
    if budgets:
        _show_allocation(info.asked.iloc[0])
    frame.show_figure(plot_isoflop(info), "isoflop", data=lambda: info.points)
    st.subheader("Best size by compute")
    frame.show_figure(plot_best_sizes(info), "best-sizes", data=lambda: info.frontier)
    for approach, reason in info.refused.items():
        st.caption(f"{approach} cannot answer beside it: {reason}.")
    st.subheader("Constants of the loss law")
    st.dataframe(
        law.terms(),
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.4g") for name in ("value", "low", "high")
        },
    )


def _show_allocation(best: pd.Series) -> None:
    titles = {PARAMS: "best parameters", TOKENS: "best tokens", LOSS: "loss, nats a token"}
    for place, (name, title) in zip(st.columns(3), titles.items(), strict=True):
        write = (lambda value: f"{value:.4f}") if name == LOSS else theme.format_count
        place.metric(title, write(float(best[name])))
        place.caption(f"{write(float(best[f'{name}_low']))} – {write(float(best[f'{name}_high']))}")
