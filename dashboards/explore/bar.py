"""The filter bar: the widgets that say which runs are looked at, their state in the URL."""

from __future__ import annotations

import math
from typing import Final

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboards import theme
from dashboards.filters import Filters, scale_labels, steps
from dashboards.objective import Objective, When
from dashboards.settings import Setting
from storage.columns import PARAMS, STATUS, STATUSES, TOKENS

COMPARE, STATUS_KEY, SCALE_KEY, TOP, FIND = "compare", "status", "scale", "top", "find"
BY, WHEN, AT_TOKENS, AT_REPORT = "by", "when", "at-tokens", "at-report"
ONLY = "only-"
"""Before a setting's name, the key of its filter: ?only-lr=0.01&only-lr=0.03."""

NARROW, WIDE = 150, 310  # px; two narrow ones stand side by side on a phone

TOPS: Final = (100, 50, 25, 10, 5, 1)
AUTOMATIC, RELATIVE, RAW = "automatic", "above the best of its scale", "loss"
FINAL, BEST, AFTER, REPORT = "final", "best", "after tokens", "at report"
WHENS: Final[dict[str, When]] = {
    FINAL: "final",
    BEST: "best",
    AFTER: "tokens",
    REPORT: "report",
}


def choose_compared(sweep: str, names: list[str]) -> tuple[str, ...]:
    """Let the visitor add other sweeps to the one that is chosen."""
    others = [name for name in names if name != sweep]
    if not others:
        return (sweep,)
    added = st.multiselect(
        "Compare with", others, key=COMPARE, bind="query-params", placeholder="other sweeps"
    )
    return (sweep, *added)


def choose_filters(
    runs: pd.DataFrame, settings: tuple[Setting, ...], row: DeltaGenerator
) -> Filters:
    """Show the filters of these runs, those of no setting in `row`; return what is asked for."""
    labels = list(scale_labels(runs))
    known = set(runs[STATUS].unique())
    with row:
        scales = st.multiselect(
            "Scales", labels, key=SCALE_KEY, bind="query-params", placeholder="all", width=WIDE
        )
        statuses = st.multiselect(
            "Ended",
            [name for name in STATUSES if name in known],
            key=STATUS_KEY,
            bind="query-params",
            placeholder="in any way",
            width=NARROW,
        )
        top_pct = st.selectbox(
            "Best of scale, %",
            TOPS,
            key=TOP,
            bind="query-params",
            width=NARROW,
        )
        search = st.text_input("Name contains", key=FIND, bind="query-params", width=NARROW)
    choices, ranges = _choose_settings(settings)
    return Filters(
        statuses=tuple(statuses),
        scales=tuple(scales),
        choices=choices,
        ranges=ranges,
        search=search or "",
        top_pct=int(top_pct),
    )


def _choose_settings(
    settings: tuple[Setting, ...],
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[float, float]]]:
    choices: dict[str, tuple[str, ...]] = {}
    ranges: dict[str, tuple[float, float]] = {}
    if not settings:
        return choices, ranges
    with st.expander("Settings", key="settings", bind="query-params"):
        columns = st.columns(3)
        for number, setting in enumerate(settings):
            with columns[number % len(columns)]:
                if setting.choices:
                    if chosen := _choose_choices(setting):
                        choices[setting.name] = chosen
                elif (bounds := _choose_range(setting)) is not None:
                    ranges[setting.name] = bounds
    return choices, ranges


def _choose_choices(setting: Setting) -> tuple[str, ...]:
    options = [setting.text(value) for value in setting.choices]
    chosen = st.multiselect(
        setting.title,
        list(dict.fromkeys(options)),
        key=ONLY + setting.name,
        bind="query-params",
        placeholder="any",
    )
    return tuple(chosen)


def _choose_range(setting: Setting) -> tuple[float, float] | None:
    """Return what a range was narrowed to; None where it is not."""
    places = steps(setting)
    ends = (places[0], places[-1])
    low, high = st.select_slider(
        setting.title,
        places,
        value=ends,
        format_func=setting.text,
        key=ONLY + setting.name,
        bind="query-params",
    )
    return None if (low, high) == ends else (low, high)


def choose_objective(runs: pd.DataFrame, row: DeltaGenerator) -> Objective | None:
    """Let the visitor choose what runs are compared by; None, having said why, if it is wrong."""
    with row:
        measure = st.selectbox(
            "Compare by",
            (AUTOMATIC, RELATIVE, RAW),
            key=BY,
            bind="query-params",
            help=(
                "Losses of different scales do not compare: automatic takes the loss in nats a "
                "token where one scale is shown, and % above the best of its scale where there "
                "are several."
            ),
            width=WIDE,
        )
        moment = st.selectbox("Loss", tuple(WHENS), key=WHEN, bind="query-params", width=NARROW)
        text = "" if moment not in (AFTER, REPORT) else _ask_at(moment, runs)
    point = 0.0
    if moment in (AFTER, REPORT):
        try:
            point = theme.parse_count(text)
        except ValueError:
            point = math.nan
        if math.isnan(point) or (moment == REPORT and point != round(point)):
            kind = (
                "number of tokens; write 2M or 2e6" if moment == AFTER else "report; write 1 or 8"
            )
            st.error(f"'{text}' is no {kind}")
            return None
    several = len(runs[[PARAMS, TOKENS]].drop_duplicates()) > 1
    relative = measure == RELATIVE or (measure == AUTOMATIC and several)
    return Objective(relative, WHENS[moment], point)


def _ask_at(moment: str, runs: pd.DataFrame) -> str:
    tokens = moment == AFTER
    return st.text_input(
        "Tokens" if tokens else "Report",
        theme.format_count(float(runs[TOKENS].min())) if tokens else "1",
        key=AT_TOKENS if tokens else AT_REPORT,
        bind="query-params",
        help="2M, 1.5e9" if tokens else "1 is the first report of a run",
        width=NARROW,
    )
