"""A population on simulated runs: who takes over whom, always the same way for the same seed."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.points import Origin, Outcome

if TYPE_CHECKING:
    Nursery = object

Start = Callable[[str], "Nursery"]
EXPLORE = ("perturb", "pb2")


def exploring(text: str, how: str) -> str:
    return text.replace("{method: population}", f"{{method: population, explore: {how}}}")


def test_a_generation_is_a_leg_of_each_and_the_worst_take_over(
    nursery: Start, population_text: str
) -> None:
    pop = nursery(population_text + "model: {cliff_octaves: 100}\n").train()
    assert len(pop.legs) == 8 * 6
    for generation in range(6):
        legs = pop.legs[8 * generation : 8 * generation + 8]
        assert {leg.reports for leg in legs} == {generation + 1}
        legs.sort(key=lambda leg: leg.point.run_id)
        assert [leg.point.run_id for leg in legs] == [f"pop-{i:05d}" for i in range(8)]
        if not generation:
            assert {leg.origin for leg in legs} == {None}
            continue
        before = pop.legs[8 * generation - 8 : 8 * generation]
        before.sort(key=lambda leg: leg.point.run_id)
        losses = {
            leg.point.run_id: pop.reports[leg.point.run_id][generation - 1].loss for leg in before
        }
        ranked = sorted(losses, key=lambda run: losses[run])
        for leg, old in zip(legs, before, strict=True):
            run = leg.point.run_id
            if run in ranked[-2:]:
                assert leg.origin in [Origin(best, generation) for best in ranked[:2]]
                assert leg.point.setting != old.point.setting
            else:
                assert leg.origin == Origin(run, generation)
                assert leg.point == old.point


def test_a_state_is_taken_over_before_its_own_run_goes_on(
    nursery: Start, population_text: str
) -> None:
    """Else the run could come to its end, and its state be let go, while it is still wanted."""
    pop = nursery(population_text).train()
    for number, leg in enumerate(pop.legs):
        if leg.origin and leg.origin.run_id != leg.point.run_id:
            begun = [each for each in pop.legs[:number] if each.point.run_id == leg.origin.run_id]
            assert begun[-1].reports == leg.origin.reports


def test_a_member_that_diverged_gives_its_place_to_a_new_run(
    nursery: Start, population_text: str
) -> None:
    pop = nursery(population_text).train()
    diverged = [run for run, reports in pop.reports.items() if reports[-1].status == "diverged"]
    assert diverged
    assert len(pop.reports) == 8 + len(diverged)
    born = [leg for leg in pop.legs if leg.origin and leg.point.run_id > "pop-00007"]
    first = {leg.point.run_id: leg for leg in reversed(born)}
    assert sorted(first) == [f"pop-{8 + i:05d}" for i in range(len(diverged))]
    for run, leg in first.items():
        assert leg.origin.run_id not in (run, *diverged)
    assert sum(reports[-1].status == "completed" for reports in pop.reports.values()) == 8


@pytest.mark.parametrize("how", EXPLORE)
def test_the_same_seed_gives_the_same_lineage_in_whatever_order_legs_end(
    nursery: Start, population_text: str, how: str
) -> None:
    text = exploring(population_text, how)
    lineage = nursery(text).train().lineage
    assert nursery(text).train(at_once=3, last_first=True).lineage == lineage
    assert nursery(text + "seed: 1\n").train().lineage != lineage


@settings(max_examples=25, deadline=None)
@given(legs=st.integers(0, 47), at_once=st.integers(1, 4))
def test_a_population_that_was_cut_anywhere_goes_on_as_it_would_have(
    nursery: Start, population_text: str, legs: int, at_once: int
) -> None:
    whole = nursery(population_text).train()
    cut = nursery(population_text).train(legs=legs, at_once=at_once)
    assert cut.resume().train(at_once=at_once).lineage == whole.lineage
    assert cut.best_loss == whole.best_loss


@pytest.mark.parametrize("legs", [5, 8, 21])
def test_and_so_does_one_that_explores_by_a_bandit(
    nursery: Start, population_text: str, legs: int
) -> None:
    text = exploring(population_text, "pb2")
    cut = nursery(text).train(legs=legs, at_once=2).resume()
    assert cut.train().lineage == nursery(text).train().lineage


def test_a_failed_member_gives_its_place_up_and_a_resumed_population_knows(
    nursery: Start, population_text: str
) -> None:
    pop = nursery(population_text + "model: {cliff_octaves: 100}\n").train(legs=9)
    leg = pop.strategy.ask()
    pop.legs.append(leg)
    pop.outcomes[9] = Outcome(leg.point, (2.0,), "failed", 0.0, 0.0)
    pop.strategy.tell(pop.outcomes[9])
    pop.train(legs=20)
    failed = leg.point.run_id
    by_run = {each.point.run_id: each for each in pop.legs[16:20]}
    assert failed not in by_run
    assert by_run["pop-00008"].origin.run_id != failed

    resumed = copy.deepcopy(pop).resume()
    assert resumed.train().lineage == pop.train().lineage


def test_seeds_take_turns(nursery: Start, population_text: str) -> None:
    pop = nursery(population_text + "seeds: 3\nseed: 10\n").train(legs=8)
    assert [leg.point.seed for leg in pop.legs] == [10, 11, 12, 10, 11, 12, 10, 11]
    one = nursery(population_text + "seed: 10\n").train(legs=8)
    assert {leg.point.seed for leg in one.legs} == {10}


def test_reports_between_rankings(nursery: Start, population_text: str) -> None:
    text = population_text.replace("population}", "population, interval: 4}")
    pop = nursery(text + "model: {cliff_octaves: 100}\n").train()
    assert [leg.reports for leg in pop.legs] == [4] * 8 + [6] * 8


def test_where_all_diverge_the_population_ends(nursery: Start, population_text: str) -> None:
    pop = nursery(population_text + "model: {cliff_octaves: 0, lr_coefficient: 1e-9}\n").train()
    assert {reports[-1].status for reports in pop.reports.values()} == {"diverged"}
    assert len(pop.reports) == 8


@pytest.mark.parametrize("how", EXPLORE)
def test_it_finds_better_than_its_first_settings(
    nursery: Start, population_text: str, how: str
) -> None:
    """Over ten seeds, against the same members without exploits."""
    gains = []
    for seed in range(10):
        text = exploring(population_text, how) + f"seed: {seed}\n"
        still = text.replace("explore", "quantile: 0, explore")
        gains.append(nursery(still).train().best_loss - nursery(text).train().best_loss)
    assert sum(gains) > 0
