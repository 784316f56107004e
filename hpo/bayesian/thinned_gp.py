"""Optuna's Gaussian-process sampler, kept fast over a long history, and aware of cost.

A proposal of `optuna.samplers.GPSampler` takes time that grows with the cube of the trials: 4 s
after 1,000. Here the process is fitted to at most `KEPT` of them: the best half by value, so that
it is sharp where the optimum may be, and of the rest those farthest from what is kept already, so
that the whole space stays covered and no region looks unvisited. The second half is chosen by
where the trials lie alone, not by what they reached: it keeps the process honest about the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import optuna
from optuna._gp import acqf as acquisition
from optuna._gp import gp, prior
from optuna._gp.search_space import SearchSpace
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from hpo.bayesian.samplers import COST

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float64]

KEPT = 100
"""Trials that a proposal is made from; benchmarks/proposals.py measures what that costs."""

_LEAST_SPREAD = 0.01
"""Costs whose logarithms vary by less (standard deviation) tell settings apart by nothing."""


def informative(points: Array, badness: Array, n_kept: int) -> list[int]:
    """Choose the trials to learn from.

    Parameters
    ----------
    points : (n, d) array, in a unit cube.
    badness : (n,) array, smaller is better.
    n_kept : how many to choose.

    Returns
    -------
    list of int
        Ascending places: the best half, then those farthest from all that are chosen.
    """
    n_trials = len(points)
    if n_trials <= n_kept:
        return list(range(n_trials))
    chosen = [int(i) for i in np.argsort(badness, kind="stable")[: (n_kept + 1) // 2]]
    distance = np.full(n_trials, np.inf)
    for place in chosen:
        distance = np.minimum(distance, ((points - points[place]) ** 2).sum(axis=1))
    distance[chosen] = -1.0
    while len(chosen) < n_kept:
        farthest = int(np.argmax(distance))
        chosen.append(farthest)
        distance = np.minimum(distance, ((points - points[farthest]) ** 2).sum(axis=1))
        distance[farthest] = -1.0
    return sorted(chosen)


class ThinnedGPSampler(optuna.samplers.GPSampler):
    """A Gaussian process over an informative part of the trials; all objectives are minimised.

    With `per_cost` the expected improvement is divided by the cost that a second process expects
    from the runs so far (Snoek et al. 2012, arXiv 1206.2944; second-hand).
    """

    def __init__(self, *, n_startup_trials: int, seed: int, per_cost: bool = False) -> None:
        super().__init__(
            n_startup_trials=n_startup_trials, seed=seed, warn_independent_sampling=False
        )
        self._per_cost = per_cost
        self._log_cost: _LogCost | None = None

    def _sample_relative_impl(
        self,
        study: optuna.Study,
        completed_trials: list[FrozenTrial],
        running_trials: list[FrozenTrial],
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, object]:
        axes = SearchSpace(search_space)
        points = _embedded(axes, axes.get_normalized_params(completed_trials))
        kept = informative(points, _badness(completed_trials), KEPT)
        trials = [completed_trials[place] for place in kept]
        self._log_cost = _fit_cost(axes, trials) if self._per_cost else None
        proposed: dict[str, object] = super()._sample_relative_impl(
            study, trials, running_trials, search_space
        )
        return proposed

    def _optimize_acqf(
        self, acqf: acquisition.BaseAcquisitionFunc, best_params: Array | None
    ) -> Array:
        if self._log_cost is not None:
            acqf = _PerCost(acqf, self._log_cost)
        return np.asarray(super()._optimize_acqf(acqf, best_params))


class _LogCost:
    """The logarithm of a run's cost over normalized settings, from a Gaussian process."""

    def __init__(self, process: gp.GPRegressor, mean: float, spread: float) -> None:
        self._process = process
        self._mean = mean
        self._spread = spread

    def at(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is expected at each of (..., d) settings."""
        expected, _ = self._process.posterior(x)
        return self._mean + self._spread * expected


class _PerCost(acquisition.BaseAcquisitionFunc):
    """The logarithm of expected improvement per cost."""

    def __init__(self, improvement: acquisition.BaseAcquisitionFunc, log_cost: _LogCost) -> None:
        super().__init__(improvement.length_scales, improvement.search_space)
        self._improvement = improvement
        self._log_cost = log_cost

    def eval_acqf(self, x: torch.Tensor) -> torch.Tensor:
        return self._improvement.eval_acqf(x) - self._log_cost.at(x)


def _fit_cost(axes: SearchSpace, trials: Sequence[FrozenTrial]) -> _LogCost | None:
    """Fit the cost of those trials that tell it; None where settings make no difference to it."""
    told = [trial for trial in trials if COST in trial.user_attrs]
    logs = np.log([float(trial.user_attrs[COST]) for trial in told])
    if len(told) < 2 or logs.std() < _LEAST_SPREAD:
        return None
    process = gp.fit_kernel_params(
        X=axes.get_normalized_params(told),
        Y=(logs - logs.mean()) / logs.std(),
        is_categorical=axes.is_categorical,
        log_prior=prior.default_log_prior,
        minimum_noise=prior.DEFAULT_MINIMUM_NOISE_VAR,
        deterministic_objective=False,
    )
    return _LogCost(process, float(logs.mean()), float(logs.std()))


def _embedded(axes: SearchSpace, points: Array) -> Array:
    """Return points whose squared distance counts two choices that differ as a whole side."""
    columns = []
    for place, is_name in enumerate(axes.is_categorical):
        column = points[:, place]
        if is_name:
            columns += [np.sqrt(0.5) * (column == choice) for choice in np.unique(column)]
        else:
            columns.append(column)
    return np.stack(columns, axis=1)


def _badness(trials: Sequence[FrozenTrial]) -> Array:
    """Return (n,) ranks of trials: those that break constraints last, the others by value.

    By several objectives: by how many trials are better in all of them, then by the best rank.
    """
    values = np.array([trial.values for trial in trials], dtype=np.float64)
    ranks = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable")
    worse = np.array([_n_dominating(row, values) for row in values]) if values.shape[1] > 1 else 0
    violation = np.array([sum(max(0.0, c) for c in t.constraints.values()) for t in trials])
    order = np.lexsort((ranks.min(axis=1), worse * np.ones(len(trials)), violation))
    badness = np.empty(len(trials))
    badness[order] = np.arange(len(trials))
    return badness


def _n_dominating(row: Array, values: Array) -> int:
    return int(((values <= row).all(axis=1) & (values < row).any(axis=1)).sum())
