"""Sweeps that search: the legs of their runs, rounds of law-guided ones, and requests to them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sweeps", sa.Column("driver", sa.Text))
    op.add_column("sweeps", sa.Column("heartbeat", sa.String(40)))
    op.create_table(
        "legs",
        sa.Column("sweep", sa.String(100), sa.ForeignKey("sweeps.name"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("reports", sa.Integer, nullable=False),
        sa.Column("origin_run_id", sa.Text),
        sa.Column("origin_reports", sa.Integer),
        sa.Column("scale", sa.JSON, nullable=False),
        sa.Column("setting", sa.JSON, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("reached", sa.Integer),
        sa.Column("started", sa.String(40), nullable=False),
        sa.Column("ended", sa.String(40)),
    )
    op.create_index("ix_legs_run_id", "legs", ["run_id"])
    op.create_table(
        "rounds",
        sa.Column("sweep", sa.String(100), sa.ForeignKey("sweeps.name"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("flops", sa.Double, nullable=False),
        sa.Column("expected_regret_pct", sa.Double),
        sa.Column("law", sa.JSON(none_as_null=True)),
        sa.Column("created", sa.String(40), nullable=False),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sweep", sa.String(100), sa.ForeignKey("sweeps.name"), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("amount", sa.Integer),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("taken", sa.String(40)),
    )
    op.create_index("ix_requests_sweep", "requests", ["sweep"])
