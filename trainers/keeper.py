"""Runs a command, and ends all of it: when asked to, at a limit, and when who asked for it is gone.

    python -I -S keeper.py CONTROL STATUS SECONDS PROGRAM [ARGUMENT ...]

CONTROL and STATUS are file descriptors that the caller opened. The end of file on CONTROL asks to
end the command; the kernel brings it about, too, where the caller is killed. A command that runs
for longer than SECONDS (``inf``: without a limit) is ended, whatever its caller is busy with.
STATUS is closed when nothing of the command is left. Its first line says how it ended: ``exit
CODE``, ``signal NUMBER``, ``timeout`` or ``unstarted REASON``.

A process group alone would not do: a launcher such as torchrun puts its workers into sessions of
their own, and who is killed by SIGKILL can signal nobody. So this process stands between. It takes
itself out of its caller's tree, adopts every orphan below it (Linux's child subreaper), and signals
all its descendants, wherever they went: SIGTERM first, SIGKILL after `GRACE_SECONDS`. Where it is
killed itself, the command's first process dies with it. Without /proc, as on macOS, it signals the
command's process group.

Standard library only, and none of hyperlaw: it starts in milliseconds and outlives its caller.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

GRACE_SECONDS = 5.0
"""What a script has to end by itself, once it was asked to by SIGTERM."""
LAST_SECONDS = 10.0
"""After SIGKILL: what the kernel cannot end by then, it will not end."""
POLL_SECONDS = 0.02
LONGEST_WAIT_SECONDS = 3600.0
"""`select` takes no number of seconds that is infinite or out of its range."""

_PROC = Path("/proc")
_SET_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
"""Of Linux's prctl(2)."""


def main() -> None:
    """Run the command of `sys.argv` to its end."""
    if os.fork():
        os._exit(0)  # The caller, or Ray on its behalf, may kill its own children; not this one.
    control, status, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    for descriptor in (control, status):
        os.set_inheritable(descriptor, False)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    wake = _wake_up_on_signals()
    until = time.monotonic() + seconds
    command = _start(sys.argv[4:], status)
    for stream in (1, 2):
        os.close(stream)  # Or their readers would wait for this process, too.
    try:
        code = _wait(command, control, wake, until)
    except TimeoutError:
        _tell(status, "timeout")
        code = None
    code = _end_all(command, code, wake)
    if code is None:
        _tell(status, f"signal {signal.SIGKILL:d}")
    elif code < 0:
        _tell(status, f"signal {-code}")
    else:
        _tell(status, f"exit {code}")


def _start(command: list[str], status: int) -> int:
    """Start the command as the leader of a session and a process group; return its id."""
    keeper = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)  # It died before it could be watched.
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)  # Python's own choice, not the command's.
        os.execvp(command[0], command)
    except OSError as error:
        os.write(status, f"unstarted {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _wait(command: int, control: int, wake: int, until: float) -> int | None:
    """Wait until the command's first process ended, and return its code, or it is to be ended.

    Raises TimeoutError where it still ran at the time `until`.
    """
    while True:
        left = until - time.monotonic()
        wait = min(max(left, 0.0), LONGEST_WAIT_SECONDS)
        ready, _, _ = select.select([control, wake], [], [], wait)
        if control in ready:
            return None
        if signal.SIGTERM in _signals(wake):
            return None
        for pid, code in _reap():
            if pid == command:
                return code
        if left <= 0:  # The clock was read before the last look: one that ended in time was seen.
            raise TimeoutError


def _tell(status: int, line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # The caller is gone.
        os.write(status, f"{line}\n".encode())


def _end_all(command: int, code: int | None, wake: int) -> int | None:
    """End what is left below this process; return the code of the command's first process."""
    asked, killed = time.monotonic(), 0.0
    _signal_all(command, signal.SIGTERM)
    while True:
        code = next((code for pid, code in _reap() if pid == command), code)
        now = time.monotonic()
        if not _is_left(command) or (killed and now - killed > LAST_SECONDS):
            return code
        if now - asked > GRACE_SECONDS:
            killed = killed or now
            _signal_all(command, signal.SIGKILL)  # Again and again: it may go on forking.
        select.select([wake], [], [], POLL_SECONDS)
        _signals(wake)


def _signal_all(command: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(command, number)
    for pid in _descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _is_left(command: int) -> bool:
    if _PROC.is_dir():
        return bool(_descendants())
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(command, 0)
        return True
    return False


def _descendants() -> list[int]:
    """Return the processes below this one, those left out that ended and wait to be reaped."""
    children: dict[int, list[int]] = {}
    ended = set()
    for stat in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name) state parent …, where the name may hold anything.
            state, parent = stat.read_bytes().rpartition(b")")[2].split()[:2]
            pid = int(stat.parent.name)
            children.setdefault(int(parent), []).append(pid)
            if state in (b"Z", b"X"):
                ended.add(pid)
    found = children.get(os.getpid(), [])
    for pid in found:
        found += children.get(pid, [])
    return [pid for pid in found if pid not in ended]


def _reap() -> Iterator[tuple[int, int]]:
    """Collect children that ended: pairs of id and code, below 0 the signal that killed it."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, os.waitstatus_to_exitcode(status)


def _wake_up_on_signals() -> int:
    """Return a descriptor from which the number of each signal can be read that comes."""
    reader, writer = os.pipe()
    for descriptor in (reader, writer):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)
    return reader


def _signals(wake: int) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return os.read(wake, 512)
    return b""


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
