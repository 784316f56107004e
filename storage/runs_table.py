"""The runs table at the door: read it from a file, check every cell, fill what may be left out.

`check_runs` is what every runs table passes before another room sees it; after it, columns stand in
one order, numbers are numbers, every run has its own `run_id` and a `status`, and a loss is finite
exactly where it can be used.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from storage.cells import Cells, column_cells, explain, is_missing, one_cell, parse
from storage.columns import (
    BATCH_TOKENS,
    COMPLETED,
    DIVERGED,
    FLOPS,
    LOSS,
    PARAMS,
    RUN_ID,
    RUNS,
    SEED,
    STATUS,
    STEPS,
    SWEEP,
    TOKENS,
    Column,
    TableKind,
)
from storage.errors import RunsTableError
from storage.table_files import (
    check_distinct,
    check_required,
    named_index_as_column,
    read_table,
)

__all__ = ["RunsTableError", "check_row", "check_runs", "numbered_names", "read_runs"]

# How far two counts of the same thing may lie apart before one of them is in another unit: a batch
# that grows during a run moves steps × batch_tokens by a small factor, sequences for tokens by
# hundreds; attention and embeddings move FLOPs from 6ND by a small factor, PFLOP for FLOP by 1e15.
_STEPS_FACTOR = 8.0
_FLOPS_FACTOR = 1000.0
# The longest runs take some 1e6 steps; sequences for tokens make them hundreds of times more.
_MAX_STEPS = 1e7


@dataclass(frozen=True)
class _Source:
    """What a table is called in errors, what its file calls our columns, and its rows' numbers."""

    name: str
    in_file: Mapping[str, str] = field(default_factory=dict)
    one_run: bool = False
    row_numbers: Sequence[int] | None = None

    def row(self, row: int) -> int:
        return 1 + (row if self.row_numbers is None else self.row_numbers[row])

    def cell(self, row: int, name: str) -> str:
        place = self.name if self.one_run else f"{self.name}: row {self.row(row)}"
        place += f"{':' if self.one_run else ','} column '{name}'"
        if self.in_file.get(name, name) != name:
            place += f" ('{self.in_file[name]}' in the file)"
        return place


def read_runs(
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    *,
    kind: TableKind = RUNS,
    only: Mapping[str, str] | None = None,
    name_runs: Callable[[pd.DataFrame], Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Read and check a runs table from a file.

    Parameters
    ----------
    path : str or Path
        A `.csv` (commas), `.tsv` (tabs) or `.parquet` file; text is UTF-8 with a header line.
    mapping : mapping of str to str, optional
        Our column to the file's column, as ``{"lr": "learning_rate"}``. A column of the file whose
        name a mapped column takes is left out; so are columns without a name (pandas' index).
    kind : TableKind, optional
        Which columns are required; `storage.columns.LOSSES` where settings are not asked about.
    only : mapping of str to str, optional
        Column of the file to value: rows of another value are left out, unchecked.
    name_runs : callable, optional
        Called with the checked table where the file has no `run_id`, for a name a run; else they
        are named as `check_runs` does.

    Returns
    -------
    DataFrame
        As `check_runs` returns it.

    Raises
    ------
    RunsTableError
        If the file cannot be read, has no run, lacks a column or holds a wrong cell. The message
        names the file, the row (1 is the first data row) and the column.
    """
    frame = read_table(Path(path), mapping or {}, kind, only)
    source = _Source(str(path), mapping or {}, row_numbers=frame.index.tolist())
    runs = _check_frame(frame.reset_index(drop=True), source, kind)
    if name_runs is not None and RUN_ID not in frame.columns:
        runs[RUN_ID] = pd.Series(name_runs(runs), dtype="str")
    return runs


def check_runs(
    frame: pd.DataFrame, *, source: str = "runs table", kind: TableKind = RUNS
) -> pd.DataFrame:
    """Return a checked, ordered copy of a runs table.

    What may be left out is filled in: `run_id` (``<source's stem>-000001`` …), `sweep` (""),
    `seed` (0), `flops` (6ND), and `status` (`completed` where the loss is finite, else `diverged`).
    A run given as `completed` whose loss is not finite is a diverged run, and the loss of a
    diverged run becomes NaN. A finite loss is never judged by its size. A whole-number column
    becomes float, with NaN, where some run lacks a value. Columns without rules are kept as they
    are, at the end.

    Parameters
    ----------
    frame : DataFrame
        A row a run, with at least params, tokens, lr, batch_tokens and loss (see
        `storage.columns`). Numbers may be text. A named index counts as a column.
    source : str
        What to call the table in errors, as a file's name.
    kind : TableKind, optional
        Which columns are required.

    Raises
    ------
    RunsTableError
        If a column is missing or a cell is wrong; the first is named, and how many more there are.
    """
    return _check_frame(named_index_as_column(frame), _Source(source), kind)


def check_row(row: Mapping[str, object], *, source: str = "run") -> dict[str, object]:
    """Check one run, given as a mapping of column to value, by the rules of `check_runs`.

    It may have any number of steps: who makes a run knows what its batch counts.

    Returns plain Python values; a missing value is None, and so is the loss of a diverged run.
    """
    check_required(check_distinct(row, source), source)
    rules = _rules(RUNS)
    cells = {name: one_cell(value) for name, value in row.items() if name in rules}
    checked = {
        name: _plain(cells[0])
        for name, cells in _checked(cells, rules, _Source(source, one_run=True)).items()
    }
    return checked | {name: value for name, value in row.items() if name not in rules}


def numbered_names(stem: str, n_runs: int, first: int = 1) -> list[str]:
    """Return names for runs that have none.

    >>> numbered_names("ladder", 2)
    ['ladder-000001', 'ladder-000002']
    """
    return [f"{stem}-{number:06d}" for number in range(first, first + n_runs)]


def _rules(kind: TableKind) -> dict[str, Column]:
    return {column.name: column for column in kind.columns}


def _check_frame(frame: pd.DataFrame, source: _Source, kind: TableKind) -> pd.DataFrame:
    rules = _rules(kind)
    names = check_distinct(frame.columns, source.name)
    check_required(names, source.name, kind)
    cells = {name: column_cells(frame[name]) for name in names if name in rules}
    checked = {
        name: pd.Series(cells, dtype="str" if rules[name].is_text else None)
        for name, cells in _checked(cells, rules, source).items()
    }
    others = frame[[name for name in names if name not in rules]]
    return pd.concat([pd.DataFrame(checked), others], axis="columns")


def _checked(
    raw: Mapping[str, Cells], rules: Mapping[str, Column], source: _Source
) -> dict[str, Cells]:
    parsed = {name: parse(column, raw[name]) for name, column in rules.items() if name in raw}
    wrong = {name: column.wrong for name, column in parsed.items()}
    columns = {name: column.cells for name, column in parsed.items()}
    if RUN_ID in columns:
        wrong[RUN_ID] = wrong[RUN_ID] | _repeats(columns[RUN_ID])

    def why(name: str, row: int) -> str:
        if name == RUN_ID and columns[RUN_ID][row] is not None:
            first = int(np.argmax(columns[RUN_ID] == columns[RUN_ID][row]))
            also = f"'{columns[RUN_ID][row]}' is also the run of row {source.row(first)}"
            return f"{also}; names must differ"
        return explain(rules[name], raw[name][row])

    _refuse(wrong, why, source)
    filled = _fill(columns, source.name)
    wrong_units = _wrong_units(filled, max_steps=np.inf if source.one_run else _MAX_STEPS)
    _refuse(wrong_units, lambda name, row: _why_unit(name, row, filled), source)
    return {name: filled[name] for name in rules if name in filled}


def _refuse(
    wrong: Mapping[str, NDArray[np.bool_]],
    why: Callable[[str, int], str],
    source: _Source,
) -> None:
    """Raise for the first wrong cell, row by row, and count the others."""
    n_wrong = sum(int(mask.sum()) for mask in wrong.values())
    if not n_wrong:
        return
    row, name = min(
        ((int(np.argmax(mask)), name) for name, mask in wrong.items() if mask.any()),
        key=lambda place: place[0],
    )
    message = f"{source.cell(row, name)}: {why(name, row)}"
    if n_wrong > 1:
        message += f"; {n_wrong - 1} more cell{'s are' if n_wrong > 2 else ' is'} wrong"
    raise RunsTableError(message)


def _repeats(names: Cells) -> NDArray[np.bool_]:
    return np.asarray(pd.Series(names, dtype=object).duplicated()) & ~is_missing(names)


def _fill(columns: Mapping[str, Cells], source: str) -> dict[str, Cells]:
    filled = dict(columns)
    n_runs = len(filled[LOSS])
    if RUN_ID not in filled:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).stem).strip("-") or "run"
        filled[RUN_ID] = np.array(numbered_names(stem, n_runs), dtype=object)
    no_text: Cells = np.full(n_runs, None, dtype=object)
    filled[SWEEP] = _where_missing(filled.get(SWEEP, no_text), "")

    loss = filled[LOSS].astype(np.float64)
    status = _where_missing(filled.get(STATUS, no_text), COMPLETED)
    status[(status == COMPLETED) & ~np.isfinite(loss)] = DIVERGED
    loss[(status == DIVERGED) | ~np.isfinite(loss)] = np.nan
    filled[STATUS], filled[LOSS] = status, loss

    seed = filled.get(SEED, np.zeros(n_runs, dtype=np.int64))
    if seed.dtype.kind == "f":
        seed = np.nan_to_num(seed, nan=0.0).astype(np.int64)
    filled[SEED] = seed
    with np.errstate(over="ignore"):
        six_nd = 6.0 * filled[PARAMS] * filled[TOKENS]
    flops = filled.get(FLOPS, np.full(n_runs, np.nan))
    filled[FLOPS] = np.where(np.isnan(flops), six_nd, flops)
    return filled


def _where_missing(text: Cells, value: str) -> Cells:
    return np.where(is_missing(text), value, text)


def _wrong_units(columns: Mapping[str, Cells], max_steps: float) -> dict[str, NDArray[np.bool_]]:
    """Mark values that cannot be in the unit of their column, seen from other columns."""
    completed = columns[STATUS] == COMPLETED
    params, tokens = columns[PARAMS], columns[TOKENS]
    wrong = {PARAMS: params < 1}
    if BATCH_TOKENS in columns:
        batch = columns[BATCH_TOKENS]
        too_many = tokens > max_steps * batch
        wrong |= {TOKENS: tokens < batch, BATCH_TOKENS: (batch < 1) | too_many}
        if STEPS in columns:
            ratio = columns[STEPS] * (batch / tokens)
            apart = (ratio < 1 / _STEPS_FACTOR) | (ratio > _STEPS_FACTOR)
            wrong[BATCH_TOKENS] = wrong[BATCH_TOKENS] | (completed & apart)
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = columns[FLOPS] / (6.0 * params * tokens)
    near = (ratio >= 1 / _FLOPS_FACTOR) & (ratio <= _FLOPS_FACTOR)
    return wrong | {FLOPS: completed & ~near}


def _why_unit(name: str, row: int, columns: Mapping[str, Cells]) -> str:
    value = f"{columns[name][row]:g}"
    if name == PARAMS or (name == BATCH_TOKENS and columns[name][row] < 1):
        return f"{value} is below 1; it must be a plain count, not in millions or billions"
    if name == TOKENS:
        batch = f"{columns[BATCH_TOKENS][row]:g}"
        return f"{value} is less than one batch of {batch}; both must be in tokens"
    if name == BATCH_TOKENS and columns[TOKENS][row] > _MAX_STEPS * columns[name][row]:
        steps = columns[TOKENS][row] / columns[name][row]
        return (
            f"{value} makes {steps:.2g} steps of the run's {columns[TOKENS][row]:g} tokens, more "
            f"than the {_MAX_STEPS:g} of any training; it must be in tokens, not in sequences"
        )
    if name == BATCH_TOKENS:
        seen = columns[STEPS][row] * columns[BATCH_TOKENS][row]
        return (
            f"{value} × {columns[STEPS][row]:g} steps is {seen:g} tokens, but the run's tokens are "
            f"{columns[TOKENS][row]:g}; it must be in tokens, not in sequences"
        )
    six_nd = 6.0 * columns[PARAMS][row] * columns[TOKENS][row]
    return f"{value} is far from 6ND = {six_nd:g}; params, tokens and FLOP must be plain counts"


def _plain(cell: object) -> object:
    value = cell.item() if isinstance(cell, np.generic) else cell
    return None if isinstance(value, float) and np.isnan(value) else value
