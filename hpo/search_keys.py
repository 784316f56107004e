"""What may stand under `search` in a sweep file: the keys of each search method."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from hpo.fields import (
    Fraction,
    NonnegativeInt,
    Part,
    Positive,
    PositiveInt,
    as_list,
    distinct_names,
    one_of,
)

Objective = Annotated[str, one_of("loss", "seconds", "flops")]


class Scheduled(Part):
    """Whether one of Ray Tune's schedulers may stop runs early; see `hpo.schedulers`.

    Attributes
    ----------
    scheduler : which; None trains every run to its end.
    grace : reports before which no run is stopped; "hyperband" sets its own.
    reduction : of the runs that come to a rung, one in so many goes on; "median" has none.
    """

    scheduler: Annotated[str, one_of("asha", "hyperband", "median")] | None = None
    grace: PositiveInt = 1
    reduction: PositiveInt = 3


class PlannedSearch(Scheduled):
    """All runs are known beforehand; see `hpo.planned`."""

    method: Literal["transfer", "grid", "random", "listed"]


class BayesianSearch(Scheduled):
    """A sampler of Optuna's proposes, having seen the runs before; see `hpo.bayesian`.

    Attributes
    ----------
    sampler : which.
    objectives : what is minimised: the loss, or the loss and what a run costs, as a Pareto front.
    startup : runs of each scale spread over the space before the sampler proposes; the population
        of nsga-ii.
    per_cost : weigh the improvement that is expected of a setting by what its run will cost.
    constraints : upper bounds on loss, seconds or flops that a good run keeps.
    prior : sweeps of the same database whose runs the sampler starts from.
    published : whether each scale begins with what published laws recommend for it.
    """

    method: Literal["bayesian"]
    sampler: Annotated[str, one_of("tpe", "gp", "cma-es", "nsga-ii", "qmc", "random")] = "tpe"
    objectives: Annotated[tuple[Objective, ...], BeforeValidator(as_list), distinct_names] = (
        "loss",
    )
    startup: PositiveInt = 8
    per_cost: Annotated[str, one_of("seconds", "flops")] | None = None
    constraints: dict[str, Positive] = Field(default_factory=dict)
    prior: Annotated[tuple[str, ...], BeforeValidator(as_list)] = ()
    published: bool = False


class FreezeThawSearch(Part):
    """Runs are frozen, and thawed where their curve promises most; see `hpo.freeze_thaw`.

    The sweep's `runs` are the budget: so many trainings from start to end, or more that are cut.
    """

    method: Literal["freeze-thaw"]


class PopulationSearch(Part):
    """Population-based training: `runs` members train side by side; see `hpo.population`.

    Attributes
    ----------
    interval : reports between two rankings of the members.
    quantile : part of the members that takes over the state of another, and part taken over; at
        most a half. With 0 no member does but for those that diverged.
    explore : "perturb" as in the paper, or "pb2", a bandit over what settings gained so far.
    factors : what a perturbed value is multiplied by, one of the two: below and above 1.
    resample : how likely a value is drawn anew from the space instead.
    """

    method: Literal["population"]
    interval: PositiveInt = 1
    quantile: Fraction = 0.25
    explore: Annotated[str, one_of("perturb", "pb2")] = "perturb"
    factors: tuple[Positive, Positive] = (0.8, 1.25)
    resample: Fraction = 0.25


class Target(Part):
    """The scale that a law-guided search is for; N without embeddings."""

    params: Positive
    tokens: Positive


class LawGuidedSearch(Part):
    """Rounds of plan, run and refit towards a target; see `hpo.law_guided`.

    Attributes
    ----------
    target : the scale to be predicted.
    flops : the budget of the sweep, training FLOPs by 6ND.
    tolerance_pct : the expected regret at the target that is good enough, in % of loss.
    round : runs between two refits.
    first : runs of the first round, which no law guides.
    """

    method: Literal["law-guided"]
    target: Target
    flops: Positive
    tolerance_pct: Positive = 0.1
    round: PositiveInt = 8
    first: NonnegativeInt = 0


_KINDS = (PlannedSearch, BayesianSearch, FreezeThawSearch, PopulationSearch, LawGuidedSearch)

Search = PlannedSearch | BayesianSearch | FreezeThawSearch | PopulationSearch | LawGuidedSearch

METHODS: tuple[str, ...] = tuple(
    name for keys in _KINDS for name in get_args(keys.model_fields["method"].annotation)
)
"""All search methods."""


def keys_of(method: str) -> type[Part]:
    """Return what may stand beside `method`."""
    return next(k for k in _KINDS if method in get_args(k.model_fields["method"].annotation))
