"""What a population asks of a sweep file beyond what every method does."""

from __future__ import annotations

from collections.abc import Iterator

from hpo.ladder import shapes
from hpo.problems import Problem
from hpo.schema import Scales, SweepSpec
from hpo.search_keys import PopulationSearch
from trainers.kind import Kind

LEAST_MEMBERS = 2


def problems(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    """Say what keeps a population from being trained, each where it stands in the file."""
    assert isinstance(spec.search, PopulationSearch)
    assert spec.scales is not None
    for name in spec.space:
        if not trainer.is_live(name):
            yield Problem(("space", name), f"{trainer.why_not_live(name)}; set it under fixed")
    yield from _check_scale(spec, spec.scales)
    if spec.runs is not None and spec.runs < LEAST_MEMBERS:
        yield Problem(
            ("runs",), f"{spec.runs} is no population; give it at least {LEAST_MEMBERS} members"
        )
    if spec.changes:
        yield Problem(("changes",), "a population finds its changes by itself; leave them out")
    yield from _check_search(spec, spec.search)


def _check_scale(spec: SweepSpec, scales: Scales) -> Iterator[Problem]:
    budgets = scales.tokens or scales.tokens_per_param or ()
    n_scales = len(shapes(spec)) * len(budgets)
    if n_scales > 1:
        several = [key for key, values in scales.shape.items() if len(values) > 1]
        if len(budgets) > 1:
            several.append("tokens" if scales.tokens else "tokens_per_param")
        yield Problem(
            ("scales",),
            f"{n_scales} scales, and a population trains at one, where members can take over each "
            f"other's weights; give one value of {' and of '.join(several)}, in a file a scale",
        )


def _check_search(spec: SweepSpec, search: PopulationSearch) -> Iterator[Problem]:
    if search.interval >= spec.reports:
        right = f"at most {spec.reports - 1}" if spec.reports > 1 else "fewer than more reports"
        yield Problem(
            ("search", "interval"),
            f"{search.interval} of a run's {spec.reports} reports, at whose end nothing is taken "
            f"over any more; give {right}, or more reports",
        )
    if search.quantile > 0.5:
        yield Problem(
            ("search", "quantile"),
            f"{search.quantile:g}: the best and the worst would overlap; it is at most 0.5",
        )
    low, high = sorted(search.factors)
    if not low < 1 < high:
        yield Problem(
            ("search", "factors"),
            f"[{low:g}, {high:g}] cannot go both ways; give one below 1 and one above, "
            "such as [0.8, 1.25]",
        )
    if search.explore == "pb2" and not any(d.bounds for d in spec.space.values()):
        yield Problem(
            ("search", "explore"),
            "pb2 proposes values of ranges, and all of the space are choices; write perturb",
        )
