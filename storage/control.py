"""Steering a sweep from elsewhere: who runs it, and what is asked of the one that does.

Control is data. A launch claims its sweep and says now and then that it is there; any other
process leaves requests, which the launch takes in their order and obeys. These are queries inside
a transaction that `storage.store` opens.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from storage import legs, rows, schema
from storage.drivers import Driver, seconds_since
from storage.errors import SweepBusyError, SweepIdleError
from storage.sweeps import RUNNING, SweepRecord

PAUSE: Final = "pause"
RESUME: Final = "resume"
STOP: Final = "stop"
CANCEL: Final = "cancel"
RETRY: Final = "retry"
EXTEND: Final = "extend"
ACTIONS: Final = (PAUSE, RESUME, STOP, CANCEL, RETRY, EXTEND)


@dataclass(frozen=True)
class Request:
    """What was asked of a launch; times are ISO 8601 in UTC.

    Attributes
    ----------
    id : numbers requests in the order in which they came.
    action : one of `ACTIONS`.
    amount : of an extension, how many runs more.
    created, taken : when it was asked, and when the launch had obeyed it; None until then.
    """

    id: int
    action: str
    amount: int | None
    created: str
    taken: str | None


def claim(connection: Connection, record: SweepRecord, driver: Driver) -> None:
    """Make `driver` the one that runs a sweep; what was asked of an earlier launch is void.

    Raises
    ------
    SweepBusyError
        Where another process runs it.
    """
    other = record.running_in
    if other is not None and other != driver:
        ago = seconds_since(record.heartbeat or record.updated)
        raise SweepBusyError(
            f"sweep '{record.name}' is being run already, by process {other.pid} on {other.host} "
            f"(last heard of {ago:.0f} s ago); wait for its end, or stop it first"
        )
    requests = schema.requests
    untaken = (requests.c.sweep == record.name) & requests.c.taken.is_(None)
    connection.execute(delete(requests).where(untaken))
    legs.cut_off(connection, record.name)
    _set(connection, record.name, state=RUNNING, driver=str(driver), heartbeat=rows.now())


def beat(connection: Connection, sweep: str, driver: Driver) -> bool:
    """Say that `driver` is there; False where the sweep is not its own any more."""
    sweeps = schema.sweeps
    own = (sweeps.c.name == sweep) & (sweeps.c.driver == str(driver))
    return connection.execute(update(sweeps).where(own).values(heartbeat=rows.now())).rowcount == 1


def release(connection: Connection, record: SweepRecord, driver: Driver, state: str) -> None:
    """Leave a sweep in a state; nothing where another process has taken it over."""
    if record.driver == str(driver):
        legs.cut_off(connection, record.name)
        _set(connection, record.name, state=state, driver=None, heartbeat=None)


def ask(connection: Connection, record: SweepRecord, action: str, amount: int | None) -> int:
    """Leave a request for the launch that runs a sweep, and return its id.

    Raises
    ------
    SweepIdleError
        Where nothing runs it.
    """
    if record.running_in is None:
        raise SweepIdleError(f"sweep '{record.name}' is not running; it is {record.state}")
    row = {"sweep": record.name, "action": action, "amount": amount, "created": rows.now()}
    added = insert(schema.requests).values(row).returning(schema.requests.c.id)
    return int(connection.execute(added).scalar_one())


def take(connection: Connection, request_id: int) -> None:
    """Mark a request as obeyed."""
    requests = schema.requests
    taken = update(requests).where(requests.c.id == request_id)
    connection.execute(taken.values(taken=rows.now()))


def read(connection: Connection, sweep: str, *, untaken: bool = False) -> list[Request]:
    """Return what was asked of a sweep, oldest first."""
    table = schema.requests.c
    query = select(table.id, table.action, table.amount, table.created, table.taken)
    query = query.where(table.sweep == sweep).order_by(table.id)
    if untaken:
        query = query.where(table.taken.is_(None))
    return [Request(**row) for row in connection.execute(query).mappings()]


def _set(connection: Connection, sweep: str, **values: str | None) -> None:
    change = update(schema.sweeps).where(schema.sweeps.c.name == sweep)
    connection.execute(change.values(**values, updated=rows.now()))
