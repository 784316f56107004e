"""Which law a page stands on: that of the sweep's runs, or one kept in the database by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from dashboards import frame, session
from scaling.errors import LawError
from scaling.law import KIND, Law
from scaling.loss_laws.choice import fit_form
from scaling.loss_laws.law import LossLaw
from storage.errors import NotFoundError

LAW = "law"
"""Key, in the session and in the URL, of the law that is looked at."""
OF_THE_SWEEP = "of this sweep"


@dataclass(frozen=True)
class ChosenLaw:
    """A law and the runs that it was fitted to.

    Attributes
    ----------
    runs : None where the law is of runs that the database does not have.
    sweeps : names of the sweeps that the runs are of.
    """

    law: Law
    runs: pd.DataFrame | None
    sweeps: tuple[str, ...]

    @property
    def stamps(self) -> tuple[str, ...]:
        """What changes whenever the runs do: the database, the sweeps and their stamps."""
        stamps = [session.store().stamp(sweep) for sweep in self.sweeps]
        return (session.options().database, *self.sweeps, *stamps)


def open_law() -> ChosenLaw | None:
    """Begin a page on a law: let the visitor choose a sweep and a law, and write the title.

    Where there is none, the page says why, and None is returned.
    """
    opened = frame.open_sweep()
    if opened is None:
        return None
    kept = session.store().laws()
    names = kept["name"].astype(str).tolist()
    chosen = OF_THE_SWEEP
    if names:
        chosen = st.sidebar.selectbox(
            "Law", [OF_THE_SWEEP, *reversed(names)], key=LAW, bind="query-params"
        )
    try:
        if chosen == OF_THE_SWEEP:
            return _of_sweep(opened.name)
        created = str(kept.loc[kept["name"] == chosen, "created"].iloc[0])
        return _kept(chosen, created)
    except LawError as error:
        frame.say_no_law(error)
        return None


def _of_sweep(sweep: str) -> ChosenLaw | None:
    runs = frame.need_runs(sweep)
    return None if runs is None else ChosenLaw(session.law(sweep), runs, (sweep,))


def _kept(name: str, created: str) -> ChosenLaw:
    law, sweeps = _read(session.options().database, name, created)
    try:
        tables = [session.runs(sweep) for sweep in sweeps]
    except NotFoundError:
        tables = []
    if not tables:
        return ChosenLaw(law, None, ())
    runs = tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
    return ChosenLaw(law, runs, sweeps)


@st.cache_resource(max_entries=session.KEPT_FRAMES, show_spinner=False)
def _read(database: str, name: str, created: str) -> tuple[Law, tuple[str, ...]]:
    document: dict[str, Any] = session.store().law(name)
    if document.get("kind") != KIND:
        raise LawError(f"'{name}' is a law of loss by scale, which places no hyperparameters")
    return Law.from_dict(document), tuple(document.get("source", {}).get("sweeps", ()))


def loss_law_of(chosen: ChosenLaw) -> LossLaw:
    """Return the loss law of the runs behind a law; LawError where they carry none."""
    if chosen.runs is None:
        raise LawError("the runs of this law are not in the database, so no loss law of theirs is")
    return _loss_law(chosen.runs, chosen.stamps)


@st.cache_resource(max_entries=session.KEPT_FRAMES, show_spinner="Fitting the loss law")
def _loss_law(_runs: pd.DataFrame, stamps: tuple[str, ...]) -> LossLaw:
    return fit_form(_runs)
