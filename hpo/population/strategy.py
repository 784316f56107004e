"""The strategy of a population: generations of legs, ranked at the end of each.

A generation is a leg of every member, `interval` reports long. Once all have ended, the worst take
over (`truncation`), explore, and the next generation is asked for; so what happens depends on the
losses and the seed alone, not on which worker was faster, and a resumed sweep comes to the same.
Members start from settings spread over the space, and have the seed of the sweep, or by turns one
of `seeds`: with one seed all start from the same weights and see the same data, so that the path of
the best one can be replayed exactly.

A member is a run, and keeps its run_id whatever state it takes over. One that diverged or failed
is over; its place is taken by a new run, which begins with the state of one of the best.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.encoding import Array, from_cube, to_cube
from hpo.fields import Value
from hpo.ladder import Scale
from hpo.planned import sobol_settings
from hpo.points import Leg, Origin, Outcome, Point
from hpo.population.bandit import Gain, propose
from hpo.population.explore import perturb
from hpo.population.truncation import truncation
from hpo.schema import SweepSpec
from hpo.search_keys import PopulationSearch
from hpo.space import Dimension
from storage import columns

GUESSING_LOSS = math.log(256)


@dataclass
class _Member:
    """A place in the population, and the run that has it.

    Attributes
    ----------
    point : the run, with its setting of this generation.
    before : loss of the state that its leg began with, nats a token; that of even guessing over
        bytes at the start of training, where none is measured.
    loss : at the end of its last leg; infinite where it diverged, NaN where it failed.
    over : whether the run came to its own end.
    """

    point: Point
    before: float = GUESSING_LOSS
    loss: float = math.nan
    over: bool = False


class Population:
    """Population-based training, synchronous; see the module."""

    def __init__(self, spec: SweepSpec, ladder: Sequence[Scale]) -> None:
        """Begin with `spec.runs` members at the one scale of the ladder."""
        assert isinstance(spec.search, PopulationSearch)
        assert spec.runs is not None
        (self._scale,) = ladder
        self._spec = spec
        self._search = spec.search
        settings = sobol_settings(spec.space, spec.runs, spec.seed)
        self._members = [
            _Member(self._point(index, setting, spec.seed + index % spec.seeds))
            for index, setting in enumerate(settings)
        ]
        self._n_runs = spec.runs
        self._generation = 0
        self._gains: list[Gain] = []
        self._queue = deque(Leg(member.point, self._end) for member in self._members)
        self._out: dict[str, _Member] = {}

    @property
    def workload(self) -> Sequence[Scale]:
        """The scale of every member."""
        return [self._scale] * len(self._members)

    def ask(self) -> Leg | None:
        """Return the next member's leg of this generation."""
        if not self._queue:
            return None
        leg = self._queue.popleft()
        self._begin(leg)
        return leg

    def resume(self, leg: Leg) -> None:
        """Take a leg as asked for; one of the next generation says that this one was ended.

        Members that had failed are not told of then: they are being tried again, in vain, as their
        places are taken.
        """
        if leg.reports > self._end and not self._queue:
            self._end_generation()
        begun = [asked for asked in self._queue if asked.point.run_id == leg.point.run_id]
        for asked in begun:
            self._queue.remove(asked)
            self._begin(leg)

    def tell(self, outcome: Outcome) -> None:
        """Take how a leg ended; the last one of a generation ends it."""
        member = self._out.pop(outcome.point.run_id, None)
        if member is None:
            return
        reached = len(outcome.losses) >= self._end
        member.over = outcome.status in (columns.COMPLETED, columns.STOPPED)
        if member.over or (outcome.status == "running" and reached):
            member.loss = outcome.losses[-1]
        elif outcome.status == columns.DIVERGED:
            member.loss = math.inf
        if not self._queue and not self._out:
            self._end_generation()

    @property
    def _end(self) -> int:
        """Reports at which this generation ends."""
        return min((self._generation + 1) * self._search.interval, self._spec.reports)

    def _point(self, index: int, setting: Mapping[str, Value], seed: int) -> Point:
        whole = {**self._spec.fixed, **setting}
        return Point(f"{self._spec.name}-{index:05d}", self._scale, whole, seed)

    def _begin(self, leg: Leg) -> None:
        member = next(m for m in self._members if m.point.run_id == leg.point.run_id)
        member.point = leg.point
        member.loss = math.nan
        self._out[leg.point.run_id] = member

    def _end_generation(self) -> None:
        """Rank the members, and queue the next generation, if there is one."""
        self._out.clear()
        going = [member for member in self._members if not member.over]
        taken = truncation(
            [member.loss for member in going],
            self._search.quantile,
            np.random.default_rng([self._spec.seed, self._generation, 0]),
        )
        nothing_to_take = not any(math.isfinite(member.loss) for member in going)
        if nothing_to_take or self._end >= self._spec.reports:
            return
        reports = self._end
        self._remember(going)
        self._generation += 1
        settings = self._explore(going, taken)
        kept = [member.point for member in going]
        losses = [member.loss for member in going]
        # Those that take over first: a state is let go once its own run has come to its end.
        for place in sorted(range(len(going)), key=lambda place: place not in taken):
            member = going[place]
            origin = kept[taken.get(place, place)].run_id
            if place in taken:
                member.point = self._successor(member, settings[place])
            member.before = losses[taken.get(place, place)]
            self._queue.append(Leg(member.point, self._end, Origin(origin, reports)))

    def _successor(self, member: _Member, setting: Mapping[str, Value]) -> Point:
        """Return the run that goes on in a member's place with the state of another."""
        old = member.point
        if math.isfinite(member.loss):
            return Point(old.run_id, old.scale, setting, old.seed)
        self._n_runs += 1
        return self._point(self._n_runs - 1, setting, old.seed)

    def _explore(
        self, going: Sequence[_Member], taken: Mapping[int, int]
    ) -> dict[int, Mapping[str, Value]]:
        """Return the next setting of each member that takes over another."""
        rng = np.random.default_rng([self._spec.seed, self._generation, 1])
        search, space = self._search, self._spec.space
        settings: dict[int, Mapping[str, Value]] = {
            place: perturb(space, going[best].point.setting, search.factors, search.resample, rng)
            for place, best in taken.items()
        }
        if search.explore != "pb2" or not taken:
            return settings
        proposed = propose(
            self._gains,
            self._generation,
            going_on=[
                self._unit(member.point.setting)
                for place, member in enumerate(going)
                if place not in taken
            ],
            count=len(taken),
            rng=rng,
        )
        for place, unit in zip(taken, proposed, strict=True):
            settings[place] = {**settings[place], **from_cube(self._ranges, unit)}
        return settings

    def _remember(self, going: Sequence[_Member]) -> None:
        """Keep what each setting gained in the generation that has ended."""
        self._gains += [
            Gain(self._generation, self._unit(m.point.setting), m.before, m.loss)
            for m in going
            if not math.isnan(m.loss)
        ]

    @property
    def _ranges(self) -> dict[str, Dimension]:
        """The searched settings that are ranges; choices are perturbed by PB2, too."""
        space = self._spec.space
        return {name: dimension for name, dimension in space.items() if dimension.bounds}

    def _unit(self, setting: Mapping[str, Value]) -> Array:
        return to_cube(self._ranges, {name: setting[name] for name in self._ranges})
