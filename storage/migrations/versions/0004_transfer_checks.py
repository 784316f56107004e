"""Checks of transfer are kept beside the laws."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transfer_checks",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("subject", sa.JSON, nullable=False),
        sa.Column("passed", sa.Boolean),
        sa.Column("document", sa.JSON, nullable=False),
    )
