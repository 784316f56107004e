"""The sweep's side of Ray Tune: hands out legs, takes reports, writes the store, can be stopped.

Everything here runs in the driver, so that one process alone writes to the store.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ray import tune
from ray.tune.experiment import Trial

from hpo.checkpoints import RunFolder
from hpo.checks import run_config
from hpo.continued import start_folder
from hpo.errors import SpecError
from hpo.extension import extended
from hpo.final_states import BestOfScales
from hpo.held_states import HeldStates
from hpo.leg_queue import LegQueue
from hpo.legs import NumberedLeg, Standing, leg_record, recorded_reports
from hpo.out_of_memory import KillCount, why_worker_died
from hpo.packs import Kind
from hpo.points import Leg, Origin, Outcome
from hpo.progress import SweepObserver
from hpo.rows import Row, curve, failed_row, run_row, stopped_row
from hpo.schema import SweepSpec
from hpo.steering import Helm, Interruption
from hpo.strategy import Closing, Strategy
from hpo.trial_legs import (
    ALIKE,
    CPUS,
    FUSED,
    GPUS,
    LEG_RESULTS,
    LEGS,
    PYTHON_PATH,
    TOGETHER,
    HeldState,
    LegResult,
    RunFailedError,
    RunOutOfMemoryError,
    TrialLeg,
    for_worker,
)
from hpo.trials import end_actor, error_of, tell_actor
from storage import columns
from storage.control import CANCEL, EXTEND, PAUSE, RESUME, RETRY, STOP, Request
from storage.errors import RunsTableError
from storage.store import Store
from storage.sweeps import CANCELLED, DONE, PAUSED, RUNNING, STOPPED, STOPPING
from trainers.config import RunConfig
from trainers.protocol import Report

LIVE_CURVE_SECONDS = 1.0
"""A running run's curve is written to the store this often at most."""

DEATHS = 2
"""A leg whose worker died is begun again this many times without a new report: a machine that is
lost in a long run's middle is not the run's fault, a run that dies again at the same place is."""

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
    kind: Kind | None
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
        self._queue = LegQueue(spec, *standing, self._config)
        # Of runs that are not over and not running, by run_id.
        self._reports = dict(standing[1].reports)
        self._frozen = dict(standing[1].frozen)
        self._running: dict[int, _Running] = {}  # with Tune; some may wait for an actor
        self._withdrawn: set[int] = set()
        self._to_stop: list[int] = []
        self._n_actors = 1
        self._held = HeldStates()
        self._kills = KillCount()
        self._deaths: dict[int, tuple[int, int]] = {}  # how often, and after how many reports
        self._python_path = os.pathsep.join(str(Path(path).resolve()) for path in sys.path)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to hand out in this launch, and nothing can come."""
        ends = self._interruption.requested or self._state == STOPPING
        return not self._running and (ends or not self._queue)

    @property
    def standing(self) -> Standing:
        """How the sweep stands while nothing is being trained."""
        return Standing(self._queue.waiting, self._frozen, self._reports, self._queue.next_number)

    def end_state(self) -> str:
        """Return the state in which this launch, being over, leaves the sweep."""
        if self._interruption.requested:
            return self._interruption.state
        self._queue.look_ahead()
        return STOPPED if self._queue else DONE

    def next_trial(self, n_actors: int) -> dict[str, object] | None:
        """Take the next leg from the strategy, or several that one of the actors trains together.

        Returns the configuration of their trial.
        """
        with self._keeping_errors():
            self._obey()
            if self._state == PAUSED and not self._running:
                self._queue.look_ahead()  # or a sweep that is done would wait to be resumed
            if self._interruption.requested or self._state != RUNNING:
                return None
            self._queue.look_ahead()
            return self._begin(n_actors) if self._queue else None

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Note legs that begin; take them back if no run is to begin any more."""
        with self._keeping_errors():
            if self._state == RUNNING:
                for running in self._of(trial):
                    self._record(running)
                    self._observer.running(running.leg.leg.point)
            else:
                self._withdrawn.update(running.leg.number for running in self._of(trial))
                end_actor(trial)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, object],
        **info: object,
    ) -> None:
        """Take reports; the last one of a leg ends it, and may end the run."""
        news, fused = result[LEG_RESULTS], result.get(FUSED)
        assert isinstance(news, tuple)
        with self._keeping_errors():
            for new in news:
                assert isinstance(new, LegResult)
                running = self._running[new.number]
                if isinstance(fused, int) and running.kind is not None:
                    self._queue.packs.measured(running.kind, fused)
                # A leg that was begun again may report once more what it had reported.
                running.reports[new.n_reports - len(new.reports) :] = new.reports
                running.let_origin_go()
                self._take(running, new.n_reports, new.state)
            self._drop_stopped(trial)
            self._fill_up(trial)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Record a run that one of Tune's schedulers stopped before its end."""
        if self._interruption.requested:
            return
        with self._keeping_errors():
            for stopped in self._of(trial):
                self._stop(stopped)
                tell_actor(trial, "drop", (stopped.leg.number,))

    def stop_leg(self, number: int) -> None:
        """Have a leg stopped once its report is taken; one of Tune's schedulers asks for it."""
        self._to_stop.append(number)

    def _drop_stopped(self, trial: Trial) -> None:
        stopped = [number for number in self._to_stop if number in self._running]
        self._to_stop.clear()
        for number in stopped:
            self._stop(self._running[number])
        if stopped:
            tell_actor(trial, "drop", tuple(stopped))

    def _fill_up(self, trial: Trial) -> None:
        """Have others of their kind join legs that are trained together, in the place of some."""
        together = self._of(trial)
        began_with = trial.config[TOGETHER]
        if self._interruption.requested or self._state != RUNNING:
            return
        if not together or len(together) == began_with or together[0].kind is None:
            return
        n_more = began_with - len(together)
        joining = self._queue.take_alike(
            together[0].kind, n_more, self._n_actors, len(self._running)
        )
        if not joining:
            return
        legs = tuple(self._trial_leg(leg, together[0].kind) for leg in joining)
        stay = {running.leg.number for running in together}
        trial.config[LEGS] = (*(leg for leg in trial.config[LEGS] if leg.number in stay), *legs)
        for leg in joining:
            running = self._running[leg.number]
            self._record(running)
            self._observer.running(running.leg.leg.point)
        tell_actor(trial, "join", legs)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Record a run that raised, or begin its leg again if it lost its process; go on.

        Of legs that were trained together nobody knows which one it was: all begin again, each by
        itself.
        """
        if self._interruption.requested:
            return
        with self._keeping_errors():
            error, killed = error_of(trial), self._kills.has_risen()
            legs = self._of(trial)
            if len(legs) > 1:
                self._part(legs, error, killed=killed)
                return
            for running in legs:
                if isinstance(error, RunFailedError):
                    self._fail(running, str(error))
                elif self._has_died_too_often(running):
                    resources = self.spec.resources
                    reason = why_worker_died(running.config, resources, error, killed=killed)
                    self._fail(running, reason)
                else:
                    self._begin_again(running)

    def _part(self, legs: Sequence[_Running], error: Exception, *, killed: bool) -> None:
        """Have legs that failed, or whose worker died, while they were fused begin again alone."""
        raised, kind = isinstance(error, RunFailedError), legs[0].kind
        if kind is not None and (raised or killed):
            memory = killed or isinstance(error, RunOutOfMemoryError)
            self._queue.packs.failed(kind, memory=memory)
        for running in legs:
            if running.leg.number not in self._withdrawn:
                self._queue.keep_alone(running.leg.number)
            self._begin_again(running)

    def _has_died_too_often(self, running: _Running) -> bool:
        number = running.leg.number
        if number in self._withdrawn:
            return False
        deaths, made = self._deaths.get(number, (0, 0))
        deaths = 0 if len(running.reports) > made else deaths
        self._deaths[number] = deaths + 1, max(made, len(running.reports))
        return deaths >= DEATHS

    def _begin_again(self, running: _Running) -> None:
        """Put a leg back that lost its worker, or was taken back."""
        number = running.leg.number
        if running.kind is not None:
            self._queue.packs.not_measured(running.kind)
        del self._running[number]
        self._reports[running.leg.leg.point.run_id] = running.reports
        if number in self._withdrawn:
            self._withdrawn.remove(number)
            self._queue.put_back(running.leg, first=True)
        else:
            self._store.cut_off_leg(self.spec.name, number)
            self._queue.put_back(running.leg)

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """Obey what was asked; at an interruption, end the actors in the middle of their steps."""
        with self._keeping_errors():
            self._obey()
        if self._interruption.requested and not self._interruption.actors_ended:
            for trial in trials:
                end_actor(trial)
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
        self._queue.restart(strategy, standing, self._running)
        running = {going.leg.leg.point.run_id for going in self._running.values()}
        reports = {**standing.reports, **self._reports}
        self.spec, self.strategy = spec, strategy
        self._reports = {run_id: of for run_id, of in reports.items() if run_id not in running}
        self._frozen = {
            run_id: of for run_id, of in standing.frozen.items() if run_id not in running
        }

    def _record(self, running: _Running) -> None:
        """Write down that a leg begins: from now on, a relaunch takes it up.

        Those that were asked for before it and wait are written down too, as cut off.
        """
        number, name = running.leg.number, self.spec.name
        with self._store.together():
            for earlier in self._queue.record(number):
                self._store.begin_leg(name, leg_record(earlier))
                self._store.cut_off_leg(name, earlier.number)
            self._store.begin_leg(name, leg_record(running.leg))

    def _begin(self, n_actors: int) -> dict[str, object]:
        """Take the leg that is next, and those that are to be trained with it."""
        self._n_actors = n_actors
        pack = self._queue.take(n_actors, len(self._running))
        return {
            LEGS: tuple(self._trial_leg(leg, pack.kind) for leg in pack.legs),
            TOGETHER: len(pack.legs),
            ALIKE: pack.to_measure,
            CPUS: self.spec.resources.cpus,
            GPUS: self.spec.resources.gpus,
            PYTHON_PATH: self._python_path,
        }

    def _trial_leg(self, numbered: NumberedLeg, kind: Kind | None) -> TrialLeg:
        leg, number = numbered.leg, numbered.number
        run_id = leg.point.run_id
        config = self._config(leg)
        self._frozen.pop(run_id, None)
        origin = self._held.get(leg.origin)
        reports = self._reports.pop(run_id, [])
        if leg.origin is not None and len(reports) < leg.origin.reports:
            reports = self._reports_behind(leg.origin)
        self._running[number] = _Running(numbered, config, kind, reports, origin)
        return TrialLeg(
            number=number,
            run_id=run_id,
            run=for_worker(config, self._outputs / run_id),
            reports=leg.reports,
            origin=leg.origin,
            state=origin,
            folder=self._states,
            keeps_final=bool(self.spec.final_states),
            start=self._start,
        )

    def _reports_behind(self, origin: Origin) -> list[Report]:
        """Return what a run reported up to the state with which a new run begins."""
        curves = self._store.curves([origin.run_id])
        return recorded_reports(curves[origin.run_id])[: origin.reports]

    def _config(self, leg: Leg) -> RunConfig:
        point = leg.point
        return run_config(self.spec, point.scale, point.setting, point.seed)

    def _of(self, trial: Trial) -> list[_Running]:
        """Return those of a trial's legs that have not ended."""
        numbers = [leg.number for leg in trial.config[LEGS]]
        return [self._running[number] for number in numbers if number in self._running]

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
        if not self._queue.is_recorded(running.leg.number):
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
