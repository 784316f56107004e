"""Laws: the law of a sweep's runs, how well it holds, and the published ones beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd
import streamlit as st

from dashboards import frame, session, theme
from dashboards.chosen_law import ChosenLaw, open_law
from dashboards.figures.basins import get_basins_info, plot_basins
from dashboards.figures.law import LawInfo, get_law_info, plot_law
from dashboards.figures.published import get_published_info, plot_published
from dashboards.figures.residuals import get_residuals_info, plot_residuals
from dashboards.pages.laws_checks import show_backtest
from dashboards.pages.laws_isoflop import show_isoflop
from dashboards.report_text import comparison_rows, not_compared, scale_rows, setting_title
from scaling.axes import listed, shape_axes
from scaling.backtest import compare
from scaling.errors import LawError
from scaling.law import Law
from scaling.scales import scale_numbers

MOST_DRAWN = 5_000  # runs drawn one by one; more make a page slow and no clearer
NEEDS_RUNS = "This needs the runs behind the law, and the database does not have them."


def show() -> None:
    """Show one section of what there is to say of the chosen law; only that one is computed."""
    chosen = open_law()
    if chosen is None:
        return
    for warning in chosen.law.warnings:
        st.warning(warning)
    name = st.segmented_control(
        "Section", list(SECTIONS), default=OPTIMUM, required=True, key="view",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    section = SECTIONS[name]
    st.caption(section.caption)
    if section.needs_runs and chosen.runs is None:
        st.info(NEEDS_RUNS)
        return
    try:
        section.show(chosen)
    except LawError as error:
        st.info(f"This cannot be shown: {error}")


def _runs(chosen: ChosenLaw) -> pd.DataFrame:
    assert chosen.runs is not None, "sections that need runs are not shown without"
    return chosen.runs


def _shown(chosen: ChosenLaw) -> pd.DataFrame:
    """Return the runs to draw one by one: all, or of very many the same share of each scale."""
    runs = _runs(chosen)
    if len(runs) <= MOST_DRAWN:
        return runs
    st.caption(f"{MOST_DRAWN:,} of {len(runs):,} runs are shown, the same share of each scale.")
    drawn: pd.DataFrame = runs.groupby(scale_numbers(runs)).sample(
        frac=MOST_DRAWN / len(runs), random_state=0
    )
    return drawn


def _show_optimum(chosen: ChosenLaw) -> None:
    law = chosen.law
    for setting in law.settings:
        st.subheader(f"Best {setting_title(setting)}")
        st.code(law.formula(setting), language=None)
        if chosen.runs is not None:
            info = get_law_info(law, chosen.runs, setting)
            frame.show_figure(plot_law(info), f"law-{setting}", data=partial(_path, info))
    _show_drift(law)


def _path(info: LawInfo) -> pd.DataFrame:
    path = info.path
    return pd.DataFrame(
        {info.axis: path.along, info.setting: path.value, "low": path.low, "high": path.high}
    )


def _show_drift(law: Law) -> None:
    """Say how far each optimum moves as the model doubles, and whether it stays put."""
    st.subheader("Drift as the model grows")
    drifts = law.drift()
    if not drifts:
        st.info("A law on compute does not tell size from data, and so no drift.")
        return
    verdicts = {True: "stays put", False: "moves", None: "the runs cannot tell"}
    st.dataframe(
        [
            {
                "optimum of": setting_title(drift.setting),
                "a doubling of": drift.axis,
                "it": verdicts[drift.holds],
                "octaves": f"{drift.octaves.value:+.3f}",
                "90 % interval": f"{drift.octaves.low:+.3f} to {drift.octaves.high:+.3f}",
            }
            for drift in drifts
        ],
        hide_index=True,
    )
    if law.mu_parametrized:
        st.caption(
            "The runs are under muP or one of its kin, where the learning rate is meant to stay."
        )


def _show_surface(chosen: ChosenLaw) -> None:
    frame.show_figure(plot_basins(get_basins_info(_shown(chosen), chosen.law)), "basins")


def _show_constants(chosen: ChosenLaw) -> None:
    law = chosen.law
    terms = law.terms()
    st.dataframe(
        terms,
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.4g") for name in ("value", "low", "high")
        },
    )
    _download(terms, "terms")
    st.subheader("Scales it stands on")
    headings = ("N", "D", "D/N", "FLOP", "runs", "diverged", "best loss")
    st.dataframe(
        [dict(zip(headings, row, strict=True)) for row in scale_rows(law.scales)], hide_index=True
    )
    st.caption(f"Noise from run to run of one setting: {theme.format_percent(law.noise_pct)}.")
    st.subheader("Forms that were tried")
    st.dataframe(
        [
            {
                "scale by": listed(form.axes),
                "error on the largest scales, left out": (
                    "not judged" if form.error_pct is None else theme.format_percent(form.error_pct)
                ),
                "": "chosen" if form.chosen else _how_to_choose(form.axes, chosen.sweeps),
            }
            for form in law.forms
        ],
        hide_index=True,
    )


def _how_to_choose(axes: tuple[str, ...], sweeps: tuple[str, ...]) -> str:
    """Return what to type for a law on a shape; runs that are in no sweep are the reader's."""
    if not shape_axes(axes):
        return ""
    flag = f"--axes {','.join(axes)}"
    if not sweeps:
        return f"by law fit with {flag}"
    return session.command(f"law fit {' '.join(f'--sweep {name}' for name in sweeps)} {flag}")


def _show_residuals(chosen: ChosenLaw) -> None:
    info = get_residuals_info(chosen.law, _shown(chosen))
    st.write(
        f"{info.within:.0%} of the runs lie in the band that should hold 90 %. The law trusts runs "
        "near the optimum most."
    )
    frame.show_figure(plot_residuals(info), "residuals", data=lambda: info.points)


def _show_published(chosen: ChosenLaw) -> None:
    law = chosen.law
    comparison = _compared(law, _runs(chosen), (law.name, *chosen.stamps))
    frame.show_figure(
        plot_published(get_published_info(comparison, law.name)),
        "published",
        data=lambda: comparison,
    )
    st.caption(not_compared(comparison))
    headings = ("law", "mean gap", "worst", "on a smooth surface", "formula", "source")
    st.dataframe(
        [dict(zip(headings, row, strict=True)) for row in comparison_rows(comparison, law)],
        hide_index=True,
    )


@st.cache_resource(max_entries=session.KEPT_FRAMES, show_spinner="Asking published laws")
def _compared(_law: Law, _runs: pd.DataFrame, key: tuple[str, ...]) -> pd.DataFrame:
    return compare(_law, _runs)


def _download(table: pd.DataFrame, name: str) -> None:
    st.download_button(
        "CSV", table.to_csv(index=False), file_name=f"{name}.csv", mime="text/csv",
        key=f"{name}-csv", type="tertiary", on_click="ignore",
    )  # fmt: skip


@dataclass(frozen=True)
class Section:
    """One view of a law.

    Attributes
    ----------
    caption : what is to be seen in it.
    show : draws it; LawError where it cannot be.
    needs_runs : whether it needs the runs behind the law.
    """

    caption: str
    show: Callable[[ChosenLaw], None]
    needs_runs: bool = True


OPTIMUM = "optimum"
SECTIONS = {
    OPTIMUM: Section(
        "Where the law puts the optimum as scale grows; the band is its 90 % interval, the grey "
        "lines are published laws.",
        _show_optimum,
        needs_runs=False,
    ),
    "loss surface": Section(
        "Every run, and the law's basin at each scale's best batch. Faint runs have other batches.",
        _show_surface,
    ),
    "isoFLOP": Section(
        "What size a compute should be spent on: a law of the best loss of each scale, apart from "
        "the law of the optimum.",
        show_isoflop,
    ),
    "residuals": Section("What the law leaves unexplained, run by run.", _show_residuals),
    "backtest": Section(
        "The law fitted again without the largest scales, and judged on them.", show_backtest
    ),
    "published laws": Section(
        "What each law's setting costs at each measured scale. This law and the best constant were "
        "fitted to these very runs. Dots are open outside the range that a law was fitted to.",
        _show_published,
    ),
    "constants": Section(
        "The law's constants with 90 % intervals, and what it stands on.",
        _show_constants,
        needs_runs=False,
    ),
}
