"""The configuration to copy: the prediction as a training framework is told it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import theme
from dashboards.pages.predict_target import Wanted
from scaling.adjusted import Answer
from scaling.emit import FRAMEWORKS, emit
from scaling.planned_training import plan_training
from storage.columns import BATCH_TOKENS, WARMUP_TOKENS, WEIGHT_DECAY

EXTENSIONS = {"python": "py", "toml": "toml", "bash": "sh", "yaml": "yaml"}


def show_configuration(answered: Answer, runs: pd.DataFrame | None, wanted: Wanted) -> None:
    """Show the text for the framework that the visitor chooses."""
    st.subheader("Configuration")
    first, second, third, fourth = st.columns(4)
    framework = first.selectbox(
        "Framework", list(FRAMEWORKS), format_func=lambda name: FRAMEWORKS[name].title,
        key="framework", bind="query-params",
    )  # fmt: skip
    devices = int(second.number_input("Devices", 1, None, 8, key="devices", bind="query-params"))
    device_batch = int(
        third.number_input(
            "Sequences a device at a time", 1, None, 1, key="device_batch", bind="query-params"
        )
    )
    warmup = fourth.text_input(
        "Warm-up, tokens", "", placeholder="as predicted, or left out",
        key="warmup", bind="query-params",
    )  # fmt: skip
    try:
        given = {
            BATCH_TOKENS: wanted.batch_tokens,
            WEIGHT_DECAY: wanted.weight_decay,
            WARMUP_TOKENS: theme.parse_count(warmup, "number of tokens", "2B or 2e9")
            if warmup.strip()
            else None,
        }
        planned = plan_training(
            answered,
            runs,
            context=wanted.context,
            devices=devices,
            device_batch=device_batch,
            given={name: value for name, value in given.items() if value is not None},
        )
    except ValueError as error:
        st.info(f"No configuration can be written: {error}")
        return
    text = emit(framework, planned)
    language = FRAMEWORKS[framework].language
    st.code(text, language=language)
    st.download_button(
        "Download",
        text,
        file_name=f"{framework}.{EXTENSIONS[language]}",
        key="configuration-file",
        type="tertiary",
        on_click="ignore",
    )
    st.caption(
        f"Keys as in {FRAMEWORKS[framework].checked}. Each number says whether it is predicted, by "
        "a rule, as in the runs, or given by you."
    )
