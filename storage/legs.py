"""The legs of a sweep's runs: in which stretches they were trained, from what, with what setting.

They tell what is running, what a killed launch left, and, of a population, who took over whose
weights and which schedule of hyperparameters each member went through.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy import Connection, insert, select, update

from storage import rows, schema
from storage.curves import Curve


@dataclass(frozen=True)
class LegRecord:
    """One leg as the store knows it; times are ISO 8601 in UTC.

    Attributes
    ----------
    number : counted from 0 in the order in which the sweep's legs began.
    run_id : the run.
    reports : how many reports the run was to have made at the leg's end.
    origin_run_id, origin_reports : whose state, after how many reports, it began with; None for
        the start of training.
    scale : params, params_total, tokens and the shape.
    setting, seed : of the run in this leg.
    reached : how many reports the run had made when the leg ended; None while it runs, and where
        it was cut off.
    started, ended : when it began last, and when it ended or was cut off; None while it runs.
    """

    number: int
    run_id: str
    reports: int
    origin_run_id: str | None
    origin_reports: int | None
    scale: Mapping[str, Any]
    setting: Mapping[str, Any]
    seed: int
    reached: int | None = None
    started: str = ""
    ended: str | None = None


def add(connection: Connection, sweep: str, leg: LegRecord) -> None:
    """Add a leg that begins now; one of the same number is begun again."""
    legs = schema.legs
    here = (legs.c.sweep == sweep) & (legs.c.number == leg.number)
    connection.execute(legs.delete().where(here))
    row = {
        "sweep": sweep,
        "number": leg.number,
        "run_id": leg.run_id,
        "reports": leg.reports,
        "origin_run_id": leg.origin_run_id,
        "origin_reports": leg.origin_reports,
        "scale": dict(leg.scale),
        "setting": dict(leg.setting),
        "seed": leg.seed,
        "started": rows.now(),
    }
    connection.execute(insert(legs), row)


def end(connection: Connection, sweep: str, number: int, reached: int) -> None:
    """Note that a leg has ended, and how many reports its run had made then."""
    legs = schema.legs
    here = (legs.c.sweep == sweep) & (legs.c.number == number)
    connection.execute(update(legs).where(here).values(reached=reached, ended=rows.now()))


def cut_off(connection: Connection, sweep: str, number: int | None = None) -> None:
    """Note that a leg does not run any more and is to be begun again; all that run if none."""
    legs = schema.legs
    here = (legs.c.sweep == sweep) & legs.c.ended.is_(None)
    if number is not None:
        here &= legs.c.number == number
    connection.execute(update(legs).where(here).values(ended=rows.now()))


def read(connection: Connection, sweep: str, *, unended: bool = False) -> list[LegRecord]:
    """Return a sweep's legs in the order in which they began; only those that run if asked."""
    legs = schema.legs
    columns = [column for column in legs.c if column.name != "sweep"]
    query = select(*columns).where(legs.c.sweep == sweep).order_by(legs.c.number)
    if unended:
        query = query.where(legs.c.ended.is_(None))
    return [LegRecord(**row) for row in connection.execute(query).mappings()]


def has_exploits(connection: Connection, sweep: str) -> bool:
    """Say whether some leg of a sweep began with the state of another run."""
    legs = schema.legs.c
    taken_over = legs.origin_run_id.is_not(None) & (legs.origin_run_id != legs.run_id)
    query = select(legs.number).where((legs.sweep == sweep) & taken_over).limit(1)
    return connection.execute(query).first() is not None


def frame(records: list[LegRecord], curves: Mapping[str, Curve]) -> pd.DataFrame:
    """Return legs as a frame, see `Store.lineage`; `curves` are those of their runs."""
    return pd.DataFrame(
        [
            {
                "number": leg.number,
                "run_id": leg.run_id,
                "origin_run_id": leg.origin_run_id,
                "origin_reports": leg.origin_reports,
                "exploit": leg.origin_run_id not in (None, leg.run_id),
                "reports": leg.reports,
                "reached": leg.reached,
                "loss": float(curves[leg.run_id].loss[leg.reached - 1]) if leg.reached else None,
                "seed": leg.seed,
                **leg.setting,
                "started": leg.started,
                "ended": leg.ended,
            }
            for leg in records
        ]
    )
