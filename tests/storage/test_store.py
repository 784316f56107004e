import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.curves import Curve
from storage.runs_table import RunsTableError, check_runs
from storage.store import NotFoundError, Store, StoreError

MakeRow = Callable[..., dict[str, object]]
MakeCurve = Callable[..., Curve]
MakeRuns = Callable[..., pd.DataFrame]


def test_a_sweep_is_kept_with_its_file_and_state(database: Path) -> None:
    with Store.open(database) as store:
        assert not store.has_sweep("ladder")
        store.add_sweep("ladder", spec_text="name: ladder\nruns: 3 # ε\n")
        store.set_sweep_state("ladder", "interrupted")
    with Store.open(database, create=False) as store:
        assert store.has_sweep("ladder")
        assert store.sweep_names() == ["ladder"]
        sweep = store.sweep("ladder")
    assert sweep.state == "interrupted"
    assert sweep.spec_text == "name: ladder\nruns: 3 # ε\n"
    assert sweep.created <= sweep.updated


def test_what_a_sweep_cannot_be_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="has a sweep named 'ladder' already"):
        store.add_sweep("ladder", spec_text="")
    for name in ("", "a b", "../x", "-x", "x" * 101, "käse"):
        with pytest.raises(StoreError, match="is no name for a sweep; it must be at most 100"):
            store.add_sweep(name, spec_text="")
    with pytest.raises(StoreError, match=r"'asleep' is no state .* running, paused, stopping"):
        store.set_sweep_state("ladder", "asleep")
    assert store.sweep_names() == ["ladder"]


def test_what_is_not_there_is_named_with_what_there_is(store: Store) -> None:
    store.add_sweep("wide", spec_text="")
    message = r"no sweep named 'lader' in .*; did you mean 'ladder'\? there are: ladder, wide$"
    for ask in (store.sweep, store.runs, lambda name: store.set_sweep_state(name, "done")):
        with pytest.raises(NotFoundError, match=message):
            ask("lader")
    with pytest.raises(NotFoundError, match=r"no run named 'x' in .*hyperlaw.db; there are none$"):
        store.run("x")
    with pytest.raises(NotFoundError, match=r"no law named 'x'"):
        store.law("x")


def test_a_recorded_run_comes_back_in_the_runs_table(
    store: Store, make_row: MakeRow, make_curve: MakeCurve
) -> None:
    store.record_run(make_row(width=32, grad_clip=1.0, mode="a"), make_curve())
    store.record_run(make_row("ladder-00001", loss=float("inf"), width=64), None)
    runs = store.runs("ladder")
    assert runs["run_id"].tolist() == ["ladder-00000", "ladder-00001"]
    assert runs["status"].tolist() == ["completed", "diverged"]
    assert runs["width"].dtype == np.int64
    assert runs["grad_clip"].iloc[0] == 1.0
    assert np.isnan(runs["grad_clip"].iloc[1])
    assert runs["created"].notna().all()
    assert "depth" not in runs
    pd.testing.assert_frame_equal(check_runs(runs), runs)
    assert store.run("ladder-00001")["width"] == 64
    assert len(store.curves(["ladder-00001", "ladder-00000"])["ladder-00000"]) == 3


def test_a_failed_run_keeps_its_reason_and_is_replaced_by_the_retry(
    store: Store, make_row: MakeRow, make_curve: MakeCurve
) -> None:
    nothing = {"loss": None, "status": "failed"}
    store.record_run(make_row(**nothing, reason="CUDA out of memory"), None)
    assert store.run("ladder-00000")["reason"] == "CUDA out of memory"
    store.record_run(make_row(status="stopped"), None)
    store.record_run(make_row(loss=3.0), make_curve())
    assert store.runs()["loss"].tolist() == [3.0]
    assert "reason" not in store.runs()


@pytest.mark.parametrize("loss", [3.2, float("nan")])
def test_a_run_that_ended_is_never_replaced(
    store: Store, make_row: MakeRow, make_curve: MakeCurve, loss: float
) -> None:
    store.record_run(make_row(loss=loss), make_curve(3))
    with pytest.raises(StoreError, match=r"run 'ladder-00000' is in .* already; nothing was writ"):
        store.record_run(make_row(loss=1.0), make_curve(8))
    assert 1.0 not in store.runs()["loss"].tolist()
    assert len(store.curves(["ladder-00000"])["ladder-00000"]) == 3


def test_a_run_that_is_wrong_is_not_recorded(store: Store, make_row: MakeRow) -> None:
    with pytest.raises(RunsTableError, match=r"^run 'ladder-00000': column 'lr': -1 must be ab"):
        store.record_run(make_row(lr=-1), None)
    with pytest.raises(RunsTableError, match="column 'run_id': is missing"):
        store.record_run({**make_row(), "run_id": None}, None)
    with pytest.raises(RunsTableError, match="'fn': a function cannot be stored"):
        store.record_run(make_row(fn=lambda: None), None)
    with pytest.raises(NotFoundError, match="no sweep named 'wide'"):
        store.record_run(make_row(sweep="wide"), None)
    assert store.runs().empty


def test_the_live_curve_is_replaced_by_the_final_one(
    store: Store, make_row: MakeRow, make_curve: MakeCurve
) -> None:
    for n_reports in (1, 2):
        store.record_report("ladder-00000", "ladder", make_curve(n_reports))
        assert len(store.curves(["ladder-00000"])["ladder-00000"]) == n_reports
    assert store.runs().empty
    store.record_run(make_row(), make_curve(3))
    assert len(store.curves(["ladder-00000"])["ladder-00000"]) == 3
    with pytest.raises(NotFoundError, match="no sweep named 'x'"):
        store.record_report("r", "x", make_curve())


def test_the_curve_so_far_of_a_run_that_failed_is_kept(
    store: Store, make_row: MakeRow, make_curve: MakeCurve
) -> None:
    store.record_report("ladder-00000", "ladder", make_curve(2))
    store.record_run(make_row(status="failed", loss=None), None)
    assert len(store.curves(["ladder-00000"])["ladder-00000"]) == 2


def test_runs_are_chosen_by_sweep_and_status(store: Store, make_runs: MakeRuns) -> None:
    statuses = ["completed", "diverged", "stopped", "failed"]
    store.add_runs(make_runs(4, run_id=list("dcba"), sweep="wide", status=statuses))
    store.add_runs(make_runs(1, run_id=["z"]))
    assert store.runs("ladder").empty
    assert store.runs("wide")["run_id"].tolist() == ["a", "b", "c", "d"]
    assert store.runs()["sweep"].tolist() == ["", "wide", "wide", "wide", "wide"]
    assert store.runs("wide", statuses=["stopped", "completed"])["run_id"].tolist() == ["b", "d"]
    assert store.runs("wide", statuses=[]).empty
    with pytest.raises(StoreError, match="'done' is no status; it is one of completed, diverged"):
        store.runs(statuses=["done"])


def test_a_table_without_runs_has_the_columns_and_types_of_one(
    store: Store, make_runs: MakeRuns
) -> None:
    empty = store.runs()
    store.add_runs(make_runs(1))
    filled = store.runs()
    assert empty.columns.tolist() == filled.columns.tolist()
    assert empty.dtypes.tolist() == filled.dtypes.tolist()


def test_sweeps_are_counted(store: Store, make_runs: MakeRuns) -> None:
    statuses = ["completed", "completed", "diverged", "failed"]
    store.add_runs(make_runs(4, sweep="wide", status=statuses, seconds=[1.0, 2.0, None, 3.0]))
    sweeps = store.sweeps().set_index("name")
    assert list(sweeps.columns) == [
        "state", "created", "runs", "completed", "diverged", "failed", "stopped", "best_loss",
        "flops", "seconds",
    ]  # fmt: skip
    wide = sweeps.loc["wide"]
    assert (wide["state"], wide["runs"], wide["completed"]) == ("done", 4, 2)
    assert (wide["diverged"], wide["failed"], wide["stopped"]) == (1, 1, 0)
    assert wide["best_loss"] == pytest.approx(3.9)
    assert wide["flops"] == pytest.approx(6 * 2e13 * (1 + 16 + 256 + 4096))
    assert wide["seconds"] == 6.0
    assert sweeps.loc["ladder", "runs"] == 0
    assert np.isnan(sweeps.loc["ladder", "best_loss"])


def test_runs_that_are_there_already_keep_all_others_out(store: Store, make_runs: MakeRuns) -> None:
    store.add_runs(make_runs(2, run_id=["a", "b"], sweep="wide"))
    with pytest.raises(StoreError, match=r"runs a, b are in .* already; nothing was written"):
        store.add_runs(make_runs(3, run_id=["new", "b", "a"], sweep="another"))
    assert store.runs()["run_id"].tolist() == ["a", "b"]
    assert store.sweep_names() == ["ladder", "wide"]


def test_imported_runs_are_kept_out_of_a_sweep_that_was_launched_here(
    store: Store, make_runs: MakeRuns
) -> None:
    with pytest.raises(StoreError, match=r"'ladder' of .* was launched here.* name another sweep"):
        store.import_runs(make_runs(2), "ladder")
    assert store.runs().empty
    store.import_runs(make_runs(2), "theirs")
    store.import_runs(make_runs(1, run_id=["c"], sweep="ladder"), "theirs")
    assert store.runs()["sweep"].tolist() == ["theirs"] * 3


def test_numbers_that_json_cannot_hold_count_as_missing(store: Store, make_runs: MakeRuns) -> None:
    store.add_runs(make_runs(3, probe=[np.inf, np.nan, 2.0], tags=[["a"], None, {"k": 1}]))
    runs = store.runs()
    np.testing.assert_array_equal(runs["probe"], [np.nan, np.nan, 2.0])
    assert runs["tags"].tolist()[0] == ["a"]
    assert runs["tags"].tolist()[2] == {"k": 1}


numbers = st.floats(1e-6, 1e6)
settings_of_runs = st.fixed_dictionaries(
    {
        "lr": numbers,
        "loss": st.one_of(numbers, st.just(float("nan"))),
        "seed": st.integers(-(2**63), 2**63 - 1),
    },
    optional={
        "width": st.integers(1, 2**40),
        "schedule": st.text(min_size=1, max_size=4).filter(lambda text: text == text.strip()),
        "weight_decay": st.floats(0.0, 1.0),
        "probe": st.floats(allow_nan=False, allow_infinity=False),
        "note": st.text(max_size=4),
        "fused": st.booleans(),
    },
)


@pytest.fixture(scope="module")
def two_stores() -> Iterator[tuple[Store, Store]]:
    with Store.open("sqlite://") as one, Store.open("sqlite://") as other:
        yield one, other


@given(st.lists(settings_of_runs, min_size=1, max_size=6))
def test_runs_come_back_as_they_went_in(
    two_stores: tuple[Store, Store], given_runs: list[dict[str, object]]
) -> None:
    one_by_one, at_once = two_stores
    sweep = f"sweep-{len(one_by_one.sweep_names())}"
    one_by_one.add_sweep(sweep, spec_text="")
    scale = {"sweep": sweep, "params": 1e9, "tokens": 2e9, "batch_tokens": 512.0}
    time = {"created": "2026-01-01T00:00:00+00:00"}
    rows = [
        {"run_id": f"{sweep}-{i}", **scale, **given_run, **time}
        for i, given_run in enumerate(given_runs)
    ]
    for row in rows:
        one_by_one.record_run(row, None)
    at_once.add_runs(check_runs(pd.DataFrame(rows)))

    runs = one_by_one.runs(sweep)
    pd.testing.assert_frame_equal(at_once.runs(sweep)[list(runs.columns)], runs)
    for row, (_, run) in zip(rows, runs.iterrows(), strict=True):
        for name, value in row.items():
            nothing = value != value
            assert pd.isna(run[name]) if nothing else run[name] == value


def test_laws_are_documents(store: Store) -> None:
    document = {"runs": 96, "scales": [{"params": 1e6}, {"params": 4e6}], "theta": [0.1 + 0.2]}
    store.save_law("surface", document=document, sweep="ladder")
    store.save_law("of-a-file", document={"theta": []}, sweep=None)
    assert store.law("surface") == document
    laws = store.laws().set_index("name")
    assert laws.columns.tolist() == ["sweep", "created", "runs", "scales"]
    assert laws.loc["surface", ["sweep", "runs", "scales"]].tolist() == ["ladder", 96, 2]
    assert laws.loc["of-a-file"].isna().tolist() == [True, False, True, True]
    store.save_law("surface", document={"runs": 97}, sweep=None)
    assert store.law("surface") == {"runs": 97}
    assert sorted(store.law_names()) == ["of-a-file", "surface"]


def test_a_law_that_json_cannot_hold_is_refused(store: Store) -> None:
    for value in (float("nan"), np.int64(3), {1, 2}):
        with pytest.raises(StoreError, match="law 'surface' is no data that JSON can hold"):
            store.save_law("surface", document={"value": value}, sweep=None)
    with pytest.raises(StoreError, match="'a/b' is no name for a law"):
        store.save_law("a/b", document={}, sweep=None)
    with pytest.raises(NotFoundError, match="no sweep named 'wide'"):
        store.save_law("surface", document={}, sweep="wide")
    assert store.laws().empty


def test_another_process_reads_while_one_writes(
    database: Path, store: Store, make_row: MakeRow
) -> None:
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from storage.store import Store\n"
            "with Store.open(sys.argv[1], create=False) as store:\n"
            "    for _ in sys.stdin:\n"
            "        print(len(store.runs('ladder')), flush=True)\n",
            str(database),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert reader.stdin is not None
    assert reader.stdout is not None

    def seen_by_reader() -> int:
        reader.stdin.write("look\n")
        return int(reader.stdout.readline())

    with reader:
        for n_runs in range(1, 4):
            store.record_run(make_row(f"ladder-{n_runs:05d}"), None)
            assert seen_by_reader() == n_runs
        with store._database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM runs")
            assert seen_by_reader() == 3
        assert seen_by_reader() == 0
        reader.stdin.close()
    assert reader.returncode == 0


def test_a_crash_while_runs_are_added_leaves_nothing_of_them(
    database: Path, store: Store, make_runs: MakeRuns
) -> None:
    code = """
import os, sys
import sqlite3
import pandas as pd
from sqlalchemy import Connection, event
from storage.store import Store

frame = pd.read_pickle(sys.argv[2])
store = Store.open(sys.argv[1])

@event.listens_for(store._database._engine, "after_cursor_execute")
def die_after_the_runs_are_inserted(_connection, _cursor, statement, *_):
    if statement.startswith("INSERT INTO runs"):
        os._exit(9)

store.add_runs(frame)
"""
    pickled = database.with_name("runs.pickle")
    make_runs(3, sweep="wide").to_pickle(pickled)
    run = subprocess.run([sys.executable, "-c", code, database, pickled], check=False, timeout=60)
    assert run.returncode == 9
    assert store.runs().empty
    assert store.sweep_names() == ["ladder"]
    store.add_runs(make_runs(3, sweep="wide"))
    assert len(store.runs("wide")) == 3


def test_scales_are_counted_by_how_their_runs_ended(store: Store, make_runs: MakeRuns) -> None:
    one_scale = {"params": 1e6, "tokens": 2e7, "sweep": "ladder"}
    ends = {"status": ["completed", "diverged", "failed"], "loss": [3.0, np.nan, np.nan]}
    store.add_runs(make_runs(3, **one_scale, **ends, run_id=["a-0", "a-1", "a-2"]))
    larger = one_scale | {"params": 4e6, "loss": [2.5, 2.4], "seconds": [2.0, 3.0]}
    store.add_runs(make_runs(2, **larger, run_id=["b-0", "b-1"]))
    store.add_runs(make_runs(1, sweep="other", run_id=["c-0"]))
    scales = store.scales("ladder")
    assert scales["params"].tolist() == [1e6, 4e6]
    assert scales["completed"].tolist() == [1, 2]
    assert scales["diverged"].tolist() == [1, 0]
    assert scales["failed"].tolist() == [1, 0]
    assert scales["best_loss"].tolist() == [3.0, 2.4]
    assert scales["seconds"].iloc[1] == 5.0
    assert set(store.scales()["sweep"]) == {"ladder", "other"}
    assert store.scales("other")["completed"].tolist() == [1]
    with pytest.raises(NotFoundError, match="othr"):
        store.scales("othr")
