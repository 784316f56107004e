import io
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from tests.trainers.running import with_setting
from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.flops import training_flops_per_token
from trainers.models.gpt_shape import gpt_shape
from trainers.protocol import Report, Trainer
from trainers.registry import kind


def start(config: RunConfig) -> Trainer:
    return kind("gpt").build(config)


def finish(trainer: Trainer) -> list[Report]:
    reports = [trainer.step()]
    while reports[-1].status == "running":
        reports.append(trainer.step())
    return reports


def timeless(reports: list[Report]) -> list[Report]:
    return [replace(report, seconds=0.0) for report in reports]


def test_a_run_counts_and_learns(config: RunConfig):
    longer = replace(config, tokens=100 * 256, setting={"lr": 0.01, "batch_tokens": 256})
    reports = finish(start(longer))
    assert [report.step for report in reports] == [25, 50, 75, 100]
    assert [report.status for report in reports] == ["running"] * 3 + ["completed"]
    last = reports[-1]
    assert last.tokens == 100 * 256
    per_token = training_flops_per_token(gpt_shape(config.shape, config.model))
    assert last.flops == per_token * last.tokens
    seconds = [report.seconds for report in reports]
    assert seconds == sorted(seconds)
    assert last.loss < 1.5 < reports[0].loss < math.log(256)
    assert last.train_loss == pytest.approx(last.loss, abs=0.5)


def test_a_run_that_is_over_stays_over(config: RunConfig):
    trainer = start(config)
    finish(trainer)
    with pytest.raises(TrainerError, match="the run is over"):
        trainer.step()


@pytest.mark.parametrize(
    ("tokens", "reports", "steps"),
    [(64, 8, [1]), (3 * 64, 8, [1, 2, 3]), (10 * 64 + 20, 3, [4, 7, 10]), (67, 1, [1])],
)
def test_reports_are_even_and_the_last_is_at_the_end(
    config: RunConfig, tokens: int, reports: int, steps: list[int]
):
    run = finish(start(replace(config, tokens=tokens, reports=reports)))
    assert [report.step for report in run] == steps


def test_the_same_configuration_gives_the_same_run(config: RunConfig):
    assert timeless(finish(start(config))) == timeless(finish(start(config)))
    other = replace(config, seed=1)
    assert finish(start(other))[-1].loss != finish(start(config))[-1].loss


def test_the_number_of_reports_does_not_change_the_run(config: RunConfig):
    assert (
        finish(start(replace(config, reports=1)))[-1].loss
        == finish(start(replace(config, reports=7)))[-1].loss
    )


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"parametrization": "mup", "base": {"width": 16}},
        {"model": {"context": 16, "mlp": "swiglu", "norm_gains": True}},
        {"setting": {"lr": 0.02, "batch_tokens": 128, "schedule": "wsd", "grad_clip": 0.1}},
    ],
)
def test_a_run_that_was_saved_goes_on_bit_for_bit(config: RunConfig, change: Mapping[str, object]):
    config = replace(config, **change)
    straight_trainer = start(config)
    straight = finish(straight_trainer)
    saved = io.BytesIO()
    first = start(config)
    before = [first.step(), first.step()]
    torch.save(first.state_dict(), saved)
    saved.seek(0)
    second = start(config)
    second.step()  # nothing of what it did before must remain
    second.load_state_dict(torch.load(saved))
    assert timeless(before + finish(second)) == timeless(straight)
    expected, found = (t.state_dict()["model"] for t in (straight_trainer, second))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_state_is_a_snapshot(config: RunConfig):
    trainer = start(config)
    trainer.step()
    state = trainer.state_dict()
    rest = finish(trainer)
    again = start(config)
    again.load_state_dict(state)
    assert timeless(finish(again)) == timeless(rest)


def test_a_state_of_an_earlier_version_is_taken_up(config: RunConfig):
    """It has no draws of torch's global generators; a model that draws nothing misses none."""
    trainer = start(config)
    trainer.step()
    state = trainer.state_dict()
    del state["draws"]
    other = start(config)
    other.load_state_dict(state)
    assert timeless(finish(other)) == timeless(finish(trainer))


def test_a_state_of_another_shape_is_refused(config: RunConfig):
    state = start(replace(config, shape={"width": 48, "depth": 2})).state_dict()
    with pytest.raises(TrainerError, match="another shape"):
        start(config).load_state_dict(state)


def test_mup_at_its_base_is_sp_bit_for_bit(config: RunConfig):
    sp = finish(start(config))
    mup = replace(config, parametrization="mup", base={"width": 32})
    assert timeless(finish(start(mup))) == timeless(sp)
    narrower = replace(config, parametrization="mup", base={"width": 16})
    assert finish(start(narrower))[-1].loss != sp[-1].loss


@pytest.mark.parametrize("name", ["weight_decay", "beta1", "beta2", "eps", "warmup_fraction"])
def test_every_setting_matters(config: RunConfig, name: str):
    changed = with_setting(config, **{name: 0.5})
    assert finish(start(changed))[-1].loss != finish(start(config))[-1].loss


@pytest.mark.parametrize("change", [{"schedule": "cosine"}, {"schedule": "wsd"}, {"grad_clip": 0}])
def test_schedule_and_clipping_matter(config: RunConfig, change: Mapping[str, object]):
    changed = with_setting(config, **change)
    assert finish(start(changed))[-1].loss != finish(start(config))[-1].loss


def test_a_run_that_blows_up_ends_early_as_diverged(config: RunConfig):
    wild = with_setting(replace(config, tokens=200 * 64, reports=2), lr=1e4, grad_clip=0)
    reports = finish(start(wild))
    assert reports[-1].status == "diverged"
    assert math.isnan(reports[-1].loss)
    assert reports[-1].step < 100


def test_a_high_but_useful_learning_rate_is_no_divergence(config: RunConfig):
    high = with_setting(replace(config, tokens=60 * 256), lr=0.1, batch_tokens=256)
    last = finish(start(high))[-1]
    assert last.status == "completed"
    assert last.loss < math.log(256)


def test_weights_decay_by_lr_times_lambda_and_gains_do_not(config: RunConfig):
    """With no gradient reaching a byte's embedding, only decay moves it."""
    options = {"context": 16, "norm_gains": True}
    one_step = with_setting(
        replace(config, tokens=64, model=options, parametrization="mup", base={"width": 16}),
        lr=0.1,
        weight_decay=0.5,
        warmup_fraction=0.0,
    )
    trainer = start(one_step)
    before = trainer.state_dict()["model"]
    trainer.step()
    after = trainer.state_dict()["model"]
    never_seen = 0x01
    torch.testing.assert_close(
        after["embedding.weight"][never_seen],
        before["embedding.weight"][never_seen] * (1 - 0.1 * 0.5),
    )
    # The readout starts at zero, so at the first step no gradient reaches the blocks.
    hidden = "blocks.0.mlp.up.weight"
    torch.testing.assert_close(after[hidden], before[hidden] * (1 - 0.1 * 0.5))
    gain = "blocks.0.mlp_norm.weight"
    assert torch.equal(after[gain], before[gain])
