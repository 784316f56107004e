"""Runs tell how many different tokens their data has: a column of its own.

Runs that were imported with such a column kept it among the columns without rules; what the rules
allow moves into the new column, and anything else stays under a name that is free.
"""

import math
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAME = "unique_tokens"
AS_IMPORTED = "unique_tokens_as_imported"


def upgrade() -> None:
    op.add_column("runs", sa.Column(NAME, sa.Double))
    runs = sa.table(
        "runs", sa.column("run_id", sa.Text), sa.column("extra", sa.JSON), sa.column(NAME)
    )
    # none_as_null: as the schema keeps a run without such columns
    extra_type = sa.JSON(none_as_null=True)
    connection = op.get_bind()
    named = sa.cast(runs.c.extra, sa.Text).contains(f'"{NAME}"')
    found = connection.execute(sa.select(runs.c.run_id, runs.c.extra).where(named)).all()
    for run_id, extra in found:
        if NAME not in extra:
            continue
        left = {name: value for name, value in extra.items() if name != NAME}
        value = extra[NAME]
        if not _is_allowed(value):
            left[AS_IMPORTED], value = value, None
        change = sa.update(runs).where(runs.c.run_id == run_id)
        values = {NAME: value, "extra": sa.bindparam("left", left or None, type_=extra_type)}
        connection.execute(change.values(values))


def _is_allowed(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value > 0
