"""Predict: what a model too big to tune should use, by the law of a sweep's runs."""

from __future__ import annotations

import streamlit as st

from dashboards import frame, session, theme
from dashboards.figures.prediction import get_prediction_info, plot_prediction
from dashboards.report_text import answers, extrapolation
from scaling.errors import LawError
from scaling.law import Law
from scaling.prediction import Prediction
from scaling.published_law import experts_of
from storage.columns import PARAMS, TOKENS

TARGET_TIMES = 10  # the form's first suggestion: this many times the largest size


def show() -> None:
    """Show the prediction for the target that the visitor names."""
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
    largest = law.scales.iloc[int(law.scales["flops"].to_numpy().argmax())]
    ratio = float(largest[TOKENS] / largest[PARAMS])
    params = float(law.scales[PARAMS].max()) * TARGET_TIMES
    left, right = st.columns(2)
    params_text = left.text_input(
        "Parameters", theme.format_count(params), help="7B, 7e9", key="params", bind="query-params"
    )
    tokens_text = right.text_input(
        "Tokens", theme.format_count(params * ratio), help="140B", key="tokens", bind="query-params"
    )
    try:
        prediction = law.predict(theme.parse_count(params_text), theme.parse_count(tokens_text))
    except ValueError as error:
        st.error(str(error))
        return
    _show_answer(prediction, law, experts_of(runs))


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
    frame.show_figure(drawn, "prediction")
