"""The store: what is kept of sweeps, runs, curves, laws and checks, in one database.

Only the coordinator of a sweep writes while it runs; any number of processes read. A method is one
transaction: it happens as a whole, or not at all. `Store.together` makes one of several.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, true, update

from storage import control, laws, legs, rounds, rows, schema, sweeps, transfer_checks
from storage.columns import COMPLETED, DIVERGED, RUN_ID, STATUSES, SWEEP
from storage.control import Request
from storage.curves import Curve, CurveError, decode, encode
from storage.database import ConflictError, Database
from storage.drivers import Driver
from storage.errors import NotFoundError, RunsTableError, StoreError, listed, not_found
from storage.legs import LegRecord
from storage.rounds import RoundRecord
from storage.runs_table import check_row, check_runs
from storage.sweeps import STATES, SweepRecord
from storage.transfer_checks import TransferCheckRecord

__all__ = ["STATES", "NotFoundError", "Store", "StoreError", "SweepRecord"]

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{schema.NAME_LENGTH - 1}}}")
_FINAL = (COMPLETED, DIVERGED)
_CHUNK = 5_000  # names in one query; SQLite takes 32,766


class Store:
    """One database, open; a context manager.

    Examples
    --------
    >>> import pandas as pd
    >>> with Store.open("sqlite://") as store:  # in memory
    ...     store.add_sweep("ladder", spec_text="")
    ...     run = {"run_id": "a", "sweep": "ladder", "params": 1e6, "tokens": 2e7, "lr": 1e-3}
    ...     store.record_run(run | {"batch_tokens": 4096, "loss": 3.2}, curve=None)
    ...     store.runs("ladder")["status"].tolist()
    ['completed']
    """

    def __init__(self, database: Database) -> None:
        """Take an open database; `Store.open` is the way to one."""
        self._database = database

    @classmethod
    def open(cls, url_or_path: str | Path, *, create: bool = True) -> "Store":
        """Open a database, and bring it to the newest schema.

        Parameters
        ----------
        url_or_path : str or Path
            A file (SQLite), or a URL, as ``postgresql://user@host/name``. It may hold the tables of
            other programs, as Optuna's; they are left alone.
        create : bool
            Make the database, or our tables in it, where there are none.

        Raises
        ------
        NotFoundError
            With ``create=False``, if there is no database, or one without our tables.
        StoreError
            If it is no database, was written by a newer hyperlaw, or cannot be reached.
        """
        return cls(Database(url_or_path, create=create))

    @property
    def url(self) -> str:
        """The database's URL as SQLAlchemy and Optuna take it, a password included."""
        return self._database.url

    @property
    def path(self) -> Path | None:
        """The database's file; None where it is in memory or on a server."""
        return self._database.path

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        self.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make what is written within the body one transaction: all of it is kept, or nothing."""
        with self._database.writing():
            yield

    def add_sweep(self, name: str, *, spec_text: str) -> None:
        """Add a sweep, in the state `running`, with the text of the file that describes it."""
        _check_name("sweep", name)
        with self._database.writing() as connection:
            if sweeps.find(connection, name) is not None:
                raise StoreError(f"{self._database.name} has a sweep named '{name}' already")
            sweeps.add(connection, [name], sweeps.RUNNING, spec_text)

    def sweep(self, name: str) -> SweepRecord:
        """Return one sweep; NotFoundError where there is none of that name."""
        with self._database.reading() as connection:
            return self._require_sweep(connection, name)

    def has_sweep(self, name: str) -> bool:
        """Say whether there is a sweep of that name."""
        with self._database.reading() as connection:
            return sweeps.find(connection, name) is not None

    def sweep_names(self) -> list[str]:
        """Return the names of all sweeps, oldest first."""
        with self._database.reading() as connection:
            return sweeps.names(connection)

    def set_sweep_state(self, name: str, state: str) -> None:
        """Set a sweep's state, one of `STATES`."""
        if state not in STATES:
            raise StoreError(f"'{state}' is no state of a sweep; it is one of {', '.join(STATES)}")
        with self._database.writing() as connection:
            change = update(schema.sweeps).where(schema.sweeps.c.name == name)
            self._require_sweep(connection, name)
            connection.execute(change.values(state=state, updated=rows.now()))

    def set_spec_text(self, name: str, spec_text: str) -> None:
        """Replace the text of a sweep's file, as where more runs are asked of it."""
        with self._database.writing() as connection:
            change = update(schema.sweeps).where(schema.sweeps.c.name == name)
            self._require_sweep(connection, name)
            connection.execute(change.values(spec_text=spec_text, updated=rows.now()))

    def claim_sweep(self, name: str, driver: Driver) -> None:
        """Make `driver` the process that runs a sweep; SweepBusyError where another one does."""
        with self._database.writing() as connection:
            control.claim(connection, self._require_sweep(connection, name), driver)

    def beat(self, name: str, driver: Driver) -> bool:
        """Say that `driver` is there; False where another process has taken the sweep over."""
        with self._database.writing() as connection:
            return control.beat(connection, name, driver)

    def release_sweep(self, name: str, driver: Driver, state: str) -> None:
        """Leave a sweep that `driver` ran in a state of `STATES`."""
        with self._database.writing() as connection:
            control.release(connection, self._require_sweep(connection, name), driver, state)

    def ask(self, sweep: str, action: str, amount: int | None = None) -> int:
        """Leave a request for the process that runs a sweep, and return its id.

        Parameters
        ----------
        action : str
            One of `storage.control.ACTIONS`.
        amount : int, optional
            Of an extension: how many runs more.

        Raises
        ------
        SweepIdleError
            If no process runs the sweep.
        """
        with self._database.writing() as connection:
            return control.ask(connection, self._require_sweep(connection, sweep), action, amount)

    def take_request(self, request_id: int) -> None:
        """Note that a request was obeyed."""
        with self._database.writing() as connection:
            control.take(connection, request_id)

    def requests(self, sweep: str, *, untaken: bool = False) -> list[Request]:
        """Return what was asked of a sweep, oldest first; only what is yet to be obeyed if asked.

        What no launch has seen before its end is not among them.
        """
        with self._database.reading() as connection:
            self._require_sweep(connection, sweep)
            return control.read(connection, sweep, untaken=untaken)

    def sweeps(self) -> pd.DataFrame:
        """Return a frame with a row a sweep, oldest first.

        Columns `name`, `state`, `created`, `runs` and how many of them `completed`, `diverged`,
        `failed` and `stopped`; `best_loss` of the completed (nats a token), and the `flops` (FLOP)
        and `seconds` of all.
        """
        with self._database.reading() as connection:
            return sweeps.summary(connection)

    def scales(self, sweep: str | None = None) -> pd.DataFrame:
        """Return a frame with a row a scale of one sweep, or of all, by sweep, N and D.

        Columns `sweep`, `params`, `tokens`, how many runs `completed`, `diverged`, `failed` and
        `stopped`, `best_loss` of the completed (nats a token), and the `flops` (FLOP) and `seconds`
        of all, NaN where none was told. A stopped run counts by the tokens that it came to.
        """
        with self._database.reading() as connection:
            if sweep is not None:
                self._require_sweep(connection, sweep)
            return sweeps.scales(connection, sweep)

    def add_runs(self, frame: pd.DataFrame) -> None:
        """Add runs of a runs table, as from an import: all of them or none.

        Sweeps that the runs belong to and that are not there yet are made, in the state `done`.

        Raises
        ------
        RunsTableError
            If the table is not right, see `check_runs`.
        StoreError
            If a run of the same `run_id` is there already.
        """
        self._add_runs(frame, to_launched=True)

    def import_runs(self, frame: pd.DataFrame, sweep: str) -> None:
        """Add runs that were trained elsewhere to one sweep: all of them or none.

        Errors are those of `add_runs`; StoreError too where the sweep was launched here: its runs
        are counted against what its file asks for, and its laws are of them alone.
        """
        self._add_runs(frame.assign(**{SWEEP: sweep}), to_launched=False)

    def _add_runs(self, frame: pd.DataFrame, *, to_launched: bool) -> None:
        checked = check_runs(frame)
        new_rows = rows.to_rows(checked)
        names = [str(name) for name in checked[SWEEP].unique() if name]
        for name in names:
            _check_name("sweep", name)
        try:
            with self._database.writing() as connection:
                known = sweeps.names(connection)
                if not to_launched:
                    self._refuse_launched(connection, names)
                new = [name for name in names if name not in known]
                sweeps.add(connection, new, sweeps.DONE, spec_text="")
                if new_rows:
                    connection.execute(insert(schema.runs), new_rows)
        except ConflictError as error:
            raise self._conflict([str(run_id) for run_id in checked[RUN_ID]], error) from error

    def record_run(self, row: Mapping[str, object], curve: Curve | None) -> None:
        """Keep one run that ended, and its curve; about a millisecond.

        It replaces a run of the same `run_id` that was stopped or failed, and the curve of reports
        so far; with no curve, that one is kept.

        Parameters
        ----------
        row : mapping
            The run by the columns of the runs table, `run_id` and `sweep` among them; what may be
            left out is filled in as `check_runs` does, and `created` with the time.
        curve : Curve or None
            What the run reported.

        Raises
        ------
        RunsTableError
            If a value is wrong or missing.
        StoreError
            If the run has completed or diverged before.
        """
        run_id = row.get(RUN_ID)
        if not run_id or not isinstance(run_id, str):
            raise RunsTableError("run: column 'run_id': is missing (name of the run)")
        new_row = rows.to_row(check_row({"created": rows.now(), **row}, source=f"run '{run_id}'"))
        runs = schema.runs
        try:
            with self._database.writing() as connection:
                if new_row[SWEEP] is not None:
                    self._require_sweep(connection, str(new_row[SWEEP]))
                unfinished = runs.c.status.not_in(_FINAL)
                connection.execute(delete(runs).where(runs.c.run_id == run_id, unfinished))
                connection.execute(insert(runs), new_row)
                if curve is not None:
                    _replace_curve(connection, run_id, new_row[SWEEP], curve)
        except ConflictError as error:
            raise self._conflict([run_id], error) from error

    def record_report(self, run_id: str, sweep: str, curve: Curve) -> None:
        """Keep the curve so far of a run that is running; `record_run` replaces it."""
        with self._database.writing() as connection:
            self._require_sweep(connection, sweep)
            _replace_curve(connection, run_id, sweep, curve)

    def begin_leg(self, sweep: str, leg: LegRecord) -> None:
        """Keep a leg that begins now; one of the same number is begun again."""
        with self._database.writing() as connection:
            self._require_sweep(connection, sweep)
            legs.add(connection, sweep, leg)

    def end_leg(self, sweep: str, number: int, *, reached: int) -> None:
        """Note that a leg has ended, its run having made so many reports."""
        with self._database.writing() as connection:
            legs.end(connection, sweep, number, reached)

    def cut_off_leg(self, sweep: str, number: int) -> None:
        """Note that the process of a leg died; `begin_leg` begins it again."""
        with self._database.writing() as connection:
            legs.cut_off(connection, sweep, number)

    def legs(self, sweep: str, *, unended: bool = False) -> list[LegRecord]:
        """Return a sweep's legs in the order in which they began; NotFoundError without it.

        Only those that have not ended if asked.
        """
        with self._database.reading() as connection:
            self._require_sweep(connection, sweep)
            return legs.read(connection, sweep, unended=unended)

    def has_exploits(self, sweep: str) -> bool:
        """Say whether a run of a sweep ever took over another run's state."""
        with self._database.reading() as connection:
            self._require_sweep(connection, sweep)
            return legs.has_exploits(connection, sweep)

    def lineage(self, sweep: str) -> pd.DataFrame:
        """Return a frame with a row a leg, in order: who took over whose state, and explored what.

        Columns `number`, `run_id`, `origin_run_id`, `origin_reports`, `exploit` (whether the state
        is another run's), `reports`, `reached`, `loss` (at the leg's end, nats a token), `seed`,
        a column a setting, `started` and `ended`.
        """
        records = self.legs(sweep)
        return legs.frame(records, self.curves([record.run_id for record in records]))

    def record_round(self, sweep: str, record: RoundRecord) -> None:
        """Keep a round of a law-guided sweep; one of the same number is replaced."""
        with self._database.writing() as connection:
            self._require_sweep(connection, sweep)
            rounds.add(connection, sweep, record)

    def rounds(self, sweep: str) -> list[RoundRecord]:
        """Return the rounds of a law-guided sweep in order; none of any other."""
        with self._database.reading() as connection:
            self._require_sweep(connection, sweep)
            return rounds.read(connection, sweep)

    def runs(
        self, sweep: str | None = None, *, statuses: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return a runs table of one sweep, or of all, ordered by sweep and `run_id`.

        Parameters
        ----------
        sweep : str, optional
            Only the runs of this sweep; NotFoundError where there is none of that name.
        statuses : sequence of str, optional
            Only runs of these statuses, see `storage.columns.STATUSES`.
        """
        for status in statuses or ():
            if status not in STATUSES:
                raise StoreError(f"'{status}' is no status; it is one of {', '.join(STATUSES)}")
        condition: ColumnElement[bool] = true()
        if sweep is not None:
            condition &= schema.runs.c.sweep == sweep
        if statuses is not None:
            condition &= schema.runs.c.status.in_(statuses)
        with self._database.reading() as connection:
            if sweep is not None:
                self._require_sweep(connection, sweep)
            return rows.read_frame(connection, condition)

    def stamp(self, sweep: str) -> str:
        """Return a text that changes whenever the runs of a sweep do; cheap, unlike reading them.

        NotFoundError where there is no sweep of that name.
        """
        runs = schema.runs.c
        counts = (func.count(), func.count(runs.loss), func.max(runs.created))
        with self._database.reading() as connection:
            self._require_sweep(connection, sweep)
            found = connection.execute(select(*counts).where(runs.sweep == sweep)).one()
        return " ".join(map(str, found))

    def run(self, run_id: str) -> "pd.Series[Any]":
        """Return one run as a row of the runs table; NotFoundError where there is none."""
        with self._database.reading() as connection:
            frame = rows.read_frame(connection, schema.runs.c.run_id == run_id)
            if frame.empty:
                query = select(schema.runs.c.run_id).order_by(schema.runs.c.run_id)
                known = list(connection.execute(query).scalars())
                raise not_found("run", run_id, known, self._database.name)
        return frame.iloc[0]

    def curves(self, run_ids: Sequence[str]) -> dict[str, Curve]:
        """Return the curves of these runs, finished or running; a run that has none is left out."""
        found: dict[str, Curve] = {}
        curves = schema.curves
        where = self._database.name
        with self._database.reading() as connection:
            for start in range(0, len(run_ids), _CHUNK):
                chosen = curves.c.run_id.in_(run_ids[start : start + _CHUNK])
                query = select(curves.c.run_id, curves.c.curve).where(chosen)
                for run_id, data in connection.execute(query):
                    try:
                        found[run_id] = decode(data)
                    except CurveError as error:
                        raise StoreError(f"{where}: run '{run_id}': {error}") from error
        return {run_id: found[run_id] for run_id in run_ids if run_id in found}

    def save_law(self, name: str, *, document: Mapping[str, Any], sweep: str | None) -> None:
        """Keep a law under a name; one of the same name is replaced.

        Parameters
        ----------
        name : str
            The law's name.
        document : mapping
            The law as plain data that JSON can hold. `runs` in it is the number of runs that it is
            fitted to, and `scales` has an entry for each of their scales.
        sweep : str or None
            The sweep whose runs it is fitted to, if it was one.
        """
        _check_name("law", name)
        plain = _plain(f"law '{name}'", document)
        with self._database.writing() as connection:
            if sweep is not None:
                self._require_sweep(connection, sweep)
            laws.add(connection, name, sweep, plain)

    def law(self, name: str) -> dict[str, Any]:
        """Return the document of a law; NotFoundError where there is none of that name."""
        with self._database.reading() as connection:
            document = laws.find(connection, name)
            if document is None:
                raise not_found("law", name, laws.names(connection), self._database.name)
            return document

    def law_names(self) -> list[str]:
        """Return the names of all laws, oldest first."""
        with self._database.reading() as connection:
            return laws.names(connection)

    def laws(self) -> pd.DataFrame:
        """Return a frame with a row a law, oldest first: name, sweep, created, runs, scales."""
        with self._database.reading() as connection:
            return laws.frame(connection)

    def save_transfer_check(
        self,
        name: str,
        *,
        subject: Mapping[str, Any],
        passed: bool | None,
        document: Mapping[str, Any],
    ) -> None:
        """Keep a check of transfer under a name; one of the same name is replaced.

        Parameters
        ----------
        name : str
            The check's name.
        subject : mapping
            What it is true of, as plain data: a sweep of the same subject has been checked.
        passed : bool or None
            None where the measurements cannot tell.
        document : mapping
            The whole check as plain data that JSON can hold.
        """
        _check_name("transfer check", name)
        plain = [_plain(f"transfer check '{name}'", data) for data in (subject, document)]
        with self._database.writing() as connection:
            transfer_checks.add(connection, name, plain[0], passed, plain[1])

    def transfer_check(self, name: str) -> TransferCheckRecord:
        """Return a check of transfer, its document included; NotFoundError without one."""
        with self._database.reading() as connection:
            found = transfer_checks.find(connection, name)
            if found is None:
                known = [record.name for record in transfer_checks.read(connection)]
                raise not_found("transfer check", name, known, self._database.name)
            return found

    def transfer_checks(self) -> list[TransferCheckRecord]:
        """Return all checks of transfer, oldest first, without their documents."""
        with self._database.reading() as connection:
            return transfer_checks.read(connection)

    def _conflict(self, run_ids: Sequence[str], error: ConflictError) -> StoreError:
        """Say which of the runs are there already, where that is what the database refused."""
        found: list[str] = []
        with self._database.reading() as connection:
            for start in range(0, len(run_ids), _CHUNK):
                chosen = schema.runs.c.run_id.in_(run_ids[start : start + _CHUNK])
                found += connection.execute(select(schema.runs.c.run_id).where(chosen)).scalars()
        if not found:
            return error
        runs = f"run '{found[0]}' is" if len(found) == 1 else f"runs {listed(found)} are"
        return StoreError(
            f"{runs} in {self._database.name} already; nothing was written, name them differently"
        )

    def _refuse_launched(self, connection: Connection, names: Sequence[str]) -> None:
        for name in names:
            found = sweeps.find(connection, name)
            if found is not None and found.spec_text:
                raise StoreError(
                    f"sweep '{name}' of {self._database.name} was launched here, and its runs are "
                    "its own; nothing was written, name another sweep"
                )

    def _require_sweep(self, connection: Connection, name: str) -> SweepRecord:
        found = sweeps.find(connection, name)
        if found is None:
            raise not_found("sweep", name, sweeps.names(connection), self._database.name)
        return found


def _check_name(kind: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise StoreError(
            f"'{name}' is no name for a {kind}; it must be at most {schema.NAME_LENGTH} letters, "
            "digits, '.', '_' and '-', the first a letter or digit"
        )


def _plain(what: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document as JSON will give it back; StoreError where it cannot hold it."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StoreError(f"{what} is no data that JSON can hold: {error}") from error
    return plain


def _replace_curve(connection: Connection, run_id: str, sweep: object, curve: Curve) -> None:
    connection.execute(delete(schema.curves).where(schema.curves.c.run_id == run_id))
    row = {"run_id": run_id, "sweep": sweep, "reports": len(curve), "updated": rows.now()}
    connection.execute(insert(schema.curves), row | {"curve": encode(curve)})
