"""Tables of curves: what runs reported while they trained, a row a report.

The columns are `storage.columns.OF_CURVES`. Which of them a table must have depends on what it is
asked: a law of schedules needs step, lr and loss; the best size at each compute needs params,
tokens and loss; a refined schedule needs step and grad_norm. A table without run_id is one run.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from storage.cells import column_cells, explain, parse
from storage.columns import OF_CURVES, RUN_ID, STEP, TOKENS, TableKind
from storage.errors import RunsTableError
from storage.table_files import check_required, named_index_as_column, read_table

_COUNTS = (STEP, TOKENS)  # how far a report is along its run: no two of a run are equal


def read_curves(
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    *,
    needs: Collection[str],
    only: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read and check a table of curves from a file.

    Parameters
    ----------
    path : str or Path
        A `.csv`, `.tsv` or `.parquet` file.
    mapping : mapping of str to str, optional
        Our column to the file's column.
    needs : collection of str
        The columns that must be there, of `storage.columns.OF_CURVES`.
    only : mapping of str to str, optional
        Column of the file to value: rows of another value are left out, unchecked.

    Returns
    -------
    DataFrame
        As `check_curves` returns it.

    Raises
    ------
    RunsTableError
        If the file cannot be read, lacks a column or holds a wrong cell. The message names the
        file, the row (1 is the first data row) and the column.
    """
    frame = read_table(Path(path), mapping or {}, _kind(needs), only)
    return _checked(frame, _kind(needs), str(path))


def check_curves(
    frame: pd.DataFrame, *, needs: Collection[str], source: str = "table of curves"
) -> pd.DataFrame:
    """Return a checked copy of a table of curves, ordered by run and by how far along it was.

    A loss that is missing or not finite becomes NaN. Columns without rules are kept.

    Raises
    ------
    RunsTableError
        If a column is missing, a cell is wrong, or a run reported one step twice.
    """
    return _checked(named_index_as_column(frame), _kind(needs), source)


def _checked(frame: pd.DataFrame, kind: TableKind, source: str) -> pd.DataFrame:
    """Check a table whose index counts the rows of its file from 0."""
    check_required(list(frame.columns), source, kind)
    checked = frame.reset_index(drop=True)
    for column in kind.columns:
        if column.name not in frame.columns:
            continue
        cells = column_cells(frame[column.name])
        parsed = parse(column, cells)
        if parsed.wrong.any():
            position = int(np.argmax(parsed.wrong))
            more = int(parsed.wrong.sum()) - 1
            raise RunsTableError(
                f"{source}: row {_number(frame, position)}, column '{column.name}': "
                f"{explain(column, cells[position])}" + (f"; {more} more are wrong" * bool(more))
            )
        checked[column.name] = parsed.cells
    if RUN_ID not in checked.columns:
        checked[RUN_ID] = Path(source).stem
    along = next(name for name in _COUNTS if name in checked.columns)
    repeats = checked.duplicated([RUN_ID, along]).to_numpy()
    if repeats.any():
        position = int(np.argmax(repeats))
        run, count = checked.loc[position, [RUN_ID, along]]
        same = (checked[RUN_ID] == run) & (checked[along] == count)
        raise RunsTableError(
            f"{source}: row {_number(frame, position)}, column '{along}': run '{run}' has "
            f"{count:g} in row {_number(frame, int(np.argmax(same)))} too; where several runs "
            f"share a name, take some of the rows, or give each run its own '{RUN_ID}'"
        )
    return checked.sort_values([RUN_ID, along], ignore_index=True)


def _kind(needs: Collection[str]) -> TableKind:
    return TableKind.needing("a table of curves", OF_CURVES, needs)


def _number(frame: pd.DataFrame, position: int) -> int:
    return int(frame.index[position]) + 1
