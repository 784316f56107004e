"""How many runs to fuse of a kind: measured on this machine, before a sweep trains them.

On a GPU a small model's step takes about as long for many runs as for one. On a CPU fusing saves
only what calling an operation costs, and a batch that no longer fits in the cache can cost more
than that: it pays for narrow models with small batches, so one run at a time is the usual answer.
"""

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.fused.compatible import why_not_fused
from trainers.fused.run import FusedRun
from trainers.fused.trainer import FusedTrainer
from trainers.loop_settings import BATCH_TOKENS

WORTH = 1.1
"""Fewer times as many steps a second as one run at a time are not worth fusing for."""
GAIN = 1.05
"""Twice as many runs must make so many times as many steps a second, at least."""
FIRST = 4
"""Runs that are fused first: two may not pay where eight do."""
MOST = 64
ROUNDS = 3
"""In each both sides of a comparison train, one behind the other, so that what else the machine is
doing slows both; what counts is the median of their ratios."""
ROUND_SECONDS = 0.1
LEAST_STEPS, MOST_STEPS = 3, 50
"""Steps of a round, which should take ROUND_SECONDS."""
LEAST_FIXED_PART = 1 / 3
"""Fusing saves of what a step costs whatever its samples are. Where that is less, it is not tried:
there GPTs of width 32, 128 and 256 and ResNets of 32 and 64 on one core, of which 4 or 8 were
fused, made 0.6 to 1.1 times as many steps."""


@dataclass(frozen=True)
class Packing:
    """How many runs of a kind to fuse."""

    runs: int
    """1: one at a time."""
    speedup: float
    """Steps a second of all of them, over those of one run at a time; recording a step counted."""
    reason: str
    """Why no more."""


def packing(config: RunConfig, most: int = MOST, seconds: float = math.inf) -> Packing:
    """Measure how many runs like `config` to fuse, on the GPU or, where there is none, the CPU.

    From FIRST on the number is doubled as long as that pays and fits in memory. Where it does not
    pay to begin with, as for wide models on a CPU, that takes a few steps of one run to find out.

    Parameters
    ----------
    config : a run that its kind accepts. Its number of steps says what recording one is worth.
    most : how many to fuse at most.
    seconds : what it may take; once so long has gone by, no more runs are tried.
    """
    until = time.perf_counter() + seconds
    if reason := why_not_fused([config]):
        return Packing(1, 1.0, reason)
    n_steps = max(1, config.tokens // int(config.setting[BATCH_TOKENS]))
    # A rate that no run diverges at.
    probe = replace(config, setting={**config.setting, "lr": 1e-9}, changes=())
    sample_tokens = FusedRun(probe).task.sample_tokens
    one_sample = replace(probe, setting={**probe.setting, BATCH_TOKENS: sample_tokens})
    try:
        found = _compare(one_sample, 1, probe, LEAST_STEPS)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return Packing(1, 1.0, "no second run fits in memory")
    fixed_part = 1 / found.ratio
    if fixed_part < LEAST_FIXED_PART:
        return Packing(1, 1.0, f"{1 - fixed_part:.0%} of a step grows with its samples")
    best = Packing(1, 1.0, "")
    n_runs = FIRST
    while n_runs <= most:
        if time.perf_counter() > until:
            return replace(best, reason=f"to try {n_runs} takes longer than {seconds:.3g} seconds")
        steps = round(ROUND_SECONDS / (n_runs * found.seconds_a_step))
        steps = min(MOST_STEPS, max(LEAST_STEPS, steps))
        try:
            found = _compare(probe, n_runs, probe, steps)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return replace(best, reason=f"{n_runs} do not fit in memory")
        except TrainerError as error:
            return replace(best, reason=str(error))
        begin = found.begin_seconds / (n_runs * n_steps * found.seconds_a_step)
        speedup = 1 / (1 / found.ratio + begin)
        if speedup < max(WORTH, GAIN * best.speedup):
            return replace(best, reason=f"{n_runs} would make {speedup:.2f} times as many steps")
        best = Packing(n_runs, speedup, "")
        n_runs *= 2
    return replace(best, reason=f"{most} are the most asked for")


@dataclass(frozen=True)
class _Comparison:
    """Fused runs beside one alone."""

    ratio: float
    """Steps a second of all that are fused, over those of the one."""
    begin_seconds: float
    """Before the first step of those that are fused."""
    seconds_a_step: float
    """Of the one."""


def _compare(fused: RunConfig, n_runs: int, alone: RunConfig, steps: int) -> _Comparison:
    """Train `n_runs` like `fused` by rounds of `steps`, and between them one like `alone`."""
    several = _rounds([replace(fused, seed=seed) for seed in range(n_runs)], steps)
    one = _rounds([alone], n_runs * steps)
    first, _ = next(several), next(one)
    pairs = [(next(one), next(several)) for _ in range(ROUNDS)]
    return _Comparison(
        ratio=statistics.median(of_one / of_several for of_one, of_several in pairs),
        begin_seconds=max(0.0, first - statistics.median(seconds for _, seconds in pairs)),
        seconds_a_step=statistics.median(seconds for seconds, _ in pairs) / (n_runs * steps),
    )


def _rounds(configs: Sequence[RunConfig], steps: int) -> Iterator[float]:
    """Train by rounds of `steps`; yield the seconds of each, in which runs are not judged."""
    n_reports = ROUNDS + 2  # The last, for which more samples are judged, is not waited for.
    tokens = n_reports * steps * int(configs[0].setting[BATCH_TOKENS])
    runs = FusedTrainer([replace(one, tokens=tokens, reports=n_reports) for one in configs])
    before = 0.0
    while True:
        now = sum(report.seconds for report in runs.step().values())
        yield now - before
        before = now
