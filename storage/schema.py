"""The tables of the database: sweeps, runs, curves, laws and checks, and how sweeps search.

They live beside Optuna's tables in one database. What stands here is the newest form; how a
database gets there from an older one is in `storage.migrations`, and a test holds the two equal.
Times are text, ISO 8601 in UTC.
"""

from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

from storage import columns

NAME_LENGTH: Final = 100

metadata = MetaData()

sweeps = Table(
    "sweeps",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("spec_text", Text, nullable=False),
    Column("created", String(40), nullable=False),
    Column("updated", String(40), nullable=False),
    Column("driver", Text),  # the process that runs it, and when it last said so
    Column("heartbeat", String(40)),
)


_SQL_TYPES: dict[columns.Kind, TypeEngine[Any]] = {
    "float": Double(),
    "int": BigInteger(),
    "str": Text(),
    "time": Text(),
}


def _sql_column(column: columns.Column) -> Column[Any]:
    if column.name == columns.SWEEP:
        return Column(column.name, String(NAME_LENGTH), ForeignKey("sweeps.name"))
    return Column(
        column.name,
        _SQL_TYPES[column.kind],
        primary_key=column.name == columns.RUN_ID,
        nullable=column.name == columns.LOSS or column not in columns.STANDARD,
    )


# A column of the runs table each; `extra` holds the columns that have no rules, as one JSON object.
# A run of no sweep has NULL, and NULL stands for NaN.
runs = Table(
    "runs",
    metadata,
    *(_sql_column(column) for column in columns.COLUMNS),
    Column("extra", JSON(none_as_null=True)),
    Index("ix_runs_sweep", columns.SWEEP),
)

# The curve of a run, finished or still running; one compressed array, see `storage.curves`.
curves = Table(
    "curves",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("sweep", String(NAME_LENGTH), ForeignKey("sweeps.name")),
    Column("reports", Integer, nullable=False),
    Column("curve", LargeBinary, nullable=False),
    Column("updated", String(40), nullable=False),
    Index("ix_curves_sweep", "sweep"),
)

laws = Table(
    "laws",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    Column("sweep", String(NAME_LENGTH), ForeignKey("sweeps.name")),
    Column("created", String(40), nullable=False),
    Column("runs", Integer),
    Column("scales", Integer),
    Column("document", JSON, nullable=False),
)

# Whether a model's optimum transfers over size, as it was checked; see `storage.transfer_checks`.
transfer_checks = Table(
    "transfer_checks",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    Column("created", String(40), nullable=False),
    Column("subject", JSON, nullable=False),
    Column("passed", Boolean),
    Column("document", JSON, nullable=False),
)

# The stretches in which runs were trained, in the order in which they began; see `storage.legs`.
legs = Table(
    "legs",
    metadata,
    Column("sweep", String(NAME_LENGTH), ForeignKey("sweeps.name"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("run_id", Text, nullable=False),
    Column("reports", Integer, nullable=False),
    Column("origin_run_id", Text),
    Column("origin_reports", Integer),
    Column("scale", JSON, nullable=False),
    Column("setting", JSON, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("reached", Integer),
    Column("started", String(40), nullable=False),
    Column("ended", String(40)),
    Index("ix_legs_run_id", "run_id"),
)

# The rounds of a law-guided sweep, and the law after each; see `storage.rounds`.
rounds = Table(
    "rounds",
    metadata,
    Column("sweep", String(NAME_LENGTH), ForeignKey("sweeps.name"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("runs", Integer, nullable=False),
    Column("flops", Double, nullable=False),
    Column("expected_regret_pct", Double),
    Column("law", JSON(none_as_null=True)),
    Column("created", String(40), nullable=False),
)

# What another process asks of the one that runs a sweep, oldest first; see `storage.control`.
requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sweep", String(NAME_LENGTH), ForeignKey("sweeps.name"), nullable=False),
    Column("action", String(20), nullable=False),
    Column("amount", Integer),
    Column("created", String(40), nullable=False),
    Column("taken", String(40)),
    Index("ix_requests_sweep", "sweep"),
)

TABLES: Final = tuple(metadata.tables)
