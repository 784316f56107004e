"""What the driver and its workers tell each other of legs, by Tune's configurations and results."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import ray

from hpo.points import Origin
from trainers.config import Command, RunConfig
from trainers.protocol import Report

LEGS, TOGETHER, ALIKE = "legs", "together", "alike"
CPUS, GPUS, PYTHON_PATH = "cpus", "gpus", "python_path"
"""Keys of a trial's configuration. `LEGS` are trained together, as one batched computation where
there are several; in the place of some that ended others may be added, to as many as there were at
first, `TOGETHER`. `ALIKE`, where it is not zero, asks the worker to measure how many to fuse: about
so many legs like this one are left for it."""

LEG_RESULTS, TRAINING, FUSED = "leg_results", "training", "fused"
REPORTS, LOSS = "reports", "loss"
"""Keys of a result: what is new of its legs; the numbers of those that are not over; how many legs
to fuse, where that was asked. How many reports the first of them has made and its last loss stand
by themselves, for Tune's schedulers."""


class RunFailedError(RuntimeError):
    """A trainer raised; the message is its exception in one line."""


class RunOutOfMemoryError(RunFailedError):
    """It raised because memory ran out."""


@dataclass
class HeldState:
    """A state in Ray's object store. Tune copies configurations and results; this stays one."""

    reference: ray.ObjectRef | None

    def __deepcopy__(self, memo: dict[int, object]) -> HeldState:
        """Return itself: a copied reference would not be counted by Ray."""
        return self


@dataclass(frozen=True)
class TrialLeg:
    """A leg as a worker needs it.

    Attributes
    ----------
    number : of the leg.
    run_id : of its run.
    run : what to train, with the setting of this leg.
    reports : how many reports the run will have made at its end.
    origin, state : where it begins, and that state where it is still in memory.
    folder : where states of the sweep's runs are kept, a folder a run; None to keep none.
    keeps_final : whether the state of a run that completed is written to the run's own folder.
    start : the folder of a finished run whose final state a run of its own begins with.
    """

    number: int
    run_id: str
    run: RunConfig
    reports: int
    origin: Origin | None = None
    state: HeldState | None = None
    folder: Path | None = None
    keeps_final: bool = False
    start: Path | None = None


@dataclass(frozen=True)
class LegResult:
    """What is new of a leg.

    Attributes
    ----------
    number : of the leg.
    reports : that are new to the driver, the last one of them just made.
    n_reports : how many the run has made with them.
    state : at the leg's end, where the run goes on.
    """

    number: int
    reports: tuple[Report, ...]
    n_reports: int
    state: HeldState | None = None


def for_worker(run: RunConfig, folder: Path) -> RunConfig:
    """The run with a folder of its own and full paths: a worker may have another working folder."""
    data, trainer = run.data, run.trainer
    if data and Path(data).exists():
        data = str(Path(data).resolve())
    if isinstance(trainer, Command):
        trainer = dataclasses.replace(trainer, cwd=str(Path(trainer.cwd).resolve()))
    return dataclasses.replace(run, trainer=trainer, data=data, folder=str(folder))
