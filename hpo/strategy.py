"""What every search method is to the sweep: it is asked for legs, and told how they ended.

A strategy knows nothing of Ray, of the store or of time. It is told everything in one order, and
answers from that alone and its seed, so that a resumed sweep rebuilds it by telling it again what
the store kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from hpo.ladder import Scale
from hpo.points import Leg, Outcome


class Strategy(Protocol):
    """Chooses what to train next."""

    @property
    def workload(self) -> Sequence[Scale]:
        """The scale of each run of the sweep, as far as it is known beforehand."""
        ...

    def ask(self) -> Leg | None:
        """Return the next leg; None where there is none before more is told.

        Several legs may be out at once, but one of a run at most. None while no leg is out ends
        the sweep; runs that are frozen then have been stopped.
        """
        ...

    def resume(self, leg: Leg) -> None:
        """Take a leg that an earlier launch began as asked for: it is trained (again)."""
        ...

    def tell(self, outcome: Outcome) -> None:
        """Take how a leg ended; also those of earlier launches, each after its `resume`."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A strategy that keeps something which a launch must not end without, such as a mirror."""

    def close(self) -> None:
        """Write what is left; the strategy is not asked or told after it."""
        ...
