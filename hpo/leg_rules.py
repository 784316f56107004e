"""ASHA and the median rule by Ray Tune, for legs of which several may be one trial of Tune's.

Each leg is to the rule a trial of its own, and is stopped by itself; the trial stops once no leg of
it is left. A run is compared with runs of its own scale only.

Sources: Li et al., ASHA (arXiv 1810.05934); the median rule as in Vizier (Golovin et al. 2017); as
Ray Tune implements them, papers not checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, MedianStoppingRule, TrialScheduler

from hpo.trial_legs import LEG_RESULTS, LEGS, LOSS, REPORTS, TRAINING, LegResult, TrialLeg

Result = Mapping[str, object]
ScaleKey = tuple[int, tuple[tuple[str, int], ...]]

WORST = 1e30
"""The loss of a run that diverged. Not infinity: Tune interpolates between losses."""


def scale_key(leg: TrialLeg) -> ScaleKey:
    """Return what runs that are compared have in common."""
    return leg.run.tokens, tuple(sorted(leg.run.shape.items()))


@dataclass(frozen=True)
class Name:
    """A leg in a trial's place: all that the rules ask of a trial is its id."""

    trial_id: str


class LegRules(FIFOScheduler):
    """A rule for every scale, which decides on each leg of a trial."""

    _supports_buffered_results = False

    def __init__(self, make: Callable[[], TrialScheduler], stop_leg: Callable[[int], None]) -> None:
        """Call `make` for every scale that turns up, and `stop_leg` with a leg's number."""
        super().__init__()
        self._make = make
        self._stop_leg = stop_leg
        self._rules: dict[ScaleKey, TrialScheduler] = {}
        self._followed: set[int] = set()

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: Result) -> str:
        """Stop the legs that their rule stops; the trial, where none of its legs is left."""
        training = result[TRAINING]
        assert isinstance(training, tuple)
        left = set(training)
        for leg, new in _news(trial, result):
            rule, name, seen = self._follow(tune_controller, leg), Name(str(leg.number)), _seen(new)
            if leg.number not in left:
                self._end(tune_controller, leg, seen)
            elif rule.on_trial_result(tune_controller, name, seen) == TrialScheduler.STOP:
                left.discard(leg.number)
                self._end(tune_controller, leg, seen)
                self._stop_leg(leg.number)
        return str(TrialScheduler.CONTINUE if left else TrialScheduler.STOP)

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: Result
    ) -> None:
        """Tell of the legs that ended with the trial; Tune says so in place of a result."""
        if not result.get(TRAINING):  # Else it was stopped, and all is told.
            for leg, new in _news(trial, result):
                self._end(tune_controller, leg, _seen(new))

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Forget the legs that the trial had left; they may begin again."""
        for leg in trial.config[LEGS]:
            if leg.number in self._followed:
                self._followed.discard(leg.number)
                rule = self._rules[scale_key(leg)]
                rule.on_trial_remove(tune_controller, Name(str(leg.number)))

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Forget the legs that the trial had left."""
        self.on_trial_error(tune_controller, trial)

    def _follow(self, tune_controller: TuneController, leg: TrialLeg) -> TrialScheduler:
        """Return the rule of a leg, which is told of it at its first report."""
        rule = self._rules.setdefault(scale_key(leg), self._make())
        if leg.number not in self._followed:
            self._followed.add(leg.number)
            rule.on_trial_add(tune_controller, Name(str(leg.number)))
        return rule

    def _end(self, tune_controller: TuneController, leg: TrialLeg, seen: Result) -> None:
        rule = self._follow(tune_controller, leg)
        self._followed.discard(leg.number)
        rule.on_trial_complete(tune_controller, Name(str(leg.number)), seen)


class Median(MedianStoppingRule):
    """Tune's median rule, at a cost that does not grow with the square of the runs."""

    def __init__(self, **settings: object) -> None:
        """Take the settings of Tune's."""
        super().__init__(**settings)
        self._means: dict[tuple[Name, float], float] = {}

    def _running_mean(self, trial: Name, time: float) -> float:
        """Return the mean loss of a run until a report that it has made, which stays as it is."""
        if (trial, time) not in self._means:
            self._means[trial, time] = super()._running_mean(trial, time)
        return self._means[trial, time]

    def _on_insufficient_samples(
        self, tune_controller: TuneController, trial: Name, time: float
    ) -> str:
        """Go on; Tune would pause the run where others wait."""
        return str(TrialScheduler.CONTINUE)


def _news(trial: Trial, result: Result) -> list[tuple[TrialLeg, LegResult]]:
    news, legs = result.get(LEG_RESULTS, ()), {leg.number: leg for leg in trial.config[LEGS]}
    assert isinstance(news, tuple)
    return [(legs[new.number], new) for new in news]


def _seen(new: LegResult) -> dict[str, object]:
    """Return what a rule needs of a leg's last report."""
    loss = new.reports[-1].loss
    return {REPORTS: new.n_reports, LOSS: loss if math.isfinite(loss) else WORST}
