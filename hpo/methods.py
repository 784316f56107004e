"""From a checked sweep file to its strategy: which module stands behind each search method."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from hpo.ladder import Scale
from hpo.planned import Planned, plan_points
from hpo.planned import runs_by_scale as planned_by_scale
from hpo.schema import SweepSpec
from hpo.strategy import Strategy
from storage.store import Store


@dataclass(frozen=True)
class Launch:
    """What a strategy may be built from.

    Attributes
    ----------
    spec : the sweep, checked.
    ladder : its scales, by compute.
    done : run_ids of its runs that are over.
    store : for what a method reads beforehand, and for what it keeps beside runs and legs.
    """

    spec: SweepSpec
    ladder: Sequence[Scale]
    done: Collection[str]
    store: Store


def _planned(launch: Launch) -> Strategy:
    points = plan_points(launch.spec, launch.ladder)
    return Planned(points, launch.spec.reports, launch.done)


def _law_guided(launch: Launch) -> Strategy:
    from hpo.law_guided import LawGuided

    spec, store = launch.spec, launch.store
    rounds = store.rounds(spec.name) if store.has_sweep(spec.name) else []
    return LawGuided(
        spec, launch.ladder, lambda record: store.record_round(spec.name, record), rounds
    )


def _population(launch: Launch) -> Strategy:
    from hpo.population.strategy import Population

    return Population(launch.spec, launch.ladder)


def _bayesian(launch: Launch) -> Strategy:
    from hpo.bayesian.strategy import build

    return build(launch.spec, launch.ladder, launch.store)


def _freeze_thaw(launch: Launch) -> Strategy:
    from hpo.frozen_runs import FrozenRuns

    return FrozenRuns(launch.spec, launch.ladder[0])


BUILDERS: Mapping[str, Callable[[Launch], Strategy]] = {
    "transfer": _planned,
    "grid": _planned,
    "random": _planned,
    "listed": _planned,
    "bayesian": _bayesian,
    "freeze-thaw": _freeze_thaw,
    "law-guided": _law_guided,
    "population": _population,
}
"""By the name of the method. A builder imports what it needs when it is called."""


def runs_by_scale(spec: SweepSpec, ladder: Sequence[Scale]) -> tuple[int, ...]:
    """How many runs each scale of the ladder has, as far as that is known beforehand."""
    if spec.search.method != "law-guided":
        return planned_by_scale(spec, ladder)
    from hpo.law_guided import first_round

    scales = [scale for scale, _ in first_round(spec, ladder)]
    return tuple(scales.count(scale) for scale in ladder)


def build_strategy(launch: Launch) -> Strategy:
    """Return the strategy of a checked sweep, told nothing yet."""
    return BUILDERS[launch.spec.search.method](launch)
