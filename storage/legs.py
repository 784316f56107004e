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
        its launch was killed.
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


def read(connection: Connection, sweep: str) -> list[LegRecord]:
    """Return a sweep's legs in the order in which they began."""
    legs = schema.legs
    columns = [column for column in legs.c if column.name != "sweep"]
    query = select(*columns).where(legs.c.sweep == sweep).order_by(legs.c.number)
    return [LegRecord(**row) for row in connection.execute(query).mappings()]


def frame(records: list[LegRecord]) -> pd.DataFrame:
    """Return legs as a frame, a row a leg, the setting's values in columns of their own."""
    return pd.DataFrame(
        [
            {
                "number": leg.number,
                "run_id": leg.run_id,
                "origin_run_id": leg.origin_run_id,
                "origin_reports": leg.origin_reports,
                "reports": leg.reports,
                "reached": leg.reached,
                "seed": leg.seed,
                **leg.setting,
                "started": leg.started,
                "ended": leg.ended,
            }
            for leg in records
        ]
    )
