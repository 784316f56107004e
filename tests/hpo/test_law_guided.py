"""Law-guided search: rounds towards a target, within a budget, from a space and a ladder."""

import math
from collections.abc import Sequence

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
    text: str, past: Sequence[tuple[Leg, Outcome]] = ()
) -> tuple[list[Leg], list[RoundRecord]]:
    """Run a sweep to its end, after what is past; returns the new legs, and the rounds."""
    spec = parse_spec(text)
    rounds: list[RoundRecord] = []
    strategy = LawGuided(spec, resolve_ladder(spec), rounds.append)
    for leg, ended in past:
        strategy.resume(leg)
        strategy.tell(ended)
    legs = []
    while (leg := strategy.ask()) is not None:
        legs.append(leg)
        strategy.tell(outcome(spec, leg))
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


def test_told_again_what_was_it_goes_on_as_it_would_have() -> None:
    legs, rounds = search(BEYOND_REACH)
    spec = parse_spec(BEYOND_REACH)
    past = [(leg, outcome(spec, leg)) for leg in legs[: rounds[2].runs]]
    again, _ = search(BEYOND_REACH, past)
    assert again == legs[rounds[2].runs :]


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
    assert [record.number for record in rounds] == list(range(len(rounds)))
    assert rounds[-1].runs == summary.planned == len(store.runs("guided"))
    assert math.isfinite(rounds[-1].expected_regret_pct or math.nan)
    assert store.sweep("guided").state == "done"
    assert run_sweep(parse_spec(text), store, spec_text=text) == summary
