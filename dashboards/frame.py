"""The frame around every page: which sweep is looked at, and what is said where there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboards import figure_view, session
from scaling.errors import InsufficientDataError, LawError
from storage.errors import NotFoundError, StoreError

SWEEP = "sweep"
"""Key, in the session and in the URL, of the sweep that is looked at."""
LOOKED_AT = "looked-at"
"""Key, in the session, of the same as the page before this one had it."""


def open_database() -> pd.DataFrame | None:
    """Return the sweeps of the database; where there are none, say what to do and return None."""
    try:
        sweeps = session.sweeps()
    except NotFoundError as error:
        _nothing_yet(str(error))
        return None
    except StoreError as error:
        st.error(str(error))
        return None
    if sweeps.empty:
        _nothing_yet("This database has no sweep yet.")
        return None
    return sweeps


class OpenSweep(NamedTuple):
    """The sweep that a page is about, and a row for each sweep of the database."""

    name: str
    sweeps: pd.DataFrame


def open_sweep() -> OpenSweep | None:
    """Begin a page on a sweep: let the visitor choose one, and write its name as the title.

    Where there is none, the page says what to do, and None is returned.
    """
    sweeps = open_database()
    if sweeps is None:
        return None
    name = choose_sweep(sweeps)
    st.title(name)
    return OpenSweep(name, sweeps)


def _largest(sweeps: pd.DataFrame) -> str:
    """Return the sweep that pages open with, of at least one.

    It is not the newest: a small sweep that checks a law is newer than the law's own, and has less
    to show.
    """
    return str(sweeps["name"].iloc[int(sweeps["runs"].to_numpy().argmax())])


def choose_sweep(sweeps: pd.DataFrame) -> str:
    """Let the visitor choose a sweep in the sidebar; it stays chosen from page to page."""
    newest_first = list(reversed(sweeps["name"].tolist()))
    before = str(st.session_state.get(LOOKED_AT, ""))
    first = before if before in newest_first else _largest(sweeps)
    chosen = choose_linked("Sweep", newest_first, first, key=SWEEP, where=st.sidebar)
    st.session_state[LOOKED_AT] = chosen
    return chosen


def choose_linked(
    label: str,
    names: Sequence[str],
    first: str,
    *,
    key: str,
    where: DeltaGenerator | None = None,
) -> str:
    """Let the visitor choose one of `names`; whatever is chosen stands in the URL.

    Streamlit leaves a default out of the URL, and another name could be the first as they grow: so
    the field has no default, and `first` is set where nothing is chosen.

    Parameters
    ----------
    key : of the field, in the session and in the URL.
    where : the field stands; on the page if not given.
    """
    linked = st.query_params.get(key)
    if st.session_state.get(key, linked) not in names:
        if linked is not None and linked not in names:
            st.warning(f"There is no {label.lower()} '{linked}' here; this is '{first}'.")
        if key not in st.session_state:
            st.query_params[key] = first
        st.session_state[key] = first
    field = (where or st).selectbox
    chosen = field(label, list(names), index=None, key=key, bind="query-params")
    return first if chosen is None else str(chosen)


def need_runs(sweep: str) -> pd.DataFrame | None:
    """Return the sweep's runs; where none has ended yet, say so and return None."""
    runs = session.runs(sweep)
    if runs.empty:
        state = session.store().sweep(sweep).state
        st.info(f"This sweep is {state}, and none of its runs has ended yet.")
        return None
    return runs


def say_no_law(why: LawError, of: str = "") -> None:
    """Say why there is no law, and where the runs are to blame, what would bring one."""
    st.warning(f"There is no law{of and f' of {of}'} yet: {why}.")
    if isinstance(why, InsufficientDataError):
        st.write("Explore shows what these runs do tell. A sweep over several scales brings a law:")
        launch = session.command("sweep launch ladder.yaml")
        st.code(f"hyperlaw init ladder.yaml\n{launch}", language="bash")


def show_figure(
    drawn: go.Figure, key: str, *, data: Callable[[], pd.DataFrame] | None = None
) -> None:
    """Show a figure, with its data to download where they are given.

    Parameters
    ----------
    key : of the element, unique on the page; also the stem of the names of downloaded files.
    data : returns the figure's numbers as a frame, asked only when they are wanted.
    """
    figure_view.show(drawn, key)
    if data is not None:
        st.download_button(
            "CSV",
            lambda: data().to_csv(index=False).encode(),
            file_name=f"{key}.csv",
            mime="text/csv",
            key=f"{key}-csv",
            type="tertiary",
            on_click="ignore",
        )


def _nothing_yet(why: str) -> None:
    st.title("hyperlaw")
    st.info(f"{why} Start with one of these, then reload this page.")
    st.write("A sweep of your own")
    launch = session.command("sweep launch sweep.yaml")
    st.code(f"hyperlaw init sweep.yaml\n{launch}", language="bash")
    st.write("Runs that you already have")
    st.code(session.command("import csv runs.csv --sweep runs"), language="bash")
    st.write(
        "Or a small sweep, from training to prediction, in a database and a dashboard of its own"
    )
    port = int(st.get_option("server.port")) + 1  # this dashboard has its own
    st.code(
        f"hyperlaw demo\nhyperlaw dashboard --db demo/hyperlaw.db --port {port}", language="bash"
    )
