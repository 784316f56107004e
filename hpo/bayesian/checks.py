"""What a sweep file must not ask of `search: {method: bayesian}`."""

from __future__ import annotations

from collections.abc import Iterator

from hpo.bayesian.abilities import ABILITIES, who_can
from hpo.bayesian.space import ordered_choices
from hpo.problems import Problem
from hpo.schema import SweepSpec
from hpo.search_keys import BayesianSearch
from storage import columns
from trainers.errors import unknown
from trainers.kind import Kind

BOUNDED = (columns.LOSS, columns.SECONDS, columns.FLOPS)
"""Columns of the runs table that a constraint may bound: what a run reports of itself."""


def problems(spec: SweepSpec, trainer: Kind) -> list[Problem]:
    """Return all that the sampler cannot do, with the samplers that can."""
    search = spec.search
    assert isinstance(search, BayesianSearch)
    return [
        *_check_space(spec, search.sampler),
        *_check_goal(search),
        *_check_cost(search, trainer),
        *_check_start(spec, search),
    ]


def _check_space(spec: SweepSpec, sampler: str) -> Iterator[Problem]:
    able = ABILITIES[sampler]
    for name, dimension in spec.space.items():
        if dimension.when and not able.conditions:
            yield Problem(
                ("space", name, "when"),
                f"{sampler} searches settings that every run has; leave the condition out, or "
                f"take one of {who_can('conditions')}",
            )
        if dimension.choices is not None and ordered_choices(dimension) is None and not able.names:
            yield Problem(
                ("space", name, "choices"),
                f"{sampler} searches numbers only; set {name} under fixed, or take one of "
                f"{who_can('names')}",
            )


def _check_goal(search: BayesianSearch) -> Iterator[Problem]:
    able = ABILITIES[search.sampler]
    if len(search.objectives) > 1 and not able.objectives:
        yield Problem(
            ("search", "objectives"),
            f"{search.sampler} minimises one value; keep one, or take one of "
            f"{who_can('objectives')}",
        )
    if search.constraints and not able.constraints:
        yield Problem(
            ("search", "constraints"),
            f"{search.sampler} knows no constraints; leave them out, or take one of "
            f"{who_can('constraints')}",
        )
    for column in search.constraints:
        if column not in BOUNDED:
            error = unknown("column to bound", column, BOUNDED)
            yield Problem(("search", "constraints", column), str(error))


def _check_cost(search: BayesianSearch, trainer: Kind) -> Iterator[Problem]:
    if search.per_cost is None:
        return
    here = ("search", "per_cost")
    if not ABILITIES[search.sampler].cost:
        yield Problem(here, f"{search.sampler} does not weigh cost; take {who_can('cost')}")
    elif len(search.objectives) > 1:
        yield Problem(here, "with several objectives cost is one of them; leave per_cost out")
    elif search.per_cost == columns.FLOPS and not trainer.accepts_more:
        # Of ours no setting changes the FLOPs of a run: 6ND and the attention's.
        yield Problem(
            here,
            f"all settings of trainer {trainer.name} cost the same FLOPs at a scale, so that it "
            "makes no difference; take seconds, or leave it out. Across scales, method law-guided "
            "weighs FLOPs",
        )


def _check_start(spec: SweepSpec, search: BayesianSearch) -> Iterator[Problem]:
    if search.prior and not ABILITIES[search.sampler].learns:
        yield Problem(
            ("search", "prior"),
            f"{search.sampler} learns from no run; leave it out, or take one of "
            f"{who_can('learns')}",
        )
    for index, name in enumerate(search.prior):
        if name == spec.name:
            yield Problem(
                ("search", "prior", index), "this very sweep; name an earlier one of the database"
            )
        elif name in search.prior[:index]:
            yield Problem(("search", "prior", index), f"{name!r} is named twice; keep one of them")
    if search.published:
        if not {columns.LR, columns.BATCH_TOKENS, columns.WEIGHT_DECAY} & spec.space.keys():
            yield Problem(
                ("search", "published"),
                "published laws tell lr, batch_tokens and weight_decay; search one of them, or "
                "leave this out",
            )
        if spec.parametrization != "sp":
            yield Problem(
                ("search", "published"),
                f"published laws are for parametrization sp, not {spec.parametrization}, whose "
                "rates mean something else; leave it out",
            )
        if not ABILITIES[search.sampler].learns:
            yield Problem(
                ("search", "published"),
                f"{search.sampler} has a plan of its own; leave it out, or take one of "
                f"{who_can('learns')}",
            )
