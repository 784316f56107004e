"""Who descends from whom: the states that a run's weights came through, as plain data.

origins = [(("a", 1), None), (("b", 2), ("a", 1))]
ancestry(origins, "b")  # [("a", 1), ("b", 2)]
"""

from __future__ import annotations

from collections.abc import Iterable

State = tuple[str, int]
"""What a run had become after so many reports."""


def ancestry(legs: Iterable[tuple[State, State | None]], run_id: str) -> list[State]:
    """Return the ends of the legs that a run's weights came through, the first of training first.

    Parameters
    ----------
    legs : of those that have ended, in the order in which they began: the state at the leg's end,
        and the one that it began with; None for the start of training. Of two legs to one state
        the later counts.
    run_id : the run; empty where none of its legs has ended.
    """
    origins = dict(legs)
    here = next((state for state in reversed(origins) if state[0] == run_id), None)
    path = []
    while here is not None:
        path.append(here)
        here = origins[here]
    return path[::-1]
