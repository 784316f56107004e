"""Sweeps whose points are known beforehand: transfer, random, grid and listed.

Plans depend on the spec alone: every process, at every launch, makes the same points in the
same order. A listed sweep has its points in the file. In any other, point k trains on scale k mod
S, so a plan begins with every scale once, leaves the remainder of an uneven division to the smaller
scales, and is the beginning of any longer plan.

- transfer: the same settings at every scale, from a scrambled Sobol sequence, so that the drift
  of the optimum is seen in pairs.
- random: every scale draws settings of its own.
- grid: every combination, in an order shuffled by the seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from math import prod
from typing import cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.fields import Value
from hpo.ladder import Scale, resolve_scale
from hpo.points import Leg, Outcome, Point, Setting
from hpo.schema import ListedPoint, SweepSpec
from hpo.space import Dimension, present


class Planned:
    """The strategy of a plan: its points in order, each trained in one leg to its end."""

    def __init__(self, points: Sequence[Point], n_reports: int, done: Collection[str] = ()) -> None:
        """Hand out `points`, but for the run_ids in `done`."""
        self._points = points
        self._n_reports = n_reports
        self._left = {point.run_id: point for point in points if point.run_id not in done}

    @property
    def workload(self) -> Sequence[Scale]:
        """The scale of each point."""
        return [point.scale for point in self._points]

    def ask(self) -> Leg | None:
        """Return the next point's leg."""
        if not self._left:
            return None
        return Leg(self._left.pop(next(iter(self._left))), self._n_reports)

    def resume(self, leg: Leg) -> None:
        """Leave out a point that is being trained already."""
        self._left.pop(leg.point.run_id, None)

    def tell(self, outcome: Outcome) -> None:
        """Learn nothing: the plan is fixed."""


def runs_by_scale(spec: SweepSpec, ladder: Sequence[Scale]) -> tuple[int, ...]:
    """How many runs each scale of the ladder has over all settings and seeds."""
    if spec.points is not None:
        scales = [(point.scale.shape, point.scale.tokens) for point in spec.points]
        return tuple(scales.count((dict(scale.shape), scale.tokens)) for scale in ladder)
    total, n_scales = _n_runs(spec, len(ladder)), len(ladder)
    return tuple((total - rung + n_scales - 1) // n_scales for rung in range(n_scales))


def _n_runs(spec: SweepSpec, n_scales: int) -> int:
    if spec.runs is not None:
        return spec.runs
    return grid_size(spec) * n_scales * spec.seeds


def grid_size(spec: SweepSpec) -> int:
    """How many settings the full grid has."""
    grids = [dimension.grid() for dimension in spec.space.values()]
    if not any(dimension.when for dimension in spec.space.values()):
        return prod(map(len, grids))
    combined = (dict(zip(spec.space, values, strict=True)) for values in product(*grids))
    return len({tuple(present(spec.space, setting).items()) for setting in combined})


def plan_points(spec: SweepSpec, ladder: Sequence[Scale]) -> list[Point]:
    """All runs of the sweep, in the order in which they are started.

    Listed points come as they are listed. Otherwise run k has scale k mod S; at its scale it is
    number k // S, which is setting (k // S) // seeds with seed (k // S) mod seeds, counted from
    the spec's seed.
    """
    if spec.points is not None:
        return _listed_points(spec, spec.points)
    n_scales = len(ladder)
    total = _n_runs(spec, n_scales)
    n_settings = -(-total // (n_scales * spec.seeds))
    with quiet_optuna():
        if spec.search.method == "transfer":
            shared = sobol_settings(spec.space, n_settings, spec.seed)
            settings = [shared] * n_scales
        elif spec.search.method == "grid":
            shared = _grid_settings(spec.space, n_settings, spec.seed)
            settings = [shared] * n_scales
        else:
            drawn = _random_settings(spec.space, n_settings * n_scales, spec.seed)
            settings = [drawn[rung::n_scales] for rung in range(n_scales)]
    points = []
    for index in range(total):
        rung, nth = index % n_scales, index // n_scales
        setting = {**spec.fixed, **settings[rung][nth // spec.seeds]}
        seed = spec.seed + nth % spec.seeds
        points.append(Point(f"{spec.name}-{index:05d}", ladder[rung], setting, seed))
    return points


def _listed_points(spec: SweepSpec, listed: Sequence[ListedPoint]) -> list[Point]:
    return [
        Point(
            f"{spec.name}-{index:05d}",
            resolve_scale(spec, point.scale.shape, point.scale.tokens),
            {**spec.fixed, **point.setting},
            spec.seed if point.seed is None else point.seed,
        )
        for index, point in enumerate(listed)
    ]


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return a dimension as Optuna draws from it; `setting_of` turns what is drawn into values."""
    if dimension.choices is not None:
        return CategoricalDistribution(dimension.choices)
    assert dimension.bounds is not None
    low, high = dimension.bounds
    is_log = dimension.log is not None
    if dimension.multiple_of is None:
        return FloatDistribution(low, high, log=is_log)
    # Optuna's logarithmic integers have no step, so it draws the factor.
    step = dimension.multiple_of
    return IntDistribution(round(low / step), round(high / step), log=is_log)


def setting_of(space: Mapping[str, Dimension], drawn: Mapping[str, Value]) -> Setting:
    """Return the setting that Optuna drew from `distribution`s: values, less what is not there."""
    values: Setting = {}
    for name, value in drawn.items():
        step = space[name].multiple_of
        values[name] = value if step is None or isinstance(value, str) else round(value) * step
    return present(space, values)


def sobol_settings(space: Mapping[str, Dimension], count: int, seed: int) -> list[Setting]:
    """Return the first `count` settings of a scrambled Sobol sequence over the space."""
    # The sampler is asked directly: through a study its first trial would be a random draw.
    with quiet_optuna():
        sampler = optuna.samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=seed)
        study = optuna.create_study(sampler=sampler)
    trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
    distributions = _distributions(space)
    return [
        setting_of(space, sampler.sample_relative(study, trial, distributions))
        for _ in range(count)
    ]


def _distributions(space: Mapping[str, Dimension]) -> dict[str, BaseDistribution]:
    return {name: distribution(dimension) for name, dimension in space.items()}


def _random_settings(space: Mapping[str, Dimension], count: int, seed: int) -> list[Setting]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    distributions = _distributions(space)
    return [setting_of(space, study.ask(distributions).params) for _ in range(count)]


def _grid_settings(space: Mapping[str, Dimension], count: int, seed: int) -> list[Setting]:
    """Return `count` settings of the grid, shuffled; those that conditions make equal are one."""
    values = {name: dimension.grid() for name, dimension in space.items()}
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(values, seed=seed))
    distributions: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(choices) for name, choices in values.items()
    }
    settings: dict[tuple[tuple[str, Value], ...], Setting] = {}
    while len(settings) < count:
        setting = present(space, cast(Setting, study.ask(distributions).params))
        settings.setdefault(tuple(setting.items()), setting)
    return list(settings.values())


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna from logging and from warning of what is experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
