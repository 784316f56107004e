"""Models with dropout or batch norm: judged in evaluation mode, trained from the run's seed."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import nn

from tests.trainers.drawing_tasks import Dropped, Dropping, Normed, Norming
from tests.trainers.running import finish, with_setting
from trainers.averaging import judged_weights, uniform_soup
from trainers.config import RunConfig
from trainers.held_out import judging
from trainers.loop import TaskTrainer

STEPS = 40
CPU = torch.device("cpu")
DROPPING, AUGMENTING, NORMING = (
    RunConfig(
        f"tests.trainers.drawing_tasks:{name}",
        {"width": 32},
        STEPS * 64,
        {"lr": 0.1, "batch_tokens": 64},
        reports=4,
    )
    for name in ("Dropping", "Augmenting", "Norming")
)
ALL = pytest.mark.parametrize("config", [DROPPING, AUGMENTING, NORMING], ids=["drop", "add", "bn"])


@pytest.fixture(autouse=True)
def others_draw() -> Iterator[None]:
    """Begin each test elsewhere in the global generator, and leave that as it was."""
    with torch.random.fork_rng():
        torch.seed()
        yield


@pytest.mark.parametrize(
    ("config", "task", "model"), [(DROPPING, Dropping, Dropped), (NORMING, Norming, Normed)]
)
def test_a_held_out_loss_is_that_of_evaluation_mode(
    config: RunConfig, task: type[Dropping | Norming], model: type[Dropped | Normed]
):
    trainer = TaskTrainer(config)
    last = finish(trainer)[-1]
    weights = judged_weights(trainer.state_dict())
    by_hand, judge = model(), task(config, CPU)
    by_hand.load_state_dict(weights)
    batch = judge.held_out(final=True)
    with torch.no_grad():
        loss = float(judge.loss(by_hand.eval(), batch))
        as_trained = float(judge.loss(by_hand.train(), batch))
    assert last.loss == pytest.approx(loss, rel=1e-6)
    assert last.loss != pytest.approx(as_trained, rel=1e-3)
    assert trainer.judge(weights) == last.loss


def test_held_out_samples_do_not_reach_the_statistics_of_batch_norm():
    trainer = TaskTrainer(NORMING)
    finish(trainer)
    state = judged_weights(trainer.state_dict())
    assert state["norm.num_batches_tracked"] == STEPS
    trainer.judge(state)
    again = judged_weights(trainer.state_dict())
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_each_module_has_its_own_mode_again():
    model = Normed()
    with judging(model, CPU):
        assert not any(module.training for module in model.modules())
    assert model.training
    assert model.norm.training
    assert not model.frozen.training
    with pytest.raises(ValueError, match="in a loss"), judging(model, CPU):
        raise ValueError("in a loss")
    assert model.norm.training


@ALL
def test_a_run_is_the_same_whatever_is_drawn_beside_it(config: RunConfig):
    expected = finish(TaskTrainer(config))
    torch.seed()
    runs = [TaskTrainer(replace(config, seed=seed)) for seed in (0, 1)]
    reports = []
    for _ in range(4):
        reports.append(replace(runs[0].step(), seconds=0.0))
        runs[1].step()
        torch.rand(7)
    assert reports == expected


@ALL
def test_a_run_leaves_the_global_generator_as_it_is(config: RunConfig):
    before = torch.get_rng_state()
    trainer = TaskTrainer(config)
    finish(trainer)
    trainer.judge(judged_weights(trainer.state_dict()))
    TaskTrainer(replace(config, seed=1)).load_state_dict(trainer.state_dict())
    assert torch.equal(torch.get_rng_state(), before)


def test_masks_differ_from_step_to_step_and_with_the_seed():
    masks: list[torch.Tensor] = []

    def keep(module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        if isinstance(module, nn.Dropout) and module.training:
            masks.append(output == 0)

    hook = nn.modules.module.register_module_forward_hook(keep)
    for seed in (0, 1):
        finish(TaskTrainer(replace(DROPPING, tokens=2 * 64, seed=seed)))
    hook.remove()
    assert len(masks) == 4
    assert all(not torch.equal(one, other) for one, other in combinations(masks, 2))
    assert float(torch.stack(masks).float().mean()) == pytest.approx(0.3, abs=0.05)


@ALL
def test_the_number_of_reports_does_not_change_the_run(config: RunConfig):
    few, many = (finish(TaskTrainer(replace(config, reports=n))) for n in (1, 7))
    assert few[-1].loss == many[-1].loss


@ALL
@pytest.mark.parametrize("settings", [{}, {"ema": 0.2, "noise_every": 3}])
def test_a_run_that_was_saved_goes_on_bit_for_bit(config: RunConfig, settings: dict[str, float]):
    config = with_setting(config, **settings)
    straight_trainer = TaskTrainer(config)
    straight = finish(straight_trainer)
    first = TaskTrainer(config)
    before = [replace(first.step(), seconds=0.0) for _ in range(2)]
    state = first.state_dict()
    first.step()  # The state is a snapshot.
    torch.seed()
    second = TaskTrainer(config)
    second.step()
    second.load_state_dict(state)
    assert before + finish(second) == straight
    expected, found = (judged_weights(t.state_dict()) for t in (straight_trainer, second))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_state_taken_over_goes_on_with_draws_of_the_run_s_own_seed():
    state = TaskTrainer(DROPPING).state_dict()

    def ends(seed: int) -> float:
        trainer = TaskTrainer(replace(DROPPING, seed=seed))
        trainer.step()  # What it drew before does not count.
        trainer.load_state_dict(state)
        return finish(trainer)[-1].loss

    assert ends(1) == ends(1) != ends(2)


@ALL
def test_measuring_the_noise_changes_nothing_else(config: RunConfig):
    plain, measured = (finish(TaskTrainer(with_setting(config, noise_every=n))) for n in (0, 2))
    assert measured[-1].noise_scale is not None
    assert [replace(report, noise_scale=None) for report in measured] == plain


def test_statistics_of_batch_norm_are_averaged_with_the_weights():
    config = replace(with_setting(NORMING, ema=0.1), reports=STEPS)
    trainer = TaskTrainer(config)
    seen = []
    for _ in range(STEPS):
        report = trainer.step()
        seen.append(trainer.state_dict()["model"]["norm.running_mean"].double())
    factors = [0.5 ** ((STEPS - 1 - i) / (STEPS / 10)) for i in range(STEPS)]
    by_hand = sum(f * mean for f, mean in zip(factors, seen, strict=True)) / sum(factors)
    average = judged_weights(trainer.state_dict())
    torch.testing.assert_close(average["norm.running_mean"], by_hand.float())
    assert trainer.judge(average) == report.loss


def test_a_soup_of_one_run_has_its_loss():
    trainer = TaskTrainer(NORMING)
    last = finish(trainer)[-1]
    soup = uniform_soup([judged_weights(trainer.state_dict())] * 2)
    assert trainer.judge(soup) == pytest.approx(last.loss, rel=1e-6)
