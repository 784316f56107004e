"""The plots of the Explore page, a tab each; only the one that is open is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboards import frame, session
from dashboards.figures.curves import MAX_CURVES, get_curves_info, plot_curves
from dashboards.figures.edf import get_edf_info, plot_edf
from dashboards.figures.measured import thin
from dashboards.figures.parallel_coordinates import (
    get_parallel_coordinates_info,
    plot_parallel_coordinates,
)
from dashboards.figures.pareto import Cost, get_pareto_info, plot_pareto
from dashboards.figures.slices import MAX_PANELS, get_slices_info, plot_slices
from dashboards.filters import scale_labels
from dashboards.objective import FLOPS_THEN, LOSS_THEN, SECONDS_THEN, Objective
from dashboards.settings import Setting, varies
from scaling.errors import LawError
from storage.columns import PARAMS, RUN_ID, STATUS, TOKENS

if TYPE_CHECKING:
    from dashboards.figures.contour import ContourInfo
    from dashboards.figures.importance import ImportanceInfo
    from scaling.law import Law

PLOT = "plot"
LAW_RUNS = 5_000
"""A law of more runs takes too long to fit for a plot beside others; the Laws page fits it."""
COSTS: Final[dict[str, Cost]] = {"compute": "flops", "time": "seconds"}


class Shown(NamedTuple):
    """What every plot and the table are given.

    Attributes
    ----------
    runs : the filtered runs with what they are compared by.
    settings : those that vary among all runs.
    sweeps : that the runs are of, the chosen one first.
    all_runs : of these sweeps, as they are before the filters.
    """

    runs: pd.DataFrame
    settings: tuple[Setting, ...]
    objective: Objective
    sweeps: tuple[str, ...]
    all_runs: pd.DataFrame

    @property
    def varying(self) -> tuple[Setting, ...]:
        """The settings of which the filters have left more than one value."""
        return tuple(s for s in self.settings if varies(self.runs[s.name]))


def show_plots(shown: Shown) -> None:
    """Show the tabs, and draw the one that is open."""
    plots: dict[str, Callable[[Shown], None]] = {
        "Slices": _slices,
        "Parallel": _parallel,
        "Importance": _importance,
        "Contour": _contour,
        "Distribution": _distribution,
        "Pareto": _pareto,
        "Curves": _curves,
    }
    for tab, draw in zip(
        st.tabs(list(plots), key=PLOT, bind="query-params"), plots.values(), strict=True
    ):
        if tab.open:
            with tab:
                draw(shown)


def _parallel(shown: Shown) -> None:
    if not _has_losses(shown):
        return
    info = get_parallel_coordinates_info(shown.runs, shown.varying, shown.objective)
    frame.show_figure(plot_parallel_coordinates(info), "parallel", data=lambda: info.runs)
    st.caption(
        "Blue runs are the best. Drag along an axis to pick out runs, drag its name to move it; a "
        "click on the axis lets them go."
    )


def _importance(shown: Shown) -> None:
    from dashboards.figures.importance import LEVEL, WEAK, TooFewRunsError, plot_importance

    columns = [PARAMS, TOKENS, STATUS, LOSS_THEN, *(setting.name for setting in shown.varying)]
    try:
        info = _learned(shown.runs[columns], shown.varying)
    except TooFewRunsError as error:
        st.info(f"{str(error).capitalize()}.")
        return
    frame.show_figure(
        plot_importance(info), "importance", data=lambda: pd.DataFrame(list(info.settings))
    )
    sample = f" (a sample of {info.n_all:,})" * (info.n_runs < info.n_all)
    st.caption(
        f"Random forests on {info.n_runs:,} runs{sample}, scales set apart and "
        f"{info.n_diverged:,} diverged runs counted as the highest loss, explain "
        f"{info.explained:.0f} % of the variance of runs left out. Lines hold {LEVEL:.0%} of "
        "forests; grey bars cannot be told from chance. Filter to the best 25 % to see what "
        "matters near the optimum."
    )
    if info.explained < 100 * WEAK:
        st.warning(
            "The settings explain little of how these runs differ, so their order says little: "
            "there are too few runs, or the differences are noise from seed to seed."
        )


@st.cache_data(max_entries=32, show_spinner="Growing forests")
def _learned(runs: pd.DataFrame, settings: tuple[Setting, ...]) -> ImportanceInfo:
    from dashboards.figures.importance import get_importance_info

    return get_importance_info(runs, settings)


def _slices(shown: Shown) -> None:
    if not _has_losses(shown) or not _varies(shown):
        return
    info = get_slices_info(shown.runs, shown.varying, shown.objective)
    frame.show_figure(plot_slices(info), "slices", data=lambda: info.points)
    if info.n_settings > MAX_PANELS:
        st.caption(f"The first {MAX_PANELS} of {info.n_settings} settings.")


def _contour(shown: Shown) -> None:
    from dashboards.figures.contour import NoContourError, get_contour_info, plot_contour

    numbers = {s.name: s for s in shown.varying if s.kind != "category"}
    if len(numbers) < 2:
        st.info("A contour needs two settings that are numbers and vary; these runs have fewer.")
        return
    scales = scale_labels(shown.runs[shown.runs[LOSS_THEN].notna()])
    if not scales:
        st.info("None of these runs has a loss; widen the filters.")
        return
    titles = {name: setting.title for name, setting in numbers.items()}
    first, second, third = st.columns(3)
    x = first.selectbox(
        "Across", titles, format_func=lambda name: titles[name], key="x", bind="query-params"
    )
    rest = [name for name in titles if name != x]
    y = second.selectbox(
        "Up", rest, format_func=lambda name: titles[name], key="y", bind="query-params"
    )
    labels = list(scales)
    label = third.selectbox(
        "Scale", labels, index=len(labels) - 1, key="at-scale", bind="query-params"
    )
    law = _law_over(shown, numbers[x], numbers[y])
    try:
        info = get_contour_info(shown.runs, numbers[x], numbers[y], scales[label], law=law)
    except NoContourError as error:
        st.info(f"{str(error).capitalize()}.")
        return
    frame.show_figure(plot_contour(info), "contour", data=lambda: info.points)
    st.caption(_contour_words(info, shown))


def _law_over(shown: Shown, x: Setting, y: Setting) -> Law | None:
    """Return the sweep's law where it is about these losses and quickly fitted."""
    from dashboards.figures.contour import placed_by

    (sweep, *others) = shown.sweeps
    if others or shown.objective.needs_curves or len(session.runs(sweep)) > LAW_RUNS:
        return None
    try:
        law = session.law(sweep)
    except LawError:
        return None
    return law if placed_by(law, x, y) else None


def _contour_words(info: ContourInfo, shown: Shown) -> str:
    if info.optimum is not None:
        surface, least = (
            f"The surface is the law of all runs of {shown.sweeps[0]}",
            "its least here",
        )
    else:
        surface = "The surface is interpolated between these runs, as smooth as predicts best"
        least = "the best run"
    return (
        f"{surface}; losses are in % above {info.reference:.4f} nats a token, {least}. "
        "Dots are runs in the colour of their own loss, × those without one."
    )


def _distribution(shown: Shown) -> None:
    if _has_losses(shown):
        info = get_edf_info(shown.runs, shown.objective)
        frame.show_figure(
            plot_edf(info),
            "distribution",
            data=lambda: pd.concat(
                pd.DataFrame({"runs": line.label, "value": line.value, "share": line.share})
                for line in info.lines
            ),
        )


def _pareto(shown: Shown) -> None:
    known = [
        name
        for name, column in zip(COSTS, (FLOPS_THEN, SECONDS_THEN), strict=True)
        if shown.runs[column].notna().any()
    ]
    if not _has_losses(shown):
        return
    cost = COSTS[str(st.radio("Cost", known, horizontal=True, key="cost", bind="query-params"))]
    info = get_pareto_info(shown.runs, cost, shown.objective)
    frame.show_figure(plot_pareto(info), "pareto", data=lambda: info.front)


def _curves(shown: Shown) -> None:
    chosen = thin(shown.runs, MAX_CURVES)
    info = get_curves_info(chosen, session.curves(tuple(chosen[RUN_ID].astype(str))))
    if not info.curves:
        st.info("These runs have no learning curves; runs of a sweep launched here keep theirs.")
        return
    frame.show_figure(plot_curves(info), "curves")
    if len(chosen) < len(shown.runs):
        st.caption(
            f"{len(info.curves)} of {len(shown.runs):,} runs: the best of each scale, and others "
            "evenly by what they reached."
        )


def _has_losses(shown: Shown) -> bool:
    if np.isfinite(shown.runs[LOSS_THEN].to_numpy(dtype=float)).any():
        return True
    st.info(f"None of these runs has a {shown.objective.loss_title}; widen the filters.")
    return False


def _varies(shown: Shown) -> bool:
    if not shown.varying:
        st.info("All of these runs have the same settings.")
    return bool(shown.varying)
