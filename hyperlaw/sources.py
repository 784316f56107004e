"""Where a command's runs or law come from: a file, sweeps of the database, or a stored law."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperlaw.errors import InputError, MissingError

if TYPE_CHECKING:
    import pandas as pd

    from scaling.law import Law
    from storage.store import Store


@dataclass(frozen=True)
class Asked:
    """What the command line was given to say which runs or which law.

    Attributes
    ----------
    db : the database, a file or a URL.
    file : a file of runs.
    mapping : our column to the file's.
    sweeps : names of sweeps in the database.
    law : the name of a law in the database.
    """

    db: str
    file: Path | None = None
    mapping: Mapping[str, str] | None = None
    sweeps: tuple[str, ...] = ()
    law: str | None = None

    def __post_init__(self) -> None:
        """Refuse two sources at once, and a mapping that maps nothing."""
        flags = {"--runs": self.file, "--sweep": self.sweeps, "--law": self.law}
        given = [flag for flag, value in flags.items() if value]
        if len(given) > 1:
            raise InputError(
                f"{' and '.join(given)} are given; the answer comes from one of them, name one"
            )
        if self.mapping and self.file is None:
            raise InputError("--map says what a file calls our columns; give the file with --runs")

    @property
    def is_empty(self) -> bool:
        """Whether nothing was named."""
        return self.file is None and not self.sweeps and self.law is None


@dataclass(frozen=True)
class RunSource:
    """Runs, and where they are from.

    Attributes
    ----------
    name : what a law that is fitted to them is called unless told otherwise.
    runs : a checked runs table.
    sweeps, file : where they are from; one of the two is empty.
    mapping : our column to the file's.
    """

    name: str
    runs: pd.DataFrame
    sweeps: tuple[str, ...] = ()
    file: str | None = None
    mapping: Mapping[str, str] | None = None


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """Return {our column: the file's column} from ``ours=theirs`` texts.

    >>> parse_mapping(["lr=learning_rate", "loss=eval/loss"])
    {'lr': 'learning_rate', 'loss': 'eval/loss'}
    """
    mapping: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not (equals and ours and theirs):
            raise InputError(f"--map {pair}: write OURS=THEIRS, such as lr=learning_rate")
        if ours in mapping:
            raise InputError(f"--map {pair}: '{ours}' is mapped to '{mapping[ours]}' already")
        mapping[ours] = theirs
    return mapping


def open_store(db: str, *, create: bool = False) -> Store:
    """Open the database; a command that only reads must not make one."""
    from storage.store import Store

    return Store.open(db, create=create)


def find_runs(asked: Asked) -> RunSource:
    """Return the runs that are asked for: of a file, of sweeps, of a law, or of the only sweep."""
    if asked.file is not None:
        from storage.runs_table import read_runs

        runs = read_runs(asked.file, asked.mapping)
        name, file = _law_name(asked.file.stem), str(asked.file)
        return RunSource(name=name, runs=runs, file=file, mapping=asked.mapping)
    with open_store(asked.db) as store:
        if asked.law is not None:
            return _runs_of_law(store, asked.law)
        return runs_of_sweeps(store, asked.sweeps or (_only_sweep(store, asked.db),))


def runs_of_sweeps(store: Store, sweeps: Sequence[str]) -> RunSource:
    """Return the runs of one or more sweeps as one table."""
    import pandas as pd

    names = tuple(dict.fromkeys(sweeps))
    tables = [store.runs(name) for name in names]
    runs = tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
    return RunSource(name=_law_name("+".join(names)), runs=runs, sweeps=names)


def find_law(asked: Asked) -> Law:
    """Return the law that is asked for: stored, or fitted here and now to the runs that are.

    Where nothing is named, the only law of the database answers, else its only sweep.
    """
    return find_law_and_runs(asked)[0]


def find_law_and_runs(
    asked: Asked, axes: Sequence[str] | None = None
) -> tuple[Law, pd.DataFrame | None]:
    """Return the law that is asked for, as `find_law`, and the runs behind it.

    The runs of a stored law that was fitted to a file are not in the database: None. A law that is
    fitted here stands on `axes`, see `scaling.axes`, or on those that do best where None.
    """
    from scaling.law import Law

    name = _only_law(asked.db) if asked.is_empty else asked.law
    if name is None:
        source = find_runs(asked)
        return fit(source, axes=axes), source.runs
    with open_store(asked.db) as store:
        document = store.law(name)
        sweeps = document.get("source", {}).get("sweeps")
        runs = runs_of_sweeps(store, sweeps).runs if sweeps else None
    return Law.from_dict(document), runs


def axes_for(width: float | None, depth: float | None) -> tuple[str, ...] | None:
    """Return what a law stands on that is fitted for a target of this shape; None: as does best."""
    shape = {"width": width, "depth": depth}
    given = tuple(axis for axis, value in shape.items() if value is not None)
    return (*given, "tokens") if given else None


def find_runs_and_law(
    asked: Asked, law: str | None, axes: Sequence[str] | None = None
) -> tuple[RunSource, Law]:
    """Return runs and a law of them: the stored one of that name, else fitted here on `axes`.

    Where only the law is named, the runs are those that it is from; MissingError where the
    database does not have them.
    """
    stored = Asked(asked.db, law=law)
    source = find_runs(stored if asked.is_empty else asked)
    return source, fit(source, axes=axes) if law is None else find_law(stored)


def fit(
    source: RunSource,
    name: str | None = None,
    *,
    axes: Sequence[str] | None = None,
    try_shapes: bool = False,
) -> Law:
    """Fit a law to runs; named after where they are from unless told otherwise.

    `axes` and `try_shapes` are as for `scaling.fitting.fit_law`.
    """
    from scaling.fitting import fit_law

    called = source.name if name is None else name
    return fit_law(source.runs, name=called, axes=axes, try_shapes=try_shapes)


def keep_law(db: str, law: Law, source: RunSource) -> None:
    """Keep a law in the database, and beside it where its runs are from."""
    document: dict[str, Any] = law.to_dict()
    document["source"] = {"sweeps": list(source.sweeps), "file": source.file}
    sweep = source.sweeps[0] if len(source.sweeps) == 1 else None
    rehearse(lambda store: store.save_law(law.name, document=document, sweep=None))
    with open_store(db, create=True) as store:
        store.save_law(law.name, document=document, sweep=sweep)


def rehearse(write: Callable[[Store], object]) -> None:
    """Write to an empty database in memory first, so that what is wrong makes no file."""
    with open_store("sqlite://", create=True) as store:
        write(store)


def _runs_of_law(store: Store, name: str) -> RunSource:
    origin = store.law(name).get("source", {})
    if origin.get("sweeps"):
        return runs_of_sweeps(store, origin["sweeps"])
    raise MissingError(
        f"the runs of law '{name}' are not in the database: it was fitted to "
        f"{origin.get('file') or 'a file'}; give that with --runs"
    )


def _only_law(db: str) -> str | None:
    """Return the name of the database's only law, None where it has none."""
    with open_store(db) as store:
        names = store.law_names()
    if len(names) > 1:
        raise InputError(f"{db} has {len(names)} laws; name one with --law: {_listed(names)}")
    return names[0] if names else None


def _only_sweep(store: Store, db: str) -> str:
    names = store.sweep_names()
    if not names:
        raise MissingError(
            f"{db} has no sweep; launch one, import runs, or give a file with --runs"
        )
    if len(names) > 1:
        raise InputError(f"{db} has {len(names)} sweeps; name one with --sweep: {_listed(names)}")
    return names[0]


def _listed(names: Sequence[str]) -> str:
    from storage.errors import listed

    return listed(names)


def _law_name(text: str) -> str:
    """Return a name that the store takes, as close to `text` as that goes."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)
    return plain.strip("._-")[:100] or "law"
