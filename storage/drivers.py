"""Which process runs a sweep, and whether it still does: two must not run one sweep at once."""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

BEAT_SECONDS: Final = 5.0
"""A process that runs a sweep says so this often."""

STALE_SECONDS: Final = 60.0
"""One of another host that has said nothing for so long is taken to be gone."""

_PROCESSES: Final = Path("/proc")
_STATE, _STARTED = 0, 19  # fields of a process's `stat` after its name
_DEAD: Final = "ZX"


@dataclass(frozen=True)
class Driver:
    """A process that runs a sweep.

    Attributes
    ----------
    host, pid : where it is, and which.
    started : when, in the kernel's ticks, so that a later process of the same pid is another one;
        empty where the system does not say.
    """

    host: str
    pid: int
    started: str = ""

    @classmethod
    def this_process(cls) -> Self:
        """Return the process that asks."""
        pid = os.getpid()
        fields = _stat(pid)
        return cls(socket.gethostname(), pid, fields[_STARTED] if fields else "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the driver that `str` wrote.

        >>> Driver.parse("node-1:4711:88") == Driver("node-1", 4711, "88")
        True
        """
        host, pid, started = text.rsplit(":", 2)
        return cls(host, int(pid), started)

    def __str__(self) -> str:
        """Return it as the store keeps it."""
        return f"{self.host}:{self.pid}:{self.started}"

    def is_gone(self, heartbeat: str | None) -> bool:
        """Say whether it has ended: seen on this host, guessed by its silence on another."""
        if self.host != socket.gethostname() or os.name == "nt":
            return heartbeat is None or seconds_since(heartbeat) > STALE_SECONDS
        if _PROCESSES.joinpath("self").exists():
            fields = _stat(self.pid)
            return fields is None or fields[_STATE] in _DEAD or fields[_STARTED] != self.started
        return not _exists(self.pid)


def seconds_since(time: str) -> float:
    """Return how long ago a time of the store was (ISO 8601), in seconds."""
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()


def _stat(pid: int) -> list[str] | None:
    """Return a process's fields after its name, which may have spaces; None where it is not."""
    try:
        text = (_PROCESSES / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
