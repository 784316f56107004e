from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.columns import COLUMNS, REQUIRED
from storage.runs_table import RunsTableError, check_row, check_runs

MakeRuns = Callable[..., pd.DataFrame]

STANDARD_NAMES = [column.name for column in COLUMNS][:10]
positive = st.floats(1.0, 1e12)
zoned = st.datetimes(
    min_value=datetime(1970, 1, 2), timezones=st.one_of(st.none(), st.just(UTC), st.timezones())
)


@st.composite
def runs_tables(draw: st.DrawFn) -> pd.DataFrame:
    """Right tables of 0 to 12 runs, with a sample of the optional columns and of extra ones."""
    n_runs = draw(st.integers(0, 12))

    def column(values: st.SearchStrategy[object]) -> list[object]:
        return draw(st.lists(values, min_size=n_runs, max_size=n_runs))

    batch = np.array(column(st.floats(1.0, 1e7)), dtype=float)
    frame = pd.DataFrame(
        {
            "run_id": draw(
                st.lists(
                    st.text("abc-0123", min_size=1, max_size=8),
                    min_size=n_runs,
                    max_size=n_runs,
                    unique=True,
                )
            ),
            "params": np.array(column(positive), dtype=float),
            "tokens": batch * np.array(column(st.floats(1.0, 1e5)), dtype=float),
            "lr": np.array(column(st.floats(1e-8, 10.0)), dtype=float),
            "batch_tokens": batch,
            "loss": np.array(
                column(st.one_of(st.floats(1e-3, 100.0), st.just(np.nan), st.just(np.inf))),
                dtype=float,
            ),
        }
    )
    optional = {
        "sweep": st.sampled_from(["", "ladder", "wide"]),
        "status": st.sampled_from(["completed", "diverged", "stopped", "failed"]),
        "seed": st.integers(0, 2**62),
        "width": st.one_of(st.none(), st.integers(1, 4096)),
        "weight_decay": st.one_of(st.none(), st.floats(0.0, 1.0)),
        "schedule": st.one_of(st.none(), st.sampled_from(["linear", "cosine"])),
        "created": st.one_of(st.none(), zoned.map(str), zoned.map(datetime.isoformat)),
        "grad_clip": st.floats(0.0, 10.0),
        "note": st.sampled_from(["a", "β", "1.5", "true", "x, y"]),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(optional))))
    return frame.assign(**{name: column(optional[name]) for name in sorted(chosen)})


@given(runs_tables())
def test_a_checked_table_holds_what_the_other_rooms_rely_on(frame: pd.DataFrame) -> None:
    runs = check_runs(frame)
    assert list(runs.columns[:10]) == STANDARD_NAMES
    assert len(runs) == len(frame)
    assert runs["run_id"].is_unique
    assert runs[[*REQUIRED[:4], "flops"]].notna().all(axis=None)
    completed = runs[runs["status"] == "completed"]
    assert np.isfinite(completed["loss"]).all()
    assert runs.loc[runs["status"] == "diverged", "loss"].isna().all()
    assert not np.isinf(runs["loss"]).any()


@given(runs_tables())
def test_checking_twice_is_checking_once(frame: pd.DataFrame) -> None:
    once = check_runs(frame)
    pd.testing.assert_frame_equal(check_runs(once), once)


@given(runs_tables(), st.data())
def test_the_order_of_the_runs_does_not_matter(frame: pd.DataFrame, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(frame))))
    shuffled = check_runs(frame.iloc[order])
    pd.testing.assert_frame_equal(shuffled, check_runs(frame).iloc[order].reset_index(drop=True))


@given(runs_tables())
def test_one_run_is_checked_as_a_table_of_runs_is(frame: pd.DataFrame) -> None:
    runs = check_runs(frame)
    for position in range(len(frame)):
        given_row = {name: frame[name].iloc[position] for name in frame}
        row = check_row(given_row)
        expected = runs.iloc[position]
        assert list(row) == list(runs.columns)
        for name, value in row.items():
            assert value == expected[name] or (value is None and pd.isna(expected[name]))


def test_what_is_left_out_is_filled_in(make_runs: MakeRuns) -> None:
    runs = check_runs(make_runs(2), source="data/My runs.csv")
    assert list(runs.columns) == STANDARD_NAMES
    assert runs["run_id"].tolist() == ["My-runs-000001", "My-runs-000002"]
    assert runs["sweep"].tolist() == ["", ""]
    assert runs["status"].tolist() == ["completed", "completed"]
    assert runs["seed"].tolist() == [0, 0]
    np.testing.assert_allclose(runs["flops"], 6 * runs["params"] * runs["tokens"])


def test_measured_flops_are_kept_and_missing_ones_filled(make_runs: MakeRuns) -> None:
    runs = check_runs(make_runs(2, flops=[1.5e14, None]))
    assert runs["flops"].tolist() == [1.5e14, 6 * 4e6 * 8e7]


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf, None, "nan", "inf", "-Infinity", ""])
def test_a_loss_that_is_not_finite_is_a_diverged_run(make_runs: MakeRuns, loss: object) -> None:
    frame = make_runs(2).astype({"loss": object})
    frame.loc[1, "loss"] = loss
    for given_status in (frame, frame.assign(status="completed")):
        runs = check_runs(given_status)
        assert runs["status"].tolist() == ["completed", "diverged"]
        assert np.isnan(runs["loss"].iloc[1])


def test_a_finite_loss_is_not_judged_by_its_size(make_runs: MakeRuns) -> None:
    assert check_runs(make_runs(1, loss=1e6))["status"].tolist() == ["completed"]


def test_a_run_that_is_said_to_have_diverged_has_no_loss(make_runs: MakeRuns) -> None:
    runs = check_runs(make_runs(3, status=["completed", "diverged", "stopped"]))
    assert runs["loss"].isna().tolist() == [False, True, False]


def test_numbers_may_be_text_and_whole_numbers_may_be_floats(make_runs: MakeRuns) -> None:
    runs = check_runs(make_runs(2, lr=["1e-3", " 0.002 "], width=[32.0, 64.0], depth=["2", ""]))
    assert runs["lr"].tolist() == [1e-3, 2e-3]
    assert runs["width"].dtype == np.int64
    assert runs["depth"].dtype == np.float64
    assert np.isnan(runs["depth"].iloc[1])


def test_pandas_own_types_are_read(make_runs: MakeRuns) -> None:
    runs = check_runs(
        make_runs(
            2,
            width=pd.array([32, None], dtype="Int64"),
            seed=pd.array([1, 2], dtype="Int64"),
            status=pd.Categorical(["completed", "stopped"]),
            created=pd.to_datetime(["2026-01-02T03:04:05Z", None]),
        )
    )
    assert runs["seed"].dtype == np.int64
    assert runs["width"].tolist()[0] == 32.0
    assert runs["status"].tolist() == ["completed", "stopped"]
    assert runs["created"].iloc[0] == "2026-01-02T03:04:05+00:00"
    assert pd.isna(runs["created"].iloc[1])


@given(st.lists(zoned, min_size=2, max_size=2))
def test_times_sort_as_text_as_they_do_as_times(times: list[datetime]) -> None:
    row = {"params": 1e6, "tokens": 2e7, "lr": 1e-3, "batch_tokens": 512.0, "loss": 3.0}
    runs = check_runs(pd.DataFrame([row | {"created": str(time)} for time in times]))
    first, second = (
        (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)).replace(
            microsecond=0
        )
        for time in times
    )
    assert runs["created"].tolist() == [first.isoformat(), second.isoformat()]
    assert (first < second) == (runs["created"].iloc[0] < runs["created"].iloc[1])


def test_extra_columns_are_kept_as_they_are(make_runs: MakeRuns) -> None:
    when = pd.to_datetime(["2026-01-02", "2026-01-03"])
    runs = check_runs(make_runs(2, started=when, fused=[True, False], note=["a", None]))
    assert list(runs.columns[10:]) == ["started", "fused", "note"]
    assert runs["started"].dtype == when.dtype
    assert runs["fused"].dtype == np.bool_


def test_a_named_index_counts_as_a_column(make_runs: MakeRuns) -> None:
    frame = make_runs(2, run_id=["a", "b"]).set_index("run_id")
    assert check_runs(frame)["run_id"].tolist() == ["a", "b"]


def test_the_given_table_is_not_changed(make_runs: MakeRuns) -> None:
    frame = make_runs(2, loss=[3.0, np.inf], status="completed")
    before = frame.copy(deep=True)
    check_runs(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"lr": [1e-3, -1e-3, 1e-3]}, "row 2, column 'lr': -0.001 must be above 0 (peak learn"),
        ({"lr": [1e-3, 0.0, 1e-3]}, "row 2, column 'lr': 0.0 must be above 0"),
        ({"lr": [1e-3, 1e-3, "fast"]}, "row 3, column 'lr': 'fast' is not a number"),
        ({"lr": [1e-3, 1e-3, None]}, "row 3, column 'lr': is missing (peak learning rate)"),
        ({"lr": [True, True, True]}, "row 1, column 'lr': 'True' is not a number"),
        ({"lr": [1e-3, [1], 2]}, "row 2, column 'lr': '[1]' is not a number"),
        ({"lr": pd.Timestamp("2026-01-01")}, "row 1, column 'lr': '2026-01-01"),
        ({"tokens": ["2e7", "1,000", "2e7"]}, "row 2, column 'tokens': '1,000' is not a number"),
        ({"tokens": [2e7, 2e7, np.inf]}, "row 3, column 'tokens': inf must be finite"),
        ({"loss": [3.0, "bad", 3.0]}, "row 2, column 'loss': 'bad' is not a number"),
        ({"loss": [3.0, -1.0, 3.0]}, "row 2, column 'loss': -1.0 must be above 0"),
        ({"seed": [0, 1.5, 2]}, "row 2, column 'seed': 1.5 must be a whole number"),
        ({"seed": [0.0, 2e20, 2.0]}, "row 2, column 'seed': 2e+20 is too large for a whole"),
        ({"width": [0, 1, 2]}, "row 1, column 'width': 0 must be above 0 (model width)"),
        ({"beta1": [0.9, -0.9, 0.9]}, "row 2, column 'beta1': -0.9 must not be below 0"),
        ({"run_id": ["a", "b", "a"]}, "row 3, column 'run_id': 'a' is also the run of row 1"),
        ({"run_id": ["a", "", "c"]}, "row 2, column 'run_id': is missing"),
        (
            {"created": ["2026-01-02", "", "yesterday"]},
            "row 3, column 'created': 'yesterday' is no time such as 2026-03-09T14:05:00Z (when",
        ),
        ({"created": [None, "02/01/2026", None]}, "row 2, column 'created': '02/01/2026' is no"),
        ({"created": "0001-01-01T00:00+05:00"}, "row 1, column 'created': '0001-01-01T00:00+05"),
        (
            {"status": ["completed", "Complete", "failed"]},
            "row 2, column 'status': 'Complete' is no status; did you mean 'completed'? it must "
            "be one of completed, diverged, stopped, failed",
        ),
    ],
)
def test_a_wrong_cell_is_named_with_its_row_and_column(
    make_runs: MakeRuns, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(RunsTableError) as caught:
        check_runs(make_runs(3, **columns), source="runs.csv")
    assert str(caught.value).startswith(f"runs.csv: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"params": 0.06}, "column 'params': 0.06 is below 1; it must be a plain count, not in"),
        ({"tokens": 20.0}, "column 'tokens': 20 is less than one batch of 512; both must be in"),
        ({"batch_tokens": 0.5}, "column 'batch_tokens': 0.5 is below 1; it must be a plain"),
        (
            {"batch_tokens": 4, "steps": 1000},
            "column 'batch_tokens': 4 × 1000 steps is 4000 tokens, but the run's tokens are 2e+07",
        ),
        (
            {"batch_tokens": 1.5, "tokens": 3e7},
            "column 'batch_tokens': 1.5 makes 2e+07 steps of the run's 3e+07 tokens, more than",
        ),
        ({"flops": 0.12}, "column 'flops': 0.12 is far from 6ND = 1.2e+14"),
    ],
)
def test_a_column_in_another_unit_is_seen_from_the_others(
    make_runs: MakeRuns, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(RunsTableError) as caught:
        check_runs(make_runs(1, **columns))
    assert str(caught.value).startswith(f"runs table: row 1, {message}")


def test_a_run_that_was_made_here_may_have_any_number_of_steps(
    make_row: Callable[..., dict[str, object]],
) -> None:
    assert check_row(make_row(tokens=3e10))["batch_tokens"] == 512.0


def test_units_are_not_held_against_runs_that_did_not_complete(make_runs: MakeRuns) -> None:
    stopped = make_runs(1, steps=3, flops=1e9, status="stopped")
    assert check_runs(stopped)["flops"].tolist() == [1e9]


def test_the_first_wrong_cell_is_named_and_the_others_counted(make_runs: MakeRuns) -> None:
    frame = make_runs(3, lr=[1e-3, -1.0, -1.0], loss=["x", 3.0, 3.0])
    with pytest.raises(RunsTableError, match=r"row 1, column 'loss'.*; 2 more cells are wrong$"):
        check_runs(frame)
    with pytest.raises(RunsTableError, match=r"row 2, column 'lr'.*; 1 more cell is wrong$"):
        check_runs(frame.assign(loss=3.0))


def test_a_missing_column_suggests_what_the_table_has(make_runs: MakeRuns) -> None:
    frame = make_runs(2).rename(columns={"lr": "config.learning_rate", "loss": "eval_loss"})
    with pytest.raises(RunsTableError) as caught:
        check_runs(frame)
    assert str(caught.value) == (
        "runs table: no columns 'lr' and 'loss'; did you mean 'config.learning_rate' and "
        "'eval_loss'? pass --map lr=config.learning_rate --map loss=eval_loss"
    )


def test_columns_must_have_distinct_names(make_runs: MakeRuns) -> None:
    frame = make_runs(2)
    with pytest.raises(RunsTableError, match="two columns are named 'lr'"):
        check_runs(pd.concat([frame, frame[["lr"]]], axis="columns"))
    with pytest.raises(RunsTableError, match="column 0 has no name"):
        check_runs(frame.rename(columns={"lr": 0}))


def test_one_run_says_which_run_it_is(make_row: Callable[..., dict[str, object]]) -> None:
    with pytest.raises(RunsTableError, match=r"^run 'a': column 'lr': is missing \(peak learning"):
        check_row(make_row("a", lr=float("nan")), source="run 'a'")


def test_a_hundred_thousand_runs_are_checked_as_three_are(make_runs: MakeRuns) -> None:
    frame = pd.concat([make_runs(4)] * 25_000, ignore_index=True)
    frame.loc[99_998, "lr"] = -1.0
    with pytest.raises(RunsTableError, match=r"row 99999, column 'lr': -1.0 must be above 0"):
        check_runs(frame)
