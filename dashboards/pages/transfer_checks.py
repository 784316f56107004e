"""The Transfer page's part on checks: what was measured of a model, and whether it passed."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import frame, session
from dashboards.figures.basin_check import get_basin_check_info, plot_basin_check
from dashboards.figures.coordinate_check import (
    MAX_ROWS,
    SlopesInfo,
    get_changes_info,
    get_slopes_info,
    plot_changes,
    plot_slopes,
)
from scaling.basin_check import BasinCheck
from scaling.errors import LawError
from scaling.transfer_check import TransferCheck
from scaling.transfer_words import PASSED, held_words, sentences
from storage.errors import StoreError

CHECK, LAYER = "check", "layer"
"""Keys, in the session and in the URL, of the check and the layer that are looked at."""


def only_checks() -> bool:
    """Say whether the database has checks of transfer and no sweep."""
    try:
        return session.sweeps().empty and bool(session.store().transfer_checks())
    except StoreError:
        return False  # the frame says what is wrong


def show_checks() -> None:
    """Show a check that the visitor chooses of those in the database."""
    records = session.store().transfer_checks()
    if not records:
        st.info(
            "No check of transfer has been made in this database yet. One takes about a minute: "
            "it trains a few steps at several widths and depths. Start it with one of these, then "
            "reload this page."
        )
        st.code(
            f"{session.command('transfer check sweep.yaml')}\n"
            f"{session.command('transfer check --trainer gpt --parametrization mup')}",
            language="bash",
        )
        return
    newest_first = [record.name for record in reversed(records)]
    name = frame.choose_linked("Check", newest_first, newest_first[0], key=CHECK)
    created = next(record.created for record in records if record.name == name)
    try:
        check = session.transfer_check(name, created)
    except LawError as error:
        st.error(str(error))
        return
    st.caption("A check is of a model, whichever sweep is looked at.")
    _show_verdict(check)
    if check.slopes:
        info = get_slopes_info(check)
        _show_slopes(info)
        _show_layer(check, info)
    for number, basin in enumerate(check.basins):
        _show_basin(basin, f"basin-check-{number}")


def _show_verdict(check: TransferCheck) -> None:
    box = {True: st.success, False: st.error, None: st.warning}[check.passed]
    box(f"{check.subject.title}: {PASSED[check.passed]}")
    for sentence in sentences(check):
        st.write(f"- {sentence[0].upper()}{sentence[1:]}.")
    options = [f"{name} {value}" for name, value in check.subject.model.items()]
    setting = [f"{name} {value:.4g}" for name, value in check.setting.items() if _is_number(value)]
    with st.expander("What was checked"):
        st.write(f"Model: {', '.join(options) or 'no options'}.")
        st.write(f"Setting: {', '.join(setting)}. Data: {check.data}. Made {check.created}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _show_slopes(info: SlopesInfo) -> None:
    st.subheader("Does every layer move alike at every size?")
    table = pd.DataFrame(info.rows).drop(columns="holds")
    frame.show_figure(plot_slopes(info), "slopes", data=lambda: table)
    more = len(info.rows) - MAX_ROWS
    st.caption(
        "How the change of each layer's output in the first optimizer steps grows with size, with "
        "90 % intervals over seeds: 0 is as far at every size, 1 twice as far in a model twice as "
        "wide. Within the band it passes. Layers inside residual blocks are not judged over depth."
        + (f" The table has {more} layers more." if more > 0 else "")
    )
    with st.expander("All layers"):
        st.dataframe(table, hide_index=True, key="layers")


def _show_layer(check: TransferCheck, info: SlopesInfo) -> None:
    by_label = {f"{row.layer}, over {row.axis}": row for row in info.rows}
    label = st.selectbox(
        "Layer", list(by_label), key=LAYER, bind="query-params", help="The worst comes first."
    )
    row = by_label[str(label)]
    changes = get_changes_info(check, row.axis, row.layer)
    if not changes.steps:
        st.info("This layer's output was not finite at some size, so there is nothing to draw.")
        return
    frame.show_figure(plot_changes(changes), "changes", data=lambda: changes.table)
    st.caption("RMS of the change after each step, the mean over seeds: level lines pass.")


def _show_basin(basin: BasinCheck, key: str) -> None:
    st.subheader(f"Basins over {basin.axis}{held_words(basin)}")
    info = get_basin_check_info(basin)
    frame.show_figure(plot_basin_check(info), key, data=lambda: info.table)
    st.caption("Mean loss over seeds; a parabola through the best rate and its neighbours.")
