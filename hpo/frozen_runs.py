"""Freeze-thaw search as a sweep: legs of runs, within the reports that `runs` whole ones make."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hpo.freeze_thaw import FreezeThaw
from hpo.freeze_thaw import Leg as SearchLeg
from hpo.ladder import Scale, resolve_ladder
from hpo.points import Leg, Origin, Outcome, Point
from hpo.problems import Problem
from hpo.schema import SweepSpec
from storage.columns import COMPLETED, FAILED, STOPPED

LEAST_REPORTS = 4
"""With fewer a first leg is no shorter than half a run, and freezing saves little."""


class FrozenRuns:
    """The strategy of `search: {method: freeze-thaw}`."""

    def __init__(self, spec: SweepSpec, scale: Scale) -> None:
        """Search at one scale."""
        assert spec.runs is not None
        self._spec = spec
        self._scale = scale
        self._search = FreezeThaw(spec.space, n_reports=spec.reports, seed=spec.seed)
        self._budget = spec.runs * spec.reports
        self._made: dict[int, int] = {}  # reports by the run's number, those asked for included

    @property
    def workload(self) -> Sequence[Scale]:
        """As many whole runs as the budget is worth."""
        return [self._scale] * (self._budget // self._spec.reports)

    def ask(self) -> Leg | None:
        """Return the leg that the search would train next."""
        chosen = self._search.ask(self._budget - sum(self._made.values()))
        if chosen is None:
            return None
        run_id = f"{self._spec.name}-{chosen.number:05d}"
        so_far = self._made.get(chosen.number, 0)
        self._made[chosen.number] = chosen.reports
        setting = {**self._spec.fixed, **chosen.setting}
        return Leg(
            Point(run_id, self._scale, setting, self._spec.seed),
            chosen.reports,
            Origin(run_id, so_far) if so_far else None,
        )

    def resume(self, leg: Leg) -> None:
        """Take a leg of an earlier launch as asked for."""
        number = _number(leg.point)
        setting = {name: leg.point.setting[name] for name in self._spec.space}
        self._search.resume(SearchLeg(number, setting, leg.reports))
        self._made[number] = leg.reports

    def tell(self, outcome: Outcome) -> None:
        """Tell the search a run's losses so far, and that it is over where it is.

        A run that was stopped is: the sweep was done once, and its state is gone.
        """
        number, losses = _number(outcome.point), outcome.losses
        self._made[number] = len(losses)
        if outcome.status == FAILED:
            losses = (*losses[: self._spec.reports - 1], math.nan)
        elif outcome.status == COMPLETED:
            # A run of fewer steps than reports is over, with fewer.
            losses = (*losses, *losses[-1:] * (self._spec.reports - len(losses)))
        self._search.tell(number, losses, stopped=outcome.status == STOPPED)


def problems(spec: SweepSpec) -> Iterator[Problem]:
    """What a freeze-thaw sweep asks of its file, whose ladder can be built."""
    n_scales = len(resolve_ladder(spec))
    if n_scales > 1:
        yield Problem(
            ("scales",),
            f"{n_scales} scales, whose curves cannot be compared; freeze-thaw searches one: give "
            "one size and one budget of tokens, or a sweep for each",
        )
    if spec.seeds != 1:
        yield Problem(("seeds",), "freeze-thaw trains each setting once; leave it out")
    if spec.reports < LEAST_REPORTS:
        yield Problem(
            ("reports",),
            f"{spec.reports} is too few for curves to tell; give {LEAST_REPORTS} at least, "
            "better 16 or more",
        )


def _number(point: Point) -> int:
    return int(point.run_id.rpartition("-")[2])
