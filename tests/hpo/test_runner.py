"""Sweeps on Ray Tune: what ends in the store, whatever happens to a run or to the sweep."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hpo.checks import run_config
from hpo.errors import SpecError
from hpo.ladder import resolve_ladder
from hpo.legs import NumberedLeg, Standing, leg_record, stand
from hpo.machine import n_cpus
from hpo.methods import Launch, build_strategy
from hpo.planned import plan_points
from hpo.points import Leg, Point
from hpo.progress import Silence
from hpo.rows import curve, failed_row, run_row, stopped_row
from hpo.runner import SweepSummary, run_sweep
from hpo.spec import parse_spec
from storage import rows
from storage.curves import Curve
from storage.errors import StoreError
from storage.store import Store
from trainers.protocol import Report
from trainers.registry import kind

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def launch(text: str, store: Store, observer: Silence | None = None) -> SweepSummary:
    return run_sweep(parse_spec(text), store, spec_text=text, observer=observer)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, ray_session: None, ladder_text: str
) -> Iterator[tuple[Store, SweepSummary]]:
    """A store in which the ladder has been run, and what `run_sweep` said."""
    with Store.open(tmp_path_factory.mktemp("finished") / "runs.db") as store:
        yield store, launch(ladder_text, store)


def test_a_sweep_fills_the_store(finished: tuple[Store, SweepSummary], ladder_text: str) -> None:
    store, summary = finished
    assert (summary.planned, summary.failed, summary.interrupted) == (24, 0, False)
    assert summary.completed + summary.diverged == 24
    assert summary.diverged > 0
    assert store.sweep("ladder").state == "done"
    assert store.sweep("ladder").spec_text == ladder_text
    runs = store.runs("ladder").set_index("run_id")
    assert list(runs.index) == [f"ladder-{index:05d}" for index in range(24)]
    assert (runs["params"] == 24 * runs["width"] ** 2).all()
    assert set(runs["parametrization"]) == {"mup"}
    assert set(runs["model"]) == {"simulated"}


def test_runs_and_curves_are_what_the_trainer_reports(
    finished: tuple[Store, SweepSummary], ladder_text: str
) -> None:
    store, _ = finished
    spec = parse_spec(ladder_text)
    runs = store.runs("ladder").set_index("run_id")
    curves = store.curves(list(runs.index))
    for point in plan_points(spec, resolve_ladder(spec)):
        config = run_config(spec, point.scale, point.setting, point.seed)
        trainer = kind("simulated").build(config)
        reports = [trainer.step()]
        while reports[-1].status == "running":
            reports.append(trainer.step())
        row, kept = runs.loc[point.run_id], curves[point.run_id]
        assert row["status"] == reports[-1].status
        assert math.isnan(reports[-1].loss) or row["loss"] == reports[-1].loss
        assert (row["steps"], row["flops"]) == (reports[-1].step, reports[-1].flops)
        assert (row["tokens"], row["seed"]) == (point.scale.tokens, point.seed)
        assert {name: row[name] for name in point.setting} == point.setting
        assert kept.step.tolist() == [report.step for report in reports]
        assert kept.train_loss.tolist() == [report.train_loss for report in reports]


def test_a_finished_sweep_is_not_run_again(
    finished: tuple[Store, SweepSummary], ladder_text: str
) -> None:
    store, first = finished
    before = store.runs("ladder")
    observer = Recorder()
    text = f"# other words, other resources\n{ladder_text}resources: {{cpus: 1, gpus: 0}}\n"
    assert launch(text, store, observer) == first
    assert observer.begun == []
    assert observer.n_finished_before == 24
    assert store.runs("ladder").equals(before)


def test_a_changed_file_under_the_same_name_is_refused(
    finished: tuple[Store, SweepSummary], ladder_text: str
) -> None:
    store, _ = finished
    before = store.runs("ladder")
    with pytest.raises(SpecError, match=r"^name: .*'ladder' that differs \(runs: 24, now 12\)"):
        launch(ladder_text.replace("runs: 24", "runs: 12"), store)
    assert store.runs("ladder").equals(before)


def test_a_run_that_raises_is_failed_and_the_rest_go_on(own_text: str, store: Store) -> None:
    fragile = own_text.replace("Instant", "Fragile")
    text = f"{fragile}model: {{raises_above: 2.5}}\n"
    summary = launch(text, store)
    assert (summary.completed, summary.failed) == (2, 2)
    runs = store.runs("own").set_index("lr")
    assert list(runs.loc[[1.0, 2.0], "status"]) == ["completed", "completed"]
    assert list(runs.loc[[3.0, 4.0], "status"]) == ["failed", "failed"]
    assert runs.loc[3.0, "reason"] == "ArithmeticError: lr 3.0 is too much"
    assert math.isnan(float(runs.loc[3.0, "loss"]))
    assert store.sweep("own").state == "done"


def test_a_report_that_no_run_can_have_is_a_failed_run(own_text: str, store: Store) -> None:
    text = own_text.replace("Instant", "Fragile").replace("[1, 2, 3, 4]", "[1, 2]")
    assert launch(f"{text}model: {{raises_above: 9, times: -1}}\n", store).failed == 2
    assert store.runs("own")["reason"].str.contains("'loss'").all()


@pytest.mark.parametrize(
    "search",
    ["method: grid", "method: grid, scheduler: asha, grace: 1", "method: freeze-thaw"],
)
def test_runs_that_no_table_takes_are_failed_and_trained_again_once_mended(
    own_text: str, store: Store, tmp_path: Path, search: str
) -> None:
    minus = tmp_path / "minus"
    minus.touch()
    text = own_text.replace("trainers_for_tests:Instant", "curves_for_tests:Signed")
    text = text.replace("method: grid", search) + f"reports: 4\nmodel: {{minus: {minus}}}\n"
    text += "runs: 4\n" if search == "method: freeze-thaw" else ""
    for _ in range(2):  # The same again where nothing was mended.
        assert launch(text, store).state == "done"
        runs = store.runs("own")
        assert set(runs["status"]) == {"failed"}
        assert runs["reason"].str.contains("'loss': -.* must be above 0").all()

    minus.unlink()
    assert launch(text, store).failed == 0
    assert (store.runs("own")["loss"] > 0).all()
    assert "reason" not in store.runs("own")


def test_a_run_that_makes_more_reports_than_were_asked_for_is_failed(
    own_text: str, store: Store, tmp_path: Path
) -> None:
    twice = tmp_path / "twice"
    twice.touch()
    text = own_text.replace("trainers_for_tests:Instant", "curves_for_tests:Unending")
    text += f"reports: 3\nmodel: {{twice: {twice}}}\n"
    assert launch(text, store).failed == 4
    said = "made 3 reports and is still running; the last of a run's 3 reports"
    assert store.runs("own")["reason"].str.startswith(said).all()

    twice.unlink()
    assert launch(text, store).completed == 4
    for kept in store.curves(list(store.runs("own")["run_id"])).values():
        assert kept.tokens.tolist() == [3333, 6667, 10000]


def test_a_failed_run_is_recorded_whatever_its_setting(own_text: str, store: Store) -> None:
    spec = parse_spec(own_text)
    (scale,) = resolve_ladder(spec)
    setting = {"lr": 1.0, "batch_tokens": 100, "weight_decay": "low", "mood": "low"}
    point = Point("a", scale, setting, 0)
    config = run_config(spec, scale, setting, 0)
    report = Report(10, 100, 6e5, 1.5, 1.5, 1.0, 0.5, "completed")
    store.add_sweep("own", spec_text=own_text)
    for row in (run_row("own", point, config, report), stopped_row("own", point, config, report)):
        store.record_run(row, None)
        kept = store.runs("own").iloc[0]
        assert (kept["status"], kept["mood"]) == ("failed", "low")
        assert kept["reason"].startswith("run 'a': column 'weight_decay': 'low' is not a number")


def test_a_run_that_was_tried_again_and_goes_on_is_not_failed_any_more(
    own_text: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = parse_spec(own_text)
    (scale,) = resolve_ladder(spec)
    point = Point("own-00000", scale, {"lr": 1.0, "batch_tokens": 100}, 0)
    leg, config = Leg(point, 2), run_config(spec, scale, point.setting, 0)
    reports = [Report(10 * n, 10 * n, 6e5 * n, 1.5, 1.5, 1.0, 0.5, "running") for n in (1, 2)]
    store.add_sweep("own", spec_text=own_text)

    def train(at: str) -> None:
        monkeypatch.setattr(rows, "now", lambda: f"2026-03-09T12:00:0{at}+00:00")
        store.begin_leg("own", leg_record(NumberedLeg(0, leg)))
        store.record_report(point.run_id, "own", curve(reports))
        store.end_leg("own", 0, reached=2)

    def standing(*, retry_failed: bool = True) -> Standing:
        strategy = build_strategy(Launch(spec, resolve_ladder(spec), (), store))
        return stand(store, "own", strategy, retry_failed=retry_failed)

    train("1")
    assert standing().frozen == {point.run_id: leg}
    store.record_run(failed_row("own", point, config, "no such loss"), curve(reports))
    assert [numbered.leg for numbered in standing().left] == [leg]
    assert standing().frozen == {}
    assert standing(retry_failed=False).left == ()
    train("3")
    assert standing().frozen == standing(retry_failed=False).frozen == {point.run_id: leg}


def test_a_killed_worker_is_a_failed_run_and_is_tried_again(own_text: str, store: Store) -> None:
    text = own_text.replace("Instant", "Deadly") + "model: {dies_at: 3}\n"
    assert launch(text, store).failed == 1
    runs = store.runs("own").set_index("lr")
    assert runs.loc[3.0, "reason"].startswith("the worker process died")
    assert set(runs["status"].drop(3.0)) == {"completed"}

    observer = Recorder()
    assert launch(text, store, observer).failed == 1
    assert [point.setting["lr"] for point in observer.begun] == [3, 3, 3]  # and again, twice


def test_one_torch_thread_a_run(own_text: str, store: Store) -> None:
    launch(own_text.replace("Instant", "Threads"), store)
    assert set(store.runs("own")["loss"]) == {1.0}


def test_actors_are_warm_and_leave_no_files(own_text: str, store: Store) -> None:
    text = own_text.replace("Instant", "Process").replace("[1, 2, 3, 4]", str(list(range(1, 13))))
    results = Path.home() / "ray_results"
    before = sorted(results.iterdir()) if results.is_dir() else None
    launch(text, store)
    assert store.runs("own")["loss"].nunique() <= 3
    after = sorted(results.iterdir()) if results.is_dir() else None
    assert after == before


def test_a_small_gpt_learns(store: Store) -> None:
    text = """\
name: bytes
trainer: gpt
parametrization: mup
scales: {width: [16, 32], depth: 1, tokens: 20_000}
search: {method: grid}
space: {lr: {choices: [0.01, 0.03]}}
fixed: {batch_tokens: 512, weight_decay: 0, warmup_fraction: 0.1}
model: {context: 32}
reports: 2
"""
    summary = launch(text, store)
    assert summary.completed == 4
    runs = store.runs("bytes")
    assert runs["loss"].between(1.5, 4).all()
    assert (runs["loss"] < math.log(256)).all()
    assert set(runs["steps"]) == {39}
    assert (runs["weight_decay"] == 0).all()
    assert (runs["warmup_tokens"] == 2000).all()
    assert (runs["params_total"] > runs["params"]).all()


def test_imported_runs_are_not_a_sweep(ladder_text: str, store: Store) -> None:
    store.add_sweep("ladder", spec_text="")
    with pytest.raises(SpecError, match=r"^name: .*'ladder' that no sweep file made"):
        launch(ladder_text, store)


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ("{cpus: 100000}", "resources.cpus: a run needs 100000, more than"),
        ("{gpus: 64}", "resources.gpus: a run needs 64, more than"),
    ],
)
def test_more_than_the_machine_has_is_refused_and_nothing_is_written(
    ladder_text: str, store: Store, resources: str, said: str
) -> None:
    with pytest.raises(SpecError) as caught:
        launch(f"{ladder_text}resources: {resources}\n", store)
    assert str(caught.value).startswith(said)
    assert store.sweep_names() == []


def test_more_than_the_ray_session_has_is_refused_too(ladder_text: str, store: Store) -> None:
    if n_cpus() < 3:
        pytest.skip("the Ray session has two cores, this machine no more")
    with pytest.raises(SpecError, match="3, more than the 2 of the Ray cluster"):
        launch(f"{ladder_text}resources: {{cpus: 3}}\n", store)
    assert store.sweep_names() == []


def test_what_the_store_raises_ends_the_sweep_as_it_is(ladder_text: str, tmp_path: Path) -> None:
    with FullStore.open(tmp_path / "full.db") as store:
        with pytest.raises(StoreError, match="disk is full"):
            launch(ladder_text, store)
        assert store.sweep("ladder").state == "interrupted"
        assert len(store.runs("ladder")) == 5


class Recorder(Silence):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.begun: list[Point] = []
        self.n_finished_before = 0

    def started(self, sweep: str, points: object, finished: list[Mapping[str, object]]) -> None:
        self.n_finished_before = len(finished)

    def running(self, point: Point) -> None:
        self.begun.append(point)


class FullStore(Store):
    """A store whose disk is full after five runs."""

    kept = 0

    def record_run(self, row: Mapping[str, object], curve: Curve | None) -> None:
        if self.kept == 5:
            raise StoreError("disk is full")
        super().record_run(row, curve)
        self.kept += 1
