"""Which legs are trained together, as one batched computation, and how many (`trainers.fused`).

How many pays is measured by the worker that trains the first run of a kind: one trainer, shape,
batch and optimizer. Until it has said so, and wherever it does not pay, legs are trained one at a
time.
"""

from __future__ import annotations

import math

from hpo.schema import SweepSpec
from hpo.search_keys import Scheduled
from trainers.config import RunConfig
from trainers.fused.compatible import shared_part, why_not_fused

MOST = 64
"""Legs of a trial, at most."""
LEAST_PART = 0.25
"""Fewer than this part of the legs that were found to pay are trained one at a time: what is saved
then may not make up for recording how they are computed."""
LOOKING_PART = 0.1
"""A search that learns from every run keeps at most this part of its runs out at once."""

_LEARNING = ("bayesian", "freeze-thaw")

Kind = str
"""What legs that can be fused have in common."""


class Packs:
    """Says which legs of a sweep go together."""

    def __init__(self, spec: SweepSpec) -> None:
        """Know nothing yet of what pays, unless the sweep says how many to fuse."""
        search = spec.search
        # HyperBand pauses runs, each of which must be a trial of its own.
        paused = isinstance(search, Scheduled) and search.scheduler == "hyperband"
        self._fixed = 1 if paused else spec.resources.fused
        self._runs_out = None
        if search.method in _LEARNING and spec.runs is not None:
            self._runs_out = int(LOOKING_PART * spec.runs)
        self._sizes: dict[Kind, int] = {}
        self._being_measured: set[Kind] = set()

    def kind_of(self, config: RunConfig) -> Kind | None:
        """Return what a run shares with those that it can be fused with; None where with none."""
        if self._fixed == 1 or why_not_fused([config]):
            return None
        return repr(sorted(shared_part(config).items()))

    def n_ahead(self, kind: Kind, n_actors: int, n_out: int) -> int:
        """Return how many legs to ask the search for beyond the next one.

        A search that learns gets no further ahead than it need.
        """
        if self._runs_out is None:
            return MOST * n_actors
        size = self._size(kind)
        return 0 if size is None else max(0, min(size - 1, self._runs_out - n_out))

    def size(self, kind: Kind, n_alike: int, n_actors: int) -> int:
        """Return how many of `n_alike` legs to train together, the others left to other actors."""
        most = self._size(kind) or 1
        size = min(most, math.ceil(n_alike / n_actors))
        return size if size > LEAST_PART * most else 1

    def to_measure(self, kind: Kind, n_alike: int, n_actors: int) -> int:
        """Return about how many legs will be left for each actor; 0 if it is not to measure."""
        if self._size(kind) is not None or kind in self._being_measured:
            return 0
        self._being_measured.add(kind)
        at_once = n_alike if self._runs_out is None else self._runs_out
        return min(MOST, math.ceil(at_once / n_actors))

    def measured(self, kind: Kind, size: int) -> None:
        """Take how many legs it pays to fuse."""
        self._sizes[kind] = size

    def not_measured(self, kind: Kind) -> None:
        """The worker that was to measure is gone."""
        self._being_measured.discard(kind)

    def failed(self, kind: Kind, *, memory: bool) -> None:
        """Legs that were fused failed: fuse fewer where it was for memory, else none."""
        self._sizes[kind] = max(1, (self._size(kind) or 1) // 2) if memory else 1

    def _size(self, kind: Kind) -> int | None:
        return self._sizes.get(kind, self._fixed)
