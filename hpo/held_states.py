"""States of runs in Ray's object store: what lets a member of a population take over another.

The store on disk has them too; these spare reading it, and are let go once they are old.
"""

from __future__ import annotations

from hpo.points import Origin
from hpo.trial_legs import HeldState

KEPT = 2
"""Of a run, the states at its last two leg ends: a leg that begins from one may wait its turn."""


class HeldStates:
    """The states at the last leg ends of runs that go on."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._states: dict[str, dict[int, HeldState]] = {}

    def keep(self, run_id: str, reports: int, state: HeldState | None) -> None:
        """Hold the state of a run after so many reports, and let its oldest go."""
        if state is None:
            return
        states = self._states.setdefault(run_id, {})
        states[reports] = state
        for old in sorted(states)[:-KEPT]:
            states.pop(old).reference = None

    def get(self, origin: Origin | None) -> HeldState | None:
        """Return the state that a leg begins with, where it is held.

        It is another holder of the same state: the leg keeps it, whatever is let go here.
        """
        held = None if origin is None else self._states.get(origin.run_id, {}).get(origin.reports)
        return None if held is None else HeldState(held.reference)

    def drop(self, run_id: str) -> None:
        """Let the states of a run go: it is over."""
        for state in self._states.pop(run_id, {}).values():
            state.reference = None
