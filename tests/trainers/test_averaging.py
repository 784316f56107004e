"""Averages of weights: over the steps of a run, and over runs."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.trainers.running import finish, with_setting
from trainers.averaging import (
    AveragedWeights,
    Weights,
    greedy_soup,
    judged_weights,
    uniform_soup,
)
from trainers.config import Change, RunConfig
from trainers.errors import TrainerError
from trainers.loop import TaskTrainer
from trainers.registry import kind


def start(config: RunConfig) -> TaskTrainer:
    trainer = kind("gpt").build(config)
    assert isinstance(trainer, TaskTrainer)
    return trainer


def test_the_average_is_the_weighted_mean_of_all_steps():
    """Weights 1, 2 and 4 after three steps with a half-life of one step: of 1, 2, 4 in 7."""
    average = AveragedWeights()
    values = (10.0, 20.0, 30.0)
    for value in values:
        average.update({"w": torch.tensor([value])}, steps=1, half_life=1)
    by_hand = sum(2.0**i * value for i, value in enumerate(values)) / 7
    assert average.weights["w"].item() == pytest.approx(by_hand)


def test_a_step_of_two_counts_for_two():
    weights = [{"w": torch.tensor([value])} for value in (1.0, 2.0)]
    one, two = AveragedWeights(), AveragedWeights()
    for given_weights in weights:
        one.update(given_weights, steps=1, half_life=3)
        one.update(given_weights, steps=1, half_life=3)
        two.update(given_weights, steps=2, half_life=3)
    torch.testing.assert_close(one.weights, two.weights)


def test_what_is_left_out_is_averaged_no_further():
    average = AveragedWeights()
    for value in (1.0, 2.0, 3.0):
        beside = {"b": torch.tensor(value)} if value < 3 else {}
        average.update({"w": torch.tensor(value), **beside}, steps=1, half_life=1)
    assert average.weights["w"].item() == pytest.approx((1 + 2 * 2 + 4 * 3) / 7)
    assert average.weights["b"].item() == pytest.approx((1 + 2 * 2) / 3)


@pytest.mark.parametrize("multiple", [1, 2])
def test_a_run_with_an_average_against_a_hand_computation(config: RunConfig, multiple: int):
    """Also where each step is two: the half-life is a part of the run, not a number of steps."""
    run = replace(config, reports=20, changes=(Change(0.01, {"batch_multiple": multiple}),))
    trainer, plain = start(with_setting(run, ema=0.1)), start(run)
    seen: list[Mapping[str, Tensor]] = []
    reports = []
    while not reports or reports[-1].status == "running":
        reports.append(trainer.step())
        plain.step()
        seen.append(trainer.state_dict()["model"])
    # The half-life is a tenth of the run: of 20 steps, or of 10.
    n_steps = 20 // multiple
    assert len(seen) == n_steps
    factors = [0.5 ** ((n_steps - 1 - i) / (n_steps / 10)) for i in range(n_steps)]
    average = judged_weights(trainer.state_dict())
    for name, found in average.items():
        by_hand = sum(f * w[name].double() for f, w in zip(factors, seen, strict=True))
        torch.testing.assert_close(found, (by_hand / sum(factors)).float())
        # The training itself does not see the average.
        assert torch.equal(seen[-1][name], plain.state_dict()["model"][name])
    assert reports[-1].loss == trainer.judge(average)
    assert reports[-1].loss != trainer.judge(seen[-1])


def test_a_saved_run_goes_on_averaging(config: RunConfig):
    run = with_setting(config, ema=0.2)
    straight = finish(start(run))
    first, second = start(run), start(run)
    before = [first.step(), first.step()]
    state = first.state_dict()
    first.step()  # The state is a snapshot.
    second.load_state_dict(state)
    assert [replace(report, seconds=0.0) for report in before] + finish(second) == straight


def test_an_average_may_begin_and_end_in_mid_run(config: RunConfig):
    plain = finish(start(config))
    begun = finish(start(replace(config, changes=(Change(0.5, {"ema": 0.2}),))))
    assert begun[:2] == plain[:2]
    assert begun[2].loss != plain[2].loss
    ended = start(replace(with_setting(config, ema=0.2), changes=(Change(0.5, {"ema": 0.0}),)))
    reports = finish(ended)
    assert reports[1].loss != plain[1].loss
    assert reports[2:] == plain[2:]
    assert judged_weights(ended.state_dict()).keys() == ended.state_dict()["model"].keys()


def test_the_weights_of_a_run_are_judged_as_it_was(config: RunConfig):
    trainer = start(config)
    last = finish(trainer)[-1]
    assert trainer.judge(judged_weights(trainer.state_dict())) == last.loss


def test_parts_of_the_held_out_samples_make_up_the_whole(config: RunConfig):
    trainer = start(config)
    finish(trainer)
    weights = judged_weights(trainer.state_dict())
    parts = [trainer.judge(weights, part=part, parts=2) for part in (0, 1)]
    assert parts[0] != parts[1]
    assert sum(parts) / 2 == pytest.approx(trainer.judge(weights), rel=1e-3)


def test_a_state_that_is_not_the_loop_s_has_no_weights():
    with pytest.raises(TrainerError, match="no state of hyperlaw's own loop"):
        judged_weights({"reported": 3})


def weights_of(*values: float) -> dict[str, Tensor]:
    return {"a": torch.tensor(values, dtype=torch.float32), "n": torch.tensor(3)}


def test_the_uniform_soup_is_the_mean():
    soup = uniform_soup([weights_of(1, 2), weights_of(3, 6), weights_of(5, 1)])
    assert soup["a"].tolist() == [3, 3]
    assert soup["n"].item() == 3


def test_a_soup_of_one_is_that_one_to_the_last_bit():
    weights = {"a": torch.randn(50), "b": torch.randn(3, 4, dtype=torch.bfloat16)}
    soup = uniform_soup([weights])
    assert all(torch.equal(soup[name], weights[name]) for name in weights)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([], "a soup of no weights"),
        ([weights_of(1), weights_of(1, 2)], "a is .2,., not .1,.; a soup is of one shape"),
        ([weights_of(1), {"a": torch.zeros(1)}], "member 1 of the soup differs: n is not in both"),
    ],
)
def test_what_makes_no_soup(members: list[Weights], says: str):
    with pytest.raises(TrainerError, match=says):
        uniform_soup(members)
    if not members:
        with pytest.raises(TrainerError, match=says):
            greedy_soup(members, lambda _: 0.0)


def test_the_greedy_soup_takes_what_helps_the_best():
    """In a bowl about 0: 1 is best, −2 brings the mean closer, 5 and 30 would take it away."""
    members = [weights_of(30), weights_of(-2), weights_of(1), weights_of(5)]
    soup, taken = greedy_soup(members, lambda weights: float(weights["a"] ** 2))
    assert taken == [2, 1]
    assert soup["a"].item() == -0.5


def test_a_member_whose_loss_is_no_number_comes_last_and_stays_out():
    members = [weights_of(math.nan), weights_of(1), weights_of(-1)]
    _, taken = greedy_soup(members, lambda weights: float(weights["a"].abs()))
    assert sorted(taken) == [1, 2]


@given(
    members=st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=1, max_size=6),
    bends=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
)
def test_the_greedy_soup_is_never_worse_than_its_best_member(
    members: list[list[float]], bends: list[float]
):
    """Whatever the loss surface, on the data that it was made with."""

    def loss(weights: Weights) -> float:
        x = weights["a"].double()
        return float((x**2 + 3 * torch.sin(torch.tensor(bends) * x)).sum())

    given_weights = [weights_of(*values) for values in members]
    soup, taken = greedy_soup(given_weights, loss)
    assert loss(soup) <= min(loss(weights) for weights in given_weights)
    assert len(set(taken)) == len(taken) >= 1
