"""Predict: what a model too big to tune should use, by the law of a sweep's runs."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Literal

import pandas as pd
import streamlit as st

from dashboards import frame, theme
from dashboards.chosen_law import ChosenLaw, open_law
from dashboards.figures.prediction import get_prediction_info, plot_prediction
from dashboards.pages import predict_target
from dashboards.pages.predict_config import show_configuration
from dashboards.pages.predict_target import Wanted
from dashboards.pages.predict_what_if import show_what_if
from dashboards.report_text import Answer as Card
from dashboards.report_text import answers, extrapolation
from scaling.adjusted import Answer, answer
from scaling.errors import LawError
from scaling.law import Law
from scaling.prediction import Prediction
from scaling.published_law import experts_of
from storage.columns import BATCH_TOKENS, WEIGHT_DECAY

CARDS_A_ROW = 5
TONES: dict[str, Literal["green", "orange", "red"]] = {
    "near": "green",
    "far": "orange",
    "very-far": "red",
}
"""Colours of the badge that says how far the target lies beyond the runs."""


def show() -> None:
    """Show the prediction for the target that the visitor names."""
    chosen = open_law()
    if chosen is None:
        return
    wanted = predict_target.ask(chosen)
    if wanted is None:
        return
    try:
        answered = answer(
            chosen.law,
            chosen.runs,
            params=wanted.scale.params,
            tokens=wanted.scale.tokens,
            width=wanted.scale.width,
            depth=wanted.scale.depth,
            batch_tokens=wanted.batch_tokens,
            weight_decay=wanted.weight_decay,
        )
    except LawError as error:
        st.error(str(error))
        return
    _show_answer(answered, wanted)
    _show_published(answered.prediction, chosen.law, chosen.runs)
    show_what_if(chosen.law, answered.prediction, wanted)
    show_configuration(answered, chosen.runs, wanted)
    _show_grounds(answered.prediction, chosen)


def _show_answer(answered: Answer, wanted: Wanted) -> None:
    prediction = answered.prediction
    cards = [_with_sequences(card, prediction, wanted.context) for card in answers(prediction)]
    cards[-2:-2] = [
        Card("weight decay", theme.format_rate(decay), f"by the {rule.rule}")
        for rule in answered.rules
        if (decay := rule.adjusted(WEIGHT_DECAY)) is not None
    ]
    for start in range(0, len(cards), CARDS_A_ROW):
        row = cards[start : start + CARDS_A_ROW]
        for column, card in zip(st.columns(len(row)), row, strict=True):
            column.metric(card.label, card.value)
            column.caption(card.interval)
    distance = extrapolation(prediction)
    times = prediction.extrapolation
    inside = max(times.params, times.tokens, times.flops) <= 1
    badge = "measured range" if inside else f"{theme.format_times(times.flops)} the compute"
    st.badge(badge, color=TONES[distance.tone])
    st.caption(f"The target is {distance.text}. {prediction.level:.0%} intervals.")
    for note in prediction.notes:
        st.info(note)
    for rule in answered.rules:
        adjusted: dict[str, float] = asdict(rule)["values"]
        values = ", ".join(
            f"{name} {theme.format_setting(name, value)}" for name, value in adjusted.items()
        )
        read = "" if rule.checked else ", quoted second-hand"
        st.caption(f"{values} by the {rule.rule} ({rule.source}{read}).")
    for warning in prediction.warnings:
        st.warning(warning)


def _with_sequences(card: Card, prediction: Prediction, context: int) -> Card:
    """Say of the batch how many sequences it is."""
    batch = prediction.optimum.get(BATCH_TOKENS)
    if batch is None or not card.label.startswith("batch"):
        return card
    counts = [round(tokens / context) for tokens in (batch.value, batch.low, batch.high)]
    sequences = f"{counts[0]:,} sequence{'s' * (counts[0] != 1)} ({counts[1]:,} – {counts[2]:,})"
    if batch.value < context:
        sequences = "less than one sequence"
    return card._replace(interval=f"{card.interval} tokens; {sequences}")


def _show_published(prediction: Prediction, law: Law, runs: pd.DataFrame | None) -> None:
    if not prediction.optimum:
        return
    st.subheader("Beside published laws")
    info = get_prediction_info(
        prediction, law, experts=math.nan if runs is None else experts_of(runs)
    )
    drawn = plot_prediction(info)
    theme.take_title(drawn)
    table = pd.DataFrame(
        [
            (setting.setting, name, value)
            for setting in info.settings
            for name, value in [("this law", setting.interval.value), *setting.published]
        ],
        columns=["setting", "law", "value"],
    )
    frame.show_figure(drawn, "prediction", data=lambda: table)


def _show_grounds(prediction: Prediction, chosen: ChosenLaw) -> None:
    law = prediction.law
    where = f"sweep {theme.listed(chosen.sweeps)}" if chosen.sweeps else "runs of a file"
    st.caption(
        f"Law of {law.runs} runs of {law.scales} scales ({where}). The address of this page "
        "holds the target: the link shows the same."
    )
