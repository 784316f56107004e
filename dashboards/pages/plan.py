"""Plan: the next runs for a target, what they cost, and what they are expected to bring."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import frame, session, theme
from dashboards.chosen_law import ChosenLaw, open_law
from dashboards.figures.plan import (
    PlanInfo,
    get_plan_info,
    planned_seconds,
    plot_places,
    plot_promise,
)
from dashboards.sweep_maker import SweepMaker
from dashboards.target_form import WantedScale, ask_target
from scaling.design import default_candidates, plan_runs
from scaling.law import Law
from storage.columns import BATCH_TOKENS, FLOPS, PARAMS, SECONDS, TOKENS

MOST_RUNS = 64


def show(sweep_maker: SweepMaker | None = None) -> None:
    """Show the plan for the target that the visitor names.

    Parameters
    ----------
    sweep_maker : makes a sweep file of the plan; without it the plan is a table to download.
    """
    chosen = open_law()
    if chosen is None:
        return
    runs = chosen.runs
    if runs is None:
        st.info("The runs of this law are not in the database; a plan looks at what was done.")
        return
    wanted = ask_target(chosen)
    asked = None if wanted is None else _how_much()
    if wanted is None or asked is None:
        return
    n_runs, budget = asked
    try:
        with st.spinner("Planning the next runs"):
            candidates, refused = _candidates(chosen, sweep_maker)
            plan = _plan(chosen.law, runs, wanted, n_runs, candidates)
    except ValueError as error:
        st.error(str(error))
        return
    info = _within(plan, budget)
    _show_promise(info, n_runs, len(plan.runs), budget)
    if info.runs.empty:
        return
    frame.show_figure(plot_promise(info), "plan-promise", data=lambda: info.runs)
    _show_table(info, runs)
    _show_download(info, chosen, sweep_maker, refused)
    frame.show_figure(plot_places(info), "plan-places")


def _how_much() -> tuple[int, float | None] | None:
    """Ask how many runs, and how much compute at most; None where it cannot be read."""
    left, right = st.columns(2)
    n_runs = left.number_input("Runs at most", 1, MOST_RUNS, 8, key="n", bind="query-params")
    text = right.text_input(
        "Compute at most, FLOP", "", placeholder="no limit", help="1e18",
        key="spend", bind="query-params",
    )  # fmt: skip
    try:
        budget = theme.parse_count(text, "compute in FLOP", "1e18") if text.strip() else None
    except ValueError as error:
        right.error(str(error))
        return None
    return int(n_runs), budget


def _candidates(
    chosen: ChosenLaw, sweep_maker: SweepMaker | None
) -> tuple[pd.DataFrame, str | None]:
    """Return the runs to choose from, and why no sweep file of them can be made, if so."""
    offered = default_candidates(chosen.law)
    if sweep_maker is None:
        return offered, "this dashboard was started without what trains runs"
    try:
        return sweep_maker.buildable(chosen.sweeps, offered, chosen.law.settings), None
    except ValueError as error:
        return offered, str(error)


def _plan(
    law: Law, runs: pd.DataFrame, wanted: WantedScale, n_runs: int, candidates: pd.DataFrame
) -> PlanInfo:
    plan = plan_runs(
        law,
        runs,
        params=wanted.params,
        tokens=wanted.tokens,
        width=wanted.width,
        depth=wanted.depth,
        n_runs=n_runs,
        candidates=candidates,
    )
    predicted = law.predict(wanted.params, wanted.tokens, width=wanted.width, depth=wanted.depth)
    return get_plan_info(plan, law, predicted.target)


def _within(info: PlanInfo, budget: float | None) -> PlanInfo:
    """Keep the runs, best first, whose compute together stays within a budget."""
    if budget is None:
        return info
    return info._replace(runs=info.runs[info.runs["spent"] <= budget])


def _show_promise(info: PlanInfo, n_runs: int, planned: int, budget: float | None) -> None:
    runs = info.runs
    after = info.now_pct if runs.empty else float(runs["expected_regret_pct"].iloc[-1])
    spent = 0.0 if runs.empty else float(runs["spent"].iloc[-1])
    now, later, cost = st.columns(3)
    now.metric("expected regret now", theme.format_percent(info.now_pct))
    now.caption(f"{theme.format_percent(info.floor_pct)} of it stays whatever small runs are done")
    later.metric(f"after {_counted(len(runs))}", theme.format_percent(after))
    cost.metric("for, FLOP", theme.format_flops(spent) if spent else "0")
    if runs.empty and planned:
        st.info("The best next run costs more than the compute that is allowed.")
    elif runs.empty:
        st.info("No run is recommended: more small runs would hardly help, larger ones would.")
    elif planned < n_runs:
        st.info(
            f"Only {_counted(planned)} of the {n_runs} asked for are recommended: more small runs "
            "beyond these would hardly help, larger ones would."
        )
    if budget is not None and 0 < len(runs) < planned:
        st.caption(f"The compute that is allowed pays for {len(runs)} of {planned} planned runs.")


def _show_table(info: PlanInfo, runs: pd.DataFrame) -> None:
    seconds = planned_seconds(info.runs, runs)
    table = info.runs if seconds is None else info.runs.assign(**{SECONDS: seconds})
    # As text: a browser's table does not format numbers above 2^53.
    flops = {name: table[name].map(theme.format_flops) for name in (FLOPS, "spent")}
    st.dataframe(
        table.assign(**flops),
        hide_index=True,
        column_config={
            PARAMS: st.column_config.NumberColumn("N", format="compact"),
            TOKENS: st.column_config.NumberColumn("D", format="compact"),
            FLOPS: st.column_config.TextColumn("FLOP", alignment="right"),
            "spent": st.column_config.TextColumn("FLOP so far", alignment="right"),
            "lr": st.column_config.NumberColumn("learning rate", format="%.3g"),
            BATCH_TOKENS: st.column_config.NumberColumn("batch, tokens", format="localized"),
            SECONDS: st.column_config.NumberColumn("seconds", format="%.0f"),
            "expected_regret_pct": st.column_config.NumberColumn("regret after, %", format="%.3g"),
        },
    )
    if seconds is not None:
        st.caption(
            f"About {theme.format_count(float(seconds.sum()))} seconds one after another, on the "
            "machine that the runs were timed on."
        )


def _show_download(
    info: PlanInfo, chosen: ChosenLaw, sweep_maker: SweepMaker | None, refused: str | None
) -> None:
    """Offer the plan as a sweep file, and as a table; say why where there is no sweep file."""
    left, right = st.columns(2)
    name, text = "", ""
    if sweep_maker is not None and refused is None:
        try:
            name, text = sweep_maker.sweep_file(chosen.sweeps, info.runs)
        except ValueError as error:
            refused = str(error)
    if text:
        left.download_button(
            "Download as a sweep file", text, file_name=f"{name}.yaml", mime="text/yaml",
            key="plan-sweep", type="primary", on_click="ignore",
        )  # fmt: skip
        together = " ".join(f"--sweep {sweep}" for sweep in (*chosen.sweeps, name))
        st.code(
            f"{session.command(f'sweep launch {name}.yaml')}\n"
            f"{session.command(f'law fit {together}')}",
            language="bash",
        )
        with st.expander("The sweep file"):
            st.code(text, language="yaml")
    else:
        left.info(f"No sweep file can be made of these runs: {refused}")
    right.download_button(
        "Download as CSV", info.runs.to_csv(index=False), file_name=f"{_stem(chosen)}.csv",
        mime="text/csv", key="plan-csv", on_click="ignore",
    )  # fmt: skip


def _stem(chosen: ChosenLaw) -> str:
    """Return the stem of the file that a plan is downloaded as."""
    return f"{'-'.join(chosen.sweeps) or chosen.law.name}-plan"


def _counted(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"
