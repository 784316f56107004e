"""The rules for the cells of one column: what is read from them, and which of them are wrong.

Works on whole columns as numpy arrays, so that 100,000 runs are checked in a fraction of a second,
and a single run (a column of one cell) in well under a millisecond.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from storage.columns import LOSS, RUN_ID, STATUS, STATUSES, Column

Cells = NDArray[Any]
"""One column's cells as they came: numbers, or objects (text, None, …). Shape (n_runs,)."""

_BLANK = {"", "nan", "+nan", "-nan", "none", "null", "na", "n/a", "<na>", "nat"}
_INT64_MAX = 2**63 - 1
_FLOAT64_WHOLE_MAX = 2**53


@dataclass(frozen=True)
class Parsed:
    """One column after reading: its cells as values, and which of them break a rule.

    Parameters
    ----------
    cells : array of shape (n_runs,)
        float64 or int64 numbers, NaN where missing; or objects (text, None where missing). Times
        are text, as the store writes them.
    wrong : array of bool, shape (n_runs,)
        Where a cell breaks a rule of its column; `explain` says which one.
    """

    cells: Cells
    wrong: NDArray[np.bool_]


def column_cells(series: "pd.Series[Any]") -> Cells:
    """Take a column out of pandas: plain numbers or times where it has them, else objects."""
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy()
    if pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_bool_dtype(series.dtype):
        if series.isna().any():
            return series.to_numpy(dtype=np.float64, na_value=np.nan)
        return series.to_numpy()
    return series.to_numpy(dtype=object)


def one_cell(value: object) -> Cells:
    """Make a column of one cell."""
    cells = np.empty(1, dtype=object)
    cells[0] = value
    return cells


def parse(column: Column, cells: Cells) -> Parsed:
    """Read one column's cells by the rules of `column`, and mark those that break a rule."""
    if column.kind == "str":
        text = as_text(cells)
        return Parsed(text, _wrong_text(column, text))
    if column.kind == "time":
        return _as_times(cells)
    numbers, unreadable = _as_numbers(cells)
    wrong = unreadable | _wrong_numbers(column, numbers) & ~unreadable
    if column.kind == "int" and not wrong.any() and not np.isnan(numbers).any():
        return Parsed(numbers.astype(np.int64), wrong)
    return Parsed(numbers if column.kind == "int" else numbers.astype(np.float64), wrong)


def explain(column: Column, cell: object) -> str:
    """Say why `parse` marked this cell, and what would be right.

    >>> from storage.columns import COLUMNS, LR
    >>> explain(next(column for column in COLUMNS if column.name == LR), "-3e-4")
    '-3e-4 must be above 0 (peak learning rate)'
    """
    if column.name == STATUS:
        close = get_close_matches(str(cell).lower(), STATUSES, n=1)
        meant = f"did you mean '{close[0]}'? " if close else ""
        return f"'{cell}' is no status; {meant}it must be one of {', '.join(STATUSES)}"
    if column.kind == "str" or _is_blank(cell):
        return f"is missing ({column.meaning})"
    shown = str(cell).strip()
    if column.kind == "time":
        return f"'{shown}' is no time such as 2026-03-09T14:05:00Z ({column.meaning})"
    numbers, unreadable = _as_numbers(one_cell(cell))
    if unreadable[0]:
        fault = f"'{shown}' is not a number"
    elif not np.isfinite(numbers[0]):
        fault = f"{shown} must be finite"
    elif column.positive and numbers[0] <= 0:
        fault = f"{shown} must be above 0"
    elif column.nonnegative and numbers[0] < 0:
        fault = f"{shown} must not be below 0"
    elif numbers[0] % 1:
        fault = f"{shown} must be a whole number"
    else:
        fault = f"{shown} is too large for a whole number"
    return f"{fault} ({column.meaning})"


def is_missing(cells: Cells) -> NDArray[np.bool_]:
    """Mark cells that hold nothing: None, NaN, pandas' NA."""
    return np.asarray(pd.isna(cells), dtype=np.bool_)


def as_text(cells: Cells) -> Cells:
    """Turn cells into text, None where blank; times become ISO 8601 in UTC."""
    if cells.dtype.kind == "M":
        texts = np.char.add(np.datetime_as_string(cells, unit="s"), "+00:00").astype(object)
        texts[np.isnat(cells)] = None
        return texts
    missing = is_missing(cells)
    return np.array(
        [
            None if blank else _one_text(cell)
            for cell, blank in zip(cells.tolist(), missing, strict=True)
        ],
        dtype=object,
    )


def infer(cells: Cells) -> Cells:
    """Read the text of a column that has no rules: numbers where all of it is, text elsewhere."""
    numbers, unreadable = _as_numbers(cells)
    return as_text(cells) if unreadable.any() else numbers


def _one_text(cell: object) -> str | None:
    if isinstance(cell, datetime):
        return _in_utc(cell)
    return str(cell).strip() or None


def _in_utc(time: datetime) -> str:
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return aware.isoformat(timespec="seconds")


def _as_times(cells: Cells) -> Parsed:
    """Read times, None where blank; a cell that is no time is left as it is."""
    text = as_text(cells)
    wrong = np.zeros(len(text), dtype=np.bool_)
    for row, cell in enumerate(text):
        if _is_blank(cell):
            text[row] = None
            continue
        try:
            text[row] = _in_utc(datetime.fromisoformat(cell))
        except (ValueError, OverflowError):  # OverflowError: UTC is beyond the first or last year
            wrong[row] = True
    return Parsed(text, wrong)


def _as_numbers(cells: Cells) -> tuple[Cells, NDArray[np.bool_]]:
    """Return the numbers (NaN where blank or unreadable) and where a cell is not a number."""
    if cells.dtype.kind in "iuf":
        return cells, np.zeros(len(cells), dtype=np.bool_)
    if cells.dtype.kind not in "OU":
        return np.full(len(cells), np.nan), np.ones(len(cells), dtype=np.bool_)
    objects = cells.astype(object)
    numbers = np.asarray(pd.to_numeric(objects, errors="coerce"))
    if numbers.dtype.kind not in "iuf":
        numbers = np.full(len(cells), np.nan)
    unreadable = np.zeros(len(cells), dtype=np.bool_)
    for row in np.flatnonzero(np.isnan(numbers)):
        unreadable[row] = not _is_blank(objects[row])
    for row in np.flatnonzero((numbers == 0) | (numbers == 1)):  # True reads as 1
        unreadable[row] = isinstance(objects[row], bool | np.bool_)
    return numbers, unreadable


def _is_blank(cell: object) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in _BLANK
    return bool(is_missing(one_cell(cell))[0])


def _wrong_numbers(column: Column, numbers: Cells) -> NDArray[np.bool_]:
    missing = np.isnan(numbers)
    finite = np.isfinite(numbers)
    if column.name == LOSS:  # a loss that is not finite is how a diverged run looks
        return finite & (numbers <= 0)
    wrong = ~finite & ~missing
    if column.required:
        wrong |= missing
    if column.positive:
        wrong |= finite & (numbers <= 0)
    if column.nonnegative:
        wrong |= finite & (numbers < 0)
    if column.kind == "int":
        largest = _FLOAT64_WHOLE_MAX if numbers.dtype.kind == "f" else _INT64_MAX
        wrong |= finite & (numbers > largest)
        if numbers.dtype.kind == "f":
            wrong |= finite & ((numbers < -largest) | (np.floor(numbers) != numbers))
    return wrong


def _wrong_text(column: Column, text: Cells) -> NDArray[np.bool_]:
    missing = is_missing(text)
    if column.name == RUN_ID:
        return missing
    if column.name == STATUS:
        known = np.isin(text.astype(str), STATUSES)
        return np.asarray(~missing & ~known, dtype=np.bool_)
    return np.zeros(len(text), dtype=np.bool_)
