"""Ray Tune's schedulers, which stop runs early: ASHA, HyperBand and the median rule.

A run is compared with runs of its own scale only: the losses of a small and a large model, or of
few and many tokens, say nothing about each other's settings. There is therefore one scheduler of
Tune's for every scale. Time is counted in reports, and a run that diverged counts as worse than any
other. HyperBand pauses runs, which must be trials of their own for that (`ByScale`); the others
only stop them (`hpo.leg_rules`).

Source of HyperBand: Li et al. (arXiv 1603.06560); as Ray Tune implements it, paper not checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    TrialScheduler,
)
from ray.tune.schedulers.hyperband import _Bracket as Bracket

from hpo.leg_rules import WORST, LegRules, Median, Result, ScaleKey, scale_key
from hpo.schema import SweepSpec
from hpo.search_keys import Scheduled
from hpo.trial_legs import LEGS, LOSS, REPORTS, TrialLeg


def build_scheduler(spec: SweepSpec, stop_leg: Callable[[int], None]) -> TrialScheduler:
    """Return what a sweep's runs are scheduled by; without one of Tune's they come in order.

    `stop_leg` is called with the number of each leg that is to stop while its trial may go on.
    """
    search = spec.search
    if not isinstance(search, Scheduled) or search.scheduler is None:
        return FIFOScheduler()
    common = {"metric": LOSS, "mode": "min", "time_attr": REPORTS}
    grace, reduction = search.grace, search.reduction
    if search.scheduler == "hyperband":
        settings = {**common, "max_t": spec.reports, "reduction_factor": reduction}
        return ByScale(lambda: Brackets(**settings))
    if search.scheduler == "median":
        return LegRules(lambda: Median(**common, grace_period=grace), stop_leg)
    settings = {**common, "max_t": spec.reports, "grace_period": grace}
    return LegRules(
        lambda: AsyncHyperBandScheduler(**settings, reduction_factor=reduction), stop_leg
    )


class ByScale(TrialScheduler):
    """A scheduler for every scale, each of which sees the trials of its own alone."""

    _supports_buffered_results = False

    def __init__(self, make: Callable[[], TrialScheduler]) -> None:
        """Call `make` for every scale that turns up."""
        super().__init__()
        self._make = make
        self._schedulers: dict[ScaleKey, TrialScheduler] = {}

    def _of(self, trial: Trial) -> TrialScheduler:
        (leg,) = trial.config[LEGS]
        assert isinstance(leg, TrialLeg)
        key = scale_key(leg)
        if key not in self._schedulers:
            self._schedulers[key] = self._make()
        return self._schedulers[key]

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Tell the scheduler of its scale."""
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Tell the scheduler of its scale."""
        self._of(trial).on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: Result) -> str:
        """Ask the scheduler of its scale whether the run goes on."""
        scheduler = self._of(trial)
        return str(scheduler.on_trial_result(tune_controller, trial, _seen(result)))

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: Result
    ) -> None:
        """Tell the scheduler of its scale."""
        self._of(trial).on_trial_complete(tune_controller, trial, _seen(result))

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Tell the scheduler of its scale."""
        self._of(trial).on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Return a trial that may run now, of any scale.

        Where all trials are paused, each waiting for others that will not come, the plan has no
        more of their scale, or the search proposes nothing before more is known: those that are
        there are compared as they are.
        """
        chosen = self._choose(tune_controller)
        if chosen is None and _all_paused(tune_controller):
            for scheduler in self._schedulers.values():
                if isinstance(scheduler, Brackets):
                    scheduler.settle(tune_controller)
            chosen = self._choose(tune_controller)
        return chosen

    def _choose(self, tune_controller: TuneController) -> Trial | None:
        chosen = (each.choose_trial_to_run(tune_controller) for each in self._schedulers.values())
        return next((trial for trial in chosen if trial is not None), None)


class Brackets(HyperBandScheduler):
    """Tune's HyperBand, with brackets that fill up before they are halved, and survivors that end.

    Left alone it halves a bracket as soon as the trials in it have come to their rung, and counts
    as full one that never had so many trials at once: with few actors, or many scales, a bracket
    has but one trial then, which is always promoted. It also does not go on once a trial diverges
    for which the others of a halved bracket wait, and ends the best runs at the last rung.
    """

    def __init__(self, **settings: object) -> None:
        """Take the settings of Tune's."""
        super().__init__(**settings, stop_last_trials=False)
        self._unfinished: list[Bracket] = []

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Put a trial into the newest bracket, or into a new one if that is full."""
        if not self._is_open(self._state["bracket"]):
            self._state["bracket"] = None
        super().on_trial_add(tune_controller, trial)
        newest = self._state["bracket"]
        if newest not in self._unfinished:
            self._unfinished.append(newest)

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Go on without a trial, however it ended."""
        bracket, band = self._trial_info[trial]
        super().on_trial_remove(tune_controller, trial)
        del self._trial_info[trial]
        if not bracket.current_trials() and not self._is_open(bracket):
            self._unfinished.remove(bracket)
            self._hyperbands[band] = [None if b is bracket else b for b in self._hyperbands[band]]

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Return a trial that has not begun, or one that was promoted, of the oldest bracket."""
        for bracket in self._unfinished:
            for trial in bracket.current_trials():
                promoted = trial.status == Trial.PAUSED and trial in bracket.trials_to_unpause
                if promoted or trial.status == Trial.PENDING:
                    return trial
        return None

    def settle(self, tune_controller: TuneController) -> None:
        """Halve brackets that no more trials will come to, as full as they are."""
        self._state["bracket"] = None
        for bracket in list(self._unfinished):
            if bracket.current_trials():
                self._process_bracket(tune_controller, bracket)

    def _is_open(self, bracket: Bracket | None) -> bool:
        if bracket is None or bracket is not self._state["bracket"]:
            return False
        return len(bracket._all_trials) < int(bracket._n0)

    def _process_bracket(self, tune_controller: TuneController, bracket: Bracket) -> str:
        if self._is_open(bracket):
            return str(TrialScheduler.PAUSE)
        action = super()._process_bracket(tune_controller, bracket)
        bracket.is_being_processed = False
        return str(action)


def _seen(result: Result) -> dict[str, object]:
    """Return what a scheduler needs of a result, for some keep it."""
    seen = {key: result[key] for key in (REPORTS, LOSS) if key in result}
    loss = seen.get(LOSS)
    if isinstance(loss, float) and not math.isfinite(loss):
        seen[LOSS] = WORST
    return seen


def _all_paused(tune_controller: TuneController) -> bool:
    live = tune_controller.get_live_trials()
    return bool(live) and all(trial.status == Trial.PAUSED for trial in live)
