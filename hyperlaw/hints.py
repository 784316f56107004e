"""What to type next, so that it works where the reader is."""

import shlex
import shutil
import sys
from pathlib import Path

from storage.location import default_database, on_command_line


def command(arguments: str, db: str | None = None) -> str:
    """Return a command line to suggest; names the database unless it is the default one."""
    flag = "" if db is None or db == default_database() else f" --db {on_command_line(db)}"
    return f"{_program()} {arguments}{flag}"


def _program() -> str:
    """Return how this program is called: by name, by its path outside PATH, or as a module."""
    if shutil.which("hyperlaw") is not None:
        return "hyperlaw"
    called = Path(sys.argv[0])
    if called.stem == "hyperlaw" and called.is_file():
        return shlex.quote(sys.argv[0])
    return "python -m hyperlaw"
