"""A command as a process whose output is read line by line, and whose end is the end of all of it.

The process hangs on its owner: it is ended, with all that it started, when `KeptProcess.close` is
called and when the owner dies, however that happens. So it is at its time limit, which is kept
beside it: it does not matter how busy the owner is. See `trainers.keeper`.
"""

import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from trainers import keeper
from trainers.run_log import RunLog

CHUNK_BYTES = 65_536
LONGEST_LINE = 2**20
"""Bytes; a longer line is no line, only log."""
TAIL_LINES = 8


@dataclass(frozen=True)
class Ending:
    """How a process ended: by an exit code, a signal, its time limit, or by not starting at all."""

    code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    unstarted: str = ""

    @property
    def is_success(self) -> bool:
        """Whether it ended by itself and well."""
        return self.code == 0


class _Stream:
    """One of the process's outputs, cut into lines; a carriage return ends a line, too."""

    def __init__(self, file: FileIO) -> None:
        self.file = file
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._partial = b""

    def lines(self, chunk: bytes) -> list[str]:
        """Return the lines that `chunk` completes; nothing more comes after an empty one."""
        whole = (self._partial + chunk).replace(b"\r", b"\n")
        *complete, self._partial = whole.split(b"\n")
        if len(self._partial) > LONGEST_LINE:
            self._partial = b""
        if not chunk:
            complete, self._partial = [*complete, self._partial], b""
        lines = [text for line in complete if (text := line.decode(errors="replace").strip())]
        self.tail += lines
        return lines


class KeptProcess:
    """A running command.

    Parameters
    ----------
    arguments : the program, and what it is given; no shell reads them.
    cwd, env : where it is run, and all of its environment.
    seconds : where it runs for longer it is ended; `math.inf`: it has no limit.
    log : gets both its outputs as they come.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        seconds: float,
        log: RunLog,
    ) -> None:
        control_end, control = os.pipe()
        status, status_end = os.pipe()
        self._control = FileIO(control, "w")
        try:
            launcher = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", keeper.__file__),
                    *(str(control_end), str(status_end), str(seconds)),
                    *arguments,
                ],
                bufsize=0,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=env,
                pass_fds=(control_end, status_end),
                start_new_session=True,
            )
        finally:
            os.close(control_end)
            os.close(status_end)
        assert isinstance(launcher.stdout, FileIO)
        assert isinstance(launcher.stderr, FileIO)
        launcher.wait()  # The keeper itself has forked off.
        self._log = log
        self._out, self._err = _Stream(launcher.stdout), _Stream(launcher.stderr)
        self._status = _Stream(FileIO(status))
        self._selector = selectors.DefaultSelector()
        for stream in (self._out, self._err, self._status):
            os.set_blocking(stream.file.fileno(), False)
            self._selector.register(stream.file, selectors.EVENT_READ, stream)
        self._lines: deque[str] = deque()
        self._ending: Ending | None = None

    @property
    def ending(self) -> Ending | None:
        """How it ended; None while it runs, or while lines of its output are left to read."""
        return None if self._lines else self._ending

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that it wrote so far: to stderr, or to stdout where it wrote none."""
        return tuple(self._err.tail or self._out.tail)

    def next_line(self) -> str | None:
        """Wait for the next line of its standard output; None: it has ended and all was read."""
        while not self._lines and self._ending is None:
            self._wait()
        return self._lines.popleft() if self._lines else None

    def close(self) -> list[str]:
        """End it and all that it started, where that is still running, and wait until it has.

        Returns the lines of its standard output that had not been read.
        """
        self._control.close()
        while self._ending is None:
            self._wait()
        lines = list(self._lines)
        self._lines.clear()
        return lines

    def _wait(self) -> None:
        """Take in what comes; the status's end is the end."""
        ready = [key.data for key, _ in self._selector.select()]
        for stream in (self._out, self._err):
            if stream in ready:
                self._read(stream)
        if self._status in ready and self._read(self._status) == b"":
            for stream in (self._out, self._err):
                while not stream.file.closed and self._read(stream):
                    pass
            self._end()

    def _read(self, stream: _Stream) -> bytes | None:
        """Read once and return what was there: None for nothing yet, empty at the end."""
        chunk = stream.file.read(CHUNK_BYTES)
        if chunk is None:
            return None
        lines = stream.lines(chunk)
        if stream is not self._status:
            self._log.write(chunk)
        if stream is self._out:
            self._lines += lines
        if not chunk:
            self._selector.unregister(stream.file)
            stream.file.close()
        return chunk

    def _end(self) -> None:
        self._ending = _ending(list(self._status.tail))
        self._control.close()
        for stream in (self._out, self._err, self._status):
            stream.file.close()
        self._selector.close()


def _ending(status: Sequence[str]) -> Ending:
    for line in status:
        word, _, rest = line.partition(" ")
        if word == "timeout":
            return Ending(timed_out=True)
        if word == "unstarted":
            return Ending(unstarted=rest)
        if word == "exit":
            return Ending(code=int(rest))
        if word == "signal":
            return Ending(signal=int(rest))
    # The keeper was killed, and the command with it.
    return Ending(signal=9)
