"""The sweep's side of Ray Tune: hands out legs, takes reports, writes the store, can be stopped.

Everything here runs in the driver, so that one process alone writes to the store.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import ray
from ray import cloudpickle, tune
from ray.exceptions import RayTaskError
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from hpo.checks import run_config
from hpo.held_states import HeldStates
from hpo.legs import NumberedLeg, Standing, leg_record
from hpo.points import Leg, Outcome
from hpo.progress import SweepObserver
from hpo.rows import curve, failed_row, run_row, stopped_row
from hpo.schema import SweepSpec
from hpo.strategy import Strategy
from hpo.trainable import (
    CPUS,
    GPUS,
    LEG,
    LEG_REPORTS,
    PYTHON_PATH,
    REPORTS,
    RUN_ID,
    STATE,
    HeldState,
    RunFailedError,
    TrialLeg,
    one_line,
)
from storage import columns
from storage.errors import RunsTableError
from storage.store import Store
from trainers.config import RunConfig
from trainers.protocol import Report

LIVE_CURVE_SECONDS = 1.0
"""A running run's curve is written to the store this often at most."""

DEATHS = 2
"""A leg whose worker died is begun again this many times."""

WORKER_DIED = "the worker process died: it was killed, crashed or ran out of memory"

_NUMBER = "number"
"""Key of a trial's configuration: the leg's number."""


class Legs(Searcher):
    """Asks the coordinator for Tune: a trial is a leg."""

    def __init__(self, coordinator: Coordinator) -> None:
        """Hand out what `coordinator` gives."""
        super().__init__()
        self._coordinator = coordinator

    def suggest(self, trial_id: str) -> dict[str, object] | str | None:
        """The next leg's configuration."""
        config = self._coordinator.next_trial()
        return Searcher.FINISHED if config is None and self._coordinator.finished else config

    def on_trial_complete(
        self, trial_id: str, result: dict[str, object] | None = None, error: bool = False
    ) -> None:
        """Nothing: the coordinator hears of it as a callback."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the store has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore; see `save`."""


class Interruption(tune.Stopper):
    """Ends the sweep once SIGINT has come: Tune asks `stop_all` after every event."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.requested = False
        self.actors_ended = False

    def __call__(self, trial_id: str, result: Mapping[str, object]) -> bool:
        """No run is stopped by itself."""
        return False

    def stop_all(self) -> bool:
        """Whether to end the sweep: not before its actors, or Tune waits for their steps."""
        return self.actors_ended

    @contextmanager
    def on_sigint(self) -> Iterator[None]:
        """Within the body the first SIGINT asks for the end; a second one ends at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def request(signum: int, frame: FrameType | None) -> None:
            self.requested = True
            signal.signal(signal.SIGINT, before)

        signal.signal(signal.SIGINT, request)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


@dataclass
class _Running:
    """A leg that is being trained, and the reports of its run so far."""

    leg: NumberedLeg
    config: RunConfig
    reports: list[Report]
    origin: HeldState | None
    written: float = field(default_factory=time.monotonic)

    def let_origin_go(self) -> None:
        """Release the state that the leg began with; Tune keeps the trial's configuration."""
        if self.origin is not None:
            self.origin.reference = None


class Coordinator(tune.Callback):
    """Asks the strategy, writes what comes back to the store, and tells strategy and observer.

    `error` is what went wrong in here, such as a full disk: Tune hands on only its text.
    """

    def __init__(
        self,
        spec: SweepSpec,
        strategy: Strategy,
        standing: Standing,
        store: Store,
        observer: SweepObserver,
        interruption: Interruption,
        states: Path | None,
    ) -> None:
        """Coordinate a sweep from where it stands; `states` is where states of runs are kept."""
        self.error: Exception | None = None
        self._spec = spec
        self._strategy = strategy
        self._store = store
        self._observer = observer
        self._interruption = interruption
        self._states = states
        self._again = deque(standing.left)
        self._next_number = standing.next_number
        self._reports = standing.reports  # of runs that are not over and not running, by run_id
        self._frozen = standing.frozen
        self._running: dict[int, _Running] = {}
        self._held = HeldStates()
        self._deaths: dict[int, int] = {}
        self._python_path = os.pathsep.join(str(Path(path).resolve()) for path in sys.path)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to hand out and nothing can come."""
        return not self._running and not self._again

    def next_trial(self) -> dict[str, object] | None:
        """Take the next leg from the strategy, and return its trial's configuration."""
        if self._interruption.requested:
            return None
        with self._keeping_errors():
            if self._again:
                numbered = self._again.popleft()
            else:
                leg = self._strategy.ask()
                if leg is None:
                    return None
                numbered = NumberedLeg(self._next_number, leg)
                self._next_number += 1
            return self._begin(numbered)

    def stop_frozen(self) -> None:
        """Record the runs that are frozen for good as stopped."""
        for run_id, leg in self._frozen.items():
            reports = self._reports[run_id]
            config = self._config(leg)
            row = stopped_row(self._spec.name, leg.point, config, reports[-1])
            self._store.record_run(row, curve(reports))
            self._observer.finished(leg.point, row)
        self._frozen = {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Note a leg that has begun."""
        with self._keeping_errors():
            self._observer.running(self._of(trial).leg.leg.point)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, object],
        **info: object,
    ) -> None:
        """Take a report; the last one ends the leg, and may end the run."""
        new, n_reports, state = result[LEG_REPORTS], result[REPORTS], result[STATE]
        assert isinstance(new, list)
        assert isinstance(n_reports, int)
        assert isinstance(state, HeldState | None)
        with self._keeping_errors():
            running = self._of(trial)
            # A leg that was begun again may report once more what it had reported.
            running.reports[n_reports - len(new) :] = new
            running.let_origin_go()
            self._take(running, n_reports, state)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Record a run that one of Tune's schedulers stopped before its end."""
        number = trial.config[_NUMBER]
        if number in self._running and not self._interruption.requested:
            with self._keeping_errors():
                self._stop(self._running[number])

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Record a run that raised, or begin its leg again if it lost its process; go on."""
        if self._interruption.requested:
            return
        with self._keeping_errors():
            running = self._of(trial)
            reason = _reason(trial)
            deaths = self._deaths.get(running.leg.number, 0)
            if reason is None and deaths < DEATHS:
                self._deaths[running.leg.number] = deaths + 1
                del self._running[running.leg.number]
                self._reports[running.leg.leg.point.run_id] = running.reports
                self._again.append(running.leg)
            else:
                self._fail(running, reason or WORKER_DIED)

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """At an interruption, end the actors in the middle of their steps."""
        if self._interruption.requested and not self._interruption.actors_ended:
            for trial in trials:
                actor = trial.temporary_state.ray_actor
                if actor is not None:
                    ray.kill(actor)
            self._interruption.actors_ended = True

    def _begin(self, numbered: NumberedLeg) -> dict[str, object]:
        leg, number = numbered.leg, numbered.number
        run_id = leg.point.run_id
        config = self._config(leg)
        self._frozen.pop(run_id, None)
        origin = self._held.get(leg.origin)
        reports = self._reports.pop(run_id, [])
        self._running[number] = _Running(numbered, config, reports, origin)
        self._store.begin_leg(self._spec.name, leg_record(numbered))
        return {
            _NUMBER: number,
            RUN_ID: run_id,
            LEG: TrialLeg(
                run=_anywhere(config),
                reports=leg.reports,
                origin=leg.origin,
                state=origin,
                folder=self._states,
            ),
            CPUS: self._spec.resources.cpus,
            GPUS: self._spec.resources.gpus,
            PYTHON_PATH: self._python_path,
        }

    def _config(self, leg: Leg) -> RunConfig:
        point = leg.point
        return run_config(self._spec, point.scale, point.setting, point.seed)

    def _of(self, trial: Trial) -> _Running:
        return self._running[trial.config[_NUMBER]]

    def _take(self, running: _Running, n_reports: int, state: HeldState | None) -> None:
        leg = running.leg.leg
        point, reports = leg.point, running.reports
        report = reports[-1]
        if report.status != "running":
            row = run_row(self._spec.name, point, running.config, report)
            try:
                self._store.record_run(row, curve(reports))
            except RunsTableError as error:
                # A trainer of the user's own may report what no run can have.
                self._fail(running, str(error))
                return
            self._held.drop(point.run_id)
            self._end(running, str(row[columns.STATUS]))
            self._observer.finished(point, row)
            return
        self._observer.report(point, report)
        if n_reports >= leg.reports:
            self._store.record_report(point.run_id, self._spec.name, curve(reports))
            self._reports[point.run_id] = reports
            self._frozen[point.run_id] = leg
            self._held.keep(point.run_id, n_reports, state)
            self._end(running, "running")
        elif time.monotonic() - running.written >= LIVE_CURVE_SECONDS:
            running.written = time.monotonic()
            self._store.record_report(point.run_id, self._spec.name, curve(reports))

    def _stop(self, running: _Running) -> None:
        point, reports = running.leg.leg.point, running.reports
        row = stopped_row(self._spec.name, point, running.config, reports[-1])
        self._store.record_run(row, curve(reports))
        self._end(running, columns.STOPPED)
        self._observer.finished(point, row)

    def _fail(self, running: _Running, reason: str) -> None:
        point, reports = running.leg.leg.point, running.reports
        row = failed_row(self._spec.name, point, running.config, reason)
        self._store.record_run(row, curve(reports) if reports else None)
        self._end(running, columns.FAILED)
        self._observer.finished(point, row)

    def _end(self, running: _Running, status: str) -> None:
        """Close a leg, and tell the strategy."""
        number, reports = running.leg.number, running.reports
        del self._running[number]
        self._deaths.pop(number, None)
        self._store.end_leg(self._spec.name, number, reached=len(reports))
        self._strategy.tell(
            Outcome(
                point=running.leg.leg.point,
                losses=tuple(report.loss for report in reports),
                status=status,
                flops=reports[-1].flops if reports else 0.0,
                seconds=reports[-1].seconds if reports else 0.0,
            )
        )

    @contextmanager
    def _keeping_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = error
            raise


def _anywhere(run: RunConfig) -> RunConfig:
    """The run with its data's full path: a worker may have another working folder."""
    path = Path(run.data)
    return dataclasses.replace(run, data=str(path.resolve())) if path.exists() else run


def _reason(trial: Trial) -> str | None:
    """Why Tune gave a run up, in one line; None where its process died.

    Tune keeps the exception in a file.
    """
    if trial.pickled_error_file is None:
        return Path(trial.error_file).read_text(encoding="utf-8").strip().splitlines()[-1]
    error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    if isinstance(error, RayTaskError):
        cause = error.cause
        return str(cause) if isinstance(cause, RunFailedError) else one_line(cause)
    return None
