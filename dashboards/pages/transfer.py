"""Transfer: whether the best setting of a small model is the best one of a large model."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import frame, session
from dashboards.figures.basins import get_basins_info, plot_basins
from dashboards.figures.drift import DriftInfo, get_drift_info, plot_drift
from dashboards.pages.transfer_checks import only_checks, show_checks
from dashboards.transfer_cost import cost_row, get_transfer_cost
from scaling.errors import LawError
from scaling.law import Law
from storage.columns import LR, PARAMETRIZATION

BESIDE = "beside"
BY_LAW, BY_CHECK = "What the runs say", "Checks of models"


def show() -> None:
    """Show how the optimum of the chosen sweep moves with size, or checks of any model."""
    if only_checks():
        st.title("Checks of transfer")
        show_checks()
        return
    opened = frame.open_sweep()
    if opened is None:
        return
    part = st.segmented_control(
        "Part", [BY_LAW, BY_CHECK], default=BY_LAW, required=True, key="part",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    if part == BY_CHECK:
        show_checks()
    elif frame.need_runs(opened.name) is not None:
        _show_by_law(opened.name, opened.sweeps["name"].tolist())


def _show_by_law(sweep: str, sweeps: list[str]) -> None:
    """Show what the laws of one sweep, and of those beside it, say of the drift."""
    others = [name for name in reversed(sweeps) if name != sweep]
    beside = st.multiselect(
        "Compare with",
        others,
        placeholder="sweeps of another parametrization",
        key=BESIDE,
        bind="query-params",
        max_selections=3,
    )
    groups = _groups([sweep, *beside])
    laws: dict[str, Law] = {}
    for name, (of_sweep, parametrization, _) in groups.items():
        try:
            laws[name] = session.law(of_sweep, parametrization)
        except LawError as error:
            frame.say_no_law(error, name)
    if not laws:
        return
    _show_drift(get_drift_info(laws))
    _show_costs(laws, {name: groups[name][2] for name in laws})
    for name, law in laws.items():
        st.subheader("Basins" if len(laws) == 1 else f"Basins of {name}")
        drawn = plot_basins(get_basins_info(groups[name][2], law))
        frame.show_figure(drawn, f"basins-{name}")


def _groups(sweeps: list[str]) -> dict[str, tuple[str, str | None, pd.DataFrame]]:
    """Return sweep, parametrization and runs of each law to fit, by a name for it."""
    found: dict[str, tuple[str, str | None, pd.DataFrame]] = {}
    for sweep in sweeps:
        runs = session.runs(sweep)
        kinds = sorted(runs[PARAMETRIZATION].dropna().unique()) if PARAMETRIZATION in runs else []
        if len(kinds) < 2:
            name = f"{sweep} ({kinds[0]})" if kinds else sweep
            found[name] = (sweep, None, runs)
        for kind in kinds if len(kinds) > 1 else ():
            own = runs[runs[PARAMETRIZATION] == kind]
            found[f"{sweep} ({kind})"] = (sweep, str(kind), own)
    return found


def _show_drift(info: DriftInfo) -> None:
    st.subheader("Does the optimum move as the model grows?")
    if not info.rows:
        st.info(
            "A law on compute alone does not tell size from data, so it has no drift with size."
        )
        return
    for row in info.rows:
        if row.setting == LR:
            st.write(
                f"**{row.law}**: the best {row.label.replace(' as', ' moves as', 1)} by "
                f"{row.octaves:+.2f} octaves ({row.low:+.2f} to {row.high:+.2f}): {row.verdict}."
            )
    frame.show_figure(plot_drift(info), "drift", data=lambda: pd.DataFrame(info.rows))
    st.caption(
        "With 90 % intervals, at a fixed number of tokens. At 1 octave the optimum doubles with "
        "the size, at −1 it halves; within the band it stays put for practical purposes."
    )


def _show_costs(laws: dict[str, Law], runs: dict[str, pd.DataFrame]) -> None:
    st.subheader("What it costs to copy the smallest size's optimum to the largest")
    rows = [
        cost_row(name, get_transfer_cost(law, runs[name], settings))
        for name, law in laws.items()
        for settings in dict.fromkeys([(LR,), law.settings])
    ]
    table = pd.DataFrame(rows)
    st.dataframe(
        table if len(laws) > 1 else table.drop(columns="law"), hide_index=True, key="costs"
    )
    st.caption(
        "Regret is the loss above that at the largest size's own optimum, in %: expected, with a "
        "90 % interval, over what the law does not know. Measured: the run of the largest size "
        "nearest to the copied setting, over its best run."
    )
