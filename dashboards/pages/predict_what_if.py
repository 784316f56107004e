"""What if: sliders around the predicted optimum, and what is expected there."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboards import frame, theme
from dashboards.figures.target_basin import (
    OCTAVES,
    get_target_basin_info,
    plot_target_basin,
    target_basin_frame,
)
from dashboards.pages.predict_target import Wanted
from dashboards.report_text import setting_title
from scaling.law import Law
from scaling.prediction import Prediction
from scaling.what_if import what_if
from storage.columns import BATCH_TOKENS, WEIGHT_DECAY

STEP = 0.25  # octaves


def show_what_if(law: Law, prediction: Prediction, wanted: Wanted) -> None:
    """Show a slider a setting, the loss and regret there, and the basin along each."""
    if not prediction.optimum:
        return
    st.subheader("What if")
    given = {BATCH_TOKENS: wanted.batch_tokens, WEIGHT_DECAY: wanted.weight_decay}
    settled = {
        name: value for name, value in given.items() if value is not None and name in law.settings
    }
    at = dict(settled)
    names = list(prediction.optimum)
    if BATCH_TOKENS not in law.settings and wanted.batch_tokens is not None:
        # Moved there by a rule, which the law's basin knows nothing of.
        st.caption("The basin is that of the runs' own batch.")
    for place, name in zip(st.columns(len(names)), names, strict=True):
        octaves = place.slider(
            f"{setting_title(name)}, octaves from the predicted",
            -OCTAVES, OCTAVES, 0.0, STEP,
            key=f"if_{name}", bind="query-params",
        )  # fmt: skip
        at[name] = prediction.optimum[name].value * 2.0**octaves
        place.caption(
            f"{theme.format_setting(name, at[name])}: {theme.format_times(2.0**octaves)} "
            "the predicted"
        )
    found = what_if(law, prediction.target, at, level=prediction.level)
    loss, regret = st.columns(2)
    loss.metric("loss there, nats a token", f"{found.loss[0]:.4f}")
    loss.caption(f"{found.loss_low[0]:.4f} – {found.loss_high[0]:.4f}")
    regret.metric("expected regret there", theme.format_percent(float(found.regret_pct[0])))
    regret.caption(
        f"{theme.format_percent(float(found.regret_low[0]))} – "
        f"{theme.format_percent(float(found.regret_high[0]))} above the target's own optimum"
    )
    places = st.columns(min(len(names), 2))
    for index, name in enumerate(names):
        info = get_target_basin_info(
            law,
            prediction,
            name,
            others={other: value for other, value in at.items() if other != name},
            chosen=at[name],
        )
        with places[index % len(places)]:
            frame.show_figure(
                plot_target_basin(info),
                f"basin-{name}",
                data=partial(target_basin_frame, info),
            )
