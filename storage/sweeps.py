"""The sweeps of a database: queries inside a transaction that `storage.store` opens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd
from sqlalchemy import Connection, case, func, insert, select

from storage import rows, schema
from storage.columns import COMPLETED, DIVERGED, FAILED
from storage.columns import STOPPED as RUN_STOPPED
from storage.drivers import Driver

RUNNING: Final = "running"
PAUSED: Final = "paused"
STOPPING: Final = "stopping"
INTERRUPTED: Final = "interrupted"
STOPPED: Final = "stopped"
CANCELLED: Final = "cancelled"
DONE: Final = "done"
STATES: Final = (RUNNING, PAUSED, STOPPING, INTERRUPTED, STOPPED, CANCELLED, DONE)
"""Of a sweep. A process runs it in the first three; the next three have runs left to do."""


@dataclass(frozen=True)
class SweepRecord:
    """A sweep as the store knows it; times are ISO 8601 in UTC.

    `driver` is the process that runs it, see `storage.drivers`, and `heartbeat` when that last said
    so. Where it was killed, `state` is "interrupted", though nobody was left to write that down.
    """

    name: str
    state: str
    spec_text: str
    created: str
    updated: str
    driver: str | None = None
    heartbeat: str | None = None

    @property
    def running_in(self) -> Driver | None:
        """The process that runs it now; None where there is none, or it has died."""
        driver = None if self.driver is None else Driver.parse(self.driver)
        return None if driver is None or driver.is_gone(self.heartbeat) else driver


def add(connection: Connection, names: Sequence[str], state: str, spec_text: str) -> None:
    """Add new sweeps of one state."""
    time = rows.now()
    row = {"state": state, "spec_text": spec_text, "created": time, "updated": time}
    if names:
        connection.execute(insert(schema.sweeps), [{"name": name, **row} for name in names])


def find(connection: Connection, name: str) -> SweepRecord | None:
    """Return one sweep, or None."""
    query = select(schema.sweeps).where(schema.sweeps.c.name == name)
    found = connection.execute(query).mappings().one_or_none()
    if found is None:
        return None
    record = SweepRecord(**found)
    return replace(record, state=_state(record.state, record.driver, record.heartbeat))


def names(connection: Connection) -> list[str]:
    """Return the names of all sweeps, oldest first."""
    sweeps = schema.sweeps.c
    query = select(sweeps.name).order_by(sweeps.created, sweeps.name)
    return list(connection.execute(query).scalars())


def summary(connection: Connection) -> pd.DataFrame:
    """Return a frame with a row a sweep; see `storage.store.Store.sweeps`."""
    sweeps, runs = schema.sweeps, schema.runs
    counts = [
        func.count(case((runs.c.status == status, 1))).label(status)
        for status in (COMPLETED, DIVERGED, FAILED, RUN_STOPPED)
    ]
    query = (
        select(
            sweeps.c.name,
            sweeps.c.state,
            sweeps.c.driver,
            sweeps.c.heartbeat,
            sweeps.c.created,
            func.count(runs.c.run_id).label("runs"),
            *counts,
            func.min(case((runs.c.status == COMPLETED, runs.c.loss))).label("best_loss"),
            func.coalesce(func.sum(runs.c.flops), 0.0).label("flops"),
            func.coalesce(func.sum(runs.c.seconds), 0.0).label("seconds"),
        )
        .select_from(sweeps.outerjoin(runs, runs.c.sweep == sweeps.c.name))
        .group_by(*(sweeps.c[name] for name in ("name", "state", "driver", "heartbeat", "created")))
        .order_by(sweeps.c.created, sweeps.c.name)
    )
    result = connection.execute(query)
    found = result.all()
    frame = pd.DataFrame(found, columns=list(result.keys())).drop(columns=["driver", "heartbeat"])
    frame["state"] = [_state(row.state, row.driver, row.heartbeat) for row in found]
    return frame.astype(dict.fromkeys(("best_loss", "flops", "seconds"), "float64"))


def scales(connection: Connection, sweep: str | None) -> pd.DataFrame:
    """Return a frame with a row a scale; see `storage.store.Store.scales`."""
    runs = schema.runs.c
    keys = (runs.sweep, runs.params, runs.tokens)
    counts = [
        func.count(case((runs.status == status, 1))).label(status)
        for status in (COMPLETED, DIVERGED, FAILED, RUN_STOPPED)
    ]
    query = select(
        *keys,
        *counts,
        func.min(case((runs.status == COMPLETED, runs.loss))).label("best_loss"),
        func.sum(runs.flops).label("flops"),
        func.sum(runs.seconds).label("seconds"),
    )
    query = query.where(runs.sweep.is_not(None) if sweep is None else runs.sweep == sweep)
    result = connection.execute(query.group_by(*keys).order_by(*keys))
    frame = pd.DataFrame(result.all(), columns=list(result.keys()))
    return frame.astype(dict.fromkeys(("best_loss", "flops", "seconds"), "float64"))


def _state(state: str, driver: str | None, heartbeat: str | None) -> str:
    """The state that was written down, unless the process that wrote it was killed since."""
    killed = driver is not None and Driver.parse(driver).is_gone(heartbeat)
    return INTERRUPTED if killed else state
