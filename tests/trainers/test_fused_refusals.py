"""What cannot be fused is refused with the reason, and how many to fuse is measured."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor

from tests.trainers.linear_task import FEATURES
from tests.trainers.running import with_setting
from trainers.config import Change, RunConfig, Value
from trainers.errors import TrainerError
from trainers.fused.compatible import why_not_fused
from trainers.fused.packing import packing
from trainers.fused.trainer import FusedTrainer
from trainers.loop import TaskTrainer


def of_task(name: str, **setting: Value) -> RunConfig:
    setting = {"lr": 0.01, "batch_tokens": 64, **setting}
    trainer = f"tests.trainers.unfusable_tasks:{name}"
    return RunConfig(trainer, {"features": FEATURES}, 20 * 64, setting)


def losses(runs: FusedTrainer) -> list[float]:
    """The last loss of each run, in the order of slots."""
    found: dict[int, float] = {}
    while runs.running:
        found |= {slot: report.loss for slot, report in runs.step().items()}
    return [found[slot] for slot in runs.slots]


def loss_alone(config: RunConfig) -> float:
    trainer = TaskTrainer(config)
    report = trainer.step()
    while report.status == "running":
        report = trainer.step()
    return report.loss


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": {"width": 48, "depth": 2}}, "shape is {width: 32, depth: 2} in run 0 and {wid"),
        ({"model": {"context": 8}}, "context: 8"),
        ({"parametrization": "mup"}, "parametrization is 'sp' in run 0 and 'mup' in run 1"),
        ({"base": {"width": 16}}, "base shape is"),
        ({"parametrization_options": {"hidden_decay": "sqrt"}}, "parametrization options is"),
        ({"setting": {"lr": 0.01, "batch_tokens": 128}}, "batch_tokens is 64 in run 0 and 128 in"),
        ({"setting": {"lr": 0.01, "batch_tokens": 64, "optimizer": "sgd"}}, "optimizer is 'adamw'"),
        (
            {"setting": {"lr": 0.01, "batch_tokens": 64, "optimizer": "adafactor"}},
            "optimizer 'adafactor' steps one run at a time; those that step several are adamw, ",
        ),
        ({"setting": {"lr": 0.01, "batch_tokens": 64, "noise_every": 5}}, "noise_every and"),
        ({"setting": {"lr": 0.01, "batch_tokens": 64, "norm_test": 0.5}}, "noise_every and"),
        ({"changes": (Change(0.5, {"batch_multiple": 2}),)}, "batch_multiple changes the batch"),
    ],
)
def test_runs_that_differ_in_shape_or_operations(
    config: RunConfig, change: Mapping[str, object], says: str
):
    other = replace(config, **change)
    reason = why_not_fused([config, other])
    assert reason is not None
    assert says in reason
    with pytest.raises(TrainerError, match="runs cannot be fused"):
        FusedTrainer([config, other])


def test_the_data_and_a_trainer_of_its_own(config: RunConfig):
    reason = why_not_fused([config, replace(config, data="python-stdlib")])
    assert reason is not None
    assert reason.startswith("data is")
    simulated = replace(config, trainer="simulated", model={}, data="python-stdlib")
    assert "'simulated' trains by itself" in str(why_not_fused([simulated]))


def test_what_is_given_as_its_default_is_no_difference(config: RunConfig):
    explicit = replace(
        config,
        model={"context": 16, "mlp": "gelu"},
        setting={**config.setting, "optimizer": "adamw"},
        base={"width": 32},
    )
    assert why_not_fused([config, explicit]) is None
    assert why_not_fused([]) is None


def test_a_setting_of_the_tasks_own_must_be_equal():
    assert why_not_fused([of_task("Sharp"), of_task("Sharp", sharpness=1.0)]) is None
    reason = why_not_fused([of_task("Sharp"), of_task("Sharp", sharpness=2.0)])
    assert reason is not None
    assert "sharpness is 1.0 in run 0 and 2.0 in run 1" in reason


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Dropping", "cannot be computed for several runs at once"),
        ("Deciding", "cannot be computed for several runs at once"),
        ("Seeded", "in a run by itself and of"),
        ("FromZero", "in a run by itself and of"),
        ("Steered", "have another gradient in a run by itself than among others"),
        ("Idle", "does not depend on parameter 'idle'"),
    ],
)
def test_a_loss_that_is_of_one_run_only(name: str, says: str):
    """It is refused as the second run comes, which the first goes on without."""
    config = of_task(name)
    runs = FusedTrainer([config])
    with pytest.raises(TrainerError, match=says):
        runs.add(replace(config, seed=5))
    assert losses(runs) == [loss_alone(config)]
    assert packing(config).runs == 1


def test_a_run_of_another_loss_takes_no_place_that_is_left():
    config = of_task("Seeded", lr=0.03)
    runs = FusedTrainer([config, with_setting(config, lr=0.1), with_setting(config, lr=0.3)])
    runs.step()
    runs.remove(1)
    with pytest.raises(TrainerError, match="in a run by itself and of"):
        runs.add(replace(config, seed=5))
    same = with_setting(config, lr=0.2)
    runs.add(same)
    expected = [loss_alone(one) for one in (config, with_setting(config, lr=0.3), same)]
    assert losses(runs) == pytest.approx(expected, rel=1e-5)


def test_what_was_recorded_of_runs_of_another_loss_is_not_used_again():
    """Where all have left, runs of another loss may come, and be fused with each other."""
    config = of_task("Seeded")
    runs = FusedTrainer([config, with_setting(config, lr=0.03)])
    losses(runs)
    for slot in runs.slots:
        runs.remove(slot)
    others = [replace(config, seed=5), replace(with_setting(config, lr=0.03), seed=5)]
    for other in others:
        runs.add(other)
    assert losses(runs) == pytest.approx([loss_alone(other) for other in others], rel=1e-5)
    with pytest.raises(TrainerError, match="in a run by itself and of"):
        runs.add(replace(config, seed=6))


def test_a_state_that_brings_another_loss_is_refused():
    config = of_task("Shifted")
    state = TaskTrainer(config).state_dict()
    weights = cast(dict[str, Tensor], state["model"])
    shifted = {**state, "model": {**weights, "shift": torch.tensor(0.5)}}
    runs = FusedTrainer([config, with_setting(config, lr=0.03)])
    runs.step()
    runs.load_state_dict(1, state)
    with pytest.raises(TrainerError, match="in a run by itself and of"):
        runs.load_state_dict(1, shifted)
    assert runs.slots == (0,)
    by_itself = FusedTrainer([config])
    by_itself.load_state_dict(0, shifted)
    assert len(by_itself.step()) == 1


@pytest.mark.parametrize(
    ("name", "says"), [("Counting", "in a run by itself and of"), ("Ragged", "are of other shapes")]
)
def test_a_loss_that_changes_from_step_to_step(name: str, says: str):
    config = of_task(name)
    runs = FusedTrainer([config, with_setting(config, lr=0.03)])
    with pytest.raises(TrainerError, match=says):
        runs.step()


def test_a_wrong_configuration_is_refused_as_alone(config: RunConfig):
    with pytest.raises(TrainerError, match="unknown setting 'learning_rate'"):
        FusedTrainer([replace(config, setting={**config.setting, "learning_rate": 1.0})])


def test_a_state_whose_batch_grew_is_refused(config: RunConfig):
    grown = TaskTrainer(replace(config, changes=(Change(0.25, {"batch_multiple": 2}),)))
    grown.step()
    grown.step()
    runs = FusedTrainer([config, replace(config, seed=1)])
    with pytest.raises(TrainerError, match="of a run whose batch grew"):
        runs.load_state_dict(0, grown.state_dict())


def test_another_kind_may_come_once_all_have_left(config: RunConfig):
    runs = FusedTrainer([config, replace(config, seed=1)])
    runs.step()
    for slot in runs.slots:
        runs.remove(slot)
    wider = replace(config, shape={"width": 48, "depth": 2})
    runs.add(wider)
    runs.add(replace(wider, seed=1))
    assert len(runs.step()) == 2


def test_packing_says_why_no_more(config: RunConfig):
    refused = packing(replace(config, setting={**config.setting, "optimizer": "adafactor"}))
    assert refused.runs == 1
    assert "'adafactor' steps one run at a time" in refused.reason
    small = RunConfig("mlp", {"width": 8, "depth": 1}, 100_000, {"lr": 0.01, "batch_tokens": 16})
    found = packing(replace(small, data="digits"), most=4)
    assert found.runs in (1, 4)
    assert found.reason
    assert (found.runs == 4) == (found.speedup > 1)
