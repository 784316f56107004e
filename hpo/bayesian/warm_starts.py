"""What a search begins with: runs of earlier sweeps, and what published laws recommend.

Runs of an earlier sweep at the very scale, trained alike (see `hpo.bayesian.comparable`), are given
to the sampler as they are. Where it has none at a scale, losses do not compare; then the best
settings of its nearest scale (in log N and log D) are tried first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hpo.bayesian import space as axes
from hpo.bayesian.comparable import is_told, launched_spec, trained_alike
from hpo.bayesian.scale_study import Known
from hpo.errors import SpecError
from hpo.fields import Value
from hpo.ladder import Scale
from hpo.points import Setting
from hpo.schema import SweepSpec
from hpo.search_keys import BayesianSearch
from hpo.space import Dimension
from scaling.published import PUBLISHED
from scaling.published_law import Situation
from storage import columns
from storage.errors import NotFoundError
from storage.store import Store

TRIED = 3
"""Settings that are taken over from another scale of an earlier sweep: the best."""

_REACHED = (columns.LOSS, columns.SECONDS, columns.FLOPS)

_SAME = 1e-3
"""Scales whose N and D differ by less, as a part, are one."""


@dataclass(frozen=True)
class WarmStart:
    """What a scale begins with.

    Attributes
    ----------
    known : runs that the sampler learns from.
    tries : settings, or parts of settings, to try first.
    """

    known: list[Known] = field(default_factory=list)
    tries: list[Setting] = field(default_factory=list)

    def complete(
        self, space: Mapping[str, Dimension], spread: Sequence[Setting]
    ) -> Iterator[Setting]:
        """Give the tries, with what they leave open from as many settings of `spread`."""
        for part, rest in zip(self.tries, spread, strict=False):
            whole = {**rest, **part}
            there = axes.names_there(space, whole)
            # A condition that the part changed may ask for a setting that `rest` lacks.
            if there <= whole.keys():
                yield {name: whole[name] for name in space if name in there}
            else:
                yield rest


def warm_starts(spec: SweepSpec, ladder: Sequence[Scale], store: Store) -> list[WarmStart]:
    """Return the warm start of each scale.

    Raises
    ------
    SpecError
        Where an earlier sweep is not in the store, or nothing of it lies in the space; or where no
        published law recommends anything that does.
    """
    search = spec.search
    assert isinstance(search, BayesianSearch)
    starts = [WarmStart() for _ in ladder]
    if search.published:
        _add_published(starts, spec, ladder)
    for index in range(len(search.prior)):
        _add_runs(starts, ladder, _prior_runs(spec, search, store, index))
    return starts


def _add_published(starts: list[WarmStart], spec: SweepSpec, ladder: Sequence[Scale]) -> None:
    said = []
    for scale, start in zip(ladder, starts, strict=True):
        for law in PUBLISHED:
            optimum = law.optimum(Situation(params=scale.params, tokens=scale.tokens))
            part = {n: v for n, v in optimum.items() if n in spec.space}
            if not part:
                continue
            shown = ", ".join(f"{name} {value:.3g}" for name, value in part.items())
            said.append(f"{law.name}: {shown}")
            nearest = _nearest_setting(spec.space, part)
            if nearest is not None and nearest not in start.tries:
                start.tries.append(nearest)
    if not any(start.tries for start in starts):
        heard = f"; at the largest scale {said[-1]}" if said else ""
        raise SpecError(
            "search.published: no published law recommends a setting of this space at any of its "
            f"scales{heard}; widen the space or leave this out"
        )


def _nearest_setting(space: Mapping[str, Dimension], part: Mapping[str, float]) -> Setting | None:
    """Return the values of the space that are nearest; None where one lies outside of it."""
    found = {name: _nearest(space[name], value) for name, value in part.items()}
    return None if None in found.values() else {n: v for n, v in found.items() if v is not None}


def _nearest(dimension: Dimension, value: float) -> Value | None:
    choices = axes.ordered_choices(dimension)
    if dimension.choices is not None:
        numbers = [float(choice) for choice in choices or ()]
        positive = [number for number in numbers if number > 0]
        if not positive or not positive[0] <= value <= positive[-1]:
            return None
        return min(choices or (), key=lambda c: abs(math.log(float(c) / value)))
    assert dimension.bounds is not None
    low, high = dimension.bounds
    if not low <= value <= high:
        return None
    step = dimension.multiple_of
    return value if step is None else round(value / step) * step


@dataclass(frozen=True)
class _Run:
    """A completed run of an earlier sweep whose setting lies in the space.

    Attributes
    ----------
    params, tokens : its scale.
    alike : whether it was trained as the new sweep's runs are, so that its loss compares.
    """

    known: Known
    params: float
    tokens: float
    alike: bool

    def distance(self, scale: Scale) -> float:
        """Return how far its scale is from another one, in log N and log D."""
        return math.hypot(
            math.log(self.params / scale.params), math.log(self.tokens / scale.tokens)
        )


def _add_runs(starts: list[WarmStart], ladder: Sequence[Scale], runs: Sequence[_Run]) -> None:
    """Add a prior sweep's runs to each scale."""
    for scale, start in zip(ladder, starts, strict=True):
        here = [run.known for run in runs if run.alike and run.distance(scale) < _SAME]
        if here:
            start.known.extend(here)
            continue
        least = min(run.distance(scale) for run in runs)
        nearest = [run.known for run in runs if run.distance(scale) <= least + _SAME]
        for run in sorted(nearest, key=lambda run: run.reached[columns.LOSS])[:TRIED]:
            if run.setting not in start.tries:
                start.tries.append(run.setting)


def _prior_runs(spec: SweepSpec, search: BayesianSearch, store: Store, index: int) -> list[_Run]:
    """Return the runs of a prior sweep that a search can begin with."""
    name = search.prior[index]
    try:
        frame = store.runs(name, statuses=[columns.COMPLETED])
    except NotFoundError as error:
        raise SpecError(f"search.prior[{index}]: {error}") from error
    earlier = launched_spec(store, name)
    rows = ({str(key): value for key, value in row.items()} for row in frame.to_dict("records"))
    runs = [run for row in rows if (run := _run(spec, earlier, row)) is not None]
    if not runs:
        raise SpecError(
            f"search.prior[{index}]: sweep {name!r} has no completed run whose settings lie in the "
            f"space ({', '.join(spec.space)}); widen the space or leave it out"
        )
    return runs


def _run(spec: SweepSpec, earlier: SweepSpec | None, row: Mapping[str, object]) -> _Run | None:
    """Return a row of the runs table as a run to begin with; None where it cannot be one."""
    search = spec.search
    assert isinstance(search, BayesianSearch)
    setting = _setting_of(spec.space, row)
    reached = {name: _number(row.get(name)) for name in _REACHED}
    needed = {columns.LOSS, *search.objectives, *search.constraints}
    if search.per_cost is not None:
        needed.add(search.per_cost)
    if setting is None or not all(math.isfinite(reached[name]) for name in needed):
        return None
    params, tokens = _number(row[columns.PARAMS]), _number(row[columns.TOKENS])
    alike = trained_alike(spec, earlier, setting, row)
    return _Run(Known(setting, reached), params, tokens, alike)


def _setting_of(space: Mapping[str, Dimension], row: Mapping[str, object]) -> Setting | None:
    """Return the searched part of a run's row; None where it does not lie in the space."""
    values: Setting = {}
    for name, dimension in space.items():
        value = row.get(name)
        if isinstance(value, str | int | float) and is_told(value):
            values[name] = _as_in_file(dimension, value)
    there = axes.names_there(space, values)
    setting = {name: value for name, value in values.items() if name in there}
    return setting if axes.holds(space, setting) else None


def _as_in_file(dimension: Dimension, value: Value) -> Value:
    """Return a value of the runs table, whose numbers are float, as the file writes it."""
    for choice in dimension.choices or ():
        if value == choice:
            return choice
    whole = dimension.multiple_of is not None and isinstance(value, float) and value.is_integer()
    return int(value) if whole else value


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
