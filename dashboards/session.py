"""What every page of the dashboard stands on: the database, read again only where it has changed.

`Store.stamp` tells whether a sweep has changed. One frame serves every visitor: pages must not
write into what they get from here.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.law import Law
from storage.curves import Curve
from storage.store import Store

DEFAULT_DATABASE = "hyperlaw.db"
DATABASE_VARIABLE, CONTROL_VARIABLE = "HYPERLAW_DB", "HYPERLAW_ALLOW_CONTROL"
KEPT_FRAMES = 8


@dataclass(frozen=True)
class Options:
    """How the dashboard was started.

    Attributes
    ----------
    database : a file or a URL.
    allow_control : whether its buttons may pause, resume and stop sweeps.
    """

    database: str
    allow_control: bool


def options() -> Options:
    """Read the options: of the command line, else of the environment."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--db", default=os.environ.get(DATABASE_VARIABLE) or DEFAULT_DATABASE)
    parser.add_argument("--allow-control", action="store_true")
    known, _ = parser.parse_known_args()
    allowed = known.allow_control or bool(os.environ.get(CONTROL_VARIABLE))
    return Options(str(known.db), allowed)


@st.cache_resource(max_entries=4, show_spinner=False)
def _opened(database: str) -> Store:
    return Store.open(database, create=False)


def store() -> Store:
    """Return the store; StoreError where there is none, or it is no database of hyperlaw's."""
    return _opened(options().database)


def sweeps() -> pd.DataFrame:
    """Return a row a sweep; see `Store.sweeps`. Always as it is now."""
    return store().sweeps()


def runs(sweep: str) -> pd.DataFrame:
    """Return the runs table of a sweep, as it is now; not to be written into."""
    return _runs(options().database, sweep, store().stamp(sweep))


@st.cache_resource(max_entries=KEPT_FRAMES, show_spinner="Reading the runs")
def _runs(database: str, sweep: str, stamp: str) -> pd.DataFrame:
    return _opened(database).runs(sweep)


def curves(run_ids: tuple[str, ...]) -> dict[str, Curve]:
    """Return learning curves by run_id, as they are now; runs without one are left out."""
    return store().curves(run_ids)


def law(sweep: str) -> Law:
    """Return the law of a sweep's runs, with its draws.

    Raises
    ------
    LawError : the runs cannot carry one; the message says what is lacking.
    """
    found = _law(options().database, sweep, store().stamp(sweep))
    if isinstance(found, LawError):
        raise found
    return found


@st.cache_resource(max_entries=KEPT_FRAMES, show_spinner="Fitting the law")
def _law(database: str, sweep: str, stamp: str) -> Law | LawError:
    try:
        return fit_law(_runs(database, sweep, stamp))
    except LawError as error:
        return error
