"""The learning rate over a run, as a fraction of its peak: pure functions of how far the run is.

How far is counted in steps of the batch that a run begins with, which is to say in tokens: a step
of twice that batch counts for two, so that a schedule is the same however the batch grows. A table
of values, one for each part of a run, is written with `trainers.changes`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trainers.config import Value
from trainers.errors import unknown

SCHEDULES = ("linear", "cosine", "wsd", "constant", "inverse-sqrt", "power")
COSINE_FINAL_FRACTION = 0.1
"""Where cosine ends (Chinchilla's choice, arXiv 2203.15556); linear, wsd and power end at zero."""
DECAY_FRACTION = 0.2
"""The part of the steps over which wsd and power decay at their end (arXiv 2405.18392 finds 10 to
20 % enough for wsd)."""
POWER_COEFFICIENT = 4.0
POWER_EXPONENT = -0.51
"""lr = batch · coefficient · tokens^exponent, the batch in sequences (arXiv 2408.13359; of it the
abstract was read, the two values are second-hand)."""


@dataclass(frozen=True)
class ScheduleOptions:
    """What a schedule has beside its length and its warm-up."""

    decay_fraction: float = DECAY_FRACTION
    """Of all steps: the decay at the end of wsd and power."""
    power_exponent: float = POWER_EXPONENT
    power_start: float | None = None
    """Where power begins to fall, in steps; None: where its warm-up ends."""


def lr_fraction(
    schedule: str,
    step: float,
    steps: int,
    warmup_steps: int,
    options: ScheduleOptions = ScheduleOptions(),
) -> float:
    """Return lr / peak lr at `step`, from 0 to below `steps`; at `steps`, where it ends.

    All rise linearly over `warmup_steps`, the last of which is at the peak. Then

    - `linear` falls to zero, which it reaches at `steps`;
    - `cosine` falls along half a period to COSINE_FINAL_FRACTION;
    - `wsd` stays, and falls linearly to zero over the last part of all steps;
    - `constant` stays;
    - `inverse-sqrt` falls as √(warm-up / step) (arXiv 1706.03762), with no end of its own;
    - `power` falls as (step / start)^exponent from `options.power_start` on, and at its end as wsd.
      Where that start lies in the warm-up, the warm-up rises no higher than where the fall goes on.
    """
    if schedule not in SCHEDULES:
        raise unknown("schedule", schedule, SCHEDULES)
    if step < warmup_steps:
        rise = min(1.0, (step + 1) / warmup_steps)
        if schedule == "power":
            return rise * _power_fall(warmup_steps, warmup_steps, options)
        return rise
    after_warmup = max(1, steps - warmup_steps)
    if schedule == "constant":
        return 1.0
    if schedule == "inverse-sqrt":
        timescale = max(1, warmup_steps)
        return math.sqrt(timescale / (timescale + step - warmup_steps))
    remaining = (steps - step) / after_warmup
    if schedule == "linear":
        return remaining
    if schedule == "cosine":
        swing = (1 + math.cos(math.pi * (1 - remaining))) / 2
        return COSINE_FINAL_FRACTION + (1 - COSINE_FINAL_FRACTION) * swing
    decay_steps = min(max(1, round(options.decay_fraction * steps)), after_warmup)
    decay = min(1.0, (steps - step) / decay_steps)
    return decay if schedule == "wsd" else decay * _power_fall(step, warmup_steps, options)


def rewarmed_fraction(
    schedule: str,
    step: float,
    steps: int,
    warmup_fraction: float,
    rewarm_step: int = 0,
    options: ScheduleOptions = ScheduleOptions(),
) -> float:
    """Return lr / peak lr of a schedule that is run through once up to `rewarm_step`, and again.

    The second time is for training on from a finished run: the rate is warmed up again, from where
    the first schedule left it, and decays again over what is left (arXiv 2403.08763, second-hand).
    Both times the warm-up is `warmup_fraction` of the steps. With `rewarm_step` 0 it is
    `lr_fraction`.
    """
    if not rewarm_step:
        return lr_fraction(schedule, step, steps, round(warmup_fraction * steps), options)
    first_warmup = round(warmup_fraction * rewarm_step)
    if step < rewarm_step:
        return lr_fraction(schedule, step, rewarm_step, first_warmup, options)
    left_at = lr_fraction(schedule, rewarm_step, rewarm_step, first_warmup, options)
    step, steps = step - rewarm_step, steps - rewarm_step
    warmup_steps = round(warmup_fraction * steps)
    fraction = lr_fraction(schedule, step, steps, warmup_steps, options)
    return left_at + (1 - left_at) * fraction if step < warmup_steps else fraction


def power_start(
    lr: float, batch_tokens: int, batch_samples: int, setting: Mapping[str, Value]
) -> float:
    """Return the step from which batch · coefficient · tokens^exponent lies below the peak `lr`.

    `setting` holds power_coefficient and power_exponent; `batch_samples` is the batch of the law,
    which counts sequences.
    """
    coefficient = batch_samples * float(setting["power_coefficient"])
    tokens = math.pow(lr / coefficient, 1 / float(setting["power_exponent"]))
    return tokens / batch_tokens


def learning_rate(
    setting: Mapping[str, Value], step: float, steps: int, sample_tokens: int
) -> float:
    """Return the learning rate of a run at `step` of `steps`.

    Parameters
    ----------
    setting : the whole setting that holds at that step; see `trainers.loop_settings`.
    step, steps : in steps of batch_tokens.
    sample_tokens : tokens a sample, by which the power law counts its batch.
    """
    lr, schedule = float(setting["lr"]), str(setting["schedule"])
    options = ScheduleOptions(float(setting["decay_fraction"]), float(setting["power_exponent"]))
    if schedule == "power":
        batch_tokens = int(setting["batch_tokens"])
        start = power_start(lr, batch_tokens, batch_tokens // sample_tokens, setting)
        options = ScheduleOptions(options.decay_fraction, options.power_exponent, start)
    rewarm_step = round(float(setting["rewarm_at"]) * steps)
    warmup_fraction = float(setting["warmup_fraction"])
    return lr * rewarmed_fraction(schedule, step, steps, warmup_fraction, rewarm_step, options)


def _power_fall(step: float, warmup_steps: int, options: ScheduleOptions) -> float:
    start = max(1, warmup_steps) if options.power_start is None else options.power_start
    return math.pow(max(1.0, step / start), options.power_exponent)
