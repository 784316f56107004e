"""Where a sweep stands: how many runs ended how, the best of them, and the time that is left."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hpo.ladder import Scale
from hpo.points import Point
from storage import columns
from storage.sweeps import DONE
from trainers.protocol import Report

Clock = Callable[[], float]
RunRow = Mapping[str, object]


@dataclass(frozen=True)
class SweepSummary:
    """How a sweep stands after a launch: its runs in the store, by how they ended.

    `state` is one of `storage.sweeps.STATES`.
    """

    name: str
    planned: int
    completed: int
    diverged: int
    failed: int
    state: str
    stopped: int = 0

    @property
    def interrupted(self) -> bool:
        """Whether the launch was ended before the sweep was done, by a signal or a request."""
        return self.state != DONE


@dataclass(frozen=True)
class Work:
    """Training of one scale: compute, and the time that it took where that is known."""

    flops: float
    seconds: float = 0.0

    def __add__(self, other: Work) -> Work:
        """Both together."""
        return Work(self.flops + other.flops, self.seconds + other.seconds)


def seconds_left(
    done: Mapping[float, Work], left: Mapping[float, float], seconds: float
) -> float | None:
    """Time that the rest of a sweep will take.

    Remaining compute, not the number of runs, as the runs of a ladder's top cost many times those
    of its foot; and at each scale's own speed, as small models use a machine badly. A scale without
    a finished run or a report is taken to be as fast as the largest smaller one that has one.

    Parameters
    ----------
    done : mapping of float to Work
        Training of this launch by scale, keyed by the FLOPs of one run.
    left : mapping of float to float
        FLOPs that are left, by the same key.
    seconds : float
        How long this launch has been training, waiting and parallel runs included.

    Returns
    -------
    float or None
        Seconds; None before anything is known.
    """
    if not any(left.values()):
        return 0.0
    known = sorted(key for key, work in done.items() if work.flops > 0)
    trained = sum(done[key].seconds for key in known)
    if trained <= 0 or seconds <= 0:
        return None
    ahead = 0.0
    for key, flops in left.items():
        nearest = max((other for other in known if other <= key), default=known[0])
        ahead += flops * done[nearest].seconds / done[nearest].flops
    return seconds * ahead / trained


class SweepTally:
    """Counts what an observer is told.

    Parameters
    ----------
    sweep : str
        Name of the sweep.
    workload : sequence of Scale
        The scale of each of its runs, as far as they are known beforehand.
    finished : sequence of rows
        Those of them that ended in an earlier launch.
    clock : callable
        Seconds from any zero; another one in tests.
    """

    def __init__(
        self,
        sweep: str,
        workload: Sequence[Scale],
        finished: Sequence[RunRow],
        clock: Clock = time.monotonic,
    ) -> None:
        """Begin with what was done before."""
        self.sweep = sweep
        self.counts = dict.fromkeys(columns.STATUSES, 0)
        self._expected = Counter(scale.flops for scale in workload)
        self._clock = clock
        self._began = clock()
        self._first_run: float | None = None
        self._running: dict[str, tuple[float, Work]] = {}
        self._failed: set[str] = set()
        self._done: dict[float, Work] = {}
        self._best: dict[float, tuple[float, RunRow]] = {}
        self._ended: Counter[float] = Counter()
        for row in finished:
            self._count(row, 6.0 * _number(row[columns.PARAMS]) * _number(row[columns.TOKENS]))

    def running(self, point: Point) -> None:
        """Count a run that has begun, perhaps again after it had failed."""
        if point.run_id in self._failed:
            self._failed.remove(point.run_id)
            self.counts[columns.FAILED] -= 1
            self._ended[point.scale.flops] -= 1
        if self._first_run is None:
            self._first_run = self._clock()
        self._running.setdefault(point.run_id, (point.scale.flops, Work(0.0)))

    def report(self, point: Point, report: Report) -> None:
        """Count the part of a run that is done."""
        fraction = min(1.0, report.tokens / point.scale.tokens)
        flops = point.scale.flops
        self._running[point.run_id] = flops, Work(fraction * flops, report.seconds)

    def finished(self, point: Point, row: RunRow) -> None:
        """Count a run that has ended."""
        self._running.pop(point.run_id, None)
        if row[columns.STATUS] == columns.COMPLETED:
            work = Work(point.scale.flops, _number(row[columns.SECONDS]))
            self._done[point.scale.flops] = self._done.get(point.scale.flops, Work(0.0)) + work
        elif row[columns.STATUS] == columns.FAILED:
            self._failed.add(point.run_id)
        self._count(row, point.scale.flops)

    def expect(self, workload: Sequence[Scale]) -> None:
        """Take another workload: the sweep has been extended."""
        self._expected = Counter(scale.flops for scale in workload)

    def _count(self, row: RunRow, flops: float) -> None:
        self.counts[str(row[columns.STATUS])] += 1
        self._ended[flops] += 1
        loss = _number(row[columns.LOSS])
        completed = row[columns.STATUS] == columns.COMPLETED
        if completed and loss < self._best.get(flops, (math.inf, row))[0]:
            self._best[flops] = (loss, row)

    @property
    def total(self) -> int:
        """Runs in all: those expected beforehand, or more where the search has begun more."""
        return max(self._expected.total(), self.n_done + len(self._running))

    @property
    def n_done(self) -> int:
        """Runs that have ended, in this launch or before."""
        return sum(self.counts.values())

    @property
    def seconds(self) -> float:
        """Time since this launch began."""
        return self._clock() - self._began

    @property
    def seconds_left(self) -> float | None:
        """Time until the sweep's end; None if nothing is known yet."""
        done = dict(self._done)
        left = {
            flops: flops * max(0, count - self._ended[flops])
            for flops, count in self._expected.items()
        }
        for flops, work in self._running.values():
            done[flops] = done.get(flops, Work(0.0)) + work
            left[flops] = max(0.0, left.get(flops, 0.0) - work.flops)
        training = 0.0 if self._first_run is None else self._clock() - self._first_run
        return seconds_left(done, left, training)

    @property
    def counts_line(self) -> str:
        """Such as ``12/96 runs, 1 diverged, 2 running``."""
        parts = [f"{self.n_done}/{self.total} runs"]
        for status in (columns.DIVERGED, columns.STOPPED, columns.FAILED):
            if self.counts[status]:
                parts.append(f"{self.counts[status]} {status}")
        if self._running:
            parts.append(f"{len(self._running)} running")
        return ", ".join(parts)

    @property
    def best_line(self) -> str:
        """The best run of the largest scale that has one, with its setting."""
        if not self._best:
            return "no loss yet"
        loss, row = self._best[max(self._best)]
        return (
            f"best at N={short(_number(row[columns.PARAMS]))}, "
            f"D={short(_number(row[columns.TOKENS]))}: loss {loss:.4f} with "
            f"lr {_number(row[columns.LR]):.3g}, "
            f"batch {_number(row[columns.BATCH_TOKENS]):g}"
        )

    @property
    def time_line(self) -> str:
        """Such as ``1m 05s, about 12m 40s left``."""
        left = self.seconds_left
        parts = [duration(self.seconds)]
        if left is not None and left > 0:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(7.4), duration(65), duration(7260)
    ('7s', '1m 05s', '2h 01m')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def short(number: float) -> str:
    """A large number in three digits.

    >>> short(24576), short(1.3e9), short(512)
    ('24.6k', '1.3B', '512')
    """
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _number(value: object) -> float:
    assert isinstance(value, float | int)
    return float(value)
