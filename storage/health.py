"""Whether a database is whole and at the newest schema, seen without changing it."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select

from storage import migrations, schema
from storage.curves import CurveError, decode
from storage.database import Database

_COUNTED = (schema.sweeps, schema.runs, schema.curves, schema.laws)


@dataclass(frozen=True)
class Health:
    """What was found.

    Attributes
    ----------
    name : what the database is called: its path or URL, without a password.
    revision : of its schema.
    newest : the revision that this hyperlaw writes.
    counts : table to rows.
    problems : what is wrong with it, a sentence each; an older revision is none.
    """

    name: str
    revision: str
    newest: str
    counts: dict[str, int]
    problems: tuple[str, ...]

    @property
    def is_newest(self) -> bool:
        """Whether nothing needs to be upgraded."""
        return self.revision == self.newest


def examine(url_or_path: str | Path) -> Health:
    """Look at a database: its revision, its tables and columns, its references, every curve.

    Raises
    ------
    NotFoundError
        If there is no database, or one without our tables.
    StoreError
        If it is no database, was written by a newer hyperlaw, or cannot be read.
    """
    database = Database(url_or_path, create=False, upgrade=False)
    try:
        with database.reading() as connection:
            revision = str(migrations.revision(connection))
            problems = _damage(connection)
            if revision == migrations.HEAD:
                problems += _missing(connection)
            present = set(inspect(connection).get_table_names())
            counted = [table for table in _COUNTED if table.name in present]
            counts = {
                table.name: int(
                    connection.execute(select(func.count()).select_from(table)).scalar_one()
                )
                for table in counted
            }
            if schema.curves in counted:
                problems += _unreadable_curves(connection)
    finally:
        database.close()
    return Health(database.name, revision, migrations.HEAD, counts, tuple(problems))


def upgrade(url_or_path: str | Path) -> tuple[str, str]:
    """Bring a database to the newest schema; return the revision it had and the one it has.

    Raises
    ------
    NotFoundError, StoreError
        As `examine`.
    """
    before = Database(url_or_path, create=False, upgrade=False)
    try:
        with before.reading() as connection:
            revision = str(migrations.revision(connection))
    finally:
        before.close()
    Database(url_or_path, create=False).close()
    return revision, migrations.HEAD


def _damage(connection: Connection) -> list[str]:
    """Return what SQLite itself finds wrong; a server looks after its own files."""
    if connection.dialect.name != "sqlite":
        return []
    found = connection.exec_driver_sql("PRAGMA integrity_check(5)").scalars().all()
    problems = [f"the file is damaged: {text}" for text in found if text != "ok"]
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return problems + [
        f"{count} rows of table {table} point at a {parent} row that is not there"
        for (table, parent), count in _tally([(row[0], row[2]) for row in lost]).items()
    ]


def _tally(pairs: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return {pair: pairs.count(pair) for pair in dict.fromkeys(pairs)}


def _missing(connection: Connection) -> list[str]:
    """Return which tables or columns of the newest schema are not there."""
    inspector = inspect(connection)
    present = set(inspector.get_table_names())
    problems = []
    for name, table in schema.metadata.tables.items():
        if name not in present:
            problems.append(f"table {name} is not there")
            continue
        columns = {column["name"] for column in inspector.get_columns(name)}
        problems += [
            f"column {column.name} of table {name} is not there"
            for column in table.columns
            if column.name not in columns
        ]
    return problems


def _unreadable_curves(connection: Connection) -> list[str]:
    problems = []
    query = select(schema.curves.c.run_id, schema.curves.c.curve)
    for run_id, data in connection.execute(query).yield_per(1000):
        try:
            decode(data)
        except CurveError as error:
            problems.append(f"the curve of run '{run_id}' cannot be read: {error}")
    return problems
