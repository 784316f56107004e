"""Start the dashboard: a Streamlit server, on this machine only unless told otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from storage.location import DATABASE_VARIABLE

HOST = "127.0.0.1"
CONTROL_VARIABLE = "HYPERLAW_ALLOW_CONTROL"
ENDINGS = (signal.SIGINT, signal.SIGTERM)


def serve(
    db: str,
    *,
    script: Path,
    port: int,
    open_browser: bool,
    host: str = HOST,
    allow_control: bool = False,
) -> int:
    """Serve the dashboard of a database until it is interrupted; return its exit code.

    Parameters
    ----------
    db : a file or a URL; it reaches the server through the environment, where a password in it is
        not shown in the list of processes.
    script : what is served: it calls `dashboards.app.main`.
    port : one that is taken is the server's error, and its exit code 1.
    open_browser : open the page in the user's browser.
    host : the address to listen at; whoever can reach it can read the database.
    allow_control : whether the pages have buttons that pause, resume and end sweeps.
    """
    control = {CONTROL_VARIABLE: "1"} if allow_control else {}
    process = subprocess.Popen(
        command(script, port=port, open_browser=open_browser, host=host),
        env={**os.environ, DATABASE_VARIABLE: db, **control},
    )
    # SIGINT too: a shell that starts a command in the background has it ignored.
    previous = {number: signal.signal(number, _interrupt) for number in ENDINGS}
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def command(script: Path, *, port: int, open_browser: bool, host: str = HOST) -> list[str]:
    """Return the command line of the server."""
    return [
        *(sys.executable, "-m", "dashboards.server", str(script)),
        f"--address={host}",
        f"--port={port}",
        *(["--open"] if open_browser else []),
    ]


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End the server as Ctrl-C does, so that it does not outlive this process."""
    raise KeyboardInterrupt
