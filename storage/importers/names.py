"""Names for imported runs that have none, and whether a sweep has those runs already."""

import re
from collections.abc import Iterable

import pandas as pd

from storage.columns import LOSS, REQUIRED, RUN_ID, SEED
from storage.errors import StoreError
from storage.runs_table import numbered_names
from storage.store import Store


def name_runs(store: Store, sweep: str, runs: pd.DataFrame, source: str) -> list[str]:
    """Return a name a run: ``<sweep>-000001`` …, numbered on from those that the sweep has.

    Without names of their own, runs are told apart by their settings and loss, and by their seed
    where there is no loss to tell them by.

    Parameters
    ----------
    store, sweep
        Where the runs are to go; the sweep need not be there yet.
    runs : DataFrame
        The checked runs table of a file without `run_id`.
    source : str
        What to call the file in errors.

    Raises
    ------
    StoreError
        If the sweep has one of the runs already: a file that is imported twice must not double it.
    """
    if not store.has_sweep(sweep):
        return numbered_names(sweep, len(runs))
    there = store.runs(sweep)
    _refuse_repeats(runs, there, sweep, source)
    numbers = there[RUN_ID].str.extract(rf"^{re.escape(sweep)}-(\d+)$")[0].dropna()
    return numbered_names(sweep, len(runs), first=1 + max(map(int, numbers), default=0))


def _refuse_repeats(runs: pd.DataFrame, there: pd.DataFrame, sweep: str, source: str) -> None:
    names = dict(zip(_marks(there), there[RUN_ID], strict=True))
    again = {row: names[mark] for row, mark in enumerate(_marks(runs), 1) if mark in names}
    if again:
        row, name = next(iter(again.items()))
        rows = f"{len(again)} rows, the first row {row}," if len(again) > 1 else f"row {row}"
        raise StoreError(
            f"{source}: {rows} would be in sweep '{sweep}' twice: '{name}' has the same settings "
            "and result; nothing was written, leave out what is there, or, if these are other "
            f"runs, name them in a column {RUN_ID}"
        )


def _marks(runs: pd.DataFrame) -> Iterable[tuple[object, ...]]:
    marks = runs[list(REQUIRED)].assign(**{SEED: runs[SEED].where(runs[LOSS].isna(), 0)})
    return marks.fillna({LOSS: 0.0}).itertuples(index=False, name=None)
