"""The form of the Predict page: the target, and what cannot be chosen of its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import streamlit as st

from dashboards import theme
from dashboards.chosen_law import ChosenLaw
from dashboards.report_text import setting_title
from dashboards.target_form import WantedScale, ask_target
from scaling.law import Law
from storage.columns import BATCH_TOKENS, WEIGHT_DECAY

DEFAULT_CONTEXT: Final = 2048  # tokens


@dataclass(frozen=True)
class Wanted:
    """What is asked.

    Attributes
    ----------
    scale : the target.
    batch_tokens, weight_decay : settled by the visitor; None where the law may choose.
    context : tokens of a sequence.
    """

    scale: WantedScale
    batch_tokens: float | None
    weight_decay: float | None
    context: int


def ask(chosen: ChosenLaw) -> Wanted | None:
    """Show the form and return what it asks; None where it cannot be read, which is said."""
    scale = ask_target(chosen)
    if scale is None:
        return None
    try:
        return _with_settled(chosen.law, scale)
    except ValueError as error:
        st.error(str(error))
        return None


def _with_settled(law: Law, scale: WantedScale) -> Wanted:
    """Ask for what cannot be chosen, and for the context length."""
    places = st.columns(3)
    context = int(
        places[0].number_input(
            "Context, tokens a sequence", 1, None, DEFAULT_CONTEXT,
            key="context", bind="query-params",
        )
    )  # fmt: skip
    settled: dict[str, float | None] = {BATCH_TOKENS: None, WEIGHT_DECAY: None}
    asked = [BATCH_TOKENS, *([WEIGHT_DECAY] if WEIGHT_DECAY in law.settings else [])]
    for place, name in zip(places[1:], asked, strict=False):
        text = place.text_input(
            f"Given {setting_title(name)}", "", placeholder="as predicted",
            help="Fill in where it cannot be chosen" + (", in tokens" * (name == BATCH_TOKENS)),
            key="batch" if name == BATCH_TOKENS else "decay", bind="query-params",
        )  # fmt: skip
        if text.strip():
            such_as = "2M or 1048576" if name == BATCH_TOKENS else "0.1"
            settled[name] = theme.parse_count(text, setting_title(name), such_as)
    return Wanted(scale, settled[BATCH_TOKENS], settled[WEIGHT_DECAY], context)
