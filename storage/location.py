"""Where the database is if nothing says so, and how it is named where others may read."""

import os
import shlex
from typing import Final
from urllib.parse import parse_qs, urlsplit

DEFAULT_DATABASE: Final = "hyperlaw.db"
DATABASE_VARIABLE: Final = "HYPERLAW_DB"
"""Of the environment: the database where a command names none."""


def default_database() -> str:
    """Return the database that is meant where none is named."""
    return os.environ.get(DATABASE_VARIABLE) or DEFAULT_DATABASE


def on_command_line(database: str) -> str:
    """Return what to type for a database, a file or a URL, in a POSIX shell.

    A URL that holds a password is to be in HYPERLAW_DB, and a command where it is not fails rather
    than ask another database.

    >>> on_command_line("my runs.db"), on_command_line("postgresql://me:secret@host/runs")
    ("'my runs.db'", '"$HYPERLAW_DB"')
    """
    return f'"${DATABASE_VARIABLE}"' if _has_password(database) else shlex.quote(database)


def _has_password(database: str) -> bool:
    """Say whether a database is a URL with a password, before its host or among its options."""
    if "://" not in database:
        return False
    url = urlsplit(database)
    return bool(url.password) or "password" in parse_qs(url.query)
