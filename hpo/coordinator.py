"""The sweep's side of Ray Tune: hands out legs, takes what comes back of them, can be steered.

Everything here runs in the driver, so that one process alone writes to the store.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ray import tune
from ray.tune.experiment import Trial

from hpo.errors import SpecError
from hpo.extension import extended
from hpo.leg_queue import LegQueue
from hpo.legs import Standing
from hpo.live_legs import LiveLeg, LiveLegs
from hpo.out_of_memory import KillCount, why_worker_died
from hpo.progress import SweepObserver
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
    LegResult,
    RunFailedError,
    RunOutOfMemoryError,
)
from hpo.trials import end_actor, error_of, tell_actor
from storage.control import CANCEL, EXTEND, PAUSE, RESUME, RETRY, STOP, Request
from storage.store import Store
from storage.sweeps import CANCELLED, DONE, PAUSED, RUNNING, STOPPED, STOPPING

DEATHS = 2
"""A leg whose worker died is begun again this many times without a new report: a machine that is
lost in a long run's middle is not the run's fault, a run that dies again at the same place is."""

_STATES = {PAUSE: PAUSED, RESUME: RUNNING, STOP: STOPPING}
"""How a sweep stands that was asked so."""

Restand = Callable[[SweepSpec, bool], tuple[Strategy, Standing]]
"""From a sweep, and whether failed runs are tried again, to a strategy that has been told all that
the store has, and what is left."""


class Coordinator(tune.Callback):
    """Gives Tune the legs that the strategy asks for, and hands on what Tune gives back of them.

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
        self._state = RUNNING
        self._legs = LiveLegs(spec, standing, store, observer, states, outputs)
        self._queue = LegQueue(spec, *standing, self._legs.config_of)
        self._withdrawn: set[int] = set()
        self._to_stop: list[int] = []
        self._n_actors = 1
        self._kills = KillCount()
        self._deaths: dict[int, tuple[int, int]] = {}  # how often, and after how many reports
        self._python_path = os.pathsep.join(str(Path(path).resolve()) for path in sys.path)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to hand out in this launch, and nothing can come."""
        ends = self._interruption.requested or self._state == STOPPING
        return not self._legs and (ends or not self._queue)

    @property
    def standing(self) -> Standing:
        """How the sweep stands while nothing is being trained."""
        legs, queue = self._legs, self._queue
        return Standing(queue.waiting, legs.frozen, legs.reports, queue.next_number)

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
            if self._state == PAUSED and not self._legs:
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
                self._have_begun(self._of(trial))
            else:
                self._withdrawn.update(live.number for live in self._of(trial))
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
                live = self._legs[new.number]
                if isinstance(fused, int) and live.kind is not None:
                    self._queue.packs.measured(live.kind, fused)
                self._legs.take(live, new)
                if new.number not in self._legs:
                    self._deaths.pop(new.number, None)
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
                tell_actor(trial, "drop", (stopped.number,))

    def stop_leg(self, number: int) -> None:
        """Have a leg stopped once its report is taken; one of Tune's schedulers asks for it."""
        self._to_stop.append(number)

    def _drop_stopped(self, trial: Trial) -> None:
        stopped = [number for number in self._to_stop if number in self._legs]
        self._to_stop.clear()
        for number in stopped:
            self._stop(self._legs[number])
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
        kind, n_more = together[0].kind, began_with - len(together)
        joining = self._queue.take_alike(kind, n_more, self._n_actors, len(self._legs))
        if not joining:
            return
        legs = tuple(self._legs.begin(leg, kind) for leg in joining)
        stay = {live.number for live in together}
        trial.config[LEGS] = (*(leg for leg in trial.config[LEGS] if leg.number in stay), *legs)
        self._have_begun(self._legs.of(legs))
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
            for live in legs:
                if isinstance(error, RunFailedError):
                    self._fail(live, str(error))
                elif self._has_died_too_often(live):
                    resources = self.spec.resources
                    reason = why_worker_died(live.config, resources, error, killed=killed)
                    self._fail(live, reason)
                else:
                    self._begin_again(live)

    def _part(self, legs: Sequence[LiveLeg], error: Exception, *, killed: bool) -> None:
        """Have legs that failed, or whose worker died, while they were fused begin again alone."""
        raised, kind = isinstance(error, RunFailedError), legs[0].kind
        if kind is not None and (raised or killed):
            memory = killed or isinstance(error, RunOutOfMemoryError)
            self._queue.packs.failed(kind, memory=memory)
        for live in legs:
            if live.number not in self._withdrawn:
                self._queue.keep_alone(live.number)
            self._begin_again(live)

    def _has_died_too_often(self, live: LiveLeg) -> bool:
        if live.number in self._withdrawn:
            return False
        deaths, made = self._deaths.get(live.number, (0, 0))
        deaths = 0 if len(live.reports) > made else deaths
        self._deaths[live.number] = deaths + 1, max(made, len(live.reports))
        return deaths >= DEATHS

    def _begin_again(self, live: LiveLeg) -> None:
        """Put a leg back that lost its worker, or was taken back before it began."""
        if live.kind is not None:
            self._queue.packs.not_measured(live.kind)
        withdrawn = live.number in self._withdrawn
        self._withdrawn.discard(live.number)
        self._legs.cut_off(live, recorded=not withdrawn)
        self._queue.put_back(live.leg, first=withdrawn)

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
        self._queue.restart(strategy, standing, self._legs)
        self._legs.restart(spec, strategy, standing)
        self.spec, self.strategy = spec, strategy

    def _begin(self, n_actors: int) -> dict[str, object]:
        """Take the leg that is next, and those that are to be trained with it."""
        self._n_actors = n_actors
        pack = self._queue.take(n_actors, len(self._legs))
        return {
            LEGS: tuple(self._legs.begin(leg, pack.kind) for leg in pack.legs),
            TOGETHER: len(pack.legs),
            ALIKE: pack.to_measure,
            CPUS: self.spec.resources.cpus,
            GPUS: self.spec.resources.gpus,
            PYTHON_PATH: self._python_path,
        }

    def _have_begun(self, legs: Sequence[LiveLeg]) -> None:
        for live in legs:
            self._legs.record(live, self._queue.record(live.number))
            self._observer.running(live.leg.leg.point)

    def _of(self, trial: Trial) -> list[LiveLeg]:
        """Return those of a trial's legs that have not ended."""
        return self._legs.of(trial.config[LEGS])

    def _stop(self, live: LiveLeg) -> None:
        self._deaths.pop(live.number, None)
        self._legs.stop(live)

    def _fail(self, live: LiveLeg, reason: str) -> None:
        if not self._queue.is_recorded(live.number):
            self._legs.record(live, self._queue.record(live.number))
        self._deaths.pop(live.number, None)
        self._legs.fail(live, reason)

    @contextmanager
    def _keeping_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = error
            raise
