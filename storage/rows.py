"""Runs between pandas and the database: a checked runs table to rows, and rows to a runs table."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, Connection, Text, cast, func, select

from storage import schema
from storage.columns import COLUMNS, RUN_ID, STANDARD, SWEEP, Column
from storage.errors import RunsTableError

_RULES: Final = {column.name: column for column in COLUMNS}
_OPTIONAL: Final = [column.name for column in COLUMNS if column not in STANDARD]

Row = dict[str, object]


def now() -> str:
    """Return the time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def to_row(run: Mapping[str, object]) -> Row:
    """Turn one checked run into a row of the table `runs`.

    Raises
    ------
    RunsTableError
        If a value of a column without rules is none that JSON can hold.
    """
    row: Row = {name: run.get(name) for name in _RULES}
    row[SWEEP] = run[SWEEP] or None
    extra = {
        name: _json_value(value, name, str(run[RUN_ID]))
        for name, value in run.items()
        if name not in _RULES
    }
    return row | {"extra": {k: v for k, v in extra.items() if v is not None} or None}


def to_rows(frame: pd.DataFrame) -> list[Row]:
    """Turn a checked runs table into rows of the table `runs`; see `to_row`."""
    columns: dict[str, list[object]] = {}
    for name in frame.columns:
        cells = frame[name].astype(object).where(frame[name].notna(), None).tolist()
        if name in _RULES and _RULES[name].kind == "int":
            cells = [None if cell is None else int(cell) for cell in cells]
        columns[name] = cells
    return [
        to_row(dict(zip(columns, values, strict=True)))
        for values in zip(*columns.values(), strict=True)
    ]


def read_frame(connection: Connection, condition: ColumnElement[bool]) -> pd.DataFrame:
    """Read the runs that meet `condition` into a runs table, ordered by sweep and `run_id`.

    An optional column stands in it where some run has a value; the columns without rules follow.
    """
    counts = select(*(func.count(schema.runs.c[name]) for name in (*_OPTIONAL, "extra")))
    *filled, n_extra = connection.execute(counts.where(condition)).one()
    names = [column.name for column in STANDARD]
    names += [name for name, count in zip(_OPTIONAL, filled, strict=True) if count]
    # as text: parsing all JSON objects at once is many times faster than one by one
    selected: list[ColumnElement[Any]] = [schema.runs.c[name] for name in names]
    selected += [cast(schema.runs.c.extra, Text)] if n_extra else []
    query = select(*selected).where(condition).order_by(schema.runs.c.sweep, schema.runs.c.run_id)
    rows = connection.execute(query).all()
    columns = list(zip(*rows, strict=True)) or [()] * len(selected)
    table = {
        name: _series(_RULES[name], cells)
        for name, cells in zip(names, columns[: len(names)], strict=True)
    }
    table[SWEEP] = table[SWEEP].fillna("")
    frame = pd.DataFrame(table)
    if not n_extra:
        return frame
    documents = json.loads(f"[{','.join(text or '{}' for text in columns[-1])}]")
    return pd.concat([frame, pd.DataFrame(documents)], axis="columns")


def _series(column: Column, cells: Sequence[object]) -> "pd.Series[Any]":
    if column.is_text:
        return pd.Series(cells, dtype="str")
    whole = column.kind == "int" and None not in cells
    return pd.Series(np.array(cells, dtype=np.int64 if whole else np.float64))


def _json_value(value: object, column: str, run_id: str) -> object:
    """Return a value as JSON can hold it; a number that it cannot (NaN, ∞) counts as missing."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RunsTableError(
            f"run '{run_id}', column '{column}': a {type(value).__name__} cannot be stored "
            f"({error}); numbers, text and what JSON holds can"
        ) from error
    return value
