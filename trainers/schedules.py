"""The learning rate over a run, as a fraction of its peak: pure functions of the step."""

import math

from trainers.errors import unknown

SCHEDULES = ("linear", "cosine", "wsd", "constant")
COSINE_FINAL_FRACTION = 0.1
"""Where cosine ends (Chinchilla's choice, arXiv 2203.15556); linear and wsd end at zero."""
WSD_DECAY_FRACTION = 0.2
"""The part of the steps over which wsd decays (arXiv 2405.18392 finds 10 to 20 % enough)."""


def lr_fraction(schedule: str, step: int, steps: int, warmup_steps: int) -> float:
    """Return lr / peak lr at `step` = 0 … steps − 1.

    All rise linearly over `warmup_steps`, the last of which is at the peak. Then `linear` falls
    to zero, which it would reach at `steps`; `cosine` falls along half a period to
    COSINE_FINAL_FRACTION; `wsd` stays, and falls linearly to zero over the last
    WSD_DECAY_FRACTION of all steps; `constant` stays.
    """
    if schedule not in SCHEDULES:
        raise unknown("schedule", schedule, SCHEDULES)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    remaining = (steps - step) / (steps - warmup_steps)
    if schedule == "linear":
        return remaining
    if schedule == "cosine":
        swing = (1 + math.cos(math.pi * (1 - remaining))) / 2
        return COSINE_FINAL_FRACTION + (1 - COSINE_FINAL_FRACTION) * swing
    decay_steps = min(max(1, round(WSD_DECAY_FRACTION * steps)), steps - warmup_steps)
    return min(1.0, (steps - step) / decay_steps)
