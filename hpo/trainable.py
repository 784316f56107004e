"""A Ray actor that trains one leg after another: Tune's class trainable around a `Trainer`.

Starting an actor costs seconds and a proxy run may cost less, so an actor is kept warm and given
the next leg by `reset_config`. A run that raises takes its actor with it: the next leg starts in
a fresh process.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import ray
from ray import tune
from ray.exceptions import ObjectLostError
from ray.train._internal.checkpoint_manager import _TrainingResult
from ray.train._internal.storage import StorageContext
from ray.tune.result import TIME_THIS_ITER_S

from hpo.checkpoints import Kept, RunFolder, State
from hpo.final_states import read_final, save_final
from hpo.out_of_memory import advice
from hpo.points import Origin
from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.memory import is_out_of_memory
from trainers.protocol import Closing, Report, Trainer
from trainers.registry import kind

RUN_ID, LEG, CPUS, GPUS, PYTHON_PATH = "run_id", "leg", "cpus", "gpus", "python_path"
"""Keys of a trial's configuration."""

LEG_REPORTS, REPORTS, STATE, LOSS = "leg_reports", "reports", "state", "loss"
"""Keys of a result: the reports of the leg that are new to the driver, the last one of them just
made; how many the run has made with it; the state at a leg's end where the run goes on; and the
last loss by itself, for Tune's schedulers."""

WRITE_SHARE = 0.1
"""States are written to disk for at most this part of the time: so much training as a write costs
ten times over is done again, if need be, rather than saved at every report of a run of instants."""


class RunFailedError(RuntimeError):
    """A trainer raised; the message is its exception in one line."""


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
    run : what to train, with the setting of this leg.
    reports : how many reports the run will have made at its end.
    origin, state : where it begins, and that state where it is still in memory.
    folder : where states of the sweep's runs are kept, a folder a run; None to keep none.
    keeps_final : whether the state of a run that completed is written to the run's own folder.
    start : the folder of a finished run whose final state a run of its own begins with.
    """

    run: RunConfig
    reports: int
    origin: Origin | None
    state: HeldState | None
    folder: Path | None
    keeps_final: bool = False
    start: Path | None = None


def one_line(error: BaseException) -> str:
    """The last line of an exception's traceback, such as ``ValueError: lr is -1``.

    What a trainer says of a run that it cannot train stands as it is.
    """
    if isinstance(error, TrainerError):
        return " ".join(str(error).split())
    return " ".join("".join(traceback.format_exception_only(error)).split())


def _checked(report: object, run: RunConfig) -> Report:
    """Return what a trainer's step returned, which may be a user's own."""
    if not isinstance(report, Report):
        raise TrainerError(
            f"step() of trainer {run.trainer!r} returned {type(report).__name__}; it must return a "
            "trainers.protocol.Report"
        )
    return report


def _final_state(folder: Path) -> State:
    kept = read_final(folder)
    if kept is None:
        raise RuntimeError(f"the state to start from is gone: there is none in {folder}")
    return kept.state


class RunTrainable(tune.Trainable):
    """Trains the leg of its configuration, one report a step."""

    def __init__(
        self, config: dict[str, object] | None = None, storage: StorageContext | None = None
    ) -> None:
        """Set the process up before anything in it imports torch."""
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
        self._write_seconds = 0.0
        given = config or {}
        self._n_threads = max(1, int(float(str(given.get(CPUS, 1)))))
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[variable] = str(self._n_threads)
        self._share = float(str(given.get(CPUS, 1))), float(str(given.get(GPUS, 0)))
        if not given.get(GPUS, 0):
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._states: RunFolder | None = None
        self._trainer: Trainer | None = None
        self._in_middle = False
        super().__init__(config, storage)

    def setup(self, config: dict[str, object]) -> None:
        """Take the first leg."""
        self._take(config)

    def reset_config(self, new_config: dict[str, object]) -> bool:
        """Take the next leg, leaving the process warm."""
        self._take(new_config)
        return True

    def _take(self, config: dict[str, object]) -> None:
        # Where the driver finds a user's trainer, this process does too.
        paths = str(config[PYTHON_PATH]).split(os.pathsep)
        sys.path.extend(path for path in paths if path not in sys.path)
        if self._in_middle and self._states is not None:
            self._states.close()  # The last run was stopped; this may not be the driver's disk.
        self._in_middle = False
        self.let_go()
        # The trainer is built in step(): Tune handles an exception there, not one in a reset.
        leg = config[LEG]
        assert isinstance(leg, TrialLeg)
        self._leg = leg
        self._states = None if leg.folder is None else RunFolder(leg.folder / str(config[RUN_ID]))

    def let_go(self) -> None:
        """End what the last run's trainer holds, such as a process; it trains no further here."""
        if isinstance(self._trainer, Closing):
            self._trainer.close()
        self._trainer = None

    def cleanup(self) -> None:
        """Tune is about to end the actor."""
        self.let_go()

    def save(self, checkpoint_dir: str | None = None) -> _TrainingResult:
        """Keep the state of a run that is paused: its next actor begins from it, see `_begin`.

        Tune gets no checkpoint. It would be a copy in a folder of this machine, and the actor that
        goes on may be on another one.
        """
        if self._states is not None and self._trainer is not None:
            n_reports = self._first + len(self._leg_reports)
            self._write(self._states, n_reports, self._trainer.state_dict(), leg_ends=False)
            self._in_middle = False
            self.let_go()
        return _TrainingResult(checkpoint=None, metrics={})

    def get_auto_filled_metrics(
        self, *args: object, time_this_iter: float | None = None, **kwargs: object
    ) -> dict[str, object]:
        """Return nothing but the time of a step: Tune would send the configuration back, too."""
        return {TIME_THIS_ITER_S: time_this_iter or 0.0}

    def step(self) -> dict[str, object]:
        """Train up to the next report.

        Raises
        ------
        RunFailedError
            Where the trainer raised, whatever it was.
        """
        try:
            unsent: list[Report] = []
            if self._trainer is None:
                self._begin()
                unsent += self._leg_reports  # by an actor or a launch that was killed
            assert self._trainer is not None
            report = _checked(self._trainer.step(), self._leg.run)
            self._leg_reports.append(report)
            unsent.append(report)
            n_reports = self._first + len(self._leg_reports)
            goes_on = report.status == "running"
            leg_ends = goes_on and n_reports >= self._leg.reports
            held = self._keep_state(n_reports, leg_ends) if goes_on else None
            self._in_middle = goes_on and not leg_ends
            if report.status == "completed" and self._leg.keeps_final:
                self._save_final(n_reports)
        except Exception as error:
            raise RunFailedError(self._why(error)) from error
        if not goes_on and self._states is not None:
            self._states.close()
        return {
            LEG_REPORTS: unsent,
            REPORTS: n_reports,
            LOSS: report.loss,
            STATE: held,
            "done": not goes_on or leg_ends,
        }

    def _why(self, error: Exception) -> str:
        """Say why the run failed; where memory ran out, what would fit."""
        if not is_out_of_memory(error):
            return one_line(error)
        return f"out of memory ({one_line(error)[:200]}){advice(self._leg.run, *self._share)}"

    def _begin(self) -> None:
        """Build the trainer, with the newest state that there is of this leg."""
        leg = self._leg
        self._trainer = kind(leg.run.trainer).build(leg.run)
        self._limit_torch_threads()
        self._first = 0 if leg.origin is None else leg.origin.reports
        self._leg_reports: list[Report] = []
        # Of this very leg there is a state where a worker or the sweep was killed in its middle.
        own = None
        if self._states is not None:
            own = self._states.newest(leg.run, after=self._first)
        if own is not None and own.reports < leg.reports:
            self._leg_reports = list(own.leg_reports)
            self._trainer.load_state_dict(own.state)
        elif leg.origin is not None:
            self._trainer.load_state_dict(self._origin_state(leg.origin))
        elif leg.start is not None:
            self._trainer.load_state_dict(_final_state(leg.start))
        self._written = time.monotonic()

    def _origin_state(self, origin: Origin) -> State:
        held, folder = self._leg.state, self._leg.folder
        if held is not None and held.reference is not None:
            try:
                state: State = ray.get(held.reference)
            except ObjectLostError:
                pass  # Its worker died; the disk has it too.
            else:
                return state
        kept = None if folder is None else RunFolder(folder / origin.run_id).at(origin.reports)
        if kept is None:
            raise RuntimeError(
                f"the state of run {origin.run_id!r} after {origin.reports} reports is gone; "
                "it was on a machine that left, or its file was removed"
            )
        return kept.state

    def _keep_state(self, n_reports: int, leg_ends: bool) -> HeldState | None:
        assert self._trainer is not None
        since = time.monotonic() - self._written
        is_due = self._states is not None and WRITE_SHARE * since >= self._write_seconds
        if not leg_ends and not is_due:
            return None
        state = self._trainer.state_dict()
        if self._states is not None:
            self._write(self._states, n_reports, state, leg_ends)
        return HeldState(ray.put(state)) if leg_ends else None

    def _save_final(self, n_reports: int) -> None:
        assert self._trainer is not None
        run = self._leg.run
        kept = Kept(run, n_reports, tuple(self._leg_reports), self._trainer.state_dict())
        save_final(Path(run.folder), kept)

    def _write(self, states: RunFolder, n_reports: int, state: State, leg_ends: bool) -> None:
        began = time.monotonic()
        kept = Kept(self._leg.run, n_reports, tuple(self._leg_reports), state)
        states.save(kept, leg_end=leg_ends)
        self._written = time.monotonic()
        self._write_seconds = self._written - began

    def _limit_torch_threads(self) -> None:
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(self._n_threads)
