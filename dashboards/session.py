"""What every page of the dashboard stands on: the database, read again only where it has changed.

`Store.stamp` tells whether a sweep has changed. One frame serves every visitor: pages must not
write into what they get from here.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from dashboards.launch import CONTROL_VARIABLE
from scaling.errors import LawError
from storage.columns import PARAMETRIZATION
from storage.curves import Curve
from storage.legs import LegRecord
from storage.location import DEFAULT_DATABASE, default_database, on_command_line
from storage.store import Store
from storage.sweeps import SweepRecord

if TYPE_CHECKING:
    from scaling.law import Law
    from scaling.transfer_check import TransferCheck

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
    parser.add_argument("--db", default=default_database())
    parser.add_argument("--allow-control", action="store_true")
    known, _ = parser.parse_known_args()
    allowed = known.allow_control or bool(os.environ.get(CONTROL_VARIABLE))
    return Options(str(known.db), allowed)


def command(text: str) -> str:
    """Return a command line of hyperlaw's that asks it of this database; for people to copy."""
    database = options().database
    if database == DEFAULT_DATABASE:
        return f"hyperlaw {text}"
    return f"hyperlaw {text} --db {on_command_line(database)}"


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


def running(record: SweepRecord) -> list[LegRecord]:
    """Return the legs that are being trained now; none where the process that did was killed."""
    return [] if record.running_in is None else store().legs(record.name, unended=True)


def curves(run_ids: tuple[str, ...]) -> dict[str, Curve]:
    """Return learning curves by run_id, as they are now; runs without one are left out."""
    return store().curves(run_ids)


def law(sweep: str, parametrization: str | None = None) -> Law:
    """Return the law of a sweep's runs, with its draws; of one parametrization if it is named.

    Raises
    ------
    LawError : the runs cannot carry one; the message says what is lacking.
    """
    found = _law(options().database, sweep, store().stamp(sweep), parametrization)
    if isinstance(found, LawError):
        raise found
    return found


def transfer_check(name: str, created: str) -> TransferCheck:
    """Return a check of transfer by its name and the time when it was kept.

    Raises
    ------
    LawError : it was written by another version.
    """
    found = _transfer_check(options().database, name, created)
    if isinstance(found, LawError):
        raise found
    return found


@st.cache_resource(max_entries=KEPT_FRAMES, show_spinner=False)
def _transfer_check(database: str, name: str, created: str) -> TransferCheck | LawError:
    from scaling.transfer_check import TransferCheck

    document = _opened(database).transfer_check(name).document
    try:
        return TransferCheck.from_dict(document, created=created)
    except LawError as error:
        return error


@st.cache_resource(max_entries=KEPT_FRAMES, show_spinner="Fitting the law")
def _law(database: str, sweep: str, stamp: str, parametrization: str | None) -> Law | LawError:
    from scaling.fitting import fit_law

    runs = _runs(database, sweep, stamp)
    if parametrization is not None:
        runs = runs[runs[PARAMETRIZATION] == parametrization]
    try:
        return fit_law(runs, name=sweep)
    except LawError as error:
        return error
