"""Freeze-thaw as a sweep: legs of runs within a budget, on Ray and after kill -9 as it was."""

from dataclasses import replace

import pandas as pd
import pytest

from hpo.checks import run_config
from hpo.errors import SpecError
from hpo.extension import extended
from hpo.frozen_runs import FrozenRuns
from hpo.ladder import resolve_ladder
from hpo.legs import recorded_leg
from hpo.points import Leg, Outcome, Point
from hpo.runner import run_sweep
from hpo.spec import parse_spec
from storage.store import Store
from trainers.registry import kind

FROZEN = """\
name: frozen
trainer: simulated
scales: {width: 32, depth: 2, tokens_per_param: 20}
search: {method: freeze-thaw}
space:
  lr: {log: [1e-3, 1e0]}
  batch_tokens: {choices: [256, 512, 1024, 2048, 4096]}
runs: 6
reports: 16
"""


def strategy() -> FrozenRuns:
    spec = parse_spec(FROZEN)
    return FrozenRuns(spec, resolve_ladder(spec)[0])


def outcome(leg: Leg) -> Outcome:
    """Train a run from its start to the end of a leg."""
    spec, point = parse_spec(FROZEN), leg.point
    config = run_config(spec, point.scale, point.setting, point.seed)
    trainer = kind("simulated").build(config)
    reports = [trainer.step()]
    while reports[-1].status == "running" and len(reports) < leg.reports:
        reports.append(trainer.step())
    losses = tuple(report.loss for report in reports)
    return Outcome(point, losses, reports[-1].status, reports[-1].flops, reports[-1].seconds)


def search(past: list[tuple[Leg, Outcome]]) -> list[tuple[Leg, Outcome]]:
    """Go on to the end of the budget after what is past; returns all of it."""
    chosen, done = strategy(), list(past)
    for leg, ended in past:
        chosen.resume(leg)
        chosen.tell(ended)
    while (leg := chosen.ask()) is not None:
        done.append((leg, outcome(leg)))
        chosen.tell(done[-1][1])
    return done


def test_the_budget_is_spent_on_more_runs_than_it_would_train_to_the_end() -> None:
    done = search([])
    made: dict[str, int] = {}
    for leg, ended in done:
        assert (leg.origin.reports if leg.origin else 0) == made.get(leg.point.run_id, 0)
        made[leg.point.run_id] = len(ended.losses)
    assert len(made) > 6
    assert max(made.values()) == 16
    assert 5 * 16 < sum(made.values()) <= 6 * 16


def test_told_again_what_was_it_goes_on_as_it_would_have() -> None:
    done = search([])
    assert [leg for leg, _ in search(done[:7])] == [leg for leg, _ in done]


def test_a_failed_run_is_never_thawed() -> None:
    chosen = strategy()
    first = chosen.ask()
    assert first is not None
    chosen.tell(Outcome(first.point, (3.0,), "failed", 0.0, 0.0))
    later = []
    while (leg := chosen.ask()) is not None:
        later.append(leg.point.run_id)
        chosen.tell(outcome(leg))
    assert first.point.run_id not in later


def test_a_finished_search_that_is_extended_begins_new_runs_and_thaws_those_alone() -> None:
    done = search([])
    last = {leg.point.run_id: leg.reports for leg, _ in done}
    longer = parse_spec(FROZEN.replace("runs: 6", "runs: 12"))
    chosen = FrozenRuns(longer, resolve_ladder(longer)[0])
    for leg, ended in done:
        chosen.resume(leg)
        stops = leg.reports == last[leg.point.run_id] and ended.status == "running"
        chosen.tell(replace(ended, status="stopped") if stops else ended)
    made: dict[str, int] = {}
    while (leg := chosen.ask()) is not None:
        made[leg.point.run_id] = leg.reports
        chosen.tell(outcome(leg))
    assert not made.keys() & last.keys()
    assert len(made) > 6
    assert max(made.values()) == 16
    assert sum(made.values()) <= 12 * 16 - sum(last.values())


@pytest.mark.parametrize(
    ("old", "new", "where", "right"),
    [
        ("width: 32", "width: [32, 64]", "3: scales: 2 scales", "freeze-thaw searches one"),
        ("reports: 16", "reports: 3", "9: reports: 3 is too few", "4 at least"),
        ("reports: 16", "seeds: 2", "9: seeds: freeze-thaw trains", "leave it out"),
        ("runs: 6\n", "", "1: runs: missing", "how many"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, where: str, right: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(FROZEN.replace(old, new))
    assert str(caught.value).startswith(f"sweep file:{where}")
    assert right in str(caught.value)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_sweep_freezes_thaws_and_stops_what_it_leaves(store: Store) -> None:
    spec = parse_spec(FROZEN)
    summary = run_sweep(spec, store, spec_text=FROZEN)
    runs = store.runs("frozen").set_index("run_id")
    assert summary.failed == 0
    assert summary.stopped > 0
    assert summary.completed > 0
    curves = store.curves(list(runs.index))
    assert sum(len(curve) for curve in curves.values()) <= 6 * 16
    thawed = [leg for leg in store.legs("frozen") if leg.origin_reports]
    assert thawed
    whole = runs[runs["status"] == "completed"]
    for leg in thawed:
        if leg.run_id in whole.index:
            alone = outcome(Leg(_point(leg.run_id, store), 16)).losses
            assert curves[leg.run_id].loss.tolist() == list(alone)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_an_extension_keeps_what_was_stopped_and_thaws_new_runs(store: Store) -> None:
    run_sweep(parse_spec(FROZEN), store, spec_text=FROZEN)
    before = store.runs("frozen").set_index("run_id")
    text, spec = extended(FROZEN, 4)
    summary = run_sweep(spec, store, spec_text=text)
    runs = store.runs("frozen").set_index("run_id")
    assert summary.failed == 0
    pd.testing.assert_frame_equal(runs.loc[before.index], before)
    assert len(runs) > len(before)
    new = runs.index.difference(before.index)
    assert {leg.run_id for leg in store.legs("frozen") if leg.origin_reports} & set(new)
    made = sum(len(curve) for curve in store.curves(list(runs.index)).values())
    assert 9 * 16 < made <= 10 * 16


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_sweep_leaves_nothing_for_the_next_one_in_the_same_process(store: Store) -> None:
    for name in ("frozen", "again"):
        text = FROZEN.replace("name: frozen", f"name: {name}")
        run_sweep(parse_spec(text), store, spec_text=text)
    runs = store.runs("again")
    assert len(runs) == len(store.runs("frozen"))
    assert runs["run_id"].str.startswith("again-").all()


def _point(run_id: str, store: Store) -> Point:
    return next(recorded_leg(leg).point for leg in store.legs("frozen") if leg.run_id == run_id)
