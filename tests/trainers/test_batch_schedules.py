"""Batches that grow: in stages of a table, and by the norm test."""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainers.linear_task import FEATURES, LinearTask, noise_scale
from tests.trainers.running import finish, start, with_setting
from trainers.batch_schedules import LARGEST_GROWTH, BatchLog, next_multiple, split
from trainers.config import Change, RunConfig
from trainers.errors import TrainerError
from trainers.noise_scale import GradientNoise
from trainers.protocol import Trainer
from trainers.schedules import lr_fraction

BATCH = 8 * LinearTask.sample_tokens


def staged(config: RunConfig, table: Mapping[float, int]) -> RunConfig:
    changes = tuple(Change(at, {"batch_multiple": multiple}) for at, multiple in table.items())
    return replace(config, changes=changes)


def batches(trainer: Trainer) -> list[tuple[int, int]]:
    return trainer.state_dict()["batches"]


def test_a_staged_run_trains_on_just_the_tokens_of_a_fixed_one(config: RunConfig):
    """20 steps of 64 tokens: 5 as they are, 5 twice as large, and at the end 3, 3 and what is left.

    A stage begins at the first step that its part of the tokens has passed.
    """
    trainer = start(staged(config, {0.25: 2, 0.6: 3}))
    reports = finish(trainer)
    assert batches(trainer) == [(4, 5), (8, 4), (12, 2), (4, 1)]
    assert reports[-1].tokens == 20 * 64
    assert reports[-1].step == 12
    assert reports[-1].flops == finish(start(config))[-1].flops
    # Reports are where they are without stages, or at the end of the step that passes there.
    assert [report.tokens // 64 for report in reports] == [5, 11, 16, 20]


@given(
    table=st.dictionaries(st.floats(0.01, 0.99), st.integers(1, 9), max_size=4).map(
        lambda found: dict(sorted(found.items()))
    ),
    steps=st.integers(1, 30),
)
def test_whatever_the_stages_the_tokens_are_exact(table: Mapping[float, int], steps: int):
    config = RunConfig(
        "tests.trainers.linear_task:LinearTask",
        {"features": FEATURES},
        steps * BATCH,
        {"lr": 1e-3, "batch_tokens": BATCH},
    )
    trainer = start(staged(config, table))
    last = finish(trainer)[-1]
    assert last.tokens == steps * BATCH
    assert last.step == sum(count for _, count in batches(trainer))
    assert last.step >= math.ceil(steps / max([1, *table.values()]))


def test_a_stage_of_one_changes_nothing(config: RunConfig):
    assert finish(start(staged(config, {0.3: 1}))) == finish(start(config))


def test_a_batch_of_parts_is_one_batch(config: RunConfig):
    """Twice the batch from the first step on, against a run whose batch it is, to rounding."""
    flat = with_setting(config, schedule="constant", warmup_fraction=0.0)
    grown = finish(start(staged(flat, {0.01: 2})))
    large = finish(start(with_setting(flat, batch_tokens=128)))
    assert [report.step for report in grown] == [3, 5, 8, 10]
    assert [report.loss for report in grown] == pytest.approx(
        [report.loss for report in large], rel=1e-4
    )


def test_the_rate_is_a_function_of_the_tokens(config: RunConfig):
    cosine = replace(with_setting(config, schedule="cosine"), reports=20)
    plain, grown = (finish(start(run)) for run in (cosine, staged(cosine, {0.5: 2})))
    rates = {report.tokens - 64: report.lr for report in plain}  # by where their steps began
    begun = [0, *(report.tokens for report in grown[:-1])]
    assert [report.lr for report in grown] == [rates[tokens] for tokens in begun]
    assert [b - a for a, b in pairwise(begun)][-3:] == [128] * 3
    assert grown[-1].lr == 0.01 * lr_fraction("cosine", 18, 20, 6)


@pytest.mark.parametrize(
    "setting", [{}, {"norm_test": 0.2, "noise_every": 2, "max_batch_multiple": 3}]
)
def test_a_saved_run_goes_on_bit_for_bit(config: RunConfig, setting: Mapping[str, float]):
    run = with_setting(staged(config, {0.4: 2}), **setting)
    straight = finish(start(run))
    first, second = start(run), start(run)
    before = [first.step(), first.step()]
    second.load_state_dict(first.state_dict())
    after = finish(second)
    assert [replace(report, seconds=0.0) for report in before] + after == straight
    assert straight[-1].step < 20


def test_another_seed_goes_on_with_its_own_data(config: RunConfig):
    """Its generator stands where it would after a run with the same batches."""
    run = staged(config, {0.2: 3})
    states = []
    for seed in (0, 7):
        trainer = start(replace(run, seed=seed))
        trainer.step()
        trainer.step()
        states.append(trainer.state_dict())
    taken_over = start(replace(run, seed=7))
    taken_over.load_state_dict(states[0])
    assert torch.equal(taken_over.state_dict()["generator"], states[1]["generator"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_multiple": 0}, "batch_multiple is 0; it must be a whole number at least 1"),
        ({"batch_multiple": 1.5}, "batch_multiple is 1.5; it must be a whole number"),
        ({"batch_tokens": 128}, "and in a table of changes batch_multiple"),
    ],
)
def test_what_is_refused(config: RunConfig, changes: Mapping[str, float], says: str):
    with pytest.raises(TrainerError) as caught:
        start(replace(config, changes=(Change(0.5, changes),)))
    assert says in str(caught.value)


def test_a_run_cannot_begin_with_a_multiple(config: RunConfig):
    with pytest.raises(TrainerError, match="batch_multiple is 1 at first; change it"):
        start(with_setting(config, batch_multiple=2))


def test_the_norm_test_asks_for_what_would_pass_by_the_gradient_now():
    """Signal 4, trace 100, θ² = ½: 25 samples pass, as tr Σ/25 = 4 = ½·(4 + 4)."""
    noise, theta = GradientNoise(4.0, 100.0), math.sqrt(0.5)
    assert next_multiple(5, noise, theta, n_batch=5, most=100) == 5
    assert next_multiple(9, noise, theta, n_batch=5, most=100) == 9  # It never shrinks.
    # Of 20 samples the variance is 5, of ½·9 allowed: 100/4.5 samples.
    assert next_multiple(4, noise, theta, n_batch=5, most=100) == 5
    assert next_multiple(20, noise, theta, n_batch=1, most=100) == 23
    assert next_multiple(20, noise, theta, n_batch=1, most=21) == 21
    assert next_multiple(20, noise, theta, n_batch=1, most=2) == 20
    assert next_multiple(3, noise, 0.01, n_batch=1, most=100) == LARGEST_GROWTH * 3
    assert next_multiple(3, GradientNoise(-90.0, 1.0), theta, n_batch=1, most=100) == 6


@given(
    signal=st.floats(0.1, 10),
    trace=st.floats(0.1, 1000),
    theta=st.floats(0.3, 0.95),
)
def test_norm_tests_end_at_the_noise_scale_times_what_theta_leaves(
    signal: float, trace: float, theta: float
):
    multiple = 1
    for _ in range(200):
        multiple = next_multiple(multiple, GradientNoise(signal, trace), theta, 1, 10**9)
    at_rest = trace / signal * (1 - theta**2) / theta**2
    assert at_rest * (1 - 1e-6) <= multiple <= at_rest + 2


def test_on_a_quadratic_the_batch_grows_to_where_the_test_passes():
    """At weights that stand still, so that signal and noise are known, to the tests' own error."""
    still = {"lr": 1e-12, "batch_tokens": BATCH, "warmup_fraction": 0.0, "schedule": "constant"}
    config = RunConfig(
        "tests.trainers.linear_task:LinearTask", {"features": FEATURES}, 9_000 * BATCH, still
    )
    theta = 0.3
    trainer = start(with_setting(config, norm_test=theta, noise_every=1, max_batch_multiple=1000))
    trainer.step()
    trainer.step()
    exact = noise_scale(trainer.state_dict()["model"]["w"]) / LinearTask.sample_tokens
    sizes = [n_samples for n_samples, _ in batches(trainer)]
    assert sizes == sorted(sizes)
    # Of many tests with an error each the largest tells, so it ends above rather than below.
    at_rest = exact * (1 - theta**2) / theta**2
    assert 0.9 * at_rest <= sizes[-1] <= 2 * at_rest


def test_a_batch_that_passes_stays_and_a_cap_holds(config: RunConfig):
    patient = start(with_setting(config, norm_test=0.99, noise_every=1))
    finish(patient)
    assert batches(patient) == [(4, 20)]
    eager = start(with_setting(config, norm_test=1e-3, noise_every=1, max_batch_multiple=3))
    finish(eager)
    assert batches(eager) == [(4, 1), (8, 1), (12, 5), (8, 1)]


def test_tests_are_every_so_many_steps(config: RunConfig):
    rare = start(with_setting(config, norm_test=1e-3, noise_every=4, max_batch_multiple=3))
    finish(rare)
    assert batches(rare) == [(4, 1), (8, 4), (12, 3), (8, 1)]
    unsaid = start(with_setting(config, norm_test=1e-3, max_batch_multiple=3))
    finish(unsaid)
    assert batches(unsaid) == [(4, 1), (8, 9), (4, 1)]


def test_the_log_counts_and_replays():
    log = BatchLog()
    for n_samples in (4, 4, 8, 4):
        log.add(n_samples)
    assert log.stretches == [(4, 2), (8, 1), (4, 1)]
    assert list(log) == [4, 4, 8, 4]
    assert (log.steps, log.samples) == (4, 20)


@given(n_samples=st.integers(1, 200), n_batch=st.integers(1, 50))
def test_parts_cover_the_batch(n_samples: int, n_batch: int):
    parts = split(n_samples, n_batch)
    assert [i for first, end in parts for i in range(first, end)] == list(range(n_samples))
    assert all(end - first == n_batch for first, end in parts[:-1])
