"""Freeze-thaw search: short legs of many settings, longer ones of those whose curves promise most.

A run is trained in legs and frozen between them. Two models say what comes next: learning curves
(`scaling.learning_curves`) forecast where each run will end and how surely, and a Gaussian process
(`hpo.gaussian_process`) over settings learns from these forecasts which further settings are worth
a first leg (freeze-thaw: Swersky et al. 2014, arXiv 1406.3896; second-hand, not checked).

Half of the budget goes into first legs, the other half into thawing, in turns of two: the run with
the lowest forecast, and the one that may yet beat the lowest loss, by expected improvement for each
report that it has to go. So a wrong leader is found out and a right one is finished (the two halves
of top-two sampling: Russo 2016, arXiv 1602.08448; second-hand, not checked). What it takes to
finish the run with the lowest forecast is never spent on others.

The process sees ranks of forecasts as normal scores, not losses: what diverges or stays at chance
costs no resolution among the good, and no unit or outlier needs treatment. How far such ranks are
to be trusted is its nugget, found with the rest: the spreads of the forecasts would not say, since
most of what is unknown about short curves, how much all of them will still fall, moves no rank.

As with every search that cuts runs short, where a sixteenth of a training says the opposite of its
end, whole trainings of random settings find more.

An `ask` takes a forecast of all curves, linear in runs × reports, and at a first leg a Gaussian
process of at most `THINNED` runs, whatever the number of runs; its hyperparameters are found anew
at every quarter more runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc
from threadpoolctl import threadpool_limits

from hpo.encoding import Array, Counts, features, from_cube, snap, to_cube
from hpo.fields import Value
from hpo.gaussian_process import GaussianProcess, Hyperparameters, condition, fit
from hpo.space import Dimension
from scaling.learning_curves import forecast_curves

# Legs end at a sixteenth, a quarter and the whole of a run: the factor that HyperBand's authors
# and Ray Tune take as usual is 3 or 4 (second-hand), and three legs see a setting cheaply.
LEG_FACTOR, N_LEGS = 4, 3
SEARCH_SHARE = 0.5  # of all reports: neither looking nor finishing is known to matter more
FIRST_BUDGET = 4  # full trainings, expected where no budget is said; doubled when used up
N_DRAWN, N_NEAR = 1024, 512  # settings weighed at a proposal: over the space, and near the best
NEAR_STEPS = (0.01, 0.3)  # sides of the cube: refinements of every size
N_BEST = 5  # runs whose surroundings are weighed
THINNED = 200  # runs of a Gaussian process; the better half of these are the best of all
REFIT_GROWTH = 1.25


@dataclass(frozen=True)
class Leg:
    """A run to train, on from where it is, until it has made `reports` reports in all."""

    number: int
    setting: Mapping[str, Value]
    reports: int


class Best(NamedTuple):
    """The run with the lowest loss, at any of its reports."""

    number: int
    setting: Mapping[str, Value]
    loss: float


class _Place(NamedTuple):
    """A setting that may be tried, and its point in the unit cube, (n_dimensions,)."""

    setting: Mapping[str, Value]
    point: Array


@dataclass
class _Run:
    setting: Mapping[str, Value]
    point: Array  # in the unit cube
    asked: int
    losses: tuple[float, ...] = ()
    stopped: bool = False

    @property
    def diverged(self) -> bool:
        return not all(np.isfinite(self.losses))

    @property
    def is_out(self) -> bool:
        return len(self.losses) < self.asked


class FreezeThaw:
    """Chooses which run to train next and how far, from the losses told so far.

    The answers depend on the seed and on what was asked and told, in order, and on nothing else.

    Parameters
    ----------
    space : what each hyperparameter may be.
    n_reports : losses that a whole run reports, evenly spread over its training.
    candidates : the settings to choose from, each at most once; any of the space where None.

    Raises
    ------
    ValueError
        Where there is no report or no dimension, or a candidate lies outside the space.
    """

    def __init__(
        self,
        space: Mapping[str, Dimension],
        *,
        n_reports: int,
        seed: int,
        candidates: Sequence[Mapping[str, Value]] | None = None,
    ) -> None:
        if n_reports < 1:
            raise ValueError(f"n_reports is {n_reports}; a run makes at least one report")
        if not space:
            raise ValueError("the space is empty; give at least one dimension to search")
        if candidates is not None and not candidates:
            raise ValueError("there is no candidate; give some, or None for any of the space")
        self._space = space
        self._n_reports = n_reports
        self._seed = seed
        self._legs = sorted({max(1, round(n_reports / LEG_FACTOR**k)) for k in range(N_LEGS)})
        self._runs: dict[int, _Run] = {}
        self._hyperparameters: tuple[int, Hyperparameters] | None = None
        # As many as a plane through them needs, and one more to be wrong.
        self._n_first = len(space) + 2
        # The settings to choose from, or the first of the space, in the order of first legs.
        self._is_table = candidates is not None
        self._first = _sobol(space, seed) if candidates is None else _table(space, seed, candidates)

    def ask(self, budget: int | None = None) -> Leg | None:
        """Return the next leg; None where there is none, or none before more is told.

        Several legs may be out at once, one of a run at most.

        Parameters
        ----------
        budget : reports left to hand out in all, those of legs that are out not among them. Where
            None, a budget of four full trainings is expected, and twice as much when it is used.
        """
        spent = sum(max(run.asked, len(run.losses)) for run in self._runs.values())
        if budget is None:
            total = FIRST_BUDGET * self._n_reports
            while total <= spent:
                total *= 2
        elif budget > 0:
            total = spent + budget
        else:
            return None
        left = total - spent
        begun = (len(self._runs) + 1) * self._legs[0]
        if begun <= SEARCH_SHARE * total:
            return self._begin(left) or self._thaw(left)
        return self._thaw(left) or self._begin(left)

    def resume(self, leg: Leg) -> None:
        """Take a leg as asked for that an earlier, equal search gave out; `tell` goes on from it.

        Raises ValueError where its setting lies outside the space.
        """
        run = self._runs.get(leg.number)
        if run is None:
            point = to_cube(self._space, leg.setting)
            self._runs[leg.number] = _Run(leg.setting, point, leg.reports)
        else:
            run.asked = leg.reports

    def tell(self, number: int, losses: Sequence[float], *, stopped: bool = False) -> None:
        """Take all losses of a run so far, one a report; its leg is over.

        A run with a loss that is not finite has diverged and is never thawed; one that is told no
        loss at all is given up.

        Parameters
        ----------
        stopped : whether the run was stopped for good. It is never thawed, but still learned from.

        Raises
        ------
        ValueError
            Where no such run was asked for, or it has more losses than a whole run.
        """
        if number not in self._runs:
            raise ValueError(f"run {number} was never asked for; there are {len(self._runs)} runs")
        if len(losses) > self._n_reports:
            raise ValueError(f"run {number} has {len(losses)} losses; a run has {self._n_reports}")
        run = self._runs[number]
        run.losses = tuple(map(float, losses))
        run.asked = len(run.losses)
        run.stopped = stopped

    @property
    def best(self) -> Best | None:
        """The run with the lowest loss so far; None before there is any loss."""
        found = [
            (loss, number)
            for number, run in self._runs.items()
            for loss in run.losses
            if np.isfinite(loss)
        ]
        if not found:
            return None
        loss, number = min(found)
        return Best(number, self._runs[number].setting, loss)

    def _begin(self, left: int) -> Leg | None:
        """Return the first leg of a new setting; None where none is left."""
        told = [run for run in self._runs.values() if run.losses]
        by_model = len(self._runs) >= self._n_first and told
        pool = self._unused(self._pool(told) if by_model else self._first)
        if not pool:
            return None
        # Small matrices on cores that train: threads of BLAS would wait for each other for seconds.
        with threadpool_limits(1):
            setting = self._propose(pool, told) if by_model else pool[0].setting
        leg = Leg(max(self._runs, default=-1) + 1, setting, min(self._legs[0], left))
        self.resume(leg)
        return leg

    def _thaw(self, left: int) -> Leg | None:
        """Return the next leg of the frozen run that promises most; None where none is frozen."""
        told = {number: run for number, run in self._runs.items() if run.losses}
        forecast = forecast_curves([run.losses for run in told.values()], self._n_reports)
        frozen = [
            index
            for index, run in enumerate(told.values())
            if not (run.is_out or run.diverged or run.stopped) and len(run.losses) < self._n_reports
        ]
        best = self.best
        if best is None or not frozen:
            return None
        numbers = [list(told)[index] for index in frozen]
        end, sd = forecast.end[frozen], forecast.end_sd[frozen]
        seen = np.array([len(self._runs[number].losses) for number in numbers])
        to_go = self._n_reports - seen
        favourite = int(np.argmin(end))
        chosen = favourite
        if self._n_thaws() % 2:
            # Where no gain is left to doubles, the lowest forecast.
            chosen = int(np.lexsort((end, -_expected_improvement(best.loss, end, sd) / to_go))[0])
        reports = next(leg for leg in self._legs if leg > seen[chosen])
        spared = left - (reports - seen[chosen])
        if end[favourite] < best.loss and spared < to_go[favourite]:
            chosen, reports = favourite, self._n_reports
        run = self._runs[numbers[chosen]]
        run.asked = min(reports, len(run.losses) + left)
        return Leg(numbers[chosen], run.setting, run.asked)

    def _n_thaws(self) -> int:
        """Return how many legs but the first were begun."""
        reached = [max(run.asked, len(run.losses)) for run in self._runs.values()]
        return sum(start < reports for reports in reached for start in self._legs[:-1])

    def _propose(self, pool: Sequence[_Place], told: Sequence[_Run]) -> Mapping[str, Value]:
        """Return the setting of the pool with the highest expected improvement."""
        runs = [told[index] for index in self._by_forecast(told)]
        scores = normal_scores(len(runs), n_worst=sum(run.diverged for run in runs))
        kept = _thin(len(runs))
        points = features(self._space, np.array([runs[index].point for index in kept]))
        known = self._hyperparameters
        if known is None or len(runs) >= REFIT_GROWTH * known[0]:
            known = self._hyperparameters = (len(runs), fit(points, scores[kept]))
        process = condition(known[1], points, scores[kept])
        lowest = float(process.predict(points)[0].min())
        out = [run.point for run in self._runs.values() if run.is_out and not run.losses]
        if out:
            process = _believe(process, features(self._space, np.array(out)))
        mean, sd = process.predict(features(self._space, np.array([place.point for place in pool])))
        return pool[int(np.argmax(_expected_improvement(lowest, mean, sd)))].setting

    def _by_forecast(self, told: Sequence[_Run]) -> Counts:
        """Return the order of runs by the lowest loss that each is expected to reach."""
        forecast = forecast_curves([run.losses for run in told], self._n_reports)
        return np.argsort(forecast.best, kind="stable")

    def _pool(self, told: Sequence[_Run]) -> list[_Place]:
        """Return the settings to weigh: a table's, or drawn ones."""
        if self._is_table:
            return self._first
        rng = np.random.default_rng([self._seed, len(self._runs)])
        best = np.array([told[index].point for index in self._by_forecast(told)[:N_BEST]])
        drawn = _sobol(self._space, int(rng.integers(2**32)))
        return drawn + _near(self._space, best, rng)

    def _unused(self, places: Sequence[_Place]) -> list[_Place]:
        # By setting: the point of a setting and the setting at a point are inverse to each other
        # only up to their last bits.
        used = {self._key(run.setting) for run in self._runs.values()}
        return [place for place in places if self._key(place.setting) not in used]

    def _key(self, setting: Mapping[str, Value]) -> tuple[Value, ...]:
        return tuple(setting[name] for name in self._space)


def normal_scores(n: int, n_worst: int) -> Array:
    """Return the normal scores of n ranks, lowest first, the last n_worst of them tied."""
    ranks = np.arange(1.0, n + 1)
    ranks[n - n_worst :] = n - (n_worst - 1) / 2
    return np.asarray(ndtri((ranks - 0.5) / n))


def _expected_improvement(lowest: float, mean: Array, sd: Array) -> Array:
    """Return E[max(lowest - X, 0)] of normal X, (n,)."""
    gap = lowest - mean
    # 38 standard deviations out, a double knows no tail.
    z = np.clip(gap / np.maximum(sd, np.finfo(float).tiny ** 0.5), -38, 38)
    return np.asarray(gap * ndtr(z) + sd * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))


def _thin(n: int) -> Counts:
    """Return which of n runs, best first, a process takes: the best, and some of all the others."""
    if n <= THINNED:
        return np.arange(n, dtype=np.intp)
    half = THINNED // 2
    others = np.linspace(half, n - 1, THINNED - half).round().astype(np.intp)
    return np.concatenate([np.arange(half, dtype=np.intp), others])


def _believe(process: GaussianProcess, points: Array) -> GaussianProcess:
    """Return the process as if what it expects at some points had been measured there."""
    return condition(
        process.hyperparameters,
        np.concatenate([process.points, points]),
        np.concatenate([process.values, process.predict(points)[0]]),
    )


def _table(
    space: Mapping[str, Dimension], seed: int, candidates: Sequence[Mapping[str, Value]]
) -> list[_Place]:
    places = [_Place(candidate, to_cube(space, candidate)) for candidate in candidates]
    return [places[k] for k in np.random.default_rng(seed).permutation(len(places))]


def _sobol(space: Mapping[str, Dimension], seed: int) -> list[_Place]:
    points = qmc.Sobol(len(space), scramble=True, rng=seed).random(N_DRAWN)
    return _places(space, np.asarray(points))


def _near(space: Mapping[str, Dimension], best: Array, rng: np.random.Generator) -> list[_Place]:
    """Return N_NEAR places about the best points; a choice is at times another."""
    smallest, largest = np.log(NEAR_STEPS)
    steps = np.exp(rng.uniform(smallest, largest, (N_NEAR, 1)))
    centres = best[rng.integers(len(best), size=N_NEAR)]
    points = np.clip(centres + steps * rng.standard_normal(centres.shape), 0.0, 1.0)
    is_choice = np.array([dimension.choices is not None for dimension in space.values()])
    anew = rng.random(centres.shape) < 1 / len(space)
    chosen = np.where(anew, rng.random(centres.shape), centres)
    return _places(space, np.where(is_choice, chosen, points))


def _places(space: Mapping[str, Dimension], points: Array) -> list[_Place]:
    return [_Place(from_cube(space, point), point) for point in snap(space, points)]
