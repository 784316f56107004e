"""What is compared: the runs of one sweep or of several, kept while none of them changes."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import streamlit as st

from dashboards import session
from dashboards.objective import Objective, measure
from dashboards.settings import Setting, varying_settings
from storage.columns import RUN_ID

MAX_CURVES = 10_000
"""Reading more curves would keep the visitor waiting for seconds."""


class Compared(NamedTuple):
    """The runs of the sweeps, and which settings vary among them; not to be written into.

    `stamps` changes whenever the runs do.
    """

    runs: pd.DataFrame
    settings: tuple[Setting, ...]
    stamps: tuple[str, ...]


class TooManyCurvesError(ValueError):
    """Too many learning curves would have to be read; the message says what to do."""


def compared(sweeps: tuple[str, ...]) -> Compared:
    """Return the runs of these sweeps as they are now."""
    store = session.store()
    stamps = tuple(store.stamp(sweep) for sweep in sweeps)
    texts = tuple(store.sweep(sweep).spec_text for sweep in sweeps)
    return _compared(session.options().database, sweeps, stamps, texts)


@st.cache_resource(max_entries=session.KEPT_FRAMES, show_spinner="Reading the runs")
def _compared(
    database: str, sweeps: tuple[str, ...], stamps: tuple[str, ...], texts: tuple[str, ...]
) -> Compared:
    tables = [session.runs(sweep) for sweep in sweeps]
    runs = tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
    return Compared(runs, varying_settings(runs, texts), (database, *sweeps, *stamps))


def measured(everything: Compared, kept: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return the kept runs with what they are compared by.

    A final loss is measured against the best of all runs of its scale; where curves must be read,
    against the best of those that were kept.

    Raises
    ------
    TooManyCurvesError : the objective needs more curves than `MAX_CURVES`.
    """
    if not objective.needs_curves:
        everyone = _measured_at_the_end(everything.stamps, objective, everything.runs)
        return everyone if len(kept) == len(everyone) else everyone.loc[kept.index]
    if len(kept) > MAX_CURVES:
        raise TooManyCurvesError(
            f"The {objective.loss_title} stands in learning curves, and {len(kept):,} of them are "
            f"too many to read at once; filter to {MAX_CURVES:,} runs or fewer, or compare by the "
            "final loss"
        )
    run_ids = tuple(kept[RUN_ID].astype(str))
    return _measured_on_curves(everything.stamps, objective, run_ids, kept)


@st.cache_resource(max_entries=session.KEPT_FRAMES, show_spinner=False)
def _measured_at_the_end(
    stamps: tuple[str, ...], objective: Objective, _runs: pd.DataFrame
) -> pd.DataFrame:
    return measure(_runs, objective)


@st.cache_resource(max_entries=session.KEPT_FRAMES, show_spinner="Reading learning curves")
def _measured_on_curves(
    stamps: tuple[str, ...], objective: Objective, run_ids: tuple[str, ...], _kept: pd.DataFrame
) -> pd.DataFrame:
    return measure(_kept, objective, session.curves(run_ids))
