"""Files of runs or curves: their cells as they stand, each row with its columns, unchecked."""

import csv
import io
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from storage.cells import as_text, column_cells, infer
from storage.columns import BATCH_TOKENS, RUNS, TableKind
from storage.errors import RunsTableError, listed

_DELIMITERS = {".csv": ",", ".tsv": "\t"}

# What other programs call our columns, the closest in meaning first; lower case, no punctuation.
_ALIASES = {
    "params": ("nparams", "paramsnoembed", "nonembeddingparams", "numparams", "parameters", "n"),
    "tokens": ("ntokens", "traintokens", "trainingtokens", "totaltokens", "numtokens", "d"),
    "lr": ("learningrate", "maxlr", "peaklr", "peaklearningrate", "maxlearningrate", "baselr"),
    "batch_tokens": (
        "tokensperstep", "tokensperbatch", "globalbatchsize", "batchsize", "globalbs", "bs",
    ),
    "loss": (
        "valloss", "validationloss", "validloss", "evalloss", "testloss", "finalloss", "trainloss",
    ),
}  # fmt: skip


def read_table(
    path: Path,
    mapping: Mapping[str, str],
    kind: TableKind = RUNS,
    only: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read a file's columns under our names; see `storage.runs_table.read_runs`.

    Cells of our columns are left as they stand (text as objects); other columns become numbers
    where all their cells are. The index counts the rows of the file from 0.

    Raises
    ------
    RunsTableError
        If the file cannot be read, has no run, or lacks a column that is required or mapped.
    """
    used = {*(column.name for column in kind.columns), *mapping.values()}
    data = _read_bytes(path)
    if path.suffix.lower() == ".parquet":
        frame = _read_parquet(path, data)
    else:
        frame = _read_text_table(path, data, used, kind)
    names = check_distinct(frame.columns, str(path))
    check_mapping(mapping, names, str(path), kind)
    frame = only_rows(frame, only or {}, str(path))
    taken = set(mapping) | set(mapping.values())
    kept = frame[[name for name in names if name not in taken]]
    mapped = frame[list(mapping.values())].set_axis(list(mapping), axis="columns")
    named = pd.concat([mapped, kept], axis="columns")
    check_required(list(named.columns), str(path), kind)
    if named.empty:
        raise RunsTableError(f"{path}: holds a header but no run; a run is a row below the header")
    return named


def only_rows(frame: pd.DataFrame, only: Mapping[str, str], source: str) -> pd.DataFrame:
    """Return the rows whose columns have the given values, numbers compared as numbers.

    Raises
    ------
    RunsTableError
        If there is no such column, or no row has the value.
    """
    for name, value in only.items():
        if name not in frame.columns:
            close = get_close_matches(name, list(frame.columns), n=1)
            raise RunsTableError(
                f"{source}: cannot take only {name}={value}: there is no column "
                f"'{name}'{_did_you_mean(close)} the columns are {listed(list(frame.columns))}"
            )
        cells = column_cells(frame[name])
        text = as_text(cells)
        number = pd.to_numeric(value, errors="coerce")
        kept = (text == value) | (pd.to_numeric(text, errors="coerce") == number)
        if not kept.any():
            values = listed([str(cell) for cell in pd.unique(text) if cell is not None])
            raise RunsTableError(
                f"{source}: no row has {name}={value}; column '{name}' has {values}"
            )
        frame = frame[kept]
    return frame


def named_index_as_column(frame: pd.DataFrame) -> pd.DataFrame:
    """Count an index with a name as a column, as in ``frame.set_index("run_id")``."""
    named = frame.index.name is not None and frame.index.name not in frame.columns
    return frame.reset_index(drop=not named)


def check_distinct(names: Iterable[Hashable], source: str) -> list[str]:
    """Return a table's column names; refuse two of the same, and what is no name."""
    headers: list[str] = []
    for name in names:
        if not isinstance(name, str):
            raise RunsTableError(f"{source}: column {name!r} has no name; a column's name is text")
        if name in headers:
            raise RunsTableError(f"{source}: two columns are named '{name}'; names must differ")
        headers.append(name)
    return headers


def check_required(headers: Sequence[str], source: str, kind: TableKind = RUNS) -> None:
    """Refuse a table that lacks a required column, and say which of its columns may be it."""
    missing = [name for name in kind.required if name not in headers]
    if missing:
        raise RunsTableError(f"{source}: {_say_missing(missing, headers, kind)}")


def check_mapping(
    mapping: Mapping[str, str], names: Sequence[str], source: str, kind: TableKind
) -> None:
    """Refuse a mapping whose left side is not our column, or whose right side is not the file's."""
    known = [column.name for column in kind.columns]
    for ours, theirs in mapping.items():
        if ours not in known:
            meant = _did_you_mean(get_close_matches(ours, known, n=1))
            raise RunsTableError(
                f"{source}: cannot map {ours}={theirs}: hyperlaw has no column '{ours}'{meant} "
                f"its columns are {', '.join(known)}"
            )
        if theirs not in names:
            near = [name for name in _near(ours, names)[:1] if _is_sure(ours, name)]
            close = get_close_matches(theirs, names, n=1) or near
            raise RunsTableError(
                f"{source}: cannot map {ours}={theirs}: the file has no column "
                f"'{theirs}'{_did_you_mean(close)} its columns are {listed(names)}"
            )


def _say_missing(missing: Sequence[str], headers: Sequence[str], kind: TableKind) -> str:
    free = [header for header in headers if header not in kind.required]
    near: dict[str, str] = {}
    for name in missing:
        found = [header for header in _near(name, free) if header not in near.values()]
        if found:
            near[name] = found[0]
    said = f"no column{'s' if len(missing) > 1 else ''} {_quoted(missing)}"
    sure = {ours: theirs for ours, theirs in near.items() if _is_sure(ours, theirs)}
    if sure:
        flags = " ".join(f"--map {ours}={theirs}" for ours, theirs in sure.items())
        said += f"{_did_you_mean(list(sure.values()))} pass {flags}"
    if len(sure) < len(near):
        said += (
            f"; '{near[BATCH_TOKENS]}' is perhaps {BATCH_TOKENS}: map it if it counts tokens; if "
            "it counts sequences, multiply it by the sequence length first"
        )
    if near:
        return said
    needed = ",".join(kind.required)
    return f"{said}; the columns are {listed(headers)}, and {kind.name} needs {needed}"


def _is_sure(ours: str, theirs: str) -> bool:
    """Say whether a name that is near ours says the same thing: most batches are in sequences."""
    return ours != BATCH_TOKENS or "token" in theirs.lower()


def _near(ours: str, names: Sequence[str]) -> list[str]:
    """Return the names that most likely mean our column, best first."""
    plain = {name: re.sub(r"[^a-z0-9]", "", name.lower()) for name in names}
    meanings = (re.sub("_", "", ours), *_ALIASES.get(ours, ()))
    exact = [name for meaning in meanings for name in names if plain[name] == meaning]
    # as in "config.learning_rate", "params_lr", "loss_c4"
    part = [
        name
        for meaning in meanings
        if len(meaning) > 1
        for name in names
        if plain[name].endswith(meaning) or plain[name].startswith(meaning)
    ]
    return exact + part + get_close_matches(ours, names, n=1)


def _did_you_mean(names: Sequence[str]) -> str:
    return f"; did you mean {_quoted(names)}?" if names else ";"


def _quoted(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return " and ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def _read_text_table(path: Path, data: bytes, used: Set[str], kind: TableKind) -> pd.DataFrame:
    delimiter = _DELIMITERS.get(path.suffix.lower())
    if delimiter is None:
        raise RunsTableError(
            f"{path}: not {kind.name} by its name; {kind.name} is a .csv, .tsv or .parquet file"
        )
    text = _decode(path, data, kind)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        filled = (row for row in reader if any(cell.strip() for cell in row))
        headers = [name.strip() for name in next(filled, [])]
        _check_header_line(headers, text, delimiter, path, kind)
        rows = list(filled)
    except csv.Error as error:
        raise RunsTableError(f"{path}: line {reader.line_num}: not a CSV ({error})") from error
    for number, row in enumerate(rows, start=1):
        if len(row) != len(headers):
            raise RunsTableError(
                f"{path}: row {number} has {len(row)} cells; the header has {len(headers)} columns"
            )
    cells = np.array(rows, dtype=object).reshape(len(rows), len(headers))
    # a column without a name is the index that pandas writes
    columns = {name: cells[:, i] for i, name in enumerate(headers) if name}
    return pd.DataFrame(
        {
            name: pd.Series(column, dtype=object) if name in used else pd.Series(infer(column))
            for name, column in columns.items()
        }
    )


def _check_header_line(
    headers: Sequence[str], text: str, delimiter: str, path: Path, kind: TableKind
) -> None:
    minimal = ",".join(kind.required)
    if not headers:
        raise RunsTableError(f"{path}: the file is empty; {kind.name} has the header {minimal}")
    check_distinct((name for name in headers if name), str(path))
    other = next((mark for mark in ";\t,|" if mark != delimiter and mark in headers[0]), None)
    if len(headers) == 1 and other is not None:
        separated = "tabs" if delimiter == "\t" else "commas"
        raise RunsTableError(
            f"{path}: cells are separated by {other!r}; a {path.suffix} file needs {separated}"
        )
    if not any(re.match(r"\s*[^\W\d]", name) for name in headers):
        first = text.splitlines()[0][:60] if text else ""
        raise RunsTableError(
            f"{path}: the first line, '{first}', is no header; {kind.name} begins {minimal}"
        )


def _decode(path: Path, data: bytes, kind: TableKind) -> str:
    if b"\0" in data[:4096]:
        raise RunsTableError(f"{path}: not a CSV but a binary file; {kind.name} is UTF-8 text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RunsTableError(
            f"{path}: not a CSV in UTF-8 (byte {error.start} is {data[error.start]:#04x}); "
            "save it as UTF-8 text"
        ) from error


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise RunsTableError(f"{path}: a folder, not a file; name the file of runs in it")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise RunsTableError(f"{path}: no such file") from error
    except OSError as error:
        raise RunsTableError(f"{path}: cannot be read ({error.strerror})") from error


def _read_parquet(path: Path, data: bytes) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except (ValueError, OSError) as error:  # what pyarrow's errors derive from
        said = str(error).splitlines()[0]
        raise RunsTableError(f"{path}: not a Parquet file ({said})") from error
    return named_index_as_column(frame)
