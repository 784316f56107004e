"""The sweep's side of Ray Tune: hands out legs, takes reports, writes the store, can be stopped.

Everything here runs in the driver, so that one process alone writes to the store.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import ray
from ray import cloudpickle, tune
from ray.exceptions import RayTaskError
from ray.tune.experiment import Trial

from hpo.checkpoints import RunFolder
from hpo.checks import run_config
from hpo.continued import start_folder
from hpo.errors import SpecError
from hpo.extension import extended
from hpo.final_states import BestOfScales
from hpo.held_states import HeldStates
from hpo.legs import NumberedLeg, Standing, leg_record, recorded_reports
from hpo.out_of_memory import KillCount, why_worker_died
from hpo.points import Leg, Origin, Outcome
from hpo.progress import SweepObserver
from hpo.rows import Row, curve, failed_row, run_row, stopped_row
from hpo.schema import SweepSpec
from hpo.steering import Helm, Interruption
from hpo.strategy import Closing, Strategy
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
from storage.control import CANCEL, EXTEND, PAUSE, RESUME, RETRY, STOP, Request
from storage.errors import RunsTableError
from storage.store import Store
from storage.sweeps import CANCELLED, DONE, PAUSED, RUNNING, STOPPED, STOPPING
from trainers.config import Command, RunConfig
from trainers.protocol import Report

LIVE_CURVE_SECONDS = 1.0
"""A running run's curve is written to the store this often at most."""

DEATHS = 2
"""A leg whose worker died is begun again this many times without a new report: a machine that is
lost in a long run's middle is not the run's fault, a run that dies again at the same place is."""

_NUMBER = "number"
"""Key of a trial's configuration: the leg's number."""

_STATES = {PAUSE: PAUSED, RESUME: RUNNING, STOP: STOPPING}
"""How a sweep stands that was asked so."""

Restand = Callable[[SweepSpec, bool], tuple[Strategy, Standing]]
"""From a sweep, and whether failed runs are tried again, to a strategy that has been told all that
the store has, and what is left."""


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
        standing: tuple[Strategy, Standing],
        restand: Restand,
        store: Store,
        observer: SweepObserver,
        interruption: Interruption,
        helm: Helm,
        states: Path | None,
        outputs: Path,
    ) -> None:
        """Coordinate a sweep from where it stands.

        `states` is where states of runs are kept while they run, `outputs` what they write beside.
        """
        self.error: Exception | None = None
        self.spec = spec
        self.strategy = standing[0]
        self._restand = restand
        self._store = store
        self._observer = observer
        self._interruption = interruption
        self._helm = helm
        self._states = states
        self._outputs = outputs
        self._start = (
            None if spec.start_from is None else start_folder(spec.start_from, outputs.parent)
        )
        self._finals = BestOfScales.of_sweep(spec, store, outputs)
        self._state = RUNNING
        self._again = deque(standing[1].left)
        self._unrecorded = {leg.number: leg for leg in standing[1].unrecorded}
        self._next_number = standing[1].next_number
        self._reports = dict(
            standing[1].reports
        )  # of runs that are not over and not running, by run_id
        self._frozen = dict(standing[1].frozen)
        self._running: dict[int, _Running] = {}  # with Tune; one of them may wait for an actor
        self._withdrawn: set[int] = set()
        self._held = HeldStates()
        self._kills = KillCount()
        self._deaths: dict[int, tuple[int, int]] = {}  # how often, and after how many reports
        self._python_path = os.pathsep.join(str(Path(path).resolve()) for path in sys.path)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to hand out in this launch, and nothing can come."""
        ends = self._interruption.requested or self._state == STOPPING
        return not self._running and (ends or not self._again)

    @property
    def standing(self) -> Standing:
        """How the sweep stands while nothing is being trained."""
        return Standing(tuple(self._again), self._frozen, self._reports, self._next_number)

    def end_state(self) -> str:
        """Return the state in which this launch, being over, leaves the sweep."""
        if self._interruption.requested:
            return self._interruption.state
        self._look_ahead()
        return STOPPED if self._again else DONE

    def next_trial(self) -> dict[str, object] | None:
        """Take the next leg from the strategy, and return its trial's configuration."""
        with self._keeping_errors():
            self._obey()
            if self._state == PAUSED and not self._running:
                self._look_ahead()  # or a sweep that is done would wait to be resumed
            if self._interruption.requested or self._state != RUNNING:
                return None
            self._look_ahead()
            return self._begin(self._again.popleft()) if self._again else None

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Note a leg that begins; take it back if no run is to begin any more."""
        with self._keeping_errors():
            running = self._of(trial)
            if self._state == RUNNING:
                self._record(running)
                self._observer.running(running.leg.leg.point)
            else:
                self._withdrawn.add(running.leg.number)
                _end_actor(trial)

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
                _let_go(trial)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Record a run that raised, or begin its leg again if it lost its process; go on."""
        if self._interruption.requested:
            return
        with self._keeping_errors():
            running, error = self._of(trial), _error(trial)
            reason = str(error) if isinstance(error, RunFailedError) else None
            killed = self._kills.has_risen()
            number, run_id = running.leg.number, running.leg.leg.point.run_id
            deaths, made = self._deaths.get(number, (0, 0))
            deaths = 0 if len(running.reports) > made else deaths
            withdrawn = number in self._withdrawn
            if reason is not None or (deaths >= DEATHS and not withdrawn):
                if reason is None:
                    resources = self.spec.resources
                    reason = why_worker_died(running.config, resources, error, killed=killed)
                self._fail(running, reason)
                return
            del self._running[number]
            self._reports[run_id] = running.reports
            if withdrawn:
                self._withdrawn.remove(number)
                self._again.appendleft(running.leg)
            else:
                self._deaths[number] = deaths + 1, max(made, len(running.reports))
                self._store.cut_off_leg(self.spec.name, number)
                self._again.append(running.leg)

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """Obey what was asked; at an interruption, end the actors in the middle of their steps."""
        with self._keeping_errors():
            self._obey()
        if self._interruption.requested and not self._interruption.actors_ended:
            for trial in trials:
                _end_actor(trial)
            self._interruption.actors_ended = True

    def _obey(self) -> None:
        for request in self._helm.requests():
            if request.action == CANCEL:
                self._interruption.request(CANCELLED)
                said = CANCELLED
            elif request.action == RETRY:
                self._take_up(self.spec, retry_failed=True)
                said = "failed runs are tried again"
            elif request.action == EXTEND:
                said = self._extend(request)
            else:
                self._state = _STATES[request.action]
                said = self._state
            self._helm.obeyed(request, self._state)
            self._observer.steered(said, self.strategy.workload)

    def _extend(self, request: Request) -> str:
        assert request.amount is not None
        name = self.spec.name
        try:
            text, spec = extended(self._store.sweep(name).spec_text, request.amount)
        except SpecError as error:  # Two extensions may go together beyond what there can be.
            return f"not extended: {error}"
        self._store.set_spec_text(name, text)
        self._take_up(spec, retry_failed=False)
        return f"{request.amount} more runs"

    def _take_up(self, spec: SweepSpec, *, retry_failed: bool) -> None:
        """Go on with a strategy that is built anew, as a relaunch would, while runs are running."""
        if isinstance(self.strategy, Closing):
            self.strategy.close()
        strategy, standing = self._restand(spec, retry_failed)
        for numbered in self._unrecorded.values():
            strategy.resume(numbered.leg)
        left = [leg for leg in standing.left if leg.number not in self._running]
        left += [leg for n, leg in self._unrecorded.items() if n not in self._running]
        running = {going.leg.leg.point.run_id for going in self._running.values()}
        reports = {**standing.reports, **self._reports}
        self.spec, self.strategy = spec, strategy
        self._again = deque(left)
        self._reports = {run_id: of for run_id, of in reports.items() if run_id not in running}
        self._frozen = {
            run_id: of for run_id, of in standing.frozen.items() if run_id not in running
        }

    def _look_ahead(self) -> None:
        """Ask the strategy for a leg if there is none at hand."""
        if not self._again and (leg := self.strategy.ask()) is not None:
            numbered = NumberedLeg(self._next_number, leg)
            self._next_number += 1
            self._unrecorded[numbered.number] = numbered
            self._again.append(numbered)

    def _record(self, running: _Running) -> None:
        """Write down that a leg begins: from now on, a relaunch takes it up."""
        self._store.begin_leg(self.spec.name, leg_record(running.leg))
        self._unrecorded.pop(running.leg.number, None)

    def _begin(self, numbered: NumberedLeg) -> dict[str, object]:
        leg, number = numbered.leg, numbered.number
        run_id = leg.point.run_id
        config = self._config(leg)
        self._frozen.pop(run_id, None)
        origin = self._held.get(leg.origin)
        reports = self._reports.pop(run_id, [])
        if leg.origin is not None and len(reports) < leg.origin.reports:
            reports = self._reports_behind(leg.origin)
        self._running[number] = _Running(numbered, config, reports, origin)
        return {
            _NUMBER: number,
            RUN_ID: run_id,
            LEG: TrialLeg(
                run=_anywhere(config, self._outputs / run_id),
                reports=leg.reports,
                origin=leg.origin,
                state=origin,
                folder=self._states,
                keeps_final=bool(self.spec.final_states),
                start=self._start,
            ),
            CPUS: self.spec.resources.cpus,
            GPUS: self.spec.resources.gpus,
            PYTHON_PATH: self._python_path,
        }

    def _reports_behind(self, origin: Origin) -> list[Report]:
        """Return what a run reported up to the state with which a new run begins."""
        curves = self._store.curves([origin.run_id])
        return recorded_reports(curves[origin.run_id])[: origin.reports]

    def _config(self, leg: Leg) -> RunConfig:
        point = leg.point
        return run_config(self.spec, point.scale, point.setting, point.seed)

    def _of(self, trial: Trial) -> _Running:
        return self._running[trial.config[_NUMBER]]

    def _take(self, running: _Running, n_reports: int, state: HeldState | None) -> None:
        leg = running.leg.leg
        point, reports = leg.point, running.reports
        report = reports[-1]
        if report.status != "running":
            row = run_row(self.spec.name, point, running.config, report)
            try:
                self._end(running, str(row[columns.STATUS]), row)
            except RunsTableError as error:
                # A trainer of the user's own may report what no run can have.
                self._fail(running, str(error))
                return
            self._held.drop(point.run_id)
            if row[columns.STATUS] == columns.COMPLETED:
                self._finals.completed(row)
            self._observer.finished(point, row)
            return
        self._observer.report(point, report)
        if n_reports >= leg.reports:
            self._reports[point.run_id] = reports
            self._frozen[point.run_id] = leg
            self._held.keep(point.run_id, n_reports, state)
            self._end(running, "running")
        elif time.monotonic() - running.written >= LIVE_CURVE_SECONDS:
            running.written = time.monotonic()
            self._store.record_report(point.run_id, self.spec.name, curve(reports))

    def _stop(self, running: _Running) -> None:
        point, reports = running.leg.leg.point, running.reports
        row = stopped_row(self.spec.name, point, running.config, reports[-1])
        self._end(running, columns.STOPPED, row)
        if self._states is not None:
            RunFolder(self._states / point.run_id).close()
        self._observer.finished(point, row)

    def _fail(self, running: _Running, reason: str) -> None:
        point = running.leg.leg.point
        if running.leg.number in self._unrecorded:
            self._record(running)
        row = failed_row(self.spec.name, point, running.config, reason)
        self._end(running, columns.FAILED, row)
        self._observer.finished(point, row)

    def _end(self, running: _Running, status: str, row: Row | None = None) -> None:
        """Write down that a leg ended, with its run's `row` if that did too; tell the strategy."""
        number, reports, name = running.leg.number, running.reports, self.spec.name
        learned = curve(reports) if reports else None
        with self._store.together():
            if row is not None:
                self._store.record_run(row, learned)
            elif learned is not None:
                self._store.record_report(running.leg.leg.point.run_id, name, learned)
            self._store.end_leg(name, number, reached=len(reports))
        del self._running[number]
        self._deaths.pop(number, None)
        self.strategy.tell(
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


def _end_actor(trial: Trial) -> None:
    """End a trial's process in the middle of what it does."""
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        ray.kill(actor)


def _let_go(trial: Trial) -> None:
    """Have a stopped run's processes ended now: its actor may wait long for another leg."""
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        actor.let_go.remote()


def _anywhere(run: RunConfig, folder: Path) -> RunConfig:
    """The run with a folder of its own and full paths: a worker may have another working folder."""
    data, trainer = run.data, run.trainer
    if data and Path(data).exists():
        data = str(Path(data).resolve())
    if isinstance(trainer, Command):
        trainer = dataclasses.replace(trainer, cwd=str(Path(trainer.cwd).resolve()))
    return dataclasses.replace(run, trainer=trainer, data=data, folder=str(folder))


def _error(trial: Trial) -> Exception:
    """Why Tune gave a run up: what its trainer raised, or Ray's error where its process died.

    Tune keeps the exception in a file.
    """
    if trial.pickled_error_file is None:
        return RunFailedError(
            Path(trial.error_file).read_text(encoding="utf-8").strip().splitlines()[-1]
        )
    error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    assert isinstance(error, Exception)
    if not isinstance(error, RayTaskError):
        return error
    cause = error.cause
    return cause if isinstance(cause, RunFailedError) else RunFailedError(one_line(cause))
