"""Ray Tune's schedulers in a sweep: what they stop, what they compare, and that they end."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ray.tune.schedulers import TrialScheduler

from hpo.checks import find_problems
from hpo.controller import room_for
from hpo.errors import SpecError
from hpo.progress import Silence
from hpo.runner import SweepSummary, run_sweep
from hpo.schedulers import build_scheduler
from hpo.schema import Resources
from hpo.spec import parse_spec
from hpo.trial_legs import LEG_RESULTS, LEGS, LOSS, REPORTS, TRAINING, LegResult, TrialLeg
from storage.store import Store
from trainers.config import RunConfig
from trainers.protocol import Report

SWEEP = """\
name: falling
trainer: curves_for_tests:Falling
scales: {n: [1000, 2000], tokens: 10000}
search: {method: grid, scheduler: asha}
space:
  lr: {choices: [1, 2, 3, 4, 5, 6, 7, 8, 9]}
fixed: {batch_tokens: 100}
reports: 9
"""

SIMULATED = """\
name: simulated
trainer: simulated
scales: {width: [32, 64], depth: 2, tokens: 100_000}
search: {method: grid, scheduler: asha}
space:
  lr: {choices: [0.1, 0.2, 0.3]}
fixed: {batch_tokens: 100}
reports: 9
"""

uses_ray = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def with_search(keys: str, text: str = SWEEP) -> str:
    return text.replace("{method: grid, scheduler: asha}", f"{{method: grid, {keys}}}")


def launch(text: str, store: Store) -> SweepSummary:
    return run_sweep(parse_spec(text), store, spec_text=text, observer=Silence())


def scheduler_of(keys: str, stopped: list[int] | None = None) -> TrialScheduler:
    """Return a scheduler; the numbers of legs that it stops go to `stopped`."""
    stop_leg = ([] if stopped is None else stopped).append
    return build_scheduler(parse_spec(with_search(keys, SIMULATED)), stop_leg)


def report(n_reports: int, loss: float) -> tuple[Report, ...]:
    status = "running" if math.isfinite(loss) else "diverged"
    return (Report(n_reports, n_reports, 1.0, loss, loss, 1.0, 1.0, status),)


def one_result(trial: "FakeTrial", n_reports: int, loss: float) -> dict[str, object]:
    """Return the result of a trial of one leg."""
    (leg,) = trial.config[LEGS]
    new = LegResult(leg.number, report(n_reports, loss), n_reports)
    return {
        LEG_RESULTS: (new,),
        TRAINING: (leg.number,),
        REPORTS: n_reports,
        LOSS: loss,
        "config": object(),
    }


@dataclass(eq=False)
class FakeTrial:
    trial_id: str
    config: dict[str, tuple[TrialLeg, ...]]
    status: str = "RUNNING"
    is_saving: bool = False


class Controller:
    """What a scheduler asks of Tune's controller."""

    def __init__(self) -> None:
        self.trials: list[FakeTrial] = []
        self.stopped: list[FakeTrial] = []

    def get_live_trials(self) -> list[FakeTrial]:
        return [trial for trial in self.trials if trial.status != "TERMINATED"]

    def stop_trial(self, trial: FakeTrial) -> None:
        trial.status = "TERMINATED"
        self.stopped.append(trial)
        self.scheduler.on_trial_remove(self, trial)

    def add(self, scheduler: TrialScheduler, n: int) -> FakeTrial:
        run = RunConfig(
            trainer="simulated",
            shape={"n": n},
            tokens=10_000,
            setting={},
            seed=0,
            parametrization="sp",
            base={},
            data="",
            model={},
            reports=9,
        )
        leg = TrialLeg(len(self.trials), "", run, 9)
        trial = FakeTrial(f"{len(self.trials):03d}", {LEGS: (leg,)})
        self.trials.append(trial)
        self.scheduler = scheduler
        scheduler.on_trial_add(self, trial)
        return trial


def feed(
    scheduler: TrialScheduler, controller: Controller, n: int, losses: list[float]
) -> list[str]:
    """What is decided on the first report of runs of a scale that come one after another."""
    decisions = []
    for loss in losses:
        trial = controller.add(scheduler, n)
        result = one_result(trial, 1, loss)
        decisions.append(scheduler.on_trial_result(controller, trial, result))
    return decisions


def test_asha_compares_runs_of_one_scale_only() -> None:
    scheduler, controller = scheduler_of("scheduler: asha"), Controller()
    assert feed(scheduler, controller, 1000, [1.0, 2.0, 3.0, 0.5]) == [
        "CONTINUE",
        "STOP",
        "STOP",
        "CONTINUE",
    ]
    # All of them are worse than any of the other scale, and yet the best of them go on.
    assert feed(scheduler, controller, 2000, [10.0, 12.0, 9.0]) == ["CONTINUE", "STOP", "CONTINUE"]


def test_a_run_that_diverged_is_the_worst() -> None:
    scheduler, controller = scheduler_of("scheduler: asha"), Controller()
    diverged = [math.nan, math.inf, math.nan]
    assert feed(scheduler, controller, 1000, [*diverged, 5.0])[-1] == "CONTINUE"
    assert feed(scheduler, controller, 2000, [5.0, math.nan]) == ["CONTINUE", "STOP"]


def test_a_run_that_diverges_at_once_is_one_to_compare_with() -> None:
    scheduler, controller = scheduler_of("scheduler: asha"), Controller()
    assert feed(scheduler, controller, 1000, [5.0, 6.0]) == ["CONTINUE", "STOP"]
    assert feed(scheduler, controller, 2000, [5.0]) == ["CONTINUE"]
    trial = controller.add(scheduler, 2000)
    over = one_result(trial, 1, math.nan) | {TRAINING: ()}
    scheduler.on_trial_complete(controller, trial, over)
    assert feed(scheduler, controller, 2000, [6.0]) == ["CONTINUE"]


def test_the_median_rule_stops_the_worse_half_of_a_scale() -> None:
    scheduler, controller = scheduler_of("scheduler: median"), Controller()
    assert feed(scheduler, controller, 1000, [1.0, 2.0, 3.0, 1.5, 2.5, 9.0]) == [
        "CONTINUE",  # three are needed to compare with
        "CONTINUE",
        "CONTINUE",
        "CONTINUE",
        "STOP",
        "STOP",
    ]
    assert feed(scheduler, controller, 2000, [50.0]) == ["CONTINUE"]


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_of_legs_in_one_trial_each_is_stopped_by_itself(scheduler: str) -> None:
    stopped: list[int] = []
    rules, controller = scheduler_of(f"scheduler: {scheduler}", stopped), Controller()
    legs = [controller.add(rules, 1000).config[LEGS][0] for _ in range(6)]
    together = FakeTrial("together", {LEGS: tuple(legs)})
    losses = [1.0, 2.0, 3.0, 1.5, 2.5, math.nan]
    news = tuple(
        LegResult(leg.number, report(1, loss), 1) for leg, loss in zip(legs, losses, strict=True)
    )
    # The last one diverged, so that it is over: nobody need stop it.
    result = {LEG_RESULTS: news, TRAINING: tuple(leg.number for leg in legs[:5])}
    assert rules.on_trial_result(controller, together, result) == "CONTINUE"
    alone = feed(scheduler_of(f"scheduler: {scheduler}"), Controller(), 1000, losses[:5])
    assert stopped == [number for number, action in enumerate(alone) if action == "STOP"]
    assert 0 < len(stopped) < 5


def test_a_bracket_is_halved_when_it_is_full_not_before() -> None:
    # With 9 reports the first bracket has 3 runs that none is compared with, the next one 5.
    scheduler, controller = scheduler_of("scheduler: hyperband"), Controller()
    assert feed(scheduler, controller, 1000, [1.0, 2.0, 3.0]) == ["CONTINUE"] * 3
    second = [controller.add(scheduler, 1000) for _ in range(5)]
    for loss, trial in enumerate(second[:4]):
        result = one_result(trial, 3, float(loss))
        assert scheduler.on_trial_result(controller, trial, result) == "PAUSE"
        trial.status = "PAUSED"
    last = one_result(second[4], 3, 0.5)
    assert scheduler.on_trial_result(controller, second[4], last) == "CONTINUE"
    assert controller.stopped == [second[3], second[2], second[1]]
    assert scheduler.choose_trial_to_run(controller) is second[0]


@pytest.mark.parametrize(
    ("keys", "reports", "where", "said"),
    [
        ("grace: 2", 9, "search.grace", "does nothing without a scheduler"),
        ("scheduler: asha, grace: 9", 9, "search.grace", "9 of 9 reports .* at most 8"),
        ("scheduler: median, grace: 9", 9, "search.grace", "9 of 9 reports .* at most 8"),
        ("scheduler: asha, reduction: 1", 9, "search.reduction", "at least 2"),
        ("scheduler: median, reduction: 3", 9, "search.reduction", "the worse half; leave it out"),
        ("scheduler: hyperband, grace: 1", 9, "search.grace", "leave it out"),
        ("scheduler: hyperband, reduction: 4", 3, "search.reduction", "at most 3"),
        ("scheduler: asha", 1, "reports", "at least 2"),
    ],
)
def test_what_would_stop_nothing_is_refused(keys: str, reports: int, where: str, said: str) -> None:
    text = with_search(keys, SIMULATED.replace("reports: 9", f"reports: {reports}"))
    with pytest.raises(SpecError, match=rf"{where}: .*{said}"):
        parse_spec(text)


def test_methods_that_choose_by_themselves_what_to_stop_take_no_scheduler() -> None:
    with pytest.raises(SpecError, match="scheduler"):
        parse_spec(SIMULATED.replace("method: grid", "method: freeze-thaw"))
    with pytest.raises(SpecError, match=r"search.scheduler: .*did you mean 'asha'"):
        parse_spec(with_search("scheduler: ash", SIMULATED))


def test_there_is_room_for_whole_runs_on_each_machine() -> None:
    machines = [{"CPU": 3.0, "GPU": 2.0}, {"CPU": 3.0}, {}]
    assert room_for(Resources(cpus=1), machines) == 6
    assert room_for(Resources(cpus=2), machines) == 2
    assert room_for(Resources(cpus=0.1), machines) == 60
    assert room_for(Resources(cpus=0.5, gpus=0.4), machines) == 4
    assert room_for(Resources(cpus=1, gpus=2), machines) == 1


class TestSweeps:
    """On Ray."""

    pytestmark = uses_ray

    def test_asha_stops_the_bad_ones_of_each_scale(self, store: Store) -> None:
        summary = launch(SWEEP, store)
        assert (summary.completed + summary.stopped, summary.state) == (18, "done")
        assert summary.stopped >= 6
        runs = store.runs("falling")
        for _, of_scale in runs.groupby("n"):
            by_lr = of_scale.set_index("lr")
            assert by_lr.loc[1, "status"] == "completed"
            stopped = by_lr[by_lr["status"] == "stopped"]
            assert stopped.index.to_series().mean() > 5
            assert (stopped["tokens"] == 10_000).all()  # the budget: still runs of this scale
            assert (stopped["steps"] < 100).all()
            assert (stopped["flops"] < by_lr.loc[1, "flops"]).all()

    def test_stopped_runs_are_done(self, store: Store) -> None:
        first = launch(SWEEP, store)
        before = store.runs("falling")
        assert launch(SWEEP, store) == first
        assert store.runs("falling").equals(before)

    def test_the_median_rule_stops_runs_and_keeps_the_best(self, store: Store) -> None:
        summary = launch(with_search("scheduler: median, grace: 2"), store)
        assert summary.completed + summary.stopped == 18
        assert summary.stopped > 0
        runs = store.runs("falling")
        assert (runs.loc[runs["lr"] == 1, "status"] == "completed").all()

    def test_hyperband_ends_and_paused_runs_go_on_as_if_they_had_not_been(
        self, ladder_text: str, tmp_path: Path
    ) -> None:
        text = ladder_text.replace("runs: 24", "runs: 59").replace("reports: 3", "reports: 9")
        with Store.open(tmp_path / "whole.db") as whole, Store.open(tmp_path / "cut.db") as cut:
            launch(text, whole)
            summary = launch(text.replace("transfer", "transfer, scheduler: hyperband"), cut)
            ended = summary.completed + summary.diverged + summary.stopped
            assert (ended, summary.failed, summary.state) == (59, 0, "done")
            assert summary.stopped > 6
            assert summary.completed > 6
            run_ids = list(cut.runs("ladder")["run_id"])
            curves, uncut = cut.curves(run_ids), whole.curves(run_ids)
        cut_after = {len(curve) for curve in curves.values()}
        assert {3, 9} <= cut_after
        for run_id, curve in curves.items():
            np.testing.assert_array_equal(curve.loss, uncut[run_id].loss[: len(curve)])
            np.testing.assert_array_equal(curve.step, uncut[run_id].step[: len(curve)])


def test_find_problems_takes_what_is_right() -> None:
    for keys in ("scheduler: asha, grace: 8", "scheduler: median", "scheduler: hyperband"):
        assert find_problems(parse_spec(with_search(keys, SIMULATED))) == []
