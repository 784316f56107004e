"""Bayesian search: what it proposes, in which order, and that a resume changes nothing."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hpo.points import Leg, Outcome

SAMPLERS = ("tpe", "gp", "cma-es", "nsga-ii", "qmc", "random")
each_sampler = pytest.mark.parametrize("sampler", SAMPLERS)


def with_sampler(text: str, sampler: str) -> str:
    return text.replace("sampler: tpe", f"sampler: {sampler}")


def loss_of(leg: Leg) -> float:
    """A basin about lr 0.01 and a batch of 2048."""
    lr, batch = (math.log(float(leg.point.setting[n])) for n in ("lr", "batch_tokens"))
    return 2 + 0.05 * (lr - math.log(0.01)) ** 2 + 0.03 * (batch - math.log(2048)) ** 2


@pytest.fixture
def ending(searching: Any) -> Any:
    return lambda leg: searching.ended(leg, loss_of(leg))


def settings(outcomes: list[Outcome]) -> list[dict[str, object]]:
    return [dict(outcome.point.setting) for outcome in outcomes]


@each_sampler
def test_a_seed_gives_the_same_proposals(
    searching: Any, ending: Any, one_scale_text: str, sampler: str
) -> None:
    text = with_sampler(one_scale_text, sampler).replace("runs: 40", "runs: 11")
    first, second = (searching.drive(searching.begin(text), ending) for _ in range(2))
    assert settings(first) == settings(second)
    other = searching.drive(searching.begin(f"{text}seed: 1\n"), ending)
    assert settings(first) != settings(other)


@each_sampler
def test_a_resumed_search_proposes_what_it_would_have(
    searching: Any, ending: Any, one_scale_text: str, sampler: str
) -> None:
    text = with_sampler(one_scale_text, sampler).replace("runs: 40", "runs: 15")
    whole = searching.drive(searching.begin(text), ending)
    resumed = searching.begin(text)
    for outcome in whole[:10]:
        resumed.resume(Leg(outcome.point, 8))
        resumed.tell(outcome)
    assert settings(searching.drive(resumed, ending)) == settings(whole[10:])


@each_sampler
def test_a_longer_sweep_begins_as_the_shorter_one(
    searching: Any, ending: Any, one_scale_text: str, sampler: str
) -> None:
    text = with_sampler(one_scale_text, sampler)
    short = searching.drive(searching.begin(text.replace("runs: 40", "runs: 9")), ending)
    long = searching.drive(searching.begin(text), ending, n_runs=9)
    assert settings(short) == settings(long)


@pytest.mark.parametrize(
    ("sampler", "runs"),
    [("tpe", 40), ("gp", 20), ("nsga-ii", 40), ("cma-es", 40)],
)
def test_what_learns_ends_nearer_to_the_optimum_than_it_began(
    searching: Any, ending: Any, one_scale_text: str, sampler: str, runs: int
) -> None:
    text = with_sampler(one_scale_text, sampler).replace("runs: 40", f"runs: {runs}")
    outcomes = searching.drive(searching.begin(text), ending)
    losses = [outcome.losses[-1] for outcome in outcomes]
    assert np.median(losses[-10:]) < np.median(losses[:6])
    assert min(losses) < 2.1


def test_runs_are_dealt_to_the_scales_in_turn_and_each_learns_by_itself(
    searching: Any, one_scale_text: str
) -> None:
    text = one_scale_text.replace("params: 100000", "params: [100000, 400000]")
    text = text.replace("runs: 40", "runs: 80")

    def ending(leg: Leg) -> Outcome:
        best = 0.1 if leg.point.scale.params == 100000 else 0.001
        lr = float(leg.point.setting["lr"])
        return searching.ended(leg, 2 + 0.05 * math.log(lr / best) ** 2)

    search = searching.begin(text)
    outcomes = searching.drive(search, ending)
    scales = [outcome.point.scale for outcome in outcomes]
    assert scales == list(search.workload)
    assert all(one != other for one, other in pairwise(scales))
    for rung, best in ((0, 0.1), (1, 0.001)):
        rates = [float(outcome.point.setting["lr"]) for outcome in outcomes[rung::2][-10:]]
        assert abs(math.log(np.median(rates) / best)) < math.log(2)


def test_a_setting_is_repeated_with_each_seed(
    searching: Any, ending: Any, one_scale_text: str
) -> None:
    text = one_scale_text.replace("runs: 40", "runs: 20\nseeds: 2")
    outcomes = searching.drive(searching.begin(text), ending)
    assert [outcome.point.seed for outcome in outcomes] == [0, 1] * 10
    assert settings(outcomes[::2]) == settings(outcomes[1::2])
    assert len({str(setting) for setting in settings(outcomes)}) == 10


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_runs_that_are_out_are_kept_away_from(
    searching: Any, ending: Any, one_scale_text: str, sampler: str
) -> None:
    search = searching.begin(with_sampler(one_scale_text, sampler))
    searching.drive(search, ending, n_runs=12)
    out = [search.ask() for _ in range(4)]
    rates = sorted(math.log(float(leg.point.setting["lr"])) for leg in out if leg is not None)
    assert len(rates) == 4
    assert min(b - a for a, b in pairwise(rates)) > 1e-6


def test_a_search_keeps_away_from_where_runs_diverge(searching: Any, one_scale_text: str) -> None:
    def ending(leg: Leg) -> Outcome:
        if float(leg.point.setting["lr"]) > 0.02:
            return searching.ended(leg, math.nan, "diverged")
        return searching.ended(leg, loss_of(leg))

    text = with_sampler(one_scale_text, "gp").replace("runs: 40", "runs: 24")
    outcomes = searching.drive(searching.begin(text), ending)
    diverged = [outcome.status == "diverged" for outcome in outcomes]
    assert any(diverged[:6])
    assert sum(diverged[-10:]) <= 3


def test_a_search_of_which_nothing_completes_goes_on(searching: Any, one_scale_text: str) -> None:
    for sampler in ("tpe", "gp", "nsga-ii"):
        for status in ("diverged", "failed"):
            outcomes = searching.drive(
                searching.begin(with_sampler(one_scale_text, sampler)),
                lambda leg, status=status: searching.ended(leg, math.nan, status),
                n_runs=12,
            )
            assert len(outcomes) == 12


def test_a_failed_run_that_is_tried_again_is_told_again(
    searching: Any, ending: Any, one_scale_text: str
) -> None:
    search = searching.begin(one_scale_text)
    leg = search.ask()
    assert leg is not None
    search.tell(searching.ended(leg, math.nan, "failed"))
    search.resume(leg)
    search.tell(ending(leg))
    assert len(searching.drive(search, ending)) == 39


@pytest.mark.parametrize(("sampler", "runs"), [("tpe", 80), ("gp", 22), ("nsga-ii", 80)])
def test_constraints_are_learned(
    searching: Any, one_scale_text: str, sampler: str, runs: int
) -> None:
    """The best loss is at batch 2048, but only batches of 8192 keep to the time."""

    def ending(leg: Leg) -> Outcome:
        seconds = 8192 / float(leg.point.setting["batch_tokens"])
        return searching.ended(leg, loss_of(leg), seconds=seconds)

    def share_that_keeps_it(text: str) -> float:
        outcomes = searching.drive(searching.begin(text), ending)
        return float(np.mean([outcome.seconds <= 1.5 for outcome in outcomes[runs // 2 :]]))

    text = with_sampler(one_scale_text, sampler).replace("runs: 40", f"runs: {runs}")
    bounded = text.replace("startup: 6", "startup: 6, constraints: {seconds: 1.5}")
    assert share_that_keeps_it(bounded) > share_that_keeps_it(text) + 0.2


@pytest.mark.parametrize(("sampler", "runs"), [("tpe", 40), ("gp", 18), ("nsga-ii", 40)])
def test_several_objectives_spread_over_the_front(
    searching: Any, one_scale_text: str, sampler: str, runs: int
) -> None:
    """The larger the batch, the quicker and the worse: every batch has its place on the front."""

    def ending(leg: Leg) -> Outcome:
        batch = float(leg.point.setting["batch_tokens"])
        rate = math.log(float(leg.point.setting["lr"]) / 0.01)
        return searching.ended(leg, 2 + batch / 8192 + 0.05 * rate**2, seconds=8192 / batch)

    text = with_sampler(one_scale_text, sampler).replace("runs: 40", f"runs: {runs}")
    text = text.replace("startup: 6", "startup: 6, objectives: [loss, seconds]")
    last = searching.drive(searching.begin(text), ending)[6:][-20:]
    assert len({outcome.point.setting["batch_tokens"] for outcome in last}) >= 3


def test_per_cost_prefers_what_is_cheap(searching: Any, one_scale_text: str) -> None:
    """All batches reach the same loss; small ones cost sixteen times the seconds."""

    def ending(leg: Leg) -> Outcome:
        rate = math.log(float(leg.point.setting["lr"]) / 0.01)
        batch = float(leg.point.setting["batch_tokens"])
        return searching.ended(leg, 2 + 0.05 * rate**2, seconds=8192 / batch)

    text = with_sampler(one_scale_text, "gp").replace("runs: 40", "runs: 20")
    plain = searching.drive(searching.begin(text), ending)[6:]
    weighed = text.replace("startup: 6", "startup: 6, per_cost: seconds")
    cheap = searching.drive(searching.begin(weighed), ending)[6:]
    assert np.mean([o.seconds for o in cheap]) < 0.7 * np.mean([o.seconds for o in plain])


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random"])
def test_conditional_settings_are_there_only_where_they_are_asked_for(
    searching: Any, own_trainer: str, one_scale_text: str, sampler: str
) -> None:
    """The best is momentum 0.9 of sgd; adam has no momentum."""
    text = with_sampler(one_scale_text, sampler).replace("simulated", own_trainer)
    text = text.replace("params: 100000", "n: 1000").replace(
        "runs: 40",
        """\
  momentum: {uniform: [0.0, 1.0], when: {optimizer: sgd}}
  layers: {uniform: [1, 4], multiple_of: 1, when: {optimizer: [sgd, lion]}}
  optimizer: {choices: [adam, sgd, lion]}
runs: 40""",
    )

    def ending(leg: Leg) -> Outcome:
        momentum = leg.point.setting.get("momentum")
        return searching.ended(leg, 3.0 if momentum is None else 2 + (float(momentum) - 0.9) ** 2)

    outcomes = searching.drive(searching.begin(text), ending)
    for setting in settings(outcomes):
        assert ("momentum" in setting) == (setting["optimizer"] == "sgd")
        assert ("layers" in setting) == (setting["optimizer"] != "adam")
        assert setting.get("layers", 1) in (1, 2, 3, 4)
    if sampler == "tpe":
        momenta = [setting.get("momentum", 0.0) for setting in settings(outcomes)[-10:]]
        assert np.median(momenta) == pytest.approx(0.9, abs=0.25)
