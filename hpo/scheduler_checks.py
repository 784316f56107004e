"""Checks of `scheduler`, `grace` and `reduction` under `search`: what one of Tune's can stop."""

from __future__ import annotations

from collections.abc import Iterator

from hpo.problems import Problem
from hpo.schema import SweepSpec
from hpo.search_keys import BayesianSearch, Scheduled

_HAS_NO = {
    "median": ("reduction", "the median rule stops the worse half"),
    "hyperband": ("grace", "HyperBand sets its brackets' own, from reports and reduction"),
}


def problems(spec: SweepSpec) -> Iterator[Problem]:
    """Everything that keeps a scheduler from working, the first to fix first."""
    search = spec.search
    if not isinstance(search, Scheduled):
        return
    scheduler, given = search.scheduler, search.model_fields_set
    if scheduler is None:
        for key in ("grace", "reduction"):
            if key in given:
                message = "does nothing without a scheduler; add 'scheduler: asha', or leave it out"
                yield Problem(("search", key), message)
        return
    if search.method == "listed":
        message = "listed runs are each wanted to their end; leave it out"
        yield Problem(("search", "scheduler"), message)
        return
    if isinstance(search, BayesianSearch) and search.objectives != ("loss",):
        message = "stops runs by their loss alone; leave it out, or give 'objectives: loss'"
        yield Problem(("search", "scheduler"), message)
    if scheduler in _HAS_NO and _HAS_NO[scheduler][0] in given:
        key, why = _HAS_NO[scheduler]
        yield Problem(("search", key), f"not for scheduler '{scheduler}': {why}; leave it out")
        return
    if scheduler != "median" and search.reduction < 2:
        message = f"{search.reduction} would stop no run; one in so many goes on, at least 2"
        yield Problem(("search", "reduction"), message)
        return
    yield from _check_reports(spec, search, scheduler)


def _check_reports(spec: SweepSpec, search: Scheduled, scheduler: str) -> Iterator[Problem]:
    """Refuse reports of which none is left to save where a run is stopped."""
    reports = spec.reports
    if reports < 2:
        message = f"{reports} is too few for a scheduler, which stops runs between two; at least 2"
        yield Problem(("reports",), message)
    elif scheduler == "hyperband":
        if search.reduction > reports:
            yield Problem(
                ("search", "reduction"),
                f"{search.reduction} with {reports} reports would stop no run; at most {reports}, "
                "or more reports",
            )
    elif search.grace >= reports:
        yield Problem(
            ("search", "grace"),
            f"{search.grace} of {reports} reports would stop no run; at most {reports - 1}",
        )
