"""A Ray actor that trains one leg after another: Tune's class trainable around a `Trainer`.

Starting an actor costs seconds and a proxy run may cost less, so an actor is kept warm and given
the next leg by `reset_config`. A trial may be several legs, which are then trained as one batched
computation. A run that raises takes its actor with it: the next trial starts in a fresh process.
"""

from __future__ import annotations

import math
import os
import sys
import traceback
from typing import TYPE_CHECKING

from ray import tune
from ray.train._internal.checkpoint_manager import _TrainingResult
from ray.train._internal.storage import StorageContext
from ray.tune.result import TIME_THIS_ITER_S

from hpo.leg_training import Engine, LegTraining, OneRun, WriteCost
from hpo.out_of_memory import advice
from hpo.trial_legs import (
    ALIKE,
    CPUS,
    FUSED,
    GPUS,
    LEG_RESULTS,
    LEGS,
    LOSS,
    PYTHON_PATH,
    REPORTS,
    TRAINING,
    RunFailedError,
    RunOutOfMemoryError,
    TrialLeg,
)
from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.kinds import BUILT_IN
from trainers.memory import is_out_of_memory
from trainers.protocol import Report
from trainers.user_kinds import ask

if TYPE_CHECKING:
    from trainers.fused.trainer import FusedTrainer

MEASURE_SHARE = 0.025
"""Measuring how many runs to fuse may take this part of the time that the runs will take."""
LEAST_MEASURE_SECONDS = 4.0
"""Where that part is less, nothing is measured: it takes about two seconds, and a worker that is so
much behind the others may end a run later than they do."""


def one_line(error: BaseException) -> str:
    """The last line of an exception's traceback, such as ``ValueError: lr is -1``.

    What a trainer says of a run that it cannot train stands as it is.
    """
    if isinstance(error, TrainerError):
        return " ".join(str(error).split())
    return " ".join("".join(traceback.format_exception_only(error)).split())


class RunTrainable(tune.Trainable):
    """Trains the legs of its configuration, up to the next report of one or more of them a step."""

    def __init__(
        self, config: dict[str, object] | None = None, storage: StorageContext | None = None
    ) -> None:
        """Set the process up before anything in it imports torch."""
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
        given = config or {}
        self._n_threads = max(1, int(float(str(given.get(CPUS, 1)))))
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[variable] = str(self._n_threads)
        self._share = float(str(given.get(CPUS, 1))), float(str(given.get(GPUS, 0)))
        if not given.get(GPUS, 0):
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._start_empty()
        super().__init__(config, storage)

    def _start_empty(self) -> None:
        self._joining: tuple[TrialLeg, ...] = ()
        self._alike = 0
        self._engine: Engine | None = None
        self._training: dict[int, LegTraining] = {}  # by slot
        self._fused: FusedTrainer | None = None  # kept, as it has recorded how runs are computed
        self._write_cost = WriteCost()
        self._run: RunConfig  # of the leg that began last

    def setup(self, config: dict[str, object]) -> None:
        """Take the first legs."""
        self._take(config)

    def reset_config(self, new_config: dict[str, object]) -> bool:
        """Take the next legs, leaving the process warm."""
        self._take(new_config)
        return True

    def _take(self, config: dict[str, object]) -> None:
        # Where the driver finds a user's trainer, this process does too.
        paths = str(config[PYTHON_PATH]).split(os.pathsep)
        sys.path.extend(path for path in paths if path not in sys.path)
        for stopped in self._training.values():
            stopped.stop()
        self._training, self._engine = {}, None
        # Trainers are built in step(): Tune handles an exception there, not one in a reset.
        legs, alike = config[LEGS], config[ALIKE]
        assert isinstance(legs, tuple)
        assert isinstance(alike, int)
        self._joining, self._alike = legs, alike

    def join(self, legs: tuple[TrialLeg, ...]) -> None:
        """Train these legs as well, from the next step on."""
        self._joining += legs  # Begun in step(), for what they raise to be handled.

    def drop(self, numbers: tuple[int, ...]) -> None:
        """Train legs no further, and end what their trainers hold, such as a process."""
        for slot, training in list(self._training.items()):
            if training.leg.number in numbers:
                training.stop()
                del self._training[slot]

    def let_go(self) -> None:
        """End what the last runs' trainers hold, such as a process; they train no further here."""
        for training in self._training.values():
            training.let_go()

    def cleanup(self) -> None:
        """Tune is about to end the actor."""
        self.let_go()

    def save(self, checkpoint_dir: str | None = None) -> _TrainingResult:
        """Keep the states of runs that are paused: their next actor begins from them.

        Tune gets no checkpoint. It would be a copy in a folder of this machine, and the actor that
        goes on may be on another one.
        """
        for training in self._training.values():
            training.pause()
        self._training = {}
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
            if self._engine is None:
                self._engine = OneRun() if len(self._joining) == 1 else self._fusing()
            self._begin(self._engine)
            n_together = len(self._training)
            news = {
                slot: self._training[slot].take(report, n_together)
                for slot, report in self._engine.step().items()
            }
        except Exception as error:
            raise self._failed(error) from error
        for slot in news:
            if self._training[slot].is_over:
                del self._training[slot]
        first = next(iter(news.values()))
        result: dict[str, object] = {
            LEG_RESULTS: tuple(news.values()),
            REPORTS: first.n_reports,
            LOSS: first.reports[-1].loss,
            TRAINING: tuple(training.leg.number for training in self._training.values()),
            "done": not self._training,
        }
        if self._alike:
            result[FUSED] = self._measure(first.reports[-1])
            self._alike = 0
        return result

    def _failed(self, error: Exception) -> RunFailedError:
        """Return why the run failed; where memory ran out, with what would fit."""
        if not is_out_of_memory(error):
            return RunFailedError(one_line(error))
        fits = advice(self._run, *self._share)
        return RunOutOfMemoryError(f"out of memory ({one_line(error)[:200]}){fits}")

    def _begin(self, engine: Engine) -> None:
        """Build the trainers of legs that join, with the newest state that there is of each."""
        for leg in self._joining:
            self._run = leg.run
            training = LegTraining(leg, engine, self._write_cost)
            self._training[training.slot] = training
            self._limit_torch_threads()
        self._joining = ()

    def _fusing(self) -> FusedTrainer:
        from trainers.fused.trainer import FusedTrainer

        if self._fused is None:
            self._fused = FusedTrainer()
        return self._fused

    def _measure(self, report: Report) -> int:
        """Return how many runs like the first leg's to fuse; 1 where finding out does not pay."""
        run = self._run
        seconds = report.seconds * run.tokens / report.tokens * self._alike
        budget = MEASURE_SHARE * seconds
        if not math.isfinite(budget) or budget < LEAST_MEASURE_SECONDS:
            return 1
        from trainers.fused.packing import packing

        def measured() -> int:
            return packing(run, most=self._alike, seconds=budget).runs

        if run.trainer in BUILT_IN:
            return measured()
        try:
            return ask(f"trainer {run.trainer!r}", measured)
        except TrainerError:
            return 1  # A task of the user's own may not take the samples that are tried.

    def _limit_torch_threads(self) -> None:
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(self._n_threads)
