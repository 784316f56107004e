"""Schedules as they are named on the command line: `cosine:24000`, or a file of step and lr."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperlaw.errors import InputError

if TYPE_CHECKING:
    from scaling.schedule_curves import Schedule

SUFFIXES: Final = (".csv", ".tsv", ".parquet")
MAX_STEPS: Final = 10_000_000


@dataclass(frozen=True)
class PlannedSchedule:
    """A schedule that was named.

    Attributes
    ----------
    name : as it was typed.
    rates : the rate of every step; of peak 1 where the name is that of a shape.
    is_shape : whether the rates are only relative to a peak that is yet to be given.
    """

    name: str
    rates: Schedule
    is_shape: bool

    def with_peak(self, lr: float | None) -> Schedule:
        """Return the schedule with this peak rate; a file's rates stay as they are where None."""
        from scaling.schedule_curves import Schedule

        if lr is None:
            if self.is_shape:
                raise InputError(f"{self.name} is only a shape; give its peak rate with --lr")
            return self.rates
        if not lr > 0:
            raise InputError(f"--lr {lr:g}: a peak rate must be positive")
        rates = self.rates
        return Schedule(rates.lr * (lr / rates.lr.max()), rates.warmup_steps)


def read_schedule(text: str, warmup_steps: int) -> PlannedSchedule:
    """Return the schedule that `text` names: SHAPE:STEPS, or a file with columns step and lr.

    Parameters
    ----------
    text : such as "cosine:24000", "wsd:1e5" or "refined.csv"; shapes are those of the trainers.
    warmup_steps : steps over which a shape's rate rises linearly first; of a file, those of its
        first steps that are warm-up.

    Raises
    ------
    InputError : no such shape, no number of steps, or a warm-up that is longer.
    storage.errors.RunsTableError : the file cannot be read.
    """
    if text.endswith(SUFFIXES):
        return _of_file(text, warmup_steps)
    import numpy as np

    from scaling.schedule_curves import Schedule
    from trainers.schedules import SCHEDULES, lr_fraction

    shape, _, length = text.partition(":")
    if shape not in SCHEDULES:
        close = get_close_matches(shape, SCHEDULES, n=1)
        meant = f"did you mean '{close[0]}'? " if close else ""
        raise InputError(
            f"no schedule '{text}'; {meant}write SHAPE:STEPS with one of {', '.join(SCHEDULES)}, "
            "such as cosine:24000, or name a .csv file of step and lr"
        )
    steps = _steps(text, length)
    if not 0 <= warmup_steps < steps:
        raise InputError(
            f"{text}: a warm-up of {warmup_steps} steps does not fit; --warmup-steps must be less "
            f"than {steps}"
        )
    rates = [lr_fraction(shape, step, steps, warmup_steps) for step in range(steps)]
    return PlannedSchedule(text, Schedule(np.array(rates), warmup_steps), is_shape=True)


def _of_file(text: str, warmup_steps: int) -> PlannedSchedule:
    from scaling.schedule_curves import Schedule
    from storage.columns import LR, RUN_ID, STEP
    from storage.curves_table import read_curves

    table = read_curves(Path(text), needs=(STEP, LR))
    if (runs := table[RUN_ID].nunique()) > 1:
        raise InputError(f"{text}: holds the schedules of {runs} runs; give a file of one")
    rates = Schedule.from_records(
        table[STEP].to_numpy(dtype=float),
        table[LR].to_numpy(dtype=float),
        warmup_steps=warmup_steps,
    )
    return PlannedSchedule(text, rates, is_shape=False)


def _steps(text: str, length: str) -> int:
    try:
        steps = float(length)
    except ValueError:
        steps = float("nan")
    if not (1 <= steps <= MAX_STEPS and steps == int(steps)):
        raise InputError(
            f"{text}: write the number of steps, at most {MAX_STEPS:,}, after the shape, such as "
            "cosine:24000"
        )
    return int(steps)
