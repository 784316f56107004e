"""Law-guided search: rounds of plan, run and refit towards a target that is too big to tune.

The first round spreads settings over the cheapest scales of the ladder. After each round a law is
fitted to all runs so far (`scaling.fitting`), and the next one has the runs that most lower the
regret expected at the target for their compute (`scaling.design`). The search ends when the law's
own expected regret is under the tolerance, when the budget is spent, or when no run of the ladder
would lower it any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

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

Recorder = Callable[[RoundRecord], None]


class LawGuided:
    """The strategy; see the module.

    Parameters
    ----------
    record : is told of each round that has ended.
    """

    def __init__(self, spec: SweepSpec, ladder: Sequence[Scale], record: Recorder) -> None:
        """Begin with nothing known."""
        assert isinstance(spec.search, LawGuidedSearch)
        self._spec = spec
        self._search = spec.search
        self._ladder = ladder
        self._record = record
        self._queue: deque[Point] = deque()
        self._out: set[str] = set()
        self._rows: dict[str, dict[str, object]] = {}
        self._spent = 0.0
        self._n_points = 0
        self._n_rounds = 0

    @property
    def workload(self) -> Sequence[Scale]:
        """The first round: what comes after it nobody knows."""
        return [scale for scale, _ in first_round(self._spec, self._ladder)]

    def ask(self) -> Leg | None:
        """Return the next run of the round; a new round begins when all of the last have ended."""
        if not self._queue and not self._out:
            self._queue.extend(self._next_round())
        if not self._queue:
            return None
        leg = Leg(self._queue.popleft(), self._spec.reports)
        self._out.add(leg.point.run_id)
        return leg

    def resume(self, leg: Leg) -> None:
        """Count a run of an earlier launch."""
        self._n_points += 1
        self._spent += leg.point.scale.flops
        self._out.add(leg.point.run_id)

    def tell(self, outcome: Outcome) -> None:
        """Take a run that has ended."""
        point = outcome.point
        self._out.discard(point.run_id)
        self._rows[point.run_id] = {
            columns.RUN_ID: point.run_id,
            columns.PARAMS: point.scale.params,
            columns.TOKENS: point.scale.tokens,
            **point.scale.shape,
            **point.setting,
            columns.LOSS: outcome.losses[-1] if outcome.losses else np.nan,
            columns.STATUS: outcome.status,
            columns.PARAMETRIZATION: self._spec.parametrization,
        }

    def _next_round(self) -> Iterator[Point]:
        if not self._rows:
            return self._points(first_round(self._spec, self._ladder))
        runs = pd.DataFrame(list(self._rows.values()))
        law = _fit(runs)
        target = self._search.target
        prediction = None if law is None else law.predict(target.params, target.tokens)
        expected = None if prediction is None else prediction.regret_pct.expected
        document = None if law is None else law.to_dict()
        self._record(RoundRecord(self._n_rounds, len(runs), self._spent, expected, document))
        self._n_rounds += 1
        if law is None:
            # What there is carries no law yet: more of the same, further on in the sequence.
            return self._affordable(first_round(self._spec, self._ladder, skip=len(runs)))
        if expected is not None and expected <= self._search.tolerance_pct:
            return iter(())
        return self._affordable(self._planned(law, runs))

    def _planned(self, law: Law, runs: pd.DataFrame) -> list[tuple[Scale, Mapping[str, Value]]]:
        left = self._search.flops - self._spent
        scales = [scale for scale in self._ladder if scale.flops <= left]
        offered = candidates(law, self._spec.space, scales)
        if offered.empty:
            return []
        plan = plan_runs(
            law,
            runs,
            params=self._search.target.params,
            tokens=self._search.target.tokens,
            n_runs=self._search.round,
            candidates=offered,
        )
        by_size = {(scale.params, scale.tokens): scale for scale in reversed(scales)}
        # What the law does not place goes on varying, so that it may come to.
        drawn = sobol_settings(self._spec.space, len(runs) + len(plan), self._spec.seed)[
            len(runs) :
        ]
        return [
            (
                by_size[int(row[columns.PARAMS]), int(row[columns.TOKENS])],
                others | {name: _typed(row[name], self._spec.space[name]) for name in law.settings},
            )
            for (_, row), others in zip(plan.iterrows(), drawn, strict=True)
        ]

    def _affordable(self, chosen: Sequence[tuple[Scale, Mapping[str, Value]]]) -> Iterator[Point]:
        left = self._search.flops - self._spent
        kept = []
        for scale, setting in chosen:
            if scale.flops <= left:
                left -= scale.flops
                kept.append((scale, setting))
        return self._points(kept)

    def _points(self, chosen: Sequence[tuple[Scale, Mapping[str, Value]]]) -> Iterator[Point]:
        for scale, setting in chosen:
            run_id = f"{self._spec.name}-{self._n_points:05d}"
            self._n_points += 1
            self._spent += scale.flops
            yield Point(run_id, scale, {**self._spec.fixed, **setting}, self._spec.seed)


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


def _cost(scales: Sequence[Scale], n_runs: int) -> float:
    return sum(scale.flops for scale in scales) * n_runs / len(scales)


def _fit(runs: pd.DataFrame) -> Law | None:
    try:
        return fit_law(runs)
    except InsufficientDataError:
        return None


def _typed(value: float, dimension: Dimension) -> Value:
    """The value as the sweep file has it: a choice of whole numbers stays one."""
    if dimension.choices is None:
        return float(value)
    return next(choice for choice in dimension.choices if float(choice) == value)
