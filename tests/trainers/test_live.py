"""Taking over the state of another run: its weights and moments, not its hyperparameters."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from tests.trainers.running import finish, start, with_setting
from trainers.config import Change, RunConfig
from trainers.loop_settings import LIVE

OTHER: Mapping[str, float] = {
    "lr": 0.03,
    "weight_decay": 0.0,
    "beta1": 0.8,
    "beta2": 0.99,
    "eps": 1e-4,
    "grad_clip": 0.1,
    "ema": 0.3,
}
"""Another value of each live setting; without decay all tensors have one and the same λ."""


def halfway(config: RunConfig) -> Mapping[str, object]:
    trainer = start(config)
    trainer.step()
    trainer.step()
    return trainer.state_dict()


def test_other_has_all_that_is_live() -> None:
    assert tuple(OTHER) == LIVE


@pytest.mark.parametrize("name", LIVE)
def test_a_state_goes_on_with_the_settings_of_its_new_run(config: RunConfig, name: str) -> None:
    """Bit for bit as one run in which the setting changes: nothing of the old value is left."""
    new = {name: OTHER[name]}
    taken_over = start(with_setting(config, **new))
    taken_over.load_state_dict(halfway(config))
    straight = finish(start(replace(config, changes=(Change(0.5, new),))))
    assert finish(taken_over) == straight[2:]
    assert straight[-1] != finish(start(config))[-1]


def test_and_back_again(config: RunConfig) -> None:
    """A state of a run without decay, in which all tensors have one λ, fits one with decay."""
    without = with_setting(config, weight_decay=0.0)
    taken_over = start(config)
    taken_over.load_state_dict(halfway(without))
    straight = finish(start(replace(without, changes=(Change(0.5, {"weight_decay": 0.1}),))))
    assert finish(taken_over) == straight[2:]


def test_the_next_report_tells_the_new_rate(config: RunConfig) -> None:
    taken_over = start(with_setting(config, lr=0.03))
    taken_over.load_state_dict(halfway(config))
    assert taken_over.step().lr == pytest.approx(3 * finish(start(config))[2].lr)


def test_weights_and_moments_are_copied(config: RunConfig) -> None:
    state = halfway(config)
    taken_over = start(with_setting(replace(config, seed=7), lr=0.03, weight_decay=0.0))
    taken_over.load_state_dict(state)
    copied = taken_over.state_dict()
    for name, weights in state["model"].items():
        assert torch.equal(copied["model"][name], weights)
    moments, own = state["optimizer"]["state"], copied["optimizer"]["state"]
    for index, of_one in moments.items():
        assert all(torch.equal(own[index][key], of_one[key]) for key in of_one)
    assert {group["weight_decay"] for group in copied["optimizer"]["param_groups"]} == {0.0}


def test_another_seed_goes_on_with_its_own_data(config: RunConfig) -> None:
    """From step k on it sees the windows that a run of its seed sees from step k on."""
    other = replace(config, seed=7)
    taken_over = start(other)
    taken_over.load_state_dict(halfway(config))
    assert torch.equal(taken_over.state_dict()["generator"], halfway(other)["generator"])
    assert not torch.equal(halfway(config)["generator"], halfway(other)["generator"])


def test_a_simulated_run_takes_over_path_and_noise() -> None:
    config = RunConfig(
        "simulated",
        {"width": 64, "depth": 2},
        8 * 512,
        {"lr": 0.01, "batch_tokens": 512},
        reports=4,
    )
    taken_over = start(with_setting(replace(config, seed=5), lr=0.03))
    taken_over.load_state_dict(halfway(config))
    straight = finish(start(replace(config, changes=(Change(0.5, {"lr": 0.03}),))))
    assert finish(taken_over) == straight[2:]
    plain = finish(start(with_setting(config, lr=0.03)))
    assert finish(start(config))[-1].loss != straight[-1].loss != plain[-1].loss
