"""Pause, resume, stop, cancel, retry and extend: asked in the store, obeyed by the launch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from hpo import methods, runner, steering
from hpo.errors import SpecError, SweepError
from hpo.ladder import Scale, resolve_ladder
from hpo.planned import plan_points
from hpo.points import Leg, Outcome, Point
from hpo.progress import Silence
from hpo.rows import curve
from hpo.runner import run_sweep
from hpo.spec import parse_spec
from hpo.tally import SweepSummary
from storage.drivers import Driver
from storage.errors import SweepBusyError
from storage.legs import LegRecord
from storage.store import Store
from tests.hpo.conftest import Diary
from trainers.protocol import Report

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session", "attentive")]


@pytest.fixture
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Launches that look up requests between any two events."""
    monkeypatch.setattr(steering, "POLL_SECONDS", 0.0)


class Steersman(Silence):
    """Keeps what it is told, and asks for what it was told to ask for at a number of ended runs."""

    def __init__(self, ask: Callable[[], object] = lambda: None, *, after: int = 0) -> None:
        self.ask = ask
        self.after = after
        self.told: list[str] = []
        self.total = 0

    def started(
        self, sweep: str, workload: Sequence[Scale], finished: Sequence[Mapping[str, object]]
    ) -> None:
        self.ended = len(finished)

    def running(self, point: Point) -> None:
        self.told.append(f"begins {point.run_id}")

    def finished(self, point: Point, row: Mapping[str, object]) -> None:
        self.told.append(f"ends {point.run_id} {row['status']}")
        self.ended += 1
        if self.ended == self.after:
            self.ask()

    def steered(self, said: str, workload: Sequence[Scale]) -> None:
        self.told.append(said)
        self.total = len(workload)


def launch(text: str, store: Store, observer: Silence | None = None) -> SweepSummary:
    return run_sweep(parse_spec(text), store, spec_text=text, observer=observer)


def test_a_paused_sweep_begins_no_run_until_it_is_resumed(ladder_text: str, store: Store) -> None:
    class Pauser(Steersman):
        def steered(self, said: str, workload: Sequence[Scale]) -> None:
            super().steered(said, workload)
            if said == "paused":
                assert store.sweep("ladder").state == "paused"
                store.ask("ladder", "resume")

    observer = Pauser(lambda: store.ask("ladder", "pause"), after=5)
    assert launch(ladder_text, store, observer).state == "done"
    paused, resumed = observer.told.index("paused"), observer.told.index("running")
    between = observer.told[paused:resumed]
    assert not any(line.startswith("begins") for line in between)
    assert len(store.runs("ladder")) == 24
    assert [request.taken is not None for request in store.requests("ladder")] == [True, True]


def test_a_stopped_sweep_lets_its_runs_finish_and_goes_on_later(
    ladder_text: str, store: Store
) -> None:
    observer = Steersman(lambda: store.ask("ladder", "stop"), after=5)
    summary = launch(ladder_text, store, observer)
    assert (summary.state, summary.interrupted) == ("stopped", True)
    ended = store.runs("ladder")["run_id"].tolist()
    assert 5 <= len(ended) < 24
    assert [f"begins {run}" for run in ended] == sorted(
        line for line in observer.told if line.startswith("begins")
    )
    assert store.sweep("ladder").state == "stopped"
    assert store.sweep("ladder").running_in is None

    again = Steersman()
    assert launch(ladder_text, store, again).state == "done"
    assert not {f"begins {run}" for run in ended} & set(again.told)
    assert len(store.runs("ladder")) == 24


@pytest.mark.slow
def test_a_cancelled_sweep_ends_in_the_middle_and_a_torn_state_costs_one_report(
    diary: Diary, store: Store, tmp_path: Path
) -> None:
    class Canceller(Steersman):
        reported = 0

        def report(self, point: Point, report: Report) -> None:
            self.reported += 1
            if self.reported == 6:  # two runs, three reports each: both wait before the fourth
                store.ask("steps", "cancel")

    diary.hold.touch()
    text = diary.text(holds_at=4, holds=1)
    assert launch(text, store, Canceller()).state == "cancelled"
    assert store.sweep("steps").state == "cancelled"
    assert store.runs("steps").empty
    torn, whole = 1, 2
    assert [diary.computed(lr) for lr in (torn, whole)] == [[1, 2, 3], [1, 2, 3]]

    diary.hold.unlink()
    newest = max((tmp_path / "runs.db.states" / "steps" / "steps-00000").iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    assert launch(text, store).state == "done"
    assert diary.computed(torn) == [1, 2, 3, 3, 4, 5, 6]
    assert diary.computed(whole) == [1, 2, 3, 4, 5, 6]
    curves = store.curves(store.runs("steps")["run_id"].tolist())
    assert [curve.step.tolist() for curve in curves.values()] == [[10, 20, 30, 40, 50, 60]] * 4


@pytest.mark.slow
def test_a_killed_worker_goes_on_from_its_last_report(diary: Diary, store: Store) -> None:
    assert launch(diary.text(dies=3, dies_at=4, times=2), store).completed == 4
    assert diary.computed(3) == [1, 2, 3, 4, 4, 4, 5, 6]
    run = store.runs("steps").set_index("lr").loc[3.0]
    assert store.curves([run["run_id"]])[run["run_id"]].loss.tolist() == [8, 7, 6, 5, 4, 3]


@pytest.mark.slow
def test_a_worker_that_dies_again_and_again_is_failed_and_retried_when_asked(
    diary: Diary, store: Store
) -> None:
    text = diary.text(dies=1, dies_at=4, times=5)

    class Retrier(Steersman):
        def finished(self, point: Point, row: Mapping[str, object]) -> None:
            super().finished(point, row)
            if row["status"] == "failed":
                assert "the worker process died" in str(row["reason"])
                store.ask("steps", "retry")

    observer = Retrier()
    summary = launch(text, store, observer)
    assert (summary.completed, summary.failed) == (4, 0)
    assert diary.computed(1) == [1, 2, 3, 4, 4, 4, 4, 4, 4, 5, 6]
    assert "failed runs are tried again" in observer.told
    assert sum("failed" in line and line.startswith("ends") for line in observer.told) == 1


def test_a_running_sweep_takes_more_runs(ladder_text: str, store: Store) -> None:
    observer = Steersman(lambda: store.ask("ladder", "extend", 7), after=5)
    summary = launch(ladder_text, store, observer)
    assert (summary.state, summary.planned, observer.total) == ("done", 31, 31)
    longer = ladder_text.replace("runs: 24", "runs: 31")
    assert store.sweep("ladder").spec_text == longer
    begun = [line for line in observer.told if line.startswith("begins")]
    assert len(begun) == len(set(begun)) == 31
    spec = parse_spec(longer)
    runs = store.runs("ladder").set_index("run_id")
    for point in plan_points(spec, resolve_ladder(spec)):
        assert runs.loc[point.run_id, "lr"] == point.setting["lr"]


def test_a_finished_sweep_takes_the_runs_of_a_longer_file(ladder_text: str, store: Store) -> None:
    text = ladder_text.replace("runs: 24", "runs: 6")
    launch(text, store)
    kept = store.runs("ladder")
    longer = ladder_text.replace("runs: 24", "runs: 9  # three more")
    observer = Steersman()
    assert launch(longer, store, observer).planned == 9
    assert len([line for line in observer.told if line.startswith("begins")]) == 3
    assert store.sweep("ladder").spec_text == longer
    assert store.runs("ladder").iloc[:6].equals(kept)
    with pytest.raises(SpecError, match=r"'ladder' that differs \(runs: 9, now 6\)"):
        launch(text, store)


def test_a_sweep_that_another_process_runs_is_left_alone(ladder_text: str, store: Store) -> None:
    text = ladder_text.replace("runs: 24", "runs: 6")
    launch(text, store)
    store.claim_sweep("ladder", Driver("another-host", 1))
    with pytest.raises(SweepBusyError, match="'ladder' is being run already, by process 1 on"):
        launch(ladder_text, store)
    assert store.sweep("ladder").spec_text == text


def test_a_launch_that_was_taken_over_ends(
    ladder_text: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering, "BEAT_SECONDS", 0.0)
    thief = Driver("another-host", 1)

    def take_over() -> None:
        store.release_sweep("ladder", Driver.this_process(), "running")
        store.claim_sweep("ladder", thief)

    with pytest.raises(SweepError, match="'ladder' was taken over by another process"):
        launch(ladder_text, store, Steersman(take_over, after=5))
    assert store.sweep("ladder").running_in == thief


class NothingMore:
    """A strategy that asks for nothing: what is frozen stays so."""

    workload: Sequence[Scale] = ()

    def ask(self) -> Leg | None:
        return None

    def resume(self, leg: Leg) -> None:
        pass

    def tell(self, outcome: Outcome) -> None:
        pass


def test_runs_that_only_stand_still_are_stopped_without_ray(
    ladder_text: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "BUILDERS", {"transfer": lambda launch: NothingMore()})
    store.add_sweep("ladder", spec_text=ladder_text)
    spec = parse_spec(ladder_text)
    point = plan_points(spec, resolve_ladder(spec))[0]
    sizes = {name: getattr(point.scale, name) for name in ("params", "params_total", "tokens")}
    scale = {**sizes, "shape": dict(point.scale.shape)}
    record = LegRecord(0, point.run_id, 2, None, None, scale, dict(point.setting), 0)
    store.begin_leg("ladder", record)
    reports = [Report(k, 10_000 * k, 1e6 * k, 3.0, 3.0, 0.1, 1.0, "running") for k in (1, 2)]
    store.record_report(point.run_id, "ladder", curve(reports))
    store.end_leg("ladder", 0, reached=2)
    monkeypatch.setattr("hpo.launch.ray_session", None)

    observer = Steersman()
    summary = runner.run_sweep(spec, store, spec_text=ladder_text, observer=observer)
    assert (summary.state, summary.stopped) == ("done", 1)
    assert observer.told == [f"ends {point.run_id} stopped"]
    assert launch(ladder_text, store) == summary
