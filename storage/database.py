"""The connection to the database, SQLite by default or PostgreSQL by URL, and its transactions.

SQLite is used in WAL mode, so that any number of processes read while one writes. A writing
transaction takes the write lock when it begins, so that it waits for its turn instead of failing
halfway. A file that may not be written is read all the same, as a colleague's or one on a read-only
disk.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from storage import migrations
from storage.errors import NotFoundError, StoreError

_SQLITE_HEADER: Final = b"SQLite format 3\0"
_IN_MEMORY: Final = (None, "", ":memory:")
_LOCK_WAIT_MS: Final = 30_000
_BEGIN: Final = "hyperlaw_begin"  # how SQLite begins a transaction on a connection
_UPGRADE_LOCK: Final = 0x68796C77  # "hylw": which of PostgreSQL's advisory locks is ours


class ConflictError(StoreError):
    """A row that is there already, or that points at one that is not there."""


class Database:
    """A database, at the newest form of the schema unless it is only to be looked at.

    See `storage.store.Store.open`.

    Attributes
    ----------
    url : str
        As SQLAlchemy and Optuna take it, a password included.
    path : Path or None
        Its file; None where it is in memory or on a server.
    name : str
        What to call the database in errors: the path or URL that was given, without a password.
    why_read_only : str
        Why it can only be read; empty where it can be written.
    """

    def __init__(self, url_or_path: str | Path, *, create: bool, upgrade: bool = True) -> None:
        """Open the database and bring it to the newest schema if `upgrade`; make it if `create`.

        One that may not be written is opened for reading unless `create`.
        """
        url, self.name = _locate(url_or_path)
        self.url: str = url.render_as_string(hide_password=False)
        on_disk = url.get_backend_name() == "sqlite" and url.database not in _IN_MEMORY
        self.path = Path(str(url.database)) if on_disk else None
        _check_place(url, self.name, create=create)
        self.why_read_only = "" if self.path is None else _why_read_only(self.path, self.name)
        if create:
            self._require_writable()
        self._engine = _engine(url, self.name, self.path if self.why_read_only else None)
        self._writers = threading.local()
        self._snapshots = self._engine
        if self._engine.dialect.name == "postgresql":  # SQLite's transactions are snapshots anyway
            self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ")
        try:
            self._bring_to_head(create=create, upgrade=upgrade)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections; SQLite then folds its write-ahead log into the file."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database, whatever others write."""
        with (
            self._one_line_errors(),
            self._snapshots.connect() as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose changes are all kept at the end, or none if anything fails.

        One inside another, in the same thread, is part of it.
        """
        if (outer := getattr(self._writers, "connection", None)) is not None:
            with self._one_line_errors():
                yield outer
            return
        self._require_writable()
        with self._one_line_errors(), self._engine.connect() as connection:
            writer = connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            with writer.begin():
                self._writers.connection = writer
                try:
                    yield writer
                finally:
                    self._writers.connection = None

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            said = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            kind = ConflictError if isinstance(error, IntegrityError) else StoreError
            raise kind(f"{self.name}: {said}") from error

    def _require_writable(self) -> None:
        if self.why_read_only:
            raise StoreError(self.why_read_only)

    def _bring_to_head(self, *, create: bool, upgrade: bool) -> None:
        with self.reading() as connection:
            found = migrations.revision(connection)
            migrations.check_revision(found, connection, self.name)
            if not create:
                migrations.require_tables(found, connection, self.name)
        if upgrade and found != migrations.HEAD:
            if self.why_read_only:
                raise StoreError(
                    f"{self.why_read_only}; its schema is {found}, older than this hyperlaw's, "
                    f"{migrations.HEAD}: open it once where it can be written, or a copy of it"
                )
            self._upgrade()

    def _upgrade(self) -> None:
        """Bring the database to the newest schema; of several that try at once, one does."""
        if self._engine.dialect.name == "sqlite":
            # cannot be set inside a transaction; lasts for the life of the file
            with self._one_line_errors(), self._engine.connect() as connection:
                outside = connection.execution_options(**{_BEGIN: ""})
                outside.exec_driver_sql("PRAGMA journal_mode=WAL")
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
            if migrations.revision(connection) != migrations.HEAD:
                migrations.upgrade(connection)


def _locate(url_or_path: str | Path) -> tuple[URL, str]:
    """Return the database's URL, and what to call it in errors."""
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        path = Path(url_or_path).expanduser().absolute()
        return URL.create("sqlite", database=str(path)), str(url_or_path)
    try:
        url = make_url(url_or_path)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise StoreError(  # without the URL: its password cannot be told from the rest
            "the database's URL cannot be read; give a file, as hyperlaw.db, or a URL, as "
            "postgresql://user:password@host:5432/name"
        ) from error
    name = url.render_as_string(hide_password=True)
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(
            f"{name}: {url.get_backend_name()} is not supported; a database is SQLite or PostgreSQL"
        )
    if url.get_backend_name() == "sqlite" and url.database not in _IN_MEMORY:
        url = url.set(database=str(Path(str(url.database)).absolute()))
    return url, name


def _check_place(url: URL, name: str, *, create: bool) -> None:
    """Refuse a file that is no SQLite database, before anything touches it."""
    if url.get_backend_name() != "sqlite" or url.database in _IN_MEMORY:
        return
    path = Path(str(url.database))
    try:
        if path.is_dir():
            raise StoreError(f"{name} is a folder; name a file in it, as {path / 'hyperlaw.db'}")
        if not path.exists():
            if not create:
                raise NotFoundError(f"no database at {name}; a sweep or an import makes one")
            if not path.parent.is_dir():
                raise StoreError(f"{name}: there is no folder {path.parent} to make it in")
            return
        with path.open("rb") as file:
            header = file.read(len(_SQLITE_HEADER))
    except OSError as error:
        raise StoreError(f"{name}: cannot be read ({error.strerror})") from error
    if header and header != _SQLITE_HEADER:
        raise StoreError(f"{name} is not a database; it was left as it is, name another file")


def _why_read_only(path: Path, name: str) -> str:
    """Say why a database's file cannot be written; "" where it can, or is yet to be made."""
    if not os.access(path.parent, os.W_OK):  # SQLite writes a log beside the file
        return f"{name} cannot be written: its folder, {path.parent}, is read-only to you"
    if path.exists() and not os.access(path, os.W_OK):
        return f"{name} cannot be written: the file is read-only to you"
    return ""


def _connect_to_read(path: Path, name: str) -> sqlite3.Connection:
    """Connect to a file in WAL mode that may not be written, nor anything be made beside it.

    SQLite reads it as it stands if told that nobody changes it, which holds as long as there is no
    log beside it; the log of a process that writes now is read with the index that it keeps. So
    each transaction connects anew.
    """
    log, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    if log.exists() and index.exists():
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    if log.exists() and log.stat().st_size > 0:
        raise StoreError(
            f"{name} cannot be read without being written: {log.name} holds what is not in it yet; "
            "open it once where it can be written"
        )
    return sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)


def _engine(url: URL, name: str, to_read: Path | None) -> Engine:
    try:
        if to_read is not None:
            connect = partial(_connect_to_read, to_read, name)
            engine = create_engine(url, creator=connect, poolclass=NullPool)
        else:
            engine = create_engine(url)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{name}: needs the package {error.name}; install it beside hyperlaw"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Python's sqlite3 would begin transactions by itself, and not before DDL: `_begin_sqlite` does
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_LOCK_WAIT_MS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    begin = connection.get_execution_options().get(_BEGIN, "BEGIN")
    if begin:
        connection.exec_driver_sql(begin)
