"""What goes wrong in this room: each error's message is one line.

It says what was wrong, where, and what would be right; the command line prints it as it is.
"""

from collections.abc import Sequence
from difflib import get_close_matches

LISTED = 10


class RunsTableError(ValueError):
    """A runs table, or a file of one, that cannot be used as it is."""


class StoreError(RuntimeError):
    """A database that cannot be opened or written, or a request that it cannot hold."""


class NotFoundError(StoreError):
    """A sweep, run, law or database that does not exist."""


class SweepBusyError(StoreError):
    """A sweep that another process runs: two must not."""


class SweepIdleError(StoreError):
    """A request to a sweep that no process runs."""


def not_found(kind: str, name: str, known: Sequence[str], where: str) -> NotFoundError:
    """Say that `name` is not there, what name was perhaps meant, and what there is.

    >>> str(not_found("sweep", "lader", ["ladder", "wide"], "hyperlaw.db"))
    "no sweep named 'lader' in hyperlaw.db; did you mean 'ladder'? there are: ladder, wide"
    """
    message = f"no {kind} named '{name}' in {where}; "
    close = get_close_matches(name, known, n=1)
    if close:
        message += f"did you mean '{close[0]}'? "
    return NotFoundError(message + (f"there are: {listed(known)}" if known else "there are none"))


def listed(names: Sequence[str]) -> str:
    """Join names for a message: the first few, then how many more there are."""
    if len(names) > LISTED:
        return f"{', '.join(names[:LISTED])} and {len(names) - LISTED} more"
    return ", ".join(names) or "none"
