"""Launches in processes of their own: Ctrl-C, SIGTERM and kill -9, and the next launch."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.store import Store
from tests.hpo.conftest import Diary
from tests.hpo.launches import Launch, processes_of_launch

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_ctrl_c_keeps_what_is_finished_and_the_next_launch_does_the_rest(
    ladder_text: str, tmp_path: Path
) -> None:
    sweep_file, database = tmp_path / "sweep.yaml", tmp_path / "runs.db"
    sweep_file.write_text(ladder_text.replace("runs: 24", "runs: 150"), encoding="utf-8")

    first = Launch(sweep_file, database)
    first.wait_for("finished ladder-00010")
    first.interrupt_group()
    out, err = first.end()
    with Store.open(database, create=False) as store:
        kept = store.runs("ladder").set_index("run_id")
        assert store.sweep("ladder").state == "interrupted"
    assert out == f"True {len(kept)}\n"
    assert 10 <= len(kept) < 150
    assert "Traceback" not in err
    assert set(kept["status"]) <= {"completed", "diverged"}

    second = Launch(sweep_file, database)
    out, err = second.end()
    assert out == "False 150\n"
    assert not {line.split()[1] for line in err.splitlines()} & set(kept.index)
    with Store.open(database, create=False) as store:
        runs = store.runs("ladder").set_index("run_id")
        assert store.sweep("ladder").state == "done"
    assert len(runs) == 150
    assert runs.loc[kept.index, "created"].equals(kept["created"])
    assert runs.loc[kept.index, "loss"].equals(kept["loss"])


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("end", [Launch.interrupt_group, Launch.terminate])
def test_a_signal_does_not_wait_for_a_step_that_takes_forever(
    own_text: str, tmp_path: Path, end: Callable[[Launch], None]
) -> None:
    sweep_file, database = tmp_path / "sweep.yaml", tmp_path / "runs.db"
    endless = own_text.replace("Instant", "Endless") + "resources: {cpus: 1}\n"
    sweep_file.write_text(endless, encoding="utf-8")
    launch = Launch(sweep_file, database)
    launch.wait_for("finished own-00000")
    assert any("raylet" in command for command in processes_of_launch(database))
    end(launch)
    out, err = launch.end()
    assert out.startswith("True ")
    assert "Traceback" not in err
    assert processes_of_launch(database) == []
    with Store.open(database, create=False) as store:
        assert store.sweep("own").state == "interrupted"


@pytest.mark.parametrize("kill", [Launch.kill, Launch.kill_group])
def test_a_killed_launch_is_taken_up_by_the_same_command(
    diary: Diary, tmp_path: Path, kill: Callable[[Launch], None]
) -> None:
    sweep_file, database = tmp_path / "sweep.yaml", tmp_path / "runs.db"
    sweep_file.write_text(diary.text(holds_at=4, holds=3), encoding="utf-8")
    diary.hold.touch()
    first = Launch(sweep_file, database)
    while diary.held() != [3, 4]:
        threading.Event().wait(0.01)
    kill(first)
    diary.hold.unlink()
    with Store.open(database, create=False) as store:
        kept = store.runs("steps").set_index("run_id")
        assert store.sweep("steps").state == "interrupted"
    assert kept["lr"].tolist() == [1, 2]

    second = Launch(sweep_file, database)
    out, _ = second.end()
    assert out == "False 4\n"
    for lr in (1, 2, 3, 4):
        computed = diary.computed(lr)
        assert sorted(set(computed)) == [1, 2, 3, 4, 5, 6]
        assert len(computed) <= (7 if lr in diary.held() else 6)
    with Store.open(database, create=False) as store:
        runs = store.runs("steps").set_index("run_id")
        curves = store.curves(list(runs.index))
    assert runs.loc[kept.index, "created"].equals(kept["created"])
    assert set(runs["status"]) == {"completed"}
    assert [curve.step.tolist() for curve in curves.values()] == [[10, 20, 30, 40, 50, 60]] * 4
    # Ray's own agents may take a while to see that the driver was killed.
    while processes_of_launch(database):
        threading.Event().wait(0.1)
