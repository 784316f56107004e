"""The rounds of a law-guided sweep: the law after each, and the regret that it expected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from storage import rows, schema


@dataclass(frozen=True)
class RoundRecord:
    """How a law-guided sweep stood when a round of its runs had ended.

    Attributes
    ----------
    number : counted from 0.
    runs, flops : what had been trained by then; FLOPs by 6ND.
    expected_regret_pct : at the target, in % of loss; None where the runs carried no law yet.
    law : the law's document, or None.
    created : ISO 8601 in UTC.
    """

    number: int
    runs: int
    flops: float
    expected_regret_pct: float | None = None
    law: Mapping[str, Any] | None = None
    created: str = ""


def add(connection: Connection, sweep: str, record: RoundRecord) -> None:
    """Keep a round; one of the same number is replaced."""
    rounds = schema.rounds
    here = (rounds.c.sweep == sweep) & (rounds.c.number == record.number)
    connection.execute(rounds.delete().where(here))
    row = {
        "sweep": sweep,
        "number": record.number,
        "runs": record.runs,
        "flops": record.flops,
        "expected_regret_pct": record.expected_regret_pct,
        "law": None if record.law is None else dict(record.law),
        "created": rows.now(),
    }
    connection.execute(insert(rounds), row)


def read(connection: Connection, sweep: str) -> list[RoundRecord]:
    """Return a sweep's rounds in order."""
    rounds = schema.rounds
    columns = [column for column in rounds.c if column.name != "sweep"]
    query = select(*columns).where(rounds.c.sweep == sweep).order_by(rounds.c.number)
    return [RoundRecord(**row) for row in connection.execute(query).mappings()]
