"""How a database gets to the newest form of `storage.schema`: by Alembic's revisions.

A fresh database goes through the same revisions as an old one. The revision that a database has is
one row of the table `hyperlaw_version`, which is read without importing Alembic: that takes longer
than most commands.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from storage.errors import NotFoundError, StoreError, listed
from storage.schema import TABLES

VERSION_TABLE: Final = "hyperlaw_version"

REVISIONS: Final = ("0001", "0002", "0003", "0004")
"""All revisions, oldest first; the last is the newest form."""

HEAD: Final = REVISIONS[-1]


def revision(connection: Connection) -> str | None:
    """Return the revision that a database has, or None where it holds no tables of ours."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return None if found is None else str(found)


def check_revision(found: str | None, connection: Connection, where: str) -> None:
    """Refuse a database that was made by a newer hyperlaw, or has other tables by our names.

    Raises
    ------
    StoreError
        If the database can not be brought to the newest form.
    """
    if found is None:
        taken = [name for name in inspect(connection).get_table_names() if name in TABLES]
        if taken:
            raise StoreError(
                f"{where} belongs to another program: its tables {listed(taken)} are not "
                "hyperlaw's; name another database"
            )
    elif found not in REVISIONS:
        raise StoreError(
            f"{where} was written by a newer hyperlaw: its schema is {found}, this one knows "
            f"up to {HEAD}; upgrade hyperlaw"
        )


def require_tables(found: str | None, connection: Connection, where: str) -> None:
    """Raise NotFoundError for a database that holds no tables of ours."""
    if found is None:
        tables = sorted(inspect(connection).get_table_names())
        raise NotFoundError(
            f"{where} is no database of hyperlaw's; its tables are: {listed(tables)}"
        )


def upgrade(connection: Connection) -> None:
    """Bring a database to the newest form, inside the transaction that `connection` is in."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    here = str(Path(__file__).parent)
    config.set_main_option("script_location", here.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
