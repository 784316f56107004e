"""A launch in a process of its own, to be interrupted, ended and killed."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

MARK = "HYPERLAW_TEST_LAUNCH"
ROOT = Path(__file__).parents[2]

SCRIPT = """\
import sys
from pathlib import Path
from hpo.progress import Silence
from hpo.runner import run_sweep
from hpo.spec import load_spec
from storage.store import Store

class Narrator(Silence):
    def running(self, point):
        print("running", point.run_id, flush=True, file=sys.stderr)
    def finished(self, point, row):
        print("finished", point.run_id, flush=True, file=sys.stderr)

path, database = sys.argv[1:]
with Store.open(database) as store:
    summary = run_sweep(
        load_spec(path), store, spec_text=Path(path).read_text(), observer=Narrator()
    )
print(summary.interrupted, summary.completed + summary.diverged)
"""


class Launch:
    """A launch in a process group of its own, as a terminal gives it."""

    def __init__(self, sweep_file: Path, database: Path) -> None:
        on_path = Path(__file__).parent / "on_path"
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(sweep_file), str(database)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(on_path), MARK: str(database)},
            start_new_session=True,
        )

    def wait_for(self, line: str) -> None:
        assert self.process.stderr is not None
        for said in self.process.stderr:
            if said.strip() == line:
                return
        raise AssertionError(f"the launch ended without saying {line!r}")

    def interrupt_group(self) -> None:
        """What Ctrl-C does: the signal goes to every process of the group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def terminate(self) -> None:
        """What a scheduler does that wants the launch to end."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """What happens to a process at worst; Ray's own processes end by themselves."""
        self.process.kill()
        self.process.communicate()

    def kill_group(self) -> None:
        """What happens to all processes at worst."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def end(self) -> tuple[str, str]:
        out, err = self.process.communicate(timeout=120)
        assert self.process.returncode == 0
        return out, err


def processes_of_launch(database: Path) -> list[str]:
    """The processes that inherited a launch's environment: itself, Ray's daemons and workers."""
    mark = f"{MARK}={database}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end while it is looked at, or be another user's.
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
