"""A database that may not be written is read all the same, and is left as it is."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.health import examine, upgrade
from storage.store import Store, StoreError
from tests.storage.conftest import make_first_revision, unwritable

MakeRow = Callable[..., dict[str, object]]

WRITER = """
import sys
from storage.store import Store
with Store.open(sys.argv[1]) as store:
    run = {"run_id": "late", "sweep": "ladder", "params": 1e6, "tokens": 2e7, "lr": 1e-3}
    store.record_run(run | {"batch_tokens": 4096, "loss": 3.0}, None)
    print("written", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def kept(open_folder: Path, make_row: MakeRow) -> Path:
    """A database of one run, whose folder others may enter."""
    path = open_folder / "hyperlaw.db"
    with Store.open(path) as store:
        store.add_sweep("ladder", spec_text="")
        store.record_run(make_row("early"), None)
    return path


@pytest.mark.parametrize(("folder", "file"), [(0o555, 0o444), (0o777, 0o444), (0o555, 0o666)])
def test_it_is_read_and_nothing_is_made_beside_it(kept: Path, folder: int, file: int) -> None:
    before = kept.read_bytes()
    with unwritable(kept.parent, folder_mode=folder, file_mode=file):
        with Store.open(kept, create=False) as store:
            assert store.runs("ladder")["run_id"].tolist() == ["early"]
            assert store.sweep_names() == ["ladder"]
        assert examine(kept).problems == ()
        assert upgrade(kept)[0] == upgrade(kept)[1]
        assert [entry.name for entry in kept.parent.iterdir()] == ["hyperlaw.db"]
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    ("folder", "file", "why"),
    [(0o555, 0o666, r"its folder, .*, is read-only to you"), (0o777, 0o444, "the file is read-on")],
)
def test_writing_it_says_why_not(
    kept: Path, make_row: MakeRow, folder: int, file: int, why: str
) -> None:
    cannot = rf"hyperlaw\.db cannot be written: {why}"
    with unwritable(kept.parent, folder_mode=folder, file_mode=file):
        with pytest.raises(StoreError, match=cannot):
            Store.open(kept)
        with Store.open(kept, create=False) as store:
            with pytest.raises(StoreError, match=cannot):
                store.record_run(make_row("b"), None)
            with pytest.raises(StoreError, match=cannot), store.together():
                pass


def test_none_is_made_where_none_can_be(open_folder: Path) -> None:
    with (
        unwritable(open_folder),
        pytest.raises(StoreError, match=r"hyperlaw\.db cannot be written: its folder"),
    ):
        Store.open(open_folder / "hyperlaw.db")


def test_an_older_schema_is_to_be_opened_where_it_can_be_written(open_folder: Path) -> None:
    path = open_folder / "hyperlaw.db"
    make_first_revision(path)
    with unwritable(open_folder):
        with pytest.raises(StoreError, match=r"its schema is 0001, older than .*: open it once wh"):
            Store.open(path, create=False)
        assert not examine(path).is_newest


def test_what_another_process_writes_is_seen(kept: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(kept)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        with unwritable(kept.parent):
            store = Store.open(kept, create=False)
            assert store.runs("ladder")["run_id"].tolist() == ["early", "late"]
        writer.stdin.close()  # it ends, and folds its log into the file
        writer.wait(timeout=60)
        with unwritable(kept.parent), store:
            assert store.runs("ladder")["run_id"].tolist() == ["early", "late"]


def test_runs_in_a_log_that_cannot_be_read_are_not_passed_over(
    kept: Path, make_row: MakeRow
) -> None:
    log = kept.with_name("hyperlaw.db-wal")
    with Store.open(kept) as store:
        store.record_run(make_row("late"), None)
        left = log.read_bytes()
    log.write_bytes(left)  # as a copy of the two files, made while a sweep ran
    with (
        unwritable(kept.parent),
        pytest.raises(StoreError, match=r"hyperlaw\.db-wal holds what is not in it yet; open it"),
    ):
        Store.open(kept, create=False)
