"""`hyperlaw sweep pause`, `resume`, `stop`, `cancel`, `retry`, `extend`: from another terminal."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperlaw.steering import running_now
from storage.drivers import Driver
from storage.store import Store
from tests.hpo.conftest import ON_PATH, Diary
from tests.hyperlaw.conftest import Invoke

SWEEP = """\
name: tiny
trainer: simulated
scales: {params: 1000000, tokens_per_param: 20}
search: {method: METHOD}
space:
  lr: {log: [3e-3, 6e-2]}
  batch_tokens: {choices: [8192, 16384]}
runs: 4
"""


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    folder = tmp_path / "diary"
    folder.mkdir()
    return Diary(folder)


@pytest.fixture
def paused(invoke: Invoke, tmp_path: Path) -> Iterator[Store]:
    """A sweep that this process has claimed, and does not drive."""
    with Store.open(tmp_path / "hyperlaw.db") as store:
        store.add_sweep("tiny", spec_text=SWEEP.replace("METHOD", "random"))
        store.claim_sweep("tiny", Driver.this_process())
        store.set_sweep_state("tiny", "paused")
        yield store


@pytest.mark.parametrize("action", ["pause", "stop", "cancel", "resume", "retry"])
def test_a_sweep_that_is_not_there_is_not_found(
    invoke: Invoke, database: Path, action: str
) -> None:
    ran = invoke("sweep", action, "lader")
    assert ran.code == 3
    assert "did you mean 'ladder'?" in ran.err


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("pause", "sweep 'tiny' is not running; it is stopped; "),
        ("stop", "sweep 'tiny' is not running; it is stopped; "),
        ("cancel", "sweep 'tiny' is not running; it is stopped; "),
        ("retry", "sweep 'tiny' has no failed runs; it is stopped"),
    ],
)
def test_what_makes_no_sense_now_is_refused(
    invoke: Invoke, paused: Store, action: str, said: str
) -> None:
    again = invoke("sweep", "pause", "tiny")
    assert (again.code, "is paused already" in again.err) == (2, True)
    paused.release_sweep("tiny", Driver.this_process(), "stopped")
    ran = invoke("sweep", action, "tiny")
    assert ran.code == 2
    assert said in ran.err
    assert ("sweep resume tiny" in ran.err) == (action != "retry")


def test_a_sweep_of_listed_points_is_not_extended(invoke: Invoke, tmp_path: Path) -> None:
    points = "points: [{scale: {params: 1000000, tokens: 1000000}, setting: {lr: 0.01}}]\n"
    fixed = "fixed: {batch_tokens: 512}\n"
    head = SWEEP[: SWEEP.index("scales")]
    with Store.open(tmp_path / "hyperlaw.db") as store:
        store.add_sweep("tiny", spec_text=f"{head}search: {{method: listed}}\n{points}{fixed}")
    ran = invoke("sweep", "extend", "tiny", "--runs", 3)
    assert ran.code == 2
    assert "cannot be extended: its runs are the points of its file" in ran.err
    assert invoke("sweep", "extend", "tiny", "--runs", 0).code == 2


def test_the_runs_that_a_file_asks_for_are_counted_without_its_trainer(
    invoke: Invoke, tmp_path: Path
) -> None:
    absent = SWEEP.replace("simulated", "absent:Trainer").replace("1000000", "[1, 2]")
    grid = absent.replace("METHOD", "grid").replace("6e-2]", "6e-2], steps: 3")
    with Store.open(tmp_path / "hyperlaw.db") as store:
        store.add_sweep("drawn", spec_text=absent.replace("METHOD", "random"))
        store.add_sweep("whole", spec_text=grid.replace("runs: 4", "seeds: 2"))
    for name, planned in (("drawn", 4), ("whole", 2 * 6 * 2)):
        status = invoke("sweep", "status", name, "--json")
        assert json.loads(status.out)["planned"] == planned


def test_an_address_that_does_not_answer_leaves_no_database(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SWEEP.replace("METHOD", "random"), encoding="utf-8")
    # A process of its own: a Ray session that this one has would be used in place of the address.
    launch = ["hyperlaw", "sweep", "launch", "tiny.yaml", "--address", "127.0.0.1:1"]
    ran = subprocess.run(
        [sys.executable, "-m", *launch],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert "no Ray cluster answers there" in ran.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.yaml"]


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_is_steered_from_another_terminal(
    invoke: Invoke, diary: Diary, tmp_path: Path
) -> None:
    diary.hold.touch()
    (tmp_path / "steps.yaml").write_text(diary.text(holds_at=4, holds=1), encoding="utf-8")
    with (
        subprocess.Popen(
            [sys.executable, "-m", "hyperlaw", "sweep", "launch", "steps.yaml"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ON_PATH)},
        ) as process,
        ended(process),
    ):
        wait_for(lambda: diary.held() == [1, 2])
        wait_for(lambda: n_running(tmp_path / "hyperlaw.db") == 2)
        status = json.loads(invoke("sweep", "status", "steps", "--json").out)
        assert (status["state"], status["driver"]["pid"]) == ("running", process.pid)
        assert status["running"][0]["of"] == 6
        assert invoke("sweep", "resume", "steps").code == 2

        paused = invoke("sweep", "pause", "steps")
        assert (paused.code, "sweep 'steps' is paused, 4 runs" in paused.out) == (0, True)
        assert "2 runs are finishing" in paused.out
        diary.hold.unlink()
        waited = json.loads(invoke("sweep", "pause", "steps", "--wait", "--json").out)
        assert (waited["state"], waited["running"]) == ("paused", 0)
        diary.hold.touch()
        assert "is running" in invoke("sweep", "resume", "steps").out
        wait_for(lambda: len(diary.held()) > 2)
        assert "is cancelled" in invoke("sweep", "cancel", "steps").out
        assert process.wait() == 130
    assert "2 of 4 runs ended" in invoke("sweep", "status", "steps").out


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """However the body ends, so does the process."""
    try:
        yield
    finally:
        process.kill()


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait, to the test's own time limit."""
    while not happened():
        threading.Event().wait(0.02)


def n_running(database: Path) -> int:
    with Store.open(database, create=False) as store:
        return len(running_now(store, "steps"))
