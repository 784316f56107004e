"""Which legs are trained together, and that a worker trains them as it would train each alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from hpo import trainable
from hpo.checks import run_config
from hpo.errors import SpecError
from hpo.ladder import resolve_ladder
from hpo.packs import MOST, Packs
from hpo.points import Origin
from hpo.schema import SweepSpec
from hpo.spec import parse_spec
from hpo.trainable import RunTrainable
from hpo.trial_legs import (
    ALIKE,
    FUSED,
    LEG_RESULTS,
    LEGS,
    PYTHON_PATH,
    LegResult,
    TrialLeg,
)
from trainers.config import RunConfig

FEATURES = """\
name: features
trainer: random-features
scales: {width: [16, 32], tokens: 3200}
search: {method: random}
space:
  lr: {log: [1e-3, 1e-1]}
  batch_tokens: {choices: [16, 32]}
runs: 200
"""


def spec_of(text: str = FEATURES) -> SweepSpec:
    return parse_spec(text)


def config_of(spec: SweepSpec, rung: int = 0, **setting: float | str) -> RunConfig:
    scale = resolve_ladder(spec)[rung]
    return run_config(spec, scale, {"lr": 0.01, "batch_tokens": 16, **setting}, seed=0)


def test_runs_of_a_kind_share_shape_and_batch_and_no_more() -> None:
    spec = spec_of()
    packs = Packs(spec)
    kind = packs.kind_of(config_of(spec))
    assert kind is not None
    assert packs.kind_of(replace(config_of(spec, lr=0.02), seed=7)) == kind
    assert packs.kind_of(config_of(spec, batch_tokens=32)) != kind
    assert packs.kind_of(config_of(spec, rung=1)) != kind


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("trainer: random-features", "trainer: simulated"),
        ("{method: random}", "{method: random, scheduler: hyperband}"),
        ("runs: 200", "runs: 200\nresources: {fused: 1}"),
        ("runs: 200", "runs: 200\nfixed: {optimizer: shampoo}"),
    ],
)
def test_some_runs_are_always_trained_one_at_a_time(old: str, new: str) -> None:
    text = FEATURES.replace(old, new)
    if "simulated" in new:
        text = text.replace("[16, 32], tokens", "[16, 32], depth: 1, tokens")
    spec = spec_of(text)
    assert Packs(spec).kind_of(config_of(spec, **spec.fixed)) is None


def test_until_a_worker_has_measured_legs_are_trained_alone() -> None:
    spec = spec_of()
    packs = Packs(spec)
    kind = packs.kind_of(config_of(spec))
    assert kind is not None
    assert packs.n_ahead(kind, 2, 0) == 2 * MOST
    assert packs.size(kind, 100, 2) == 1
    assert packs.to_measure(kind, 100, 2) == 50
    assert packs.to_measure(kind, 100, 2) == 0
    packs.not_measured(kind)
    assert packs.to_measure(kind, 10, 2) == 5
    packs.measured(kind, 16)
    assert packs.to_measure(kind, 100, 2) == 0
    assert packs.size(kind, 100, 2) == 16
    # The last ones are divided between the actors, and a few are not worth recording.
    assert packs.size(kind, 11, 2) == 6
    assert packs.size(kind, 8, 2) == 1


def test_legs_that_failed_together_are_fused_no_more_or_fewer_of_them() -> None:
    spec = spec_of(FEATURES + "resources: {fused: 8}\n")
    packs = Packs(spec)
    kind = packs.kind_of(config_of(spec))
    assert kind is not None
    assert packs.size(kind, 100, 2) == 8
    packs.failed(kind, memory=True)
    assert packs.size(kind, 100, 2) == 4
    packs.failed(kind, memory=False)
    assert packs.size(kind, 100, 2) == 1


def test_a_search_that_learns_gets_little_ahead() -> None:
    spec = spec_of(FEATURES.replace("{method: random}", "{method: bayesian}"))
    packs = Packs(spec)
    kind = packs.kind_of(config_of(spec))
    assert kind is not None
    assert packs.n_ahead(kind, 2, 1) == 0
    assert packs.to_measure(kind, 1, 2) == 10
    packs.measured(kind, 64)
    assert packs.n_ahead(kind, 2, 0) == 20
    assert packs.n_ahead(kind, 2, 15) == 5
    assert packs.n_ahead(kind, 2, 30) == 0


@pytest.mark.parametrize(
    ("trainer", "search"),
    [
        ("simulated", "{method: random}"),
        ("random-features", "{method: random, scheduler: hyperband}"),
    ],
)
def test_fusing_is_refused_where_nothing_can_be_fused(trainer: str, search: str) -> None:
    text = FEATURES.replace("random-features", trainer).replace("{method: random}", search)
    text = (
        text.replace("[16, 32], tokens", "[16, 32], depth: 1, tokens")
        if trainer == "simulated"
        else text
    )
    with pytest.raises(SpecError, match=r"resources\.fused: .* leave"):
        parse_spec(text + "resources: {fused: 4}\n")


class Worker(RunTrainable):
    """The trainable without Tune's actor around it."""

    def __init__(self, folder: Path) -> None:
        self._start_empty()
        self._n_threads = 1
        self.folder = folder

    def begin(
        self, runs: dict[str, RunConfig], reports: int, origin: str | None = None, alike: int = 0
    ) -> None:
        legs = tuple(
            TrialLeg(
                number,
                run_id,
                run,
                reports,
                None if origin is None else Origin(origin, 3),
                folder=self.folder,
            )
            for number, (run_id, run) in enumerate(runs.items())
        )
        self.reset_config({LEGS: legs, ALIKE: alike, PYTHON_PATH: ""})

    def losses(self, n_steps: int | None = None) -> dict[int, list[float]]:
        """Return the losses of each leg in so many steps, or all there are."""
        found: dict[int, list[float]] = {}
        done = False
        while not done and n_steps != 0:
            result = self.step()
            news = result[LEG_RESULTS]
            assert isinstance(news, tuple)
            for new in news:
                assert isinstance(new, LegResult)
                found.setdefault(new.number, []).extend(report.loss for report in new.reports)
            done = bool(result["done"])
            n_steps = None if n_steps is None else n_steps - 1
        return found


@pytest.fixture
def runs() -> dict[str, RunConfig]:
    """Return runs of one shape: other rates, seeds and lengths, and one that diverges."""
    one = replace(config_of(spec_of()), reports=6)
    return {
        "a": one,
        "b": replace(one, setting={**one.setting, "lr": 0.03}, seed=1),
        "c": replace(one, tokens=1600),
        "d": replace(one, setting={**one.setting, "lr": 1e3}),
    }


@pytest.fixture
def alone(tmp_path: Path, runs: dict[str, RunConfig]) -> list[list[float]]:
    """Return the losses of each run by itself."""
    worker = Worker(tmp_path / "alone")
    found = []
    for run_id, run in runs.items():
        worker.begin({run_id: run}, run.reports)
        found.append(worker.losses()[0])
    return found


def assert_equal(found: dict[int, list[float]], alone: list[list[float]]) -> None:
    assert sorted(found) == list(range(len(alone)))
    for number, losses in enumerate(alone):
        assert found[number] == pytest.approx(losses, rel=1e-4, nan_ok=True)


def test_legs_trained_together_report_what_each_reports_alone(
    tmp_path: Path, runs: dict[str, RunConfig], alone: list[list[float]]
) -> None:
    worker = Worker(tmp_path)
    worker.begin(runs, 6)
    assert_equal(worker.losses(), alone)
    assert not list(tmp_path.glob("[abcd]/*"))


def test_legs_join_and_are_dropped_between_two_reports(
    tmp_path: Path, runs: dict[str, RunConfig], alone: list[list[float]]
) -> None:
    worker = Worker(tmp_path)
    worker.begin({"a": runs["a"], "b": runs["b"]}, 6)
    found = worker.losses(2)
    worker.drop((1,))
    worker.join((TrialLeg(2, "c", runs["c"], 6, folder=tmp_path),))
    for number, losses in worker.losses().items():
        found.setdefault(number, []).extend(losses)
    assert found.pop(1) == pytest.approx(alone[1][:2], rel=1e-4)
    assert found[0] == pytest.approx(alone[0], rel=1e-4)
    assert found[2] == pytest.approx(alone[2], rel=1e-4)
    assert not list(tmp_path.glob("[abc]/*"))


def test_after_kill_9_legs_go_on_from_their_states(
    tmp_path: Path,
    runs: dict[str, RunConfig],
    alone: list[list[float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hpo.leg_training.WRITE_SHARE", float("inf"))
    del runs["d"], alone[3]
    worker = Worker(tmp_path)
    worker.begin(runs, 6)
    worker.losses(3)
    assert list(tmp_path.glob("a/*.state"))
    second = Worker(tmp_path)
    second.begin(runs, 6)
    assert_equal(second.losses(), alone)


def test_legs_begin_with_the_state_of_another_run(
    tmp_path: Path, runs: dict[str, RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is in Ray's object store needs Ray; a state on disk serves as well.
    monkeypatch.setattr("hpo.leg_training.ray.put", lambda state: None)
    worker = Worker(tmp_path)
    worker.begin({"a": runs["a"], "b": runs["b"]}, 3)
    worker.losses()
    successors = {"a": runs["a"], "e": runs["b"]}
    worker.begin(successors, 6, origin="a")
    together = worker.losses()
    single = []
    for run_id, run in successors.items():
        worker.begin({run_id: run}, 6, origin="a")
        single.append(worker.losses()[0])
    assert_equal(together, single)
    assert together[0] != together[1]


def test_a_worker_measures_only_where_that_is_a_small_part(
    tmp_path: Path, runs: dict[str, RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(tmp_path)
    worker.begin({"a": runs["a"]}, 6, alike=50)
    result = worker.step()
    assert result[FUSED] == 1  # Fifty runs of an instant.
    assert FUSED not in worker.step()

    monkeypatch.setattr(trainable, "MEASURE_SHARE", 1e6)
    worker.begin({"b": runs["b"]}, 6, alike=4)
    assert worker.step()[FUSED] == 4  # Each step of so small a model is all overhead.
