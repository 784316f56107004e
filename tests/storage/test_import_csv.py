from pathlib import Path

import pandas as pd
import pytest

from storage.importers.csv import import_csv
from storage.runs_table import RunsTableError, read_runs
from storage.store import Store, StoreError


@pytest.fixture
def csv_file(tmp_path: Path, good_csv: str) -> Path:
    path = tmp_path / "measured.csv"
    path.write_text(good_csv)
    return path


def test_a_file_becomes_a_sweep(store: Store, csv_file: Path) -> None:
    imported = import_csv(store, csv_file, sweep="measured")
    pd.testing.assert_frame_equal(store.runs("measured"), imported)
    assert store.sweep("measured").state == "done"


def test_runs_without_a_name_are_named_after_the_sweep(store: Store, csv_file: Path) -> None:
    assert import_csv(store, csv_file, sweep="a")["run_id"].tolist() == [
        "a-000001", "a-000002", "a-000003",
    ]  # fmt: skip
    csv_file.write_text(csv_file.read_text().replace("1e-3", "3e-3").replace("2e-3", "4e-3"))
    assert import_csv(store, csv_file, sweep="b")["run_id"].tolist()[0] == "b-000001"
    assert import_csv(store, csv_file, sweep="a")["run_id"].tolist() == [
        "a-000004", "a-000005", "a-000006",
    ]  # fmt: skip
    assert len(store.runs("a")) == 6
    header, *rows = csv_file.read_text().splitlines()
    named = [f"x{number},{row}" for number, row in enumerate(rows)]
    csv_file.write_text("\n".join([f"run_id,{header}", *named]))
    assert import_csv(store, csv_file, sweep="a")["run_id"].tolist() == ["x0", "x1", "x2"]


def test_columns_are_mapped_and_the_sweep_is_the_one_named(store: Store, csv_file: Path) -> None:
    text = csv_file.read_text().replace("lr", "max_lr").replace("params", "sweep,params")
    csv_file.write_text(text.replace("1e6,2", "theirs,1e6,2").replace("4e6", "theirs,4e6"))
    import_csv(store, csv_file, sweep="ours", mapping={"lr": "max_lr"})
    assert store.runs("ours")["lr"].tolist() == [1e-3, 2e-3, 1e-3]
    assert store.sweep_names() == ["ladder", "ours"]


@pytest.mark.parametrize("changed", [("2e-3", "-2e-3"), ("lr", "rate"), ("2.7", "low")])
def test_nothing_is_written_if_anything_is_wrong(
    store: Store, csv_file: Path, changed: tuple[str, str]
) -> None:
    csv_file.write_text(csv_file.read_text().replace(*changed))
    with pytest.raises(RunsTableError, match=r"measured\.csv: "):
        import_csv(store, csv_file, sweep="measured")
    assert store.sweep_names() == ["ladder"]
    assert store.runs().empty


def test_importing_twice_is_refused_and_changes_nothing(store: Store, csv_file: Path) -> None:
    import_csv(store, csv_file, sweep="measured")
    with pytest.raises(
        StoreError, match=r"measured\.csv: 3 rows, the first row 1, would be in swe"
    ):
        import_csv(store, csv_file, sweep="measured")
    assert len(store.runs("measured")) == 3


@pytest.mark.parametrize("loss", ["2.7", "nan"])
def test_a_file_with_one_run_that_is_there_is_refused_whole(
    store: Store, csv_file: Path, loss: str
) -> None:
    text = csv_file.read_text().replace("2.7", loss)
    csv_file.write_text(text)
    import_csv(store, csv_file, sweep="measured")
    new, last = text.replace("1e6", "2e6"), text.splitlines()[-1]
    csv_file.write_text(new)
    with pytest.raises(StoreError, match="row 3 would be in sweep 'measured' twice: 'measured-000"):
        import_csv(store, csv_file, sweep="measured")
    csv_file.write_text(new.replace(last, last.replace("1e-3", "5e-4")))
    assert len(import_csv(store, csv_file, sweep="measured")) == 3


def test_a_diverged_run_of_another_seed_is_another_run(store: Store, csv_file: Path) -> None:
    for seed in ("0", "1"):
        csv_file.write_text(f"params,tokens,lr,batch_tokens,loss,seed\n1e6,2e7,1,512,nan,{seed}\n")
        import_csv(store, csv_file, sweep="measured")
    with pytest.raises(StoreError, match="'measured-000002' has the same settings and result"):
        import_csv(store, csv_file, sweep="measured")


def test_runs_do_not_join_a_sweep_that_was_launched_here(store: Store, csv_file: Path) -> None:
    with pytest.raises(StoreError, match=r"sweep 'ladder' of .* was launched here"):
        import_csv(store, csv_file, sweep="ladder")
    assert store.runs().empty


def test_times_are_kept_in_one_form(store: Store, csv_file: Path) -> None:
    times = ("2026-01-02T03:04:05Z", "2026-01-02 03:04", "2026-01-02T03:04:05.9+01:00")
    header, *rows = csv_file.read_text().splitlines()
    lines = [f"{row},{time}" for row, time in zip(rows, times, strict=True)]
    csv_file.write_text("\n".join([f"{header},created", *lines]))
    import_csv(store, csv_file, sweep="measured")
    assert store.runs("measured")["created"].tolist() == [
        "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:00+00:00", "2026-01-02T02:04:05+00:00",
    ]  # fmt: skip


def test_a_name_that_no_sweep_can_have_is_refused(store: Store, csv_file: Path) -> None:
    with pytest.raises(StoreError, match="'my runs' is no name for a sweep"):
        import_csv(store, csv_file, sweep="my runs")
    assert store.runs().empty


def test_published_runs_are_imported_and_read_back(store: Store, shared_data: Path) -> None:
    path = shared_data / "steplaw_small.csv"
    import_csv(store, path, sweep="steplaw")
    names = [f"steplaw-{number:06d}" for number in range(1, 940)]
    expected = read_runs(path).assign(sweep="steplaw", run_id=names)
    pd.testing.assert_frame_equal(store.runs("steplaw"), expected)
