from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from storage.columns import LOSSES
from storage.runs_table import RunsTableError, check_runs, read_runs


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[..., str]:
    """Write a file, read it as runs, and return what the error says after the file's path."""

    def refusal(
        content: str | bytes, mapping: dict[str, str] | None = None, name: str = "runs.csv"
    ) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(RunsTableError) as caught:
            read_runs(path, mapping)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message.removeprefix(f"{path}: ")

    return refusal


def test_a_csv_is_read(tmp_path: Path, good_csv: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(good_csv)
    runs = read_runs(path)
    assert runs["run_id"].tolist() == ["runs-000001", "runs-000002", "runs-000003"]
    assert runs["lr"].tolist() == [1e-3, 2e-3, 1e-3]
    pd.testing.assert_frame_equal(read_runs(str(path)), runs)


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: "\ufeff" + text,  # as spreadsheets write it
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n").replace(",", ", "),
        lambda text: text.removesuffix("\n"),
        lambda text: "," + text.replace("\n", "\n0,", 3),  # the index that pandas writes
    ],
)
def test_the_same_runs_in_other_dresses(
    tmp_path: Path, good_csv: str, changed: Callable[[str], str]
) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(good_csv)
    expected = read_runs(path)
    path.write_bytes(changed(good_csv).encode())
    pd.testing.assert_frame_equal(read_runs(path), expected)


def test_tabs_and_parquet_are_read_by_suffix(tmp_path: Path, good_csv: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(good_csv)
    runs = read_runs(path)
    path.with_suffix(".tsv").write_text(good_csv.replace(",", "\t"))
    pd.testing.assert_frame_equal(read_runs(path.with_suffix(".tsv")), runs)
    runs.to_parquet(path.with_suffix(".parquet"))
    pd.testing.assert_frame_equal(read_runs(path.with_suffix(".parquet")), runs)


def test_columns_are_mapped(tmp_path: Path, good_csv: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(good_csv.replace("lr", "config/lr").replace("loss", "val loss"))
    runs = read_runs(path, {"lr": "config/lr", "loss": "val loss"})
    assert runs["lr"].tolist() == [1e-3, 2e-3, 1e-3]
    assert "config/lr" not in runs


def test_a_mapped_column_takes_the_place_of_the_files_own(tmp_path: Path, good_csv: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(good_csv.replace("params,", "params,n_body,").replace("e6,", "e6,9e5,"))
    runs = read_runs(path, {"params": "n_body", "params_total": "params"})
    assert runs["params"].tolist() == [9e5, 9e5, 9e5]
    assert runs["params_total"].tolist() == [1e6, 1e6, 4e6]
    assert "params_total" not in read_runs(path, {"params": "n_body"})


def test_columns_without_rules_become_numbers_where_all_their_cells_are(
    tmp_path: Path, good_csv: str
) -> None:
    lines = good_csv.splitlines()
    lines = [lines[0] + ",heads,note", lines[1] + ",8,3", lines[2] + ",,x", lines[3] + ",4,"]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(lines))
    runs = read_runs(path)
    np.testing.assert_array_equal(runs["heads"], [8.0, np.nan, 4.0])
    assert runs["note"].tolist()[:2] == ["3", "x"]
    assert pd.isna(runs["note"].iloc[2])


def test_a_run_id_of_digits_keeps_its_zeros(tmp_path: Path, good_csv: str) -> None:
    header, *rows = good_csv.splitlines()
    path = tmp_path / "runs.csv"
    path.write_text(
        "\n".join([f"run_id,{header}", *(f"00{i},{row}" for i, row in enumerate(rows))])
    )
    assert read_runs(path)["run_id"].tolist() == ["000", "001", "002"]


def test_a_missing_column_suggests_near_names(refuse: Callable[..., str], good_csv: str) -> None:
    message = refuse(good_csv.replace("lr", "learning_rate"))
    assert message == ("no column 'lr'; did you mean 'learning_rate'? pass --map lr=learning_rate")
    nothing_near = refuse(good_csv.replace("batch_tokens", "x"))
    assert nothing_near == (
        "no column 'batch_tokens'; the columns are params, tokens, lr, x, loss, "
        "and a runs table needs params,tokens,lr,batch_tokens,loss"
    )


@pytest.mark.parametrize("name", ["global_batch_size", "bs", "config/batch_size"])
def test_a_batch_of_no_known_unit_is_not_offered_for_one_in_tokens(
    refuse: Callable[..., str], good_csv: str, name: str
) -> None:
    content = good_csv.replace("batch_tokens", name)
    assert refuse(content) == (
        f"no column 'batch_tokens'; '{name}' is perhaps batch_tokens: map it if it counts tokens; "
        "if it counts sequences, multiply it by the sequence length first"
    )
    both = refuse(content.replace("lr", "max_lr"))
    assert "did you mean 'max_lr'? pass --map lr=max_lr; " in both
    assert "--map batch_tokens" not in both
    assert "did you mean" not in refuse(content, {"batch_tokens": "x"})


def test_a_batch_whose_name_says_tokens_is_offered(
    refuse: Callable[..., str], good_csv: str
) -> None:
    message = refuse(good_csv.replace("batch_tokens", "tokens_per_step"))
    assert message.endswith("pass --map batch_tokens=tokens_per_step")


def test_one_column_is_not_offered_for_two(refuse: Callable[..., str]) -> None:
    message = refuse("params,n_tokens,lr,loss\n1e6,2e7,1e-3,3.1\n")
    assert message.endswith("did you mean 'n_tokens'? pass --map tokens=n_tokens")


def test_a_mapping_to_nothing_suggests_near_names(
    refuse: Callable[..., str], good_csv: str
) -> None:
    content = good_csv.replace("lr", "learning_rate")
    assert refuse(content, {"lr": "learning_rat"}) == (
        "cannot map lr=learning_rat: the file has no column 'learning_rat'; did you mean "
        "'learning_rate'? its columns are params, tokens, learning_rate, batch_tokens, loss"
    )
    assert "did you mean 'learning_rate'?" in refuse(content, {"lr": "eta"})
    assert refuse(content, {"batch_token": "params"}).startswith(
        "cannot map batch_token=params: hyperlaw has no column 'batch_token'; did you mean "
        "'batch_tokens'? its columns are run_id, sweep, params,"
    )


def test_a_wrong_cell_is_named_by_the_files_own_column(
    refuse: Callable[..., str], good_csv: str
) -> None:
    content = good_csv.replace("lr", "learning_rate").replace("2e-3", "-2e-3")
    assert refuse(content, {"lr": "learning_rate"}) == (
        "row 2, column 'lr' ('learning_rate' in the file): -2e-3 must be above 0 "
        "(peak learning rate)"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty; a runs table has the header params,tokens,lr,batch_tokens,loss"),
        ("\n\n", "the file is empty"),
        ("params,tokens,lr,batch_tokens,loss\n", "holds a header but no run"),
        ("1e6,2e7,1e-3,512,3.1\n", "the first line, '1e6,2e7,1e-3,512,3.1', is no header"),
        ('{"runs": []}', "the first line, '{\"runs\": []}', is no header"),
        ("params;tokens;lr;batch_tokens;loss\n1;2;3;4;5\n", "cells are separated by ';'; a .csv"),
        ("params,tokens,params\n1,2,3\n", "two columns are named 'params'"),
        ("a novel\nwith two lines\n", "no columns 'params', 'tokens', 'lr', 'batch_tokens' and"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a CSV but a binary file"),
        ("café".encode("latin-1"), "not a CSV in UTF-8 (byte 3 is 0xe9); save it as UTF-8"),
        ('params,tokens\n1,"2\n', "line 2: not a CSV (unexpected end of data)"),
    ],
)
def test_a_file_that_is_no_table_says_what_is_wrong(
    refuse: Callable[..., str], content: str | bytes, message: str
) -> None:
    assert refuse(content).startswith(message)


def test_a_row_with_another_number_of_cells_is_named(
    refuse: Callable[..., str], good_csv: str
) -> None:
    cut_off = good_csv.removesuffix(",1024,2.7\n")
    assert refuse(cut_off) == "row 3 has 3 cells; the header has 5 columns"
    assert refuse(good_csv.replace("3.0", "3,0")) == "row 2 has 6 cells; the header has 5 columns"


def test_other_kinds_of_files_are_refused(refuse: Callable[..., str], good_csv: str) -> None:
    assert refuse(good_csv, name="runs.xlsx").endswith(
        "a runs table is a .csv, .tsv or .parquet file"
    )
    assert refuse(good_csv, name="runs.parquet").startswith("not a Parquet file (")


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunsTableError, match=r"runs\.csv: no such file"):
        read_runs(tmp_path / "runs.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RunsTableError, match=r"folder\.csv: a folder, not a file"):
        read_runs(tmp_path / "folder.csv")


def test_published_runs_are_read_as_they_are(shared_data: Path) -> None:
    runs = read_runs(shared_data / "steplaw_small.csv")
    assert len(runs) == 939
    assert runs.groupby(["params", "tokens"]).ngroups == 8
    assert (runs["status"] == "completed").all()
    pd.testing.assert_frame_equal(check_runs(runs), runs)


def test_losses_by_scale_need_no_settings(tmp_path: Path) -> None:
    path = tmp_path / "losses.csv"
    path.write_text("params,tokens,loss,unique_tokens\n1e6,2e7,3.1,1e7\n4e6,8e7,,1e7\n")
    losses = read_runs(path, kind=LOSSES)
    assert losses["status"].tolist() == ["completed", "diverged"]
    assert losses["unique_tokens"].tolist() == [1e7, 1e7]
    with pytest.raises(RunsTableError, match="no columns 'lr' and 'batch_tokens'; the columns"):
        read_runs(path)
    path.write_text("params,tokens\n1e6,2e7\n")
    with pytest.raises(RunsTableError, match="a table of losses by scale needs params,tokens,loss"):
        read_runs(path, kind=LOSSES)


def test_rows_that_are_not_taken_are_not_checked(tmp_path: Path, good_csv: str) -> None:
    header, *rows = good_csv.splitlines()
    path = tmp_path / "runs.csv"
    data = ("pile", "c4", "c4")
    lines = [f"{row},{name}" for row, name in zip(rows, data, strict=True)]
    lines[0] = lines[0].replace("1e6", "x", 1)
    path.write_text("\n".join([f"{header},data", *lines]) + "\n")
    assert len(read_runs(path, only={"data": "c4"})) == 2
    lines[2] = lines[2].replace("4e6", "y", 1)
    path.write_text("\n".join([f"{header},data", *lines]) + "\n")
    with pytest.raises(RunsTableError, match="row 3, column 'params': 'y' is not a number"):
        read_runs(path, only={"data": "c4"})


@pytest.mark.parametrize(("cell", "fault"), [("0", "0 must be above 0"), ("x", "'x' is not a num")])
def test_unique_tokens_have_rules(refuse: Callable[..., str], cell: str, fault: str) -> None:
    message = refuse(f"params,tokens,lr,batch_tokens,loss,unique_tokens\n1e6,2e7,1,512,3,{cell}\n")
    assert message.startswith(f"row 1, column 'unique_tokens': {fault}")
