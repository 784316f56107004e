"""The legs that wait: asked of the search, cut off or taken back; and which of them go together."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Container
from dataclasses import dataclass

from hpo.legs import NumberedLeg, Standing
from hpo.packs import Kind, Packs
from hpo.points import Leg
from hpo.schema import SweepSpec
from hpo.strategy import Strategy
from trainers.config import RunConfig


@dataclass(frozen=True)
class Pack:
    """Legs that one worker is to train together.

    Attributes
    ----------
    legs : one or more.
    kind : what they share with those that they can be trained with; None where there are none.
    to_measure : where the worker is to measure how many to fuse, about how many are left for it.
    """

    legs: tuple[NumberedLeg, ...]
    kind: Kind | None = None
    to_measure: int = 0


class LegQueue:
    """Asks the strategy for legs, numbers them, and hands them out in packs."""

    def __init__(
        self,
        spec: SweepSpec,
        strategy: Strategy,
        standing: Standing,
        config_of: Callable[[Leg], RunConfig],
    ) -> None:
        """Begin with the legs that are left as a sweep stands."""
        self.packs = Packs(spec)
        self._strategy = strategy
        self._config_of = config_of
        self._waiting = deque(standing.left)
        self._unrecorded = {leg.number: leg for leg in standing.unrecorded}
        self._next_number = standing.next_number
        self._kinds: dict[int, Kind | None] = {}  # of legs that wait
        self._alone: set[int] = set()

    def __len__(self) -> int:
        """How many legs wait."""
        return len(self._waiting)

    @property
    def waiting(self) -> tuple[NumberedLeg, ...]:
        """The legs that wait, the next one first."""
        return tuple(self._waiting)

    @property
    def next_number(self) -> int:
        """Number of the next leg that the strategy gives."""
        return self._next_number

    def look_ahead(self, n_legs: int = 1) -> None:
        """Ask the strategy for legs until so many wait, or it has none now."""
        while len(self._waiting) < n_legs and (leg := self._strategy.ask()) is not None:
            numbered = NumberedLeg(self._next_number, leg)
            self._next_number += 1
            self._unrecorded[numbered.number] = numbered
            self._waiting.append(numbered)

    def take(self, n_actors: int, n_out: int) -> Pack:
        """Take the next leg, and those that are to be trained with it.

        Parameters
        ----------
        n_actors : how many workers share the legs.
        n_out : how many legs are being trained.
        """
        first = self._waiting.popleft()
        kind = self._kind_of(first)
        self._kinds.pop(first.number, None)
        if kind is None:
            return Pack((first,))
        alike = self._find_alike(kind, n_actors, n_out)
        n_alike = 1 + len(alike)
        to_measure = self.packs.to_measure(kind, n_alike, n_actors)
        together = alike[: self.packs.size(kind, n_alike, n_actors) - 1]
        self._remove(together)
        return Pack((first, *together), kind, to_measure)

    def take_alike(self, kind: Kind, n_legs: int, n_actors: int, n_out: int) -> list[NumberedLeg]:
        """Take up to so many legs of a kind, an actor's part of those that wait at most."""
        alike = self._find_alike(kind, n_actors, n_out)
        together = alike[: min(n_legs, math.ceil(len(alike) / n_actors))]
        self._remove(together)
        return together

    def put_back(self, leg: NumberedLeg, *, first: bool = False) -> None:
        """Have a leg wait again, at the end or first of all."""
        if first:
            self._waiting.appendleft(leg)
        else:
            self._waiting.append(leg)

    def keep_alone(self, number: int) -> None:
        """From now on train a leg by itself: it failed, or its worker died, among others."""
        self._alone.add(number)

    def is_recorded(self, number: int) -> bool:
        """Whether the store has a leg."""
        return number not in self._unrecorded

    def record(self, number: int) -> list[NumberedLeg]:
        """Take a leg as recorded; return those before it that are to be recorded with it.

        A search knows its runs by their order: no leg is recorded without those before it.
        """
        self._unrecorded.pop(number, None)
        return [self._unrecorded.pop(n) for n in sorted(self._unrecorded) if n < number]

    def restart(self, strategy: Strategy, standing: Standing, running: Container[int]) -> None:
        """Go on with a strategy that was told all that the store has, while legs are running."""
        for numbered in self._unrecorded.values():
            strategy.resume(numbered.leg)
        left = (*standing.left, *self._unrecorded.values())
        self._strategy = strategy
        self._waiting = deque(leg for leg in left if leg.number not in running)

    def _find_alike(self, kind: Kind, n_actors: int, n_out: int) -> list[NumberedLeg]:
        self.look_ahead(self.packs.n_ahead(kind, n_actors, n_out))
        return [leg for leg in self._waiting if self._kind_of(leg) == kind]

    def _remove(self, legs: Collection[NumberedLeg]) -> None:
        for leg in legs:
            self._waiting.remove(leg)
            self._kinds.pop(leg.number, None)

    def _kind_of(self, leg: NumberedLeg) -> Kind | None:
        if leg.number in self._alone:
            return None
        if leg.number not in self._kinds:
            self._kinds[leg.number] = self.packs.kind_of(self._config_of(leg.leg))
        return self._kinds[leg.number]
