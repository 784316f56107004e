"""Counting a sweep's progress: time left by compute, the best of the largest scale."""

import math

import pytest

from hpo.ladder import Scale
from hpo.points import Point
from hpo.tally import SweepTally, Work, duration, seconds_left, short
from trainers.protocol import Report


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def point(index: int, params: int) -> Point:
    scale = Scale(params=params, params_total=params, tokens=100, shape={"n": params})
    return Point(f"x-{index}", scale, {"lr": 0.1, "batch_tokens": 10}, seed=0)


def row(
    of: Point, loss: float, status: str = "completed", lr: float = 0.1, seconds: float = 1.0
) -> dict[str, object]:
    return {
        "run_id": of.run_id,
        "status": status,
        "loss": loss,
        "params": of.scale.params,
        "tokens": of.scale.tokens,
        "lr": lr,
        "batch_tokens": 10,
        "seconds": seconds,
    }


def report(tokens: int, seconds: float) -> Report:
    return Report(1, tokens, 1.0, 2.0, 2.0, 0.1, seconds, "running")


def test_time_left_follows_compute() -> None:
    done = {1e9: Work(flops=2e9, seconds=10)}
    assert seconds_left(done, {1e9: 4e9}, seconds=10) == 20
    assert seconds_left(done, {8e9: 4e9}, seconds=10) == 20
    assert seconds_left(done, {1e9: 4e9, 8e9: 4e9}, seconds=5) == 20
    assert seconds_left(done, {1e9: 0.0}, seconds=10) == 0
    assert seconds_left({}, {1e9: 4e9}, seconds=10) is None


def test_time_left_knows_that_large_models_use_the_machine_better() -> None:
    done = {1e9: Work(flops=1e9, seconds=10), 1e12: Work(flops=1e12, seconds=100)}
    assert seconds_left(done, {1e9: 1e9, 1e12: 1e12, 1e13: 1e13}, seconds=110) == 10 + 100 + 1000


def test_a_small_run_says_that_the_large_one_takes_long() -> None:
    clock, small, large = Clock(), point(0, 1), point(1, 99)
    tally = SweepTally("x", [small.scale, large.scale], [], clock)
    assert tally.seconds_left is None
    clock.now += 5
    tally.running(small)
    clock.now += 2
    tally.finished(small, row(small, 3.0, seconds=2))
    assert tally.seconds_left == pytest.approx(2 * 99)
    tally.running(large)
    clock.now += 50
    tally.report(large, report(tokens=50, seconds=50))
    assert tally.seconds_left == pytest.approx(50)
    tally.finished(large, row(large, 2.0))
    assert tally.seconds_left == 0


def test_runs_of_an_earlier_launch_count_but_took_no_time_of_this_one() -> None:
    clock, points = Clock(), [point(index, 10) for index in range(4)]
    tally = SweepTally(
        "x", [p.scale for p in points], [row(points[0], 3.0), row(points[1], 3.0)], clock
    )
    assert tally.n_done == 2
    assert tally.seconds_left is None
    tally.running(points[2])
    clock.now += 7
    tally.finished(points[2], row(points[2], 3.0))
    assert tally.seconds_left == pytest.approx(7)


def test_the_best_is_that_of_the_largest_scale_that_has_one() -> None:
    small, large, larger = point(0, 1000), point(1, 20000), point(2, 300000)
    other = point(3, 20000)
    tally = SweepTally("x", [p.scale for p in (small, large, larger, other)], [])
    assert tally.best_line == "no loss yet"
    tally.finished(small, row(small, 1.0))
    assert "N=1k" in tally.best_line
    tally.finished(large, row(large, 2.5, lr=0.25))
    tally.finished(other, row(other, 2.6))
    tally.finished(larger, row(larger, math.nan, "diverged"))
    assert tally.best_line == "best at N=20k, D=100: loss 2.5000 with lr 0.25, batch 10"
    assert tally.counts_line == "4/4 runs, 1 diverged"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0s"), (59.6, "1m 00s"), (3599.7, "1h 00m"), (7260, "2h 01m")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"), [(512, "512"), (24576, "24.6k"), (7e9, "7B"), (1.4e14, "140T")]
)
def test_short_numbers(number: float, said: str) -> None:
    assert short(number) == said
