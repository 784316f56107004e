"""The log of a run: what its process wrote, in a file of bounded size."""

import time
from pathlib import Path

LOG_BYTES = 5 * 2**20
"""Size at which a log is moved to a file beside it, `NAME.1`, whose place the next one takes."""


class RunLog:
    """Appends to a file; what was written last is always there, up to twice `most_bytes` in all."""

    def __init__(self, path: Path, most_bytes: int = LOG_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._most_bytes = most_bytes
        self._size = path.stat().st_size if path.exists() else 0

    def note(self, text: str) -> None:
        """Append a line of hyperlaw's own, with the time."""
        self.write(f"== {time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode())

    def write(self, chunk: bytes) -> None:
        """Append `chunk` as it is."""
        if self._size and self._size + len(chunk) > self._most_bytes:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
            self._size = 0
        with self.path.open("ab") as file:
            file.write(chunk)
        self._size += len(chunk)
