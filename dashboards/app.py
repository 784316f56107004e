"""The dashboard: the sweeps of a database, their figures, and predictions for any target.

    streamlit run dashboards/app.py -- --db hyperlaw.db

`dashboards.launch.serve` starts it with the right options. It only reads the database.
"""

from __future__ import annotations

import argparse
import os

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboards import theme
from dashboards.figures.basins import get_basins_info, plot_basins
from dashboards.figures.curves import get_curves_info, plot_curves
from dashboards.figures.held_out import get_held_out_info, plot_held_out
from dashboards.figures.law import get_law_info, plot_law
from dashboards.figures.prediction import get_prediction_info, plot_prediction
from dashboards.figures.published import get_published_info, plot_published
from dashboards.figures.residuals import get_residuals_info, plot_residuals
from dashboards.report_text import (
    answers,
    extrapolation,
    held_out_sentence,
    not_compared,
    status_counts,
)
from scaling.backtest import HeldOut, compare, held_out
from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.law import Law
from scaling.prediction import Prediction
from scaling.published_law import experts_of
from storage.columns import PARAMS, RUN_ID, TOKENS
from storage.curves import Curve
from storage.store import NotFoundError, Store, StoreError

DEFAULT_DATABASE = "hyperlaw.db"
TARGET_TIMES = 10  # the form's first suggestion: this many times the largest size
TABS = ("Basins", "Learning curves", "Law", "Held-out check", "Published laws", "Runs")


def main() -> None:
    """Show one sweep of the database, or what to do where there is none."""
    st.set_page_config(page_title="hyperlaw", layout="wide")
    database = _database()
    try:
        with Store.open(database, create=False) as store:
            sweeps = store.sweeps()
            if sweeps.empty:
                _nothing_yet("This database has no sweep yet.")
                return
            chosen = _choose(sweeps)
            runs = store.runs(chosen)
            curves = store.curves([str(run_id) for run_id in runs[RUN_ID]])
            spec_text = store.sweep(chosen).spec_text
    except NotFoundError as error:
        _nothing_yet(str(error))
        return
    except StoreError as error:
        st.error(str(error))
        return
    state = str(sweeps.set_index("name").loc[chosen, "state"])
    _show_sweep(chosen, state, runs, curves, spec_text)


def _database() -> str:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--db", default=os.environ.get("HYPERLAW_DB") or DEFAULT_DATABASE)
    known, _ = parser.parse_known_args()
    return str(known.db)


def _nothing_yet(why: str) -> None:
    st.title("hyperlaw")
    st.info(f"{why} Start with one of these, then reload this page.")
    st.code(
        "hyperlaw demo                        # a small sweep, from training to prediction\n"
        "hyperlaw sweep launch sweep.yaml     # your own sweep\n"
        "hyperlaw import csv runs.csv         # runs that you already have",
        language="bash",
    )


def _choose(sweeps: pd.DataFrame) -> str:
    newest_first = list(reversed(sweeps["name"].tolist()))
    # A small sweep that checks a law is newer than the law's own, and has less to show.
    largest = str(sweeps["name"].iloc[int(sweeps["runs"].to_numpy().argmax())])
    st.sidebar.title("hyperlaw")
    first = newest_first.index(largest)
    chosen = st.sidebar.selectbox("Sweep", newest_first, index=first, key="sweep")
    st.sidebar.button("Reload", help="Read the database again")
    return str(chosen)


def _show_sweep(
    name: str, state: str, runs: pd.DataFrame, curves: dict[str, Curve], spec_text: str
) -> None:
    st.title(name)
    if runs.empty:
        st.info(f"This sweep is {state}, and none of its runs has ended yet. Reload in a while.")
        return
    st.caption(f"{state} · {status_counts(runs)}")
    law: Law | None = None
    try:
        law = _fit(runs)
    except LawError as error:
        st.warning(f"There is no law yet: {error}")
    if law is not None:
        _show_prediction(name, law, experts_of(runs))
    for tab, title in zip(st.tabs(TABS), TABS, strict=True):
        with tab:
            if title == "Runs":
                st.dataframe(runs, hide_index=True)
                if spec_text:
                    st.code(spec_text, language="yaml")
            elif title == "Learning curves":
                _show_curves(runs, curves)
            elif law is None:
                st.info("This needs a law, and so more runs; the message above says which.")
            elif title == "Basins":
                _show_figure(plot_basins(get_basins_info(runs, law)), title)
            elif title == "Law":
                _show_law(law, runs)
            elif title == "Held-out check":
                _show_held_out(runs)
            else:
                _show_published(law, runs)


@st.cache_data(max_entries=16, show_spinner="Fitting the law")
def _fit(runs: pd.DataFrame) -> Law:
    return fit_law(runs)


@st.cache_data(max_entries=16, show_spinner="Checking the law on the largest scale")
def _check_on_largest(runs: pd.DataFrame) -> tuple[HeldOut, Law]:
    """Fit without the largest scale, and check the law on it."""
    scale = runs[[PARAMS, TOKENS]].to_numpy(dtype=float)
    largest = (scale == scale[scale.prod(axis=1).argmax()]).all(axis=1)
    law = fit_law(runs[~largest])
    return held_out(law, runs[largest]), law


def _show_prediction(name: str, law: Law, experts: float) -> None:
    largest = law.scales.iloc[int(law.scales["flops"].to_numpy().argmax())]
    ratio = float(largest[TOKENS] / largest[PARAMS])
    params = float(law.scales[PARAMS].max()) * TARGET_TIMES
    st.subheader("Predict")
    with st.form(f"target-{name}"):
        left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
        params_text = left.text_input("Parameters", theme.format_count(params), help="7B, 7e9")
        tokens_text = middle.text_input("Tokens", theme.format_count(params * ratio), help="140B")
        right.form_submit_button("Predict", type="primary", width="stretch")
    try:
        prediction = law.predict(theme.parse_count(params_text), theme.parse_count(tokens_text))
    except ValueError as error:
        st.error(str(error))
        return
    _show_answer(prediction, law, experts)


def _show_answer(prediction: Prediction, law: Law, experts: float) -> None:
    cards = answers(prediction)
    for column, card in zip(st.columns(len(cards)), cards, strict=True):
        column.metric(card.label, card.value)
        column.caption(card.interval)
    st.caption(f"{prediction.level:.0%} intervals; {extrapolation(prediction).text}.")
    for note in prediction.notes:
        st.info(note)
    for warning in prediction.warnings:
        st.warning(warning)
    drawn = plot_prediction(get_prediction_info(prediction, law, experts=experts))
    theme.take_title(drawn)
    _show_figure(drawn, "prediction")


def _show_curves(runs: pd.DataFrame, curves: dict[str, Curve]) -> None:
    info = get_curves_info(runs, curves)
    if info.curves:
        _show_figure(plot_curves(info), "curves")
    else:
        st.info("These runs have no learning curves; runs of a sweep launched here keep theirs.")


def _show_law(law: Law, runs: pd.DataFrame) -> None:
    for setting in law.settings:
        st.code(law.formula(setting), language=None)
        _show_figure(plot_law(get_law_info(law, runs, setting)), f"law-{setting}")
    st.dataframe(law.terms(), hide_index=True)
    _show_figure(plot_residuals(get_residuals_info(law, runs)), "residuals")


def _show_held_out(runs: pd.DataFrame) -> None:
    try:
        check, law = _check_on_largest(runs)
    except LawError as error:
        st.info(f"A check that leaves the largest scale out is not possible yet: {error}")
        return
    st.write(f"Fitted without the largest scale. {held_out_sentence(check)}")
    drawn = plot_held_out(get_held_out_info(check, law))
    theme.take_title(drawn)
    _show_figure(drawn, "held-out")


def _show_published(law: Law, runs: pd.DataFrame) -> None:
    comparison = compare(law, runs)
    st.write(
        "This law and the best constant were fitted to these very runs. Dots are open outside the "
        "range that a published law was fitted to."
    )
    _show_figure(plot_published(get_published_info(comparison, law.name)), "published")
    st.caption(not_compared(comparison))


def _show_figure(drawn: go.Figure, key: str) -> None:
    drawn.update_layout(template=theme.template("dark" if _is_dark() else "light"))
    drawn.update_layout(paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
    st.plotly_chart(drawn, theme=None, key=key, config={"displaylogo": False})


def _is_dark() -> bool:
    return st.context.theme.type == "dark"


if __name__ == "__main__":
    main()
