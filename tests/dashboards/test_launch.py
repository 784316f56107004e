import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from dashboards import launch

SCRIPT = Path("dashboard.py")


def test_the_server_is_bound_to_this_machine():
    command = launch.command(SCRIPT, port=8599, open_browser=False)
    assert str(SCRIPT) in command
    assert "--address=127.0.0.1" in command
    assert "--port=8599" in command
    assert "--open" not in command
    assert "--open" in launch.command(SCRIPT, port=8599, open_browser=True)
    assert "--address=10.0.0.5" in launch.command(
        SCRIPT, port=8599, open_browser=False, host="10.0.0.5"
    )


def test_the_database_reaches_the_server_by_the_environment(monkeypatch):
    code = "import os, sys; sys.exit(7 if os.environ['HYPERLAW_DB'] == 'my.db' else 1)"
    monkeypatch.setattr(launch, "command", lambda *_, **__: [sys.executable, "-c", code])
    assert launch.serve("my.db", script=SCRIPT, port=8599, open_browser=False) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_ends_with_its_starter(monkeypatch, tmp_path, number):
    started = tmp_path / "pid"
    os.mkfifo(started)
    code = f"import os, time; open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    monkeypatch.setattr(launch, "command", lambda *_, **__: [sys.executable, "-c", code])
    child = []

    def interrupt() -> None:
        child.append(int(started.read_text()))
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    before = signal.getsignal(signal.SIGTERM)
    thread.start()
    assert launch.serve("my.db", script=SCRIPT, port=8599, open_browser=False) == 0
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(ProcessLookupError):
        os.kill(child[0], 0)


def test_control_is_only_given_when_asked_for(monkeypatch):
    monkeypatch.delenv(launch.CONTROL_VARIABLE, raising=False)
    code = f"import os, sys; sys.exit(7 if os.environ.get('{launch.CONTROL_VARIABLE}') else 1)"
    monkeypatch.setattr(launch, "command", lambda *_, **__: [sys.executable, "-c", code])
    options = {"script": SCRIPT, "port": 8599, "open_browser": False}
    assert launch.serve("my.db", **options) == 1
    assert launch.serve("my.db", **options, allow_control=True) == 7
