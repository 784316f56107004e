import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.loop_settings import LOOP_SETTINGS
from trainers.protocol import Report
from trainers.registry import kind
from trainers.schedules import (
    COSINE_FINAL_FRACTION,
    SCHEDULES,
    ScheduleOptions,
    learning_rate,
    lr_fraction,
    rewarmed_fraction,
)
from trainers.settings import complete

POWER = ScheduleOptions(decay_fraction=0.2, power_exponent=-0.5, power_start=16)


def setting(**values: float | str) -> dict[str, float | int | str]:
    return complete(LOOP_SETTINGS, {"lr": 0.5, "batch_tokens": 64, **values}, "setting")


def finish(config: RunConfig) -> list[Report]:
    trainer = kind(config.trainer).build(config)
    reports = [trainer.step()]
    while reports[-1].status == "running":
        reports.append(trainer.step())
    return [replace(report, seconds=0.0) for report in reports]


@given(
    schedule=st.sampled_from(SCHEDULES),
    steps=st.integers(1, 400),
    warmup_fraction=st.floats(0, 0.99),
)
def test_it_rises_to_the_peak_and_falls_ever_after(
    schedule: str, steps: int, warmup_fraction: float
):
    warmup = min(round(warmup_fraction * steps), steps - 1)
    values = [lr_fraction(schedule, step, steps, warmup) for step in range(steps)]
    assert all(0 < value <= 1 for value in values)
    assert values[: warmup + 1] == sorted(values[: warmup + 1])
    assert values[max(0, warmup - 1) :] == sorted(values[max(0, warmup - 1) :], reverse=True)
    assert max(values) == pytest.approx(1)


@given(
    schedule=st.sampled_from(SCHEDULES),
    steps=st.integers(100, 400),
    warmup_fraction=st.floats(0.05, 0.8),
    decay_fraction=st.floats(0.05, 1),
)
def test_it_never_jumps(schedule: str, steps: int, warmup_fraction: float, decay_fraction: float):
    """Between whole steps, too, where the batch has grown: no change beyond the steepest ramp's."""
    options = ScheduleOptions(decay_fraction, power_start=1e9)
    warmup = round(warmup_fraction * steps)
    values = [lr_fraction(schedule, step / 4, steps, warmup, options) for step in range(4 * steps)]
    decay = min(round(decay_fraction * steps), steps - warmup)
    steepest = max(math.pi / 2 / (steps - warmup), 1 / decay, 1 / warmup) / 4
    assert max(abs(b - a) for a, b in pairwise(values)) <= steepest * (1 + 1e-9)


def test_known_values():
    assert [lr_fraction("linear", s, 10, 2) for s in (0, 1, 2, 6, 9)] == [0.5, 1, 1, 0.5, 0.125]
    assert [lr_fraction("wsd", s, 10, 2) for s in (1, 2, 7, 8, 9)] == [1, 1, 1, 1, 0.5]
    assert [lr_fraction("constant", s, 10, 2) for s in (0, 1, 9)] == [0.5, 1, 1]
    halfway = (1 + COSINE_FINAL_FRACTION) / 2
    assert lr_fraction("cosine", 6, 10, 2) == pytest.approx(halfway)
    assert lr_fraction("cosine", 10_000, 10_001, 1) == pytest.approx(COSINE_FINAL_FRACTION)
    assert [lr_fraction("inverse-sqrt", s, 100, 4) for s in (1, 4, 16, 64)] == [0.5, 1, 0.5, 0.25]
    assert [lr_fraction("inverse-sqrt", s, 100, 0) for s in (0, 3)] == [1, 0.5]
    assert [lr_fraction("power", s, 400, 4, POWER) for s in (3, 16, 64, 256)] == [1, 1, 0.5, 0.25]
    # Over the last fifth it falls to zero as well: half-way through at 360.
    assert lr_fraction("power", 360, 400, 4, POWER) == pytest.approx((16 / 360) ** 0.5 / 2)


def test_where_they_end():
    ends = {name: lr_fraction(name, 50, 50, 5) for name in SCHEDULES}
    assert ends == {
        "linear": 0,
        "cosine": COSINE_FINAL_FRACTION,
        "wsd": 0,
        "constant": 1,
        "inverse-sqrt": pytest.approx(0.1**0.5),
        "power": 0,
    }


def test_a_decay_may_take_all_or_nothing():
    everything, nothing = ScheduleOptions(decay_fraction=1), ScheduleOptions(decay_fraction=0)
    for step in range(20):
        assert lr_fraction("wsd", step, 20, 5, everything) == lr_fraction("linear", step, 20, 5)
        assert lr_fraction("wsd", step, 20, 5, nothing) == lr_fraction("constant", step, 20, 5)


def test_a_power_that_falls_from_within_the_warm_up_has_no_step_at_its_end():
    early = ScheduleOptions(power_exponent=-0.5, power_start=4)
    values = [lr_fraction("power", step, 1000, 16, early) for step in (7, 15, 16, 64)]
    assert values == [0.25, 0.5, 0.5, 0.25]


def test_unknown_schedule():
    with pytest.raises(TrainerError, match="did you mean 'cosine'"):
        lr_fraction("cosin", 0, 10, 0)


@given(
    schedule=st.sampled_from(SCHEDULES),
    steps=st.integers(40, 200),
    warmup_fraction=st.floats(0.1, 0.9),
    part=st.floats(0.2, 0.8),
)
def test_it_is_run_through_twice(schedule: str, steps: int, warmup_fraction: float, part: float):
    """The first time as a run of so many steps; then up from where that ended, and down again."""
    first = round(part * steps)
    values = [
        rewarmed_fraction(schedule, step, steps, warmup_fraction, first) for step in range(steps)
    ]
    warmup = round(warmup_fraction * first)
    assert values[:first] == [lr_fraction(schedule, step, first, warmup) for step in range(first)]
    again, warmup = steps - first, round(warmup_fraction * (steps - first))
    left_at = lr_fraction(schedule, first, first, round(warmup_fraction * first))
    second = [lr_fraction(schedule, step, again, warmup) for step in range(again)]
    assert values[first + warmup :] == second[warmup:]
    rise = [left_at, *values[first : first + warmup]]
    assert rise == sorted(rise)
    assert [b - a for a, b in pairwise(rise)] == pytest.approx([(1 - left_at) / warmup] * warmup)
    assert values[first + warmup - 1] == pytest.approx(1)


def test_without_rewarming_it_is_the_plain_schedule():
    for step in range(20):
        assert rewarmed_fraction("cosine", step, 20, 0.25) == lr_fraction("cosine", step, 20, 5)


def test_the_power_scheduler_is_the_law_of_its_paper():
    """lr = min(peak, batch · a · tokens^b), the batch in samples, whatever peak and batch are."""
    a, b = 3.0, -0.5
    for lr, batch_tokens in ((0.5, 64), (0.5, 128), (0.05, 64)):
        given_setting = setting(
            lr=lr,
            batch_tokens=batch_tokens,
            schedule="power",
            warmup_fraction=0.0,
            decay_fraction=0.0,
            power_coefficient=a,
            power_exponent=b,
        )
        for step in (1, 10, 100, 9_999):
            tokens = step * batch_tokens
            law = min(lr, batch_tokens / 16 * a * tokens**b)
            assert learning_rate(given_setting, step, 10_000, 16) == pytest.approx(law)


def test_a_rate_is_the_peak_times_its_fraction():
    cosine = setting(schedule="cosine", warmup_fraction=0.25)
    assert learning_rate(cosine, 3.5, 20, 16) == 0.5 * lr_fraction("cosine", 3.5, 20, 5)
    again = setting(rewarm_at=0.5, warmup_fraction=0.25)
    assert learning_rate(again, 13, 24, 16) == 0.5 * rewarmed_fraction("linear", 13, 24, 0.25, 12)


def test_a_run_that_goes_on_from_a_finished_one_warms_up_again(config: RunConfig):
    """Bit for bit the second half of one run whose schedule begins again there."""
    long = replace(config, tokens=2 * config.tokens, reports=8)
    long = replace(long, setting={**config.setting, "rewarm_at": 0.5})
    straight = finish(long)
    finished, going_on = (kind(run.trainer).build(run) for run in (config, long))
    while finished.step().status == "running":
        pass
    going_on.load_state_dict(finished.state_dict())
    reports = [replace(going_on.step(), seconds=0.0) for _ in range(4)]
    assert reports == straight[4:]
    assert [report.lr for report in straight[:4]] == [report.lr for report in finish(config)]
    assert straight[4].lr > straight[3].lr
