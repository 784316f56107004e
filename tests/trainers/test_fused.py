"""Runs that share their steps: each is what it would be alone, whoever else comes and goes."""

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from tests.trainers.linear_task import FEATURES
from tests.trainers.running import with_setting
from trainers.config import Change, RunConfig
from trainers.errors import TrainerError
from trainers.fused.compatible import FUSED_OPTIMIZERS
from trainers.fused.trainer import FusedTrainer
from trainers.loop import TaskTrainer
from trainers.protocol import Report

STEPS = 50
RATES = {"lion": 2e-4, "sgd": 0.1, "muon": 0.02}


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Double precision everywhere, also where Muon rounds to bfloat16.

    That rounding turns a last bit, which a product may have otherwise among others than alone, into
    a part in 256.
    """
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def small(text_file: str) -> RunConfig:
    setting = {"lr": 0.01, "batch_tokens": 64}
    shape = {"width": 16, "depth": 1}
    model = {"context": 16}
    return RunConfig("gpt", shape, STEPS * 64, setting, data=text_file, model=model, reports=3)


@pytest.fixture
def config(text_file: str) -> RunConfig:
    return small(text_file)


def variants(config: RunConfig, optimizer: str) -> list[RunConfig]:
    """Runs that differ in all that may differ."""
    lr = RATES.get(optimizer, 0.01)
    config = with_setting(config, optimizer=optimizer, lr=lr)
    return [
        config,
        replace(
            with_setting(config, lr=lr / 3, weight_decay=0.0, beta1=0.8, schedule="cosine"), seed=1
        ),
        replace(with_setting(config, grad_clip=0.0, beta2=0.99, eps=1e-4, ema=0.1), seed=2),
        replace(with_setting(config, grad_clip=0.1, warmup_fraction=0.0, schedule="wsd"), seed=1),
        replace(config, tokens=30 * 64, reports=4),
        replace(
            config,
            changes=(
                Change(0.3, {"lr": 2 * lr, "beta1": 0.0, "weight_decay": 0.5, "ema": 0.1}),
                Change(0.6, {"grad_clip": 0.05, "beta1": 0.9, "beta2": 0.5, "ema": 0.0}),
            ),
        ),
    ]


def finish_alone(config: RunConfig) -> tuple[list[Report], TaskTrainer]:
    trainer = TaskTrainer(config)
    reports = [trainer.step()]
    while reports[-1].status == "running":
        reports.append(trainer.step())
    return reports, trainer


def finish(runs: FusedTrainer) -> dict[int, list[Report]]:
    reports: dict[int, list[Report]] = {slot: [] for slot in runs.slots}
    while runs.running:
        for slot, report in runs.step().items():
            reports.setdefault(slot, []).append(report)
    return reports


def weights(state: Mapping[str, object]) -> Mapping[str, Tensor]:
    model = state["model"]
    assert isinstance(model, Mapping)
    return model


def distance(state: Mapping[str, object], other: Mapping[str, object]) -> float:
    """Largest difference of a tensor's weights, relative to their norm."""
    ours, theirs = weights(state), weights(other)
    return max(
        float((ours[name] - theirs[name]).norm() / theirs[name].norm().clamp(min=1e-30))
        for name in theirs
    )


def assert_same_reports(found: Sequence[Report], expected: Sequence[Report], rel: float) -> None:
    """Losses to `rel`, all else to the bit."""
    lossless = {"loss": 0.0, "train_loss": 0.0, "seconds": 0.0}
    assert [replace(one, **lossless) for one in found] == [
        replace(one, **lossless) for one in expected
    ]
    for name in ("loss", "train_loss"):
        assert [getattr(one, name) for one in found] == pytest.approx(
            [getattr(one, name) for one in expected], rel=rel, nan_ok=True
        )


def assert_as_alone(configs: Sequence[RunConfig], rel: float, rel_loss: float) -> None:
    runs = FusedTrainer(configs)
    reports = finish(runs)
    for slot, config in enumerate(configs):
        expected, trainer = finish_alone(config)
        assert_same_reports(reports[slot], expected, rel_loss)
        assert distance(runs.state_dict(slot), trainer.state_dict()) < rel


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("optimizer", FUSED_OPTIMIZERS)
def test_a_fused_run_is_the_run_alone(config: RunConfig, optimizer: str):
    assert_as_alone(variants(config, optimizer), rel=1e-10, rel_loss=1e-10)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
def test_in_single_precision_it_is_within_rounding(config: RunConfig, optimizer: str):
    """Of Muon in bfloat16, to which it rounds what it orthogonalises."""
    rel = 0.05 if "muon" in optimizer else 1e-4
    assert_as_alone(
        variants(config, optimizer), rel, rel_loss=1e-3 if "muon" in optimizer else 1e-5
    )


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("scheme", ["mup", "complete-p"])
def test_multipliers_of_a_parametrization_are_kept(config: RunConfig, scheme: str):
    scaled = replace(
        config, shape={"width": 32, "depth": 2}, parametrization=scheme, base={"width": 16}
    )
    options = {"context": 16, "norm_gains": True, "mlp": "swiglu", "tied_embeddings": True}
    assert_as_alone(variants(replace(scaled, model=options), "adamw")[:3], 1e-10, 1e-10)


@pytest.mark.parametrize(
    ("trainer", "shape", "data"),
    [
        ("mlp", {"width": 16, "depth": 2}, "digits"),
        ("resnet", {"width": 8, "depth": 2}, "digits"),
        ("vit", {"width": 16, "depth": 1}, "digits"),
        ("random-features", {"width": 16}, "random-features"),
        ("tests.trainers.linear_task:LinearTask", {"features": FEATURES}, "python-stdlib"),
    ],
)
def test_every_task_can_be_fused(trainer: str, shape: Mapping[str, int], data: str):
    """Also where the data differ from seed to seed, as those of random features do."""
    setting = {"lr": 0.003, "batch_tokens": 32}
    config = RunConfig(trainer, shape, 20 * 32, setting, data=data, reports=2)
    configs = [config, replace(config, seed=1), with_setting(config, lr=0.01)]
    assert_as_alone(configs, rel=1e-4, rel_loss=1e-5)


def test_one_run_by_itself_is_the_loop_bit_for_bit(config: RunConfig):
    expected, trainer = finish_alone(config)
    runs = FusedTrainer([config])
    assert_same_reports(finish(runs)[0], expected, rel=0.0)
    assert distance(runs.state_dict(0), trainer.state_dict()) == 0.0


@pytest.mark.usefixtures("double")
def test_a_run_that_diverges_is_stopped_as_alone_and_poisons_no_other(config: RunConfig):
    wild = replace(with_setting(config, lr=1e200, grad_clip=0.0), tokens=100 * 64)
    configs = [config, wild, replace(config, seed=1)]
    assert_as_alone([*configs[:1], *configs[2:]], 1e-10, 1e-10)
    runs = FusedTrainer(configs)
    reports = finish(runs)
    expected, _ = finish_alone(wild)
    assert_same_reports(reports[1], expected, 1e-10)
    assert reports[1][-1].status == "diverged"
    assert math.isnan(reports[1][-1].loss)
    undisturbed = FusedTrainer([config, replace(config, seed=5), configs[2]])
    finish(undisturbed)
    for slot in (0, 2):
        assert distance(runs.state_dict(slot), undisturbed.state_dict(slot)) == 0.0


def replaced_by_another(runs: FusedTrainer, config: RunConfig) -> None:
    runs.remove(1)
    runs.add(replace(config, seed=9))


def overwritten_by_another(runs: FusedTrainer, config: RunConfig) -> None:
    runs.load_state_dict(1, runs.state_dict(3))


EVENTS: Mapping[str, Callable[[FusedTrainer, RunConfig], object]] = {
    "one leaves": lambda runs, config: runs.remove(1),
    "half leave": lambda runs, config: [runs.remove(slot) for slot in (1, 3)],
    "one enters": lambda runs, config: runs.add(replace(config, seed=9)),
    "one is replaced": replaced_by_another,
    "one is overwritten": overwritten_by_another,
    "one is saved": lambda runs, config: runs.state_dict(1),
}


class Undisturbed(NamedTuple):
    configs: list[RunConfig]
    runs: FusedTrainer
    reports: dict[int, list[Report]]


@pytest.fixture(scope="module")
def undisturbed(text_file: str) -> Undisturbed:
    configs = [replace(small(text_file), seed=seed) for seed in range(4)]
    runs = FusedTrainer(configs)
    return Undisturbed(configs, runs, finish(runs))


@pytest.mark.parametrize("event", EVENTS)
def test_who_comes_and_goes_disturbs_none_of_the_rest(
    config: RunConfig, event: str, undisturbed: Undisturbed
):
    """Bit for bit, on a CPU, where a batched product is that of its parts."""
    runs = FusedTrainer(undisturbed.configs)
    first = runs.step()
    EVENTS[event](runs, config)
    reports = finish(runs)
    for slot in (0, 2):
        assert_same_reports([first[slot], *reports[slot]], undisturbed.reports[slot], rel=0.0)
        assert distance(runs.state_dict(slot), undisturbed.runs.state_dict(slot)) == 0.0


@pytest.mark.usefixtures("double")
def test_a_run_that_is_left_by_all_goes_on_alone(config: RunConfig):
    runs = FusedTrainer([config, replace(config, tokens=30 * 64)])
    reports = finish(runs)
    expected, trainer = finish_alone(config)
    assert_same_reports(reports[0], expected, 1e-12)
    assert distance(runs.state_dict(0), trainer.state_dict()) < 1e-12


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("in_a_free_row", [False, True])
def test_a_run_that_enters_later_is_the_run_alone(config: RunConfig, in_a_free_row: bool):
    runs = FusedTrainer([config, replace(config, seed=1)])
    runs.step()
    if in_a_free_row:
        runs.remove(1)
    late = replace(config, seed=2, tokens=60 * 64, reports=5)
    slot = runs.add(late)
    reports = finish(runs)
    for number, one in {0: config, slot: late}.items():
        expected, trainer = finish_alone(one)
        assert distance(runs.state_dict(number), trainer.state_dict()) < 1e-10
        assert_same_reports(reports[number][-2:], expected[-2:], 1e-10)
    assert_same_reports(reports[slot], finish_alone(late)[0], 1e-10)


def assert_states_go_to_the_loop_and_back(config: RunConfig, rel: float, rel_loss: float) -> None:
    """Half of the steps fused, half alone, in both orders."""
    config = replace(config, reports=2)
    expected, straight = finish_alone(config)

    runs = FusedTrainer([config, replace(config, seed=1)])
    runs.step()
    saved = io.BytesIO()
    torch.save(runs.state_dict(0), saved)
    saved.seek(0)
    alone = TaskTrainer(config)
    alone.load_state_dict(torch.load(saved))
    assert_same_reports([alone.step()], expected[1:], rel_loss)
    assert distance(alone.state_dict(), straight.state_dict()) < rel

    half = TaskTrainer(config)
    half.step()
    runs = FusedTrainer([replace(config, seed=1), config])
    runs.load_state_dict(1, half.state_dict())
    assert_same_reports(finish(runs)[1], expected[1:], rel_loss)
    assert distance(runs.state_dict(1), straight.state_dict()) < rel


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
def test_states_go_to_the_loop_and_back(config: RunConfig, optimizer: str):
    config = with_setting(config, optimizer=optimizer, lr=RATES.get(optimizer, 0.01))
    assert_states_go_to_the_loop_and_back(config, 1e-10, 1e-10)


def test_states_in_single_precision_go_to_the_loop_and_back(config: RunConfig):
    """Where counters of steps have the precision of weights, and could be shared by mistake."""
    assert_states_go_to_the_loop_and_back(config, 1e-4, 1e-5)


@pytest.mark.usefixtures("double")
def test_a_state_between_two_reports_goes_on_from_there(config: RunConfig):
    runs = FusedTrainer([replace(config, reports=1), replace(config, seed=1, reports=5)])
    assert list(runs.step()) == [1]
    alone = TaskTrainer(replace(config, reports=1))
    alone.load_state_dict(runs.state_dict(0))
    last = alone.step()
    assert last.step == STEPS
    assert last.loss == pytest.approx(finish(runs)[0][-1].loss, rel=1e-12)


@pytest.mark.usefixtures("double")
def test_a_copied_run_goes_on_with_its_own_setting_and_data(config: RunConfig):
    """As a member of a population does that takes over the weights of a better one."""
    best, worst = config, replace(with_setting(config, lr=0.02, beta1=0.7), seed=7)
    runs = FusedTrainer([best, replace(config, seed=1), worst])
    runs.step()
    runs.load_state_dict(2, runs.state_dict(0))
    reports = finish(runs)
    donor = TaskTrainer(best)
    donor.step()
    alone = TaskTrainer(worst)
    alone.load_state_dict(donor.state_dict())
    assert_same_reports(reports[2], [alone.step(), alone.step()], 1e-10)
    assert distance(runs.state_dict(2), alone.state_dict()) < 1e-10


def test_the_time_of_a_step_is_divided_between_its_runs(config: RunConfig):
    runs = FusedTrainer([replace(config, seed=seed) for seed in range(3)])
    started = time.perf_counter()
    seconds = [report.seconds for report in runs.step().values()]
    elapsed = time.perf_counter() - started
    assert all(0 < of_one < elapsed / 2 for of_one in seconds)
    assert sum(seconds) < elapsed


def test_a_snapshot_is_not_altered_by_training_on(config: RunConfig):
    runs = FusedTrainer([config, replace(config, seed=1)])
    runs.step()
    state, copied = runs.state_dict(0), TaskTrainer(config)
    copied.load_state_dict(state)
    finish(runs)
    assert distance(state, copied.state_dict()) == 0.0


def test_slots_are_named_once(config: RunConfig):
    runs = FusedTrainer([config, replace(config, seed=1)])
    runs.remove(0)
    assert runs.add(config) == 2
    assert runs.slots == (1, 2)
    with pytest.raises(TrainerError, match="no run has slot 0; there are: 1, 2"):
        runs.state_dict(0)
    finish(runs)
    assert runs.running == ()
    with pytest.raises(TrainerError, match="no run is left to train"):
        runs.step()
