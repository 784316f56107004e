"""Law-guided search: rounds towards a target, within a budget, from a space and a ladder."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from hpo.checks import run_config
from hpo.errors import SpecError
from hpo.ladder import resolve_ladder
from hpo.law_guided import LawGuided, candidates, first_round
from hpo.points import Leg, Outcome
from hpo.runner import run_sweep
from hpo.schema import SweepSpec
from hpo.spec import parse_spec
from scaling.law import Law
from storage.rounds import RoundRecord
from storage.store import Store
from trainers.registry import kind
from trainers.simulated import simulated_law

GUIDED = """\
name: guided
trainer: simulated
scales: {width: [32, 64, 128, 256], depth: 2, tokens_per_param: [5, 20]}
search: {method: law-guided, target: {params: 1e8, tokens: 2e9}, flops: 3e14, tolerance_pct: 0.1}
space:
  lr: {log: [1e-4, 1e0]}
  batch_tokens: {choices: [256, 512, 1024, 2048, 4096, 8192, 16384]}
reports: 1
"""
BEYOND_REACH = GUIDED.replace("tolerance_pct: 0.1", "tolerance_pct: 1e-9")


def outcome(spec: SweepSpec, leg: Leg) -> Outcome:
    """Train a leg to its end."""
    point = leg.point
    config = run_config(spec, point.scale, point.setting, point.seed)
    trainer = kind(spec.trainer).build(config)
    report = trainer.step()
    return Outcome(point, (report.loss,), report.status, report.flops, report.seconds)


def search(
    text: str, past: Sequence[tuple[Leg, Outcome]] = (), recorded: Sequence[RoundRecord] = ()
) -> tuple[list[Leg], list[RoundRecord]]:
    """Run a sweep to its end, after what is past; returns the new legs, and the new rounds."""
    spec = parse_spec(text)
    rounds: list[RoundRecord] = []
    strategy = LawGuided(spec, resolve_ladder(spec), rounds.append, recorded)
    for leg, ended in past:
        strategy.resume(leg)
        strategy.tell(ended)
    legs = []
    while (leg := strategy.ask()) is not None:
        legs.append(leg)
        strategy.tell(outcome(spec, leg))
    assert strategy.ask() is None
    return legs, rounds


def test_it_comes_near_the_optimum_of_a_target_hundreds_of_times_larger() -> None:
    legs, rounds = search(GUIDED)
    assert rounds[-1].law is not None
    law = Law.from_dict(dict(rounds[-1].law))
    optimum = law.optimum(1e8, 2e9)
    truth = simulated_law({})
    best = truth.optimum(1e8, 2e9)
    regret = truth.loss(
        1e8, 2e9, float(optimum["lr"]), float(optimum["batch_tokens"])
    ) / truth.loss(1e8, 2e9, float(best.lr), float(best.batch_tokens))
    assert regret < 1.003
    assert max(leg.point.scale.flops for leg in legs) < 6 * 1e8 * 2e9 / 100


def test_it_ends_once_the_law_expects_little_enough_regret() -> None:
    _, rounds = search(GUIDED.replace("flops: 3e14", "flops: 1e18"))
    expected = [record.expected_regret_pct for record in rounds]
    assert expected[-1] is not None
    assert expected[-1] <= 0.1
    assert all(value is None or value > 0.1 for value in expected[:-1])


def test_the_budget_is_spent_and_never_exceeded() -> None:
    legs, rounds = search(BEYOND_REACH)
    spent = sum(leg.point.scale.flops for leg in legs)
    assert 0.5 * 3e14 < spent <= 3e14
    assert rounds[-1].flops == spent
    assert rounds[-1].runs == len(legs)


def test_a_round_begins_when_the_last_has_ended() -> None:
    spec = parse_spec(BEYOND_REACH)
    strategy = LawGuided(spec, resolve_ladder(spec), lambda record: None)
    first = []
    while (leg := strategy.ask()) is not None:
        first.append(leg)
    assert len(first) == 16
    for leg in first[:-1]:
        strategy.tell(outcome(spec, leg))
    assert strategy.ask() is None
    strategy.tell(outcome(spec, first[-1]))
    assert strategy.ask() is not None


@pytest.fixture(scope="module")
def whole() -> tuple[list[Leg], list[RoundRecord]]:
    """The legs and rounds of a search that is not interrupted."""
    return search(BEYOND_REACH)


@pytest.mark.parametrize("n_told", [1, 6, 15, 16, 20, 24, 30, 61])
@pytest.mark.parametrize("late", [False, True])
def test_cut_anywhere_it_goes_on_as_it_would_have(
    whole: tuple[list[Leg], list[RoundRecord]], n_told: int, late: bool
) -> None:
    """Cut before or, where `late`, after the round was recorded that the last run had ended."""
    legs, rounds = whole
    assert [record.runs for record in rounds[:3]] == [16, 24, 32]
    assert len(legs) == 61
    spec = parse_spec(BEYOND_REACH)
    past = [(leg, outcome(spec, leg)) for leg in legs[:n_told]]
    recorded = [record for record in rounds if record.runs < n_told + late]
    again, further = search(BEYOND_REACH, past, recorded)
    assert again == legs[n_told:]
    assert [*recorded, *further] == rounds


@pytest.mark.parametrize(("n_begun", "n_in_round"), [(6, 16), (19, 24)])
def test_the_rest_of_a_round_is_asked_while_runs_that_were_cut_off_are_out(
    whole: tuple[list[Leg], list[RoundRecord]], n_begun: int, n_in_round: int
) -> None:
    legs, rounds = whole
    spec = parse_spec(BEYOND_REACH)
    further: list[RoundRecord] = []
    recorded = [record for record in rounds if record.runs < n_begun]
    strategy = LawGuided(spec, resolve_ladder(spec), further.append, recorded)
    for leg in legs[:n_begun]:
        strategy.resume(leg)
        if leg not in (legs[2], legs[n_begun - 1]):
            strategy.tell(outcome(spec, leg))
    rest = legs[n_begun:n_in_round]
    assert [strategy.ask() for _ in rest] == rest
    assert strategy.ask() is None
    for leg in (legs[2], legs[n_begun - 1], *rest):
        assert not further
        strategy.tell(outcome(spec, leg))
    assert strategy.ask() == legs[n_in_round]
    assert [*recorded, *further] == rounds[: len(recorded) + 1]


def test_a_failed_run_that_is_trained_after_all_makes_one_more_round() -> None:
    spec = parse_spec(BEYOND_REACH)
    rounds: list[RoundRecord] = []
    strategy = LawGuided(spec, resolve_ladder(spec), rounds.append)
    legs, failed = [], 3
    while (leg := strategy.ask()) is not None:
        ended = outcome(spec, leg)
        strategy.tell(replace(ended, status="failed") if len(legs) == failed else ended)
        legs.append(leg)
    assert [record.runs for record in rounds[:2]] == [15, 23]
    further: list[RoundRecord] = []
    retried = LawGuided(spec, resolve_ladder(spec), further.append, rounds)
    for leg in legs:
        retried.resume(leg)
        if leg != legs[failed]:
            retried.tell(outcome(spec, leg))
    assert retried.ask() is None
    retried.tell(outcome(spec, legs[failed]))
    assert retried.ask() is None
    assert retried.ask() is None
    assert [(record.number, record.runs) for record in further] == [(len(rounds), len(legs))]


def test_a_search_whose_runs_all_fail_ends_with_its_budget() -> None:
    text = BEYOND_REACH.replace("3e14", "3e13")
    spec = parse_spec(text)
    rounds: list[RoundRecord] = []
    strategy = LawGuided(spec, resolve_ladder(spec), rounds.append)
    spent = 0.0
    while (leg := strategy.ask()) is not None:
        spent += leg.point.scale.flops
        strategy.tell(Outcome(leg.point, (), "failed", 0.0, 0.0))
    assert spent <= 3e13
    assert [(record.runs, record.law) for record in rounds] == [(0, None)]


def test_settings_lie_in_the_space() -> None:
    spec = parse_spec(GUIDED)
    legs, rounds = search(BEYOND_REACH)
    choices = spec.space["batch_tokens"].choices or ()
    assert all(leg.point.setting["batch_tokens"] in choices for leg in legs)
    assert all(type(leg.point.setting["batch_tokens"]) is int for leg in legs)
    assert all(1e-4 <= float(leg.point.setting["lr"]) <= 1 for leg in legs)
    assert rounds[-1].law is not None
    law = Law.from_dict(dict(rounds[-1].law))
    offered = candidates(law, spec.space, resolve_ladder(spec))
    assert set(offered["batch_tokens"]) <= {float(choice) for choice in choices}
    assert not offered.duplicated().any()


def test_the_first_round_is_cheap_and_at_two_scales_at_least() -> None:
    spec = parse_spec(GUIDED)
    ladder = resolve_ladder(spec)
    assert [scale for scale, _ in first_round(spec, ladder)][:5] == [*ladder[:4], ladder[0]]
    poor = parse_spec(GUIDED.replace("flops: 3e14", "flops: 8e11"))
    assert [scale for scale, _ in first_round(poor, ladder)][:3] == [*ladder[:2], ladder[0]]
    settings = [setting for _, setting in first_round(spec, ladder)]
    further = [setting for _, setting in first_round(spec, ladder, skip=16)]
    assert settings[:4] == [settings[0]] * 4
    assert all(setting not in settings for setting in further)


@pytest.mark.parametrize(
    ("old", "new", "where", "right"),
    [
        ("flops: 3e14", "flops: 1e9", "4: search.flops: 1e+09 is less than the first", "at least"),
        ("flops: 3e14", "flops: -1", "4: search.flops: -1 is not", "above 0"),
        ("params: 1e8, ", "", "4: search.target.params: missing", "must be given"),
        ("tolerance_pct", "tolerance", "4: search.tolerance: unknown", "'tolerance_pct'?"),
        ("reports: 1", "runs: 9", "8: runs: a law-guided sweep runs until", "leave it out"),
        ("reports: 1", "seeds: 2", "8: seeds: a law-guided sweep trains each", "leave it out"),
        ("[32, 64, 128, 256]", "32", "3: scales: ", "two at least"),
        ("{log: [1e-4, 1e0]}", "{choices: [0.1, 1]}", "5: space: no range of lr", "log: [1e-4"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, where: str, right: str) -> None:
    text = GUIDED.replace(old, new)
    if old.startswith("[32"):
        text = text.replace("[5, 20]", "5")
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    assert str(caught.value).startswith(f"sweep file:{where}")
    assert right in str(caught.value)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_rounds_are_in_the_store_and_a_finished_search_stays_finished(store: Store) -> None:
    text = GUIDED.replace("3e14", "3e13")
    summary = run_sweep(parse_spec(text), store, spec_text=text)
    rounds = store.rounds("guided")
    assert rounds[0].runs == 16
    assert [record.number for record in rounds] == list(range(len(rounds)))
    assert rounds[-1].runs == summary.planned == len(store.runs("guided"))
    assert math.isfinite(rounds[-1].expected_regret_pct or math.nan)
    assert store.sweep("guided").state == "done"
    assert run_sweep(parse_spec(text), store, spec_text=text) == summary
    assert store.rounds("guided") == rounds
