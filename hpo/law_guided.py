"""Law-guided search: rounds of plan, run and refit towards a target that is too big to tune.

The first round spreads settings over the cheapest scales of the ladder. After each round a law is
fitted to all runs so far (`scaling.fitting`), and the next one has the runs that most lower the
regret expected at the target for their compute (`scaling.design`). The search ends when the law's
own expected regret is under the tolerance, when the budget is spent, or when no run of the ladder
would lower it any more.

A round follows from the runs before it, so a later launch plans the one in which an earlier one
ended again, and goes on with what that had not begun.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np
import pandas as pd

from hpo.fields import Value
from hpo.ladder import Scale, resolve_ladder
from hpo.planned import sobol_settings
from hpo.points import Leg, Outcome, Point
from hpo.problems import Problem
from hpo.schema import SweepSpec
from hpo.search_keys import LawGuidedSearch
from hpo.space import Dimension
from scaling.design import default_candidates, plan_runs
from scaling.errors import InsufficientDataError
from scaling.fitting import fit_law
from scaling.law import Law
from storage import columns
from storage.rounds import RoundRecord

FIRST_SCALES = 4
"""The first round is at this many scales at most, the cheapest: two sizes with two budgets, say."""

FIRST_SHARE = 0.25
"""Of the budget, what the first round may cost; with fewer scales where it would cost more."""

LEAST_SCALES = 2
"""With fewer there is no law."""

_ROUNDING = 1e-9
"""Of sums of FLOPs; a run of the round is far more of them."""

Recorder = Callable[[RoundRecord], None]


class LawGuided:
    """The strategy; see the module.

    Parameters
    ----------
    record : is told of each round that has ended, once.
    rounds : those of earlier launches, in order.
    """

    def __init__(
        self,
        spec: SweepSpec,
        ladder: Sequence[Scale],
        record: Recorder,
        rounds: Sequence[RoundRecord] = (),
    ) -> None:
        """Begin with no run known."""
        assert isinstance(spec.search, LawGuidedSearch)
        self._spec = spec
        self._search = spec.search
        self._ladder = ladder
        self._record = record
        self._last = rounds[-1] if rounds else None
        self._queue: deque[Point] = deque()
        self._out: set[int] = set()
        # All by the run's number; the scales are those of runs that wait as well.
        self._scales: dict[int, Scale] = {}
        self._rows: dict[int, dict[str, object]] = {}
        self._planned_at: int | None = None  # how many runs there were when a round was planned

    @property
    def workload(self) -> Sequence[Scale]:
        """The first round: what comes after it nobody knows."""
        return [scale for scale, _ in first_round(self._spec, self._ladder)]

    def ask(self) -> Leg | None:
        """Return the next run of the round; a new round begins when all of the last have ended."""
        if self._planned_at is None:
            self._queue.extend(self._rest_of_round())
        if not self._queue and not self._out:
            self._queue.extend(self._next_round())
        if not self._queue:
            return None
        leg = Leg(self._queue.popleft(), self._spec.reports)
        self._out.add(_number(leg.point))
        return leg

    def resume(self, leg: Leg) -> None:
        """Count a run of an earlier launch."""
        number = _number(leg.point)
        self._scales[number] = leg.point.scale
        self._out.add(number)

    def tell(self, outcome: Outcome) -> None:
        """Take a run that has ended."""
        point, number = outcome.point, _number(outcome.point)
        self._out.discard(number)
        self._rows[number] = {
            columns.RUN_ID: point.run_id,
            columns.PARAMS: point.scale.params,
            columns.TOKENS: point.scale.tokens,
            **point.scale.shape,
            **point.setting,
            columns.LOSS: outcome.losses[-1] if outcome.losses else np.nan,
            columns.STATUS: outcome.status,
            columns.PARAMETRIZATION: self._spec.parametrization,
        }

    def _rest_of_round(self) -> list[Point]:
        """Plan the round again in which an earlier launch ended; return what it had not begun."""
        n_before = self._n_begun(self._last)
        return self._points(n_before, _fit(self._trained(n_before)))

    def _next_round(self) -> list[Point]:
        """Return the runs of a new round, none where the search has ended.

        What was trained since the last round is recorded first; one of which nothing could be
        trained is none.
        """
        n_runs = len(self._scales)
        trained = self._trained(n_runs)
        is_news = self._last is None or len(trained) > self._last.runs
        if not is_news and self._planned_at == n_runs:
            return []
        law = _fit(trained)
        if is_news:
            number = 0 if self._last is None else self._last.number + 1
            document = None if law is None else law.to_dict()
            expected = None if law is None else self._expected_regret_pct(law)
            flops = self._spent(n_runs)
            self._last = RoundRecord(number, len(trained), flops, expected, document)
            self._record(self._last)
        return self._points(n_runs, law)

    def _points(self, n_before: int, law: Law | None) -> list[Point]:
        """Return those runs of the round after the first `n_before` that have not begun."""
        self._planned_at = n_before
        left = self._search.flops - self._spent(n_before)
        points: list[Point] = []
        for scale, setting in self._chosen(n_before, law, left):
            if scale.flops <= left:
                left -= scale.flops
                number = n_before + len(points)
                run_id = f"{self._spec.name}-{number:05d}"
                setting = {**self._spec.fixed, **setting}
                points.append(Point(run_id, scale, setting, self._spec.seed))
        rest = [point for point in points if _number(point) not in self._scales]
        self._scales |= {_number(point): point.scale for point in rest}
        return rest

    def _chosen(
        self, n_before: int, law: Law | None, left: float
    ) -> list[tuple[Scale, Mapping[str, Value]]]:
        """Return scale and setting of each run of the round, whether or not it can be afforded."""
        if law is None:
            # What there is carries no law yet: more of the same, further on in the sequence.
            return first_round(self._spec, self._ladder, skip=n_before)
        if self._expected_regret_pct(law) <= self._search.tolerance_pct:
            return []
        scales = [scale for scale in self._ladder if scale.flops <= left]
        offered = candidates(law, self._spec.space, scales)
        if offered.empty:
            return []
        plan = plan_runs(
            law,
            self._trained(n_before),
            params=self._search.target.params,
            tokens=self._search.target.tokens,
            n_runs=self._search.round,
            candidates=offered,
        )
        by_size = {(scale.params, scale.tokens): scale for scale in reversed(scales)}
        # What the law does not place goes on varying, so that it may come to.
        drawn = sobol_settings(self._spec.space, n_before + len(plan), self._spec.seed)[n_before:]
        return [
            (
                by_size[int(row[columns.PARAMS]), int(row[columns.TOKENS])],
                others | {name: _typed(row[name], self._spec.space[name]) for name in law.settings},
            )
            for (_, row), others in zip(plan.iterrows(), drawn, strict=True)
        ]

    def _expected_regret_pct(self, law: Law) -> float:
        target = self._search.target
        return law.predict(target.params, target.tokens).regret_pct.expected

    def _trained(self, n_first: int) -> pd.DataFrame:
        """Return those of the first runs that have ended and did not fail, by number."""
        rows = [
            row
            for number, row in sorted(self._rows.items())
            if number < n_first and row[columns.STATUS] != columns.FAILED
        ]
        return pd.DataFrame(rows)

    def _spent(self, n_first: int) -> float:
        return sum(scale.flops for number, scale in self._scales.items() if number < n_first)

    def _n_begun(self, record: RoundRecord | None) -> int:
        """Return how many runs there were when a round was recorded, failed ones among them."""
        if record is None:
            return 0
        flops = [scale.flops for _, scale in sorted(self._scales.items())]
        return bisect_right(list(accumulate(flops)), record.flops * (1 + _ROUNDING))


def first_round(
    spec: SweepSpec, ladder: Sequence[Scale], *, skip: int = 0
) -> list[tuple[Scale, Mapping[str, Value]]]:
    """Return scale and setting of each run of the first round, or of one like it further on.

    The same settings at each of the cheapest scales, from a Sobol sequence; as many scales as cost
    a quarter of the budget together, but two at least.
    """
    search = spec.search
    assert isinstance(search, LawGuidedSearch)
    n_runs = search.first or 2 * search.round
    scales = list(ladder[:FIRST_SCALES])
    while len(scales) > LEAST_SCALES and _cost(scales, n_runs) > FIRST_SHARE * search.flops:
        scales.pop()
    done = -(-skip // len(scales))
    settings = sobol_settings(spec.space, done + -(-n_runs // len(scales)), spec.seed)
    return [
        (scales[index % len(scales)], settings[done + index // len(scales)])
        for index in range(n_runs)
    ]


def candidates(law: Law, space: Mapping[str, Dimension], scales: Sequence[Scale]) -> pd.DataFrame:
    """Return the settings to choose from: the law's lattice, as far as it lies in the space."""
    if not scales:
        return pd.DataFrame()
    sizes = pd.DataFrame(
        {
            columns.PARAMS: [float(scale.params) for scale in scales],
            columns.TOKENS: [float(scale.tokens) for scale in scales],
        }
    )
    offered = default_candidates(law, sizes)
    for name in law.settings:
        dimension = space[name]
        values = offered[name].to_numpy(dtype=float)
        if dimension.choices is not None:
            choices = np.sort(np.array(dimension.choices, dtype=float))
            nearest = np.abs(np.log(values[:, None] / choices)).argmin(axis=1)
            offered[name] = choices[nearest]
        else:
            assert dimension.bounds is not None
            low, high = dimension.bounds
            offered = offered[(values >= low) & (values <= high)]
    return offered.drop_duplicates(ignore_index=True)


def problems(spec: SweepSpec) -> Iterator[Problem]:
    """What a law-guided sweep asks of its file, whose ladder can be built."""
    if "runs" in spec.model_fields_set:
        yield Problem(("runs",), "a law-guided sweep runs until its budget is spent; leave it out")
    if spec.seeds != 1:
        yield Problem(("seeds",), "a law-guided sweep trains each setting once; leave it out")
    for name, dimension in spec.space.items():
        if any(isinstance(choice, str | bool) for choice in dimension.choices or ()):
            yield Problem(("space", name), "a law places numbers only; set this one under fixed")
    rate = spec.space.get(columns.LR)
    if rate is None or rate.choices is not None:
        yield Problem(("space",), "no range of lr; a law needs one: lr: {log: [1e-4, 1e-1]}")
    ladder = resolve_ladder(spec)
    if len(ladder) < LEAST_SCALES:
        yield Problem(("scales",), "one scale only; a law needs two at least, better four or more")
        return
    search = spec.search
    assert isinstance(search, LawGuidedSearch)
    least = sum(scale.flops for scale, _ in first_round(spec, ladder))
    if search.flops < least:
        yield Problem(
            ("search", "flops"),
            f"{search.flops:.3g} is less than the first round takes; give {least:.3g} at least, "
            "or smaller scales",
        )


def _number(point: Point) -> int:
    return int(point.run_id.rpartition("-")[2])


def _cost(scales: Sequence[Scale], n_runs: int) -> float:
    return sum(scale.flops for scale in scales) * n_runs / len(scales)


def _fit(runs: pd.DataFrame) -> Law | None:
    if runs.empty:
        return None
    try:
        return fit_law(runs)
    except InsufficientDataError:
        return None


def _typed(value: float, dimension: Dimension) -> Value:
    """The value as the sweep file has it: a choice of whole numbers stays one."""
    if dimension.choices is None:
        return float(value)
    return next(choice for choice in dimension.choices if float(choice) == value)
