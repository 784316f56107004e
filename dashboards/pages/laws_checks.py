"""The backtest on the Laws page: the law without the largest scales, judged on them."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from dashboards import frame, session, theme
from dashboards.chosen_law import ChosenLaw
from dashboards.figures.held_out import HeldOutInfo, get_held_out_info, plot_held_out
from dashboards.figures.published import get_published_info, plot_published
from dashboards.report_text import held_out_sentence, not_compared
from scaling.backtest import LeftOut, leave_out
from scaling.errors import LawError

MOST_DRAWN = 4  # of the scales left out, the largest


def show_backtest(chosen: ChosenLaw) -> None:
    """Let the visitor choose how many scales are left out; LawError where too few are left."""
    runs = chosen.runs
    assert runs is not None, "a backtest is of runs"
    most = len(chosen.law.scales) - 2
    if most < 1:
        raise LawError("with fewer than three scales none can be left out")
    hold_out = int(
        st.number_input("Scales left out", 1, most, 1, key="hold_out", bind="query-params")
    )
    axes = chosen.law.axes if chosen.law.shape_axes else None
    left, scores = _left_out(runs, chosen.stamps, hold_out, axes)
    frame.show_figure(
        plot_published(get_published_info(scores, left.law.name)),
        "backtest",
        data=lambda: scores,
    )
    st.caption(not_compared(scores))
    for check in reversed(left.checks()[-MOST_DRAWN:]):
        st.subheader(
            f"N = {theme.format_count(check.params)}, D = {theme.format_count(check.tokens)}"
        )
        st.write(held_out_sentence(check))
        info = get_held_out_info(check, left.law)
        drawn = plot_held_out(info)
        theme.take_title(drawn)
        key = f"held-out-{theme.format_count(check.params)}-{theme.format_count(check.tokens)}"
        key += "".join(f"-{axis}-{value:g}" for axis, value in check.shape.items())
        frame.show_figure(drawn, key, data=partial(_points, info))


def _points(info: HeldOutInfo) -> pd.DataFrame:
    return info.points


@st.cache_resource(max_entries=session.KEPT_FRAMES, show_spinner="Fitting without them")
def _left_out(
    _runs: pd.DataFrame, key: tuple[str, ...], hold_out: int, axes: tuple[str, ...] | None
) -> tuple[LeftOut, pd.DataFrame]:
    left = leave_out(_runs, hold_out=hold_out, axes=axes)
    return left, left.scores()
