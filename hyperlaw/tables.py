"""Tables that loss and schedule laws are asked of: losses by scale, and curves; files or sweeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hyperlaw.errors import InputError
from hyperlaw.sources import Asked, RunSource, find_runs, open_store, runs_of_sweeps

if TYPE_CHECKING:
    import pandas as pd

    from storage.store import Store


def parse_only(pairs: Sequence[str]) -> dict[str, str]:
    """Return {column: value} from ``COLUMN=VALUE`` texts.

    >>> parse_only(["dataset=c4", "lr=3e-3"])
    {'dataset': 'c4', 'lr': '3e-3'}
    """
    only: dict[str, str] = {}
    for pair in pairs:
        column, equals, value = pair.partition("=")
        if not (equals and column and value):
            raise InputError(f"--only {pair}: write COLUMN=VALUE, such as dataset=c4")
        if column in only:
            raise InputError(f"--only {pair}: '{column}' must be '{only[column]}' already")
        only[column] = value
    return only


def find_losses(asked: Asked, only: Mapping[str, str] | None = None) -> RunSource:
    """Return runs with params, tokens and loss: of a file, of sweeps, or of the only sweep.

    Parameters
    ----------
    only : column to value; other rows are left out. Columns are the file's, or those of the store.
    """
    if asked.file is None:
        source = find_runs(asked)
        runs = _taken(source.runs, only or {}, source.name)
        return RunSource(source.name, runs, sweeps=source.sweeps)
    from storage.columns import LOSSES
    from storage.runs_table import read_runs

    runs = read_runs(asked.file, asked.mapping, kind=LOSSES, only=only)
    return RunSource(name=asked.file.stem, runs=runs, file=str(asked.file))


def find_curves(
    asked: Asked, needs: Collection[str], only: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return a table of curves: of a file, of sweeps, or of the only sweep.

    Parameters
    ----------
    asked : its `file` is one of curves, see `storage.curves_table`.
    needs : the columns that must be there.
    only : as `find_losses` takes it.
    """
    from storage.curves_table import check_curves, read_curves

    if asked.file is not None:
        return read_curves(asked.file, asked.mapping, needs=needs, only=only)
    source = find_runs(asked)
    runs = _taken(source.runs, only or {}, source.name)
    with open_store(asked.db) as store:
        table = _kept_curves(store, runs)
    return check_curves(table, needs=needs, source=source.name)


def curves_of_sweeps(db: str, sweeps: Sequence[str]) -> pd.DataFrame:
    """Return the curves that the database has of sweeps' runs, none perhaps."""
    with open_store(db) as store:
        return _kept_curves(store, runs_of_sweeps(store, sweeps).runs)


def losses_of(runs: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Return runs with params, tokens and loss, checked: a frame, or a file's."""
    from storage.columns import LOSSES
    from storage.runs_table import check_runs, read_runs

    if isinstance(runs, str | Path):
        return read_runs(runs, kind=LOSSES)
    return check_runs(runs, kind=LOSSES)


def _taken(runs: pd.DataFrame, only: Mapping[str, str], name: str) -> pd.DataFrame:
    from storage.table_files import only_rows

    return only_rows(runs, only, name).reset_index(drop=True)


def _kept_curves(store: Store, runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row a report: what the run reported, beside the columns of its run."""
    import pandas as pd

    from storage.columns import BATCH_TOKENS, RUN_ID, WARMUP_STEPS, WARMUP_TOKENS

    curves = store.curves([str(run_id) for run_id in runs[RUN_ID]])
    reports = [
        pd.DataFrame(curve.columns()).assign(**{RUN_ID: run_id}) for run_id, curve in curves.items()
    ]
    if not reports:
        return pd.DataFrame(columns=[RUN_ID, "step", "tokens", "flops", "loss", "lr"], dtype=float)
    table = pd.concat(reports, ignore_index=True)
    of_run = runs[[RUN_ID, *(name for name in runs.columns if name not in table.columns)]]
    joined = table.merge(of_run, on=RUN_ID, how="left")
    if WARMUP_TOKENS in joined.columns:
        joined[WARMUP_STEPS] = joined[WARMUP_TOKENS] / joined[BATCH_TOKENS]
    return joined
