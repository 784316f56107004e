"""One scale's study: Optuna's samplers over trials in memory.

How a run ended becomes a trial so: a completed run has its values. One that diverged is told as
worse than any completed one, by a tenth of the span between best and worst, so that a model learns
the slope towards the cliff without being dominated by it. One that was stopped early counts with
the loss that it had reached. One that failed says nothing about its setting and is told as failed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import optuna
from optuna.trial import FrozenTrial, TrialState

from hpo.bayesian import space as axes
from hpo.bayesian.samplers import COST, STATEFUL, first_generation, make_sampler
from hpo.fields import Value
from hpo.planned import quiet_optuna
from hpo.points import Outcome, Setting
from hpo.search_keys import BayesianSearch
from hpo.space import Dimension
from storage import columns

PENALTY = 0.1
"""How much worse than the worst a diverged run is told to be, as part of the span of values."""


@dataclass(frozen=True)
class Known:
    """A completed run of another sweep, at this scale: its setting and what it reached."""

    setting: Setting
    reached: Mapping[str, float]


class ScaleStudy:
    """Proposes the settings of one scale, and is told how they ended.

    Parameters
    ----------
    space : what is searched.
    search : the keys of the sweep file.
    seed : of the sweep and, behind it, the place of the scale in the ladder.
    first : settings that are tried before the sampler is asked, in order.
    known : runs of other sweeps that the sampler learns from.
    """

    def __init__(
        self,
        space: Mapping[str, Dimension],
        search: BayesianSearch,
        seed: tuple[int, int],
        *,
        first: Sequence[Setting] = (),
        known: Sequence[Known] = (),
    ) -> None:
        self._space = space
        self._search = search
        self._seed = seed
        self._first = first
        self._running: dict[str, optuna.Trial] = {}
        self._best = np.full(len(search.objectives), math.inf)
        self._worst = np.full(len(search.objectives), -math.inf)
        with quiet_optuna():
            self._study = optuna.create_study(directions=["minimize"] * len(search.objectives))
            self._known = [self._known_trial(run) for run in known]
            self._study.add_trials(self._known)

    def propose(self, run_id: str, number: int) -> Setting:
        """Return the setting number `number` of this scale, for a run that begins now."""
        if number < len(self._first):
            return self.begin(run_id, number, self._first[number])
        with quiet_optuna(), warnings.catch_warnings():
            # That is what infinite values are told for.
            warnings.filterwarnings("ignore", "Clip non-finite values", UserWarning)
            self._study.sampler = self._sampler(number)
            trial = self._study.ask()
            self._running[run_id] = trial
            return axes.suggest(trial, self._space)

    def begin(self, run_id: str, number: int, setting: Mapping[str, Value]) -> Setting:
        """Take a run with a setting that is given, and return its searched part.

        Nothing changes where the run was begun before and has not ended.
        """
        searched = {name: setting[name] for name in self._space if name in setting}
        if run_id not in self._running:
            given = {n: axes.drawn(self._space[n], value) for n, value in searched.items()}
            with quiet_optuna():
                self._study.sampler = self._sampler(number)
                self._study.enqueue_trial(given)
                trial = self._study.ask()
                if self._search.sampler in STATEFUL:
                    _ = trial.relative_params  # Notes the generation, which a resume needs too.
                axes.suggest(trial, self._space)
            self._running[run_id] = trial
        return searched

    def tell(self, number: int, outcome: Outcome) -> None:
        """Take how a run ended; one that ended before was tried again, and is a trial more."""
        point = outcome.point
        self.begin(point.run_id, number, point.setting)
        trial = self._running.pop(point.run_id)
        reached = reached_by(outcome)
        with quiet_optuna():
            if reached is None:
                self._study.tell(trial, state=TrialState.FAIL)
                return
            for name, violation in violations(self._search, reached).items():
                trial.set_constraint(name, violation)
            if outcome.status == columns.COMPLETED:
                self._note_cost(trial, reached)
            values = np.array([reached[name] for name in self._search.objectives])
            if not np.isfinite(values).all():
                values = self._bad_values()
            elif outcome.status == columns.COMPLETED:
                self._widen(values)
            self._study.tell(trial, values.tolist())

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = int(np.random.SeedSequence((*self._seed, number)).generate_state(1)[0])
        return make_sampler(self._search, seed, space=self._space, known=self._known)

    def _known_trial(self, run: Known) -> FrozenTrial:
        values = [run.reached[name] for name in self._search.objectives]
        self._widen(np.array(values))
        # CMA-ES begins from trials that have just what it searches: not what has a single value.
        searched = {name: axes.distribution(self._space[name]) for name in run.setting}
        searched = {name: axis for name, axis in searched.items() if not axis.single()}
        trial = optuna.trial.create_trial(
            values=values,
            params={n: axes.drawn(self._space[n], run.setting[n]) for n in searched},
            distributions=searched,
            constraints=violations(self._search, run.reached),
            system_attrs=first_generation(self._search),
        )
        self._note_cost(trial, run.reached)
        return trial

    def _note_cost(self, trial: optuna.Trial | FrozenTrial, reached: Mapping[str, float]) -> None:
        cost = 0.0 if self._search.per_cost is None else reached[self._search.per_cost]
        if cost > 0:
            trial.set_user_attr(COST, cost)

    def _widen(self, values: npt.NDArray[np.float64]) -> None:
        self._best = np.minimum(self._best, values)
        self._worst = np.maximum(self._worst, values)

    def _bad_values(self) -> npt.NDArray[np.float64]:
        """Return values worse than all completed ones; infinite before there is one."""
        if not np.isfinite(self._worst).all():
            return np.full(len(self._worst), math.inf)
        return np.asarray(self._worst + PENALTY * (self._worst - self._best))


def reached_by(outcome: Outcome) -> dict[str, float] | None:
    """Return the loss, seconds and FLOPs of a run; an infinite loss where it diverged.

    None where it failed: that says nothing about its setting.
    """
    if outcome.status == columns.FAILED or not outcome.losses:
        return None
    loss = outcome.losses[-1]
    if outcome.status == columns.DIVERGED or not math.isfinite(loss):
        loss = math.inf
    return {columns.LOSS: loss, columns.SECONDS: outcome.seconds, columns.FLOPS: outcome.flops}


def violations(search: BayesianSearch, reached: Mapping[str, float]) -> dict[str, float]:
    """Return by what part each bound is exceeded; at most 0 where it is kept."""
    return {
        name: min(reached[name] / bound - 1, VIOLATION_LIMIT)
        for name, bound in search.constraints.items()
    }


VIOLATION_LIMIT = 1e6
"""Of a diverged run's loss, which exceeds any bound infinitely."""
