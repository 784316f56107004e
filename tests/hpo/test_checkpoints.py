"""States of runs on disk: the newest whole one counts, and few are kept."""

from pathlib import Path

import pytest

from hpo.checkpoints import KEPT, Kept, RunFolder
from trainers.config import RunConfig

RUN = RunConfig("simulated", {"width": 32}, 1000, {"lr": 0.1, "batch_tokens": 100})
OTHER = RunConfig("simulated", {"width": 32}, 1000, {"lr": 0.2, "batch_tokens": 100})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "states" / "run-0")
    for reports in (1, 2, 3):
        folder.save(Kept(RUN, reports, (), {"reports": reports}), leg_end=False)
    return folder


def newest(folder: RunFolder, *, after: int = 0) -> object:
    found = folder.newest(RUN, after=after)
    return None if found is None else found.state["reports"]


def test_the_newest_state_counts_and_two_are_kept(folder: RunFolder) -> None:
    assert newest(folder) == 3
    assert newest(folder, after=3) is None
    assert len(list(folder.path.iterdir())) == KEPT
    assert RunFolder(folder.path / "none").newest(RUN, after=0) is None


def test_a_truncated_state_falls_back_to_the_one_before(folder: RunFolder) -> None:
    file = max(folder.path.iterdir())
    whole = file.read_bytes()
    for size in (0, 20, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        assert newest(folder) == 2
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert newest(folder) == 2
    for torn in folder.path.iterdir():
        torn.write_bytes(b"")
    assert newest(folder) is None


def test_a_state_of_another_setting_is_none(folder: RunFolder) -> None:
    assert folder.newest(OTHER, after=0) is None


def test_states_at_leg_ends_outlive_those_of_reports_after_them(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run-0")
    folder.save(Kept(RUN, 1, (), {"reports": 1}), leg_end=True)
    for reports in (2, 3, 4):
        folder.save(Kept(RUN, reports, (), {"reports": reports}), leg_end=False)
    found = folder.at(1)
    assert found is not None
    assert found.state == {"reports": 1}
    assert folder.at(2) is None


def test_a_run_that_is_over_keeps_what_another_may_begin_with(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run-0")
    folder.save(Kept(RUN, 1, (), {"reports": 1}), leg_end=True)
    folder.save(Kept(RUN, 2, (), {"reports": 2}), leg_end=False)
    folder.close()
    assert [file.name for file in folder.path.iterdir()] == ["000001.end"]
    alone = RunFolder(tmp_path / "run-1")
    alone.save(Kept(RUN, 2, (), {"reports": 2}), leg_end=False)
    alone.close()
    assert not alone.path.exists()
