"""Import a file of runs (CSV, TSV or Parquet) into the store, as a sweep."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from storage.columns import SWEEP
from storage.importers.names import name_runs
from storage.runs_table import read_runs
from storage.store import Store


def import_csv(
    store: Store, path: str | Path, *, sweep: str, mapping: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Read a file of runs, check it, and add its runs to the store under one sweep.

    The sweep is made where there is none of that name, else the runs join it, unless it was
    launched here. A `sweep` column of the file gives way to `sweep`. Runs of a file without
    `run_id` are named ``<sweep>-000001`` …, see `storage.importers.names`. Nothing is written if
    anything is wrong.

    Parameters
    ----------
    store : Store
        Where the runs go.
    path : str or Path
        The file; see `storage.runs_table.read_runs`.
    sweep : str
        The sweep's name.
    mapping : mapping of str to str, optional
        Our column to the file's column.

    Returns
    -------
    DataFrame
        The runs table that was added.

    Raises
    ------
    RunsTableError
        If the file is not a runs table.
    StoreError
        If the name is no name for a sweep, the sweep was launched here, or a run is in the store
        already.
    """

    def names(runs: pd.DataFrame) -> list[str]:
        return name_runs(store, sweep, runs, str(path))

    runs = read_runs(path, mapping, name_runs=names).assign(**{SWEEP: sweep})
    store.import_runs(runs, sweep)
    return runs
