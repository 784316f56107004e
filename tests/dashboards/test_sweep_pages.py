"""The pages of sweeps in each of their states: none, empty, running, paused, failed, done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboards.failures import failures
from dashboards.pages.overview import overview
from storage.curves import Curve
from storage.drivers import Driver
from storage.legs import LegRecord
from storage.rounds import RoundRecord
from storage.store import Store

FILE = "name: sim\nsearch: {method: transfer}\nruns: 120\nreports: 8\n"
SCALE = {"params": 24_576, "params_total": 24_576, "tokens": 122_880, "shape": {}}
HERE = Driver.this_process()

Show = Callable[..., AppTest]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "hyperlaw.db"
    monkeypatch.setenv("HYPERLAW_DB", str(path))
    monkeypatch.delenv("HYPERLAW_ALLOW_CONTROL", raising=False)
    monkeypatch.setattr("sys.argv", ["app.py"])
    return path


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with Store.open(database) as store:
        yield store


def page(name: str) -> AppTest:
    """Run one page as it is, with nothing raised."""

    def script(name: str) -> None:
        import importlib

        importlib.import_module(f"dashboards.pages.{name}").show()

    app = AppTest.from_function(script, kwargs={"name": name}, default_timeout=60).run()
    assert not app.exception
    return app


def leg(
    number: int,
    run_id: str,
    *,
    origin: tuple[str, int] | None = None,
    reports: int = 8,
    lr: float = 1e-2,
) -> LegRecord:
    run, at = origin or (None, None)
    setting = {"lr": lr, "batch_tokens": 2048}
    return LegRecord(number, run_id, reports, run, at, SCALE, setting, 0)


def curve(*losses: float) -> Curve:
    steps = np.arange(1, len(losses) + 1)
    values = np.array(losses)
    return Curve(steps, steps * 100.0, steps * 1e6, values, values, values * 0 + 1e-2, steps * 2.0)


def fill(store: Store, runs: pd.DataFrame, curves: dict[str, Curve], spec: str = FILE) -> None:
    store.add_sweep("sim", spec_text=spec)
    with store.together():
        for row in runs.to_dict(orient="records"):
            store.record_run({**row, "seconds": 4.0}, curves[row["run_id"]])


def texts(app: AppTest) -> str:
    kinds = ("caption", "info", "markdown", "code", "warning", "subheader", "error")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


@pytest.mark.parametrize("name", ["overview", "sweep", "population", "transfer"])
def test_without_a_database_every_page_says_what_to_type(database: Path, name: str) -> None:
    app = page(name)
    assert "hyperlaw sweep launch" in app.code[0].value
    assert not database.exists()


@pytest.mark.parametrize("name", ["sweep", "population", "transfer"])
def test_a_sweep_that_has_just_begun_says_so(store: Store, name: str) -> None:
    store.add_sweep("sim", spec_text=FILE)
    store.claim_sweep("sim", HERE)
    said = texts(page(name))
    assert any(text in said for text in ("None of its runs", "none of its runs"))


def test_a_running_sweep_shows_how_far_it_is(
    store: Store, runs: pd.DataFrame, curves: dict[str, Curve]
) -> None:
    fill(store, runs, curves)
    store.claim_sweep("sim", HERE)
    store.begin_leg("sim", leg(0, "sim-next"))
    store.record_report("sim-next", "sim", curve(4.0, 3.5))
    app = page("sweep")
    shown = metrics(app)
    assert shown["Runs ended"] == "96 of 120"
    assert shown["Running now"] == "1"
    assert shown["Time left"] != "–"
    assert shown["Compute"] == f"{runs['flops'].sum():.2e}".replace("e+", "e") + " FLOP"
    running = app.dataframe[0].value
    assert running["report"].tolist() == ["2 of 8"]
    assert running["last loss"].tolist() == [3.5]
    assert len(app.get("bidi_component")) == 3


def test_without_leave_it_shows_commands_and_no_buttons(store: Store, database: Path) -> None:
    store.add_sweep("sim", spec_text=FILE)
    store.claim_sweep("sim", HERE)
    app = page("sweep")
    assert labels(app) == []
    assert f"hyperlaw sweep pause sim --db {database}" in app.code[0].value


def test_buttons_leave_requests_and_ask_before_they_end_a_launch(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERLAW_ALLOW_CONTROL", "1")
    store.add_sweep("sim", spec_text=FILE)
    store.claim_sweep("sim", HERE)
    app = page("sweep")
    assert labels(app) == ["Pause", "Yes, stop it", "Yes, cancel it"]
    app.button(key="pause").click().run()
    assert not app.exception
    assert [request.action for request in store.requests("sim")] == ["pause"]
    assert "its process has yet to see it" in texts(app)


def test_a_paused_sweep_offers_to_resume(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERLAW_ALLOW_CONTROL", "1")
    store.add_sweep("sim", spec_text=FILE)
    store.claim_sweep("sim", HERE)
    store.set_sweep_state("sim", "paused")
    assert labels(page("sweep"))[0] == "Resume"


def test_a_request_to_a_sweep_that_has_ended_is_refused_in_words(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERLAW_ALLOW_CONTROL", "1")
    store.add_sweep("sim", spec_text=FILE)
    store.claim_sweep("sim", HERE)
    app = page("sweep")
    store.release_sweep("sim", HERE, "stopped")
    app.button(key="pause").click().run()
    assert not app.exception
    assert "not running; it is stopped" in texts(app)
    assert "hyperlaw sweep resume sim" in texts(app)


def test_a_sweep_whose_process_was_killed_is_told_from_one_that_runs(
    store: Store, runs: pd.DataFrame, curves: dict[str, Curve]
) -> None:
    fill(store, runs, curves)
    store.claim_sweep("sim", Driver(HERE.host, HERE.pid, started="0"))
    app = page("sweep")
    assert "killed" in texts(app)
    assert "hyperlaw sweep resume sim" in texts(app)
    assert metrics(app)["Running now"] == "0"


def test_failed_runs_are_counted_by_what_went_wrong(runs: pd.DataFrame) -> None:
    reasons = ["out of memory", "out of memory", "no such file", None]
    failed = runs.assign(reason=None)
    failed.loc[:3, "status"] = "failed"
    failed.loc[:3, "reason"] = reasons
    table = failures(failed)
    assert table["reason"].tolist() == ["out of memory", "no such file", "no reason was told"]
    assert table["runs"].tolist() == [2, 1, 1]
    assert table["run"].tolist() == failed["run_id"].iloc[[1, 2, 3]].tolist()
    assert failures(runs).empty


def test_a_finished_sweep_with_failures_says_how_to_try_again(
    store: Store, runs: pd.DataFrame, curves: dict[str, Curve]
) -> None:
    fill(store, runs, curves)
    row = runs.iloc[0].to_dict() | {"run_id": "bad", "status": "failed", "loss": float("nan")}
    store.record_run({**row, "reason": "CUDA out of memory"}, curve=None)
    store.set_sweep_state("sim", "done")
    app = page("sweep")
    assert "hyperlaw sweep retry sim" in texts(app)
    assert "CUDA out of memory" in app.dataframe[0].value.iloc[0].tolist()


def test_the_history_changes_what_it_is_measured_by(
    store: Store, runs: pd.DataFrame, curves: dict[str, Curve]
) -> None:
    fill(store, runs, curves)
    app = page("sweep")
    app.segmented_control(key="history").set_value("excess").run()
    assert not app.exception
    assert len(app.get("bidi_component")) == 3


def test_a_law_guided_sweep_shows_its_rounds(
    store: Store, runs: pd.DataFrame, curves: dict[str, Curve]
) -> None:
    spec = (
        "search: {method: law-guided, flops: 1e15, target: {params: 1e8, tokens: 2e9}}\nruns: 96\n"
    )
    fill(store, runs, curves, spec)
    store.record_round("sim", RoundRecord(0, 12, 1e12))
    store.record_round("sim", RoundRecord(1, 24, 2e12, 0.5))
    app = page("sweep")
    assert "0.5 % after round 1, with 24 runs" in texts(app)
    assert "N = 100M and D = 2B" in texts(app)
    assert metrics(app)["Runs ended"] == "96"


def test_the_overview_has_a_row_a_sweep_with_what_to_do_next(
    store: Store, runs: pd.DataFrame, curves: dict[str, Curve]
) -> None:
    fill(store, runs, curves)
    store.claim_sweep("sim", HERE)
    store.add_runs(runs.assign(sweep="old", run_id=[f"old-{i}" for i in range(len(runs))]))
    store.add_sweep("empty", spec_text=FILE)
    store.set_sweep_state("empty", "interrupted")
    app = page("overview")
    assert "3 sweeps" in texts(app)
    table = app.dataframe[0].value.set_index("name")
    assert table.loc["sim", "runs"] == "96 of 120"
    assert table.loc["sim", "done"] == pytest.approx(80)
    assert table.loc["sim", "next"] == "watch it"
    assert table.loc["old", "next"] == "predict for your model"
    assert "sweep resume empty" in table.loc["empty", "next"]
    largest = runs[runs["params"] == runs["params"].max()]
    largest = largest[largest["tokens"] == largest["tokens"].max()]
    assert table.loc["old", "best"] == pytest.approx(largest["loss"].min())
    assert table.loc["old", "best"] > runs["loss"].min() - 1e-9


def test_an_overview_of_sweeps_without_a_loss_is_no_error(store: Store) -> None:
    store.add_sweep("sim", spec_text="")
    store.set_sweep_state("sim", "done")
    table = page("overview").dataframe[0].value
    assert table["next"].tolist() == ["no run has completed"]
    assert overview(store.sweeps().iloc[:0], store.scales()).empty


def test_the_population_page_says_what_it_would_show(
    store: Store, runs: pd.DataFrame, curves: dict[str, Curve]
) -> None:
    fill(store, runs, curves)
    store.set_sweep_state("sim", "done")
    app = page("population")
    assert "search: {method: population}" in app.info[0].value
    assert not app.get("bidi_component")


def test_a_population_shows_lineage_and_the_schedule_of_the_best(store: Store) -> None:
    store.add_sweep("pop", spec_text="search: {method: population}\nruns: 2\nreports: 2\n")
    store.claim_sweep("pop", HERE)
    for number, record in enumerate(
        [
            leg(0, "a", reports=1, lr=1e-2),
            leg(1, "b", reports=1, lr=1e-1),
            leg(2, "a", origin=("a", 1), reports=2, lr=1e-2),
            leg(3, "b", origin=("a", 1), reports=2, lr=2e-2),
        ]
    ):
        store.begin_leg("pop", record)
        store.record_report(
            record.run_id, "pop", curve(*[4.0, 3.0 - 0.1 * number][: record.reports])
        )
        store.end_leg("pop", number, reached=record.reports)
    app = page("population")
    assert len(app.get("bidi_component")) == 2
    schedule = app.dataframe[0].value
    assert schedule["trained by"].tolist() == ["a", "b"]
    assert schedule["lr"].tolist() == [1e-2, 2e-2]
    assert "2 runs; once one took over" in texts(app)
    assert metrics(page("sweep"))["Runs ended"] == "0 of 2"


def test_transfer_tells_the_drift_and_what_copying_costs(store: Store, runs: pd.DataFrame) -> None:
    store.add_runs(runs)
    app = page("transfer")
    assert "the best learning rate moves as N doubles by" in texts(app)
    assert len(app.get("bidi_component")) == 2
    costs = app.dataframe[0].value
    assert len(costs) == 2
    assert costs["from N × D"].iloc[0] == "24.6k × 123k"


def test_transfer_keeps_parametrizations_apart(store: Store, runs: pd.DataFrame) -> None:
    kinds = np.where(np.arange(len(runs)) % 2, "mup", "sp")
    store.add_runs(runs.assign(parametrization=kinds))
    app = page("transfer")
    assert "sim (mup)" in texts(app)
    assert "sim (sp)" in texts(app)
    assert len(app.get("bidi_component")) == 3


def test_transfer_of_too_few_runs_says_what_is_lacking(store: Store, runs: pd.DataFrame) -> None:
    store.add_runs(runs.iloc[:3])
    app = page("transfer")
    assert "There is no law" in app.warning[0].value


def test_the_sweep_that_is_looked_at_stands_in_the_url(store: Store, runs: pd.DataFrame) -> None:
    store.add_runs(runs.assign(sweep="large"))
    store.add_runs(runs.head(5).assign(sweep="small", run_id=[f"s{i}" for i in range(5)]))
    assert page("transfer").query_params["sweep"] == "large", "the one with most runs"

    def script() -> None:
        from dashboards.pages import transfer

        transfer.show()

    linked = AppTest.from_function(script, default_timeout=60)
    linked.query_params["sweep"] = "small"
    assert linked.run().title[0].value == "small"


def test_a_link_to_a_sweep_that_is_not_there_says_so_and_shows_another(
    store: Store, runs: pd.DataFrame
) -> None:
    store.add_runs(runs.assign(sweep="large"))

    def script() -> None:
        from dashboards.pages import transfer

        transfer.show()

    linked = AppTest.from_function(script, default_timeout=60)
    linked.query_params["sweep"] = "gone"
    linked.run()
    assert linked.warning[0].value == "There is no sweep 'gone' here; this is 'large'."
    assert linked.title[0].value == linked.selectbox(key="sweep").value == "large"
