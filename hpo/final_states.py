"""Final states of runs, for soups and for training on: of each scale, those of its best runs.

A worker writes the state of a run that completed into the run's folder; the coordinator removes it
again as soon as enough better ones are there, so that the disk holds only so many at a time.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from pathlib import Path

from hpo.checkpoints import Kept, read_state, write_state
from hpo.schema import SweepSpec
from storage import columns
from storage.store import Store

_FILE = "final.state"


def save_final(folder: Path, kept: Kept) -> None:
    """Keep the state of a run that completed, in the run's folder."""
    write_state(folder / _FILE, kept)


def read_final(folder: Path) -> Kept | None:
    """Return the final state that is kept in a run's folder, or None."""
    return read_state(folder / _FILE)


class BestOfScales:
    """Removes final states, but for those of the best runs of each scale.

    Parameters
    ----------
    folder : a folder a run is in it.
    keep : how many final states of a scale stay; 0 where none are written.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        """Know of no run yet."""
        self._folder = folder
        self._keep = keep
        self._best: dict[tuple[object, object], list[tuple[float, str]]] = {}

    @classmethod
    def of_sweep(cls, spec: SweepSpec, store: Store, folder: Path) -> BestOfScales:
        """Return those of a sweep, which know the runs that the store has."""
        best = cls(folder, spec.final_states)
        if spec.final_states:
            rows = store.runs(spec.name, statuses=[columns.COMPLETED]).to_dict("records")
            for row in rows:
                best.completed({str(name): value for name, value in row.items()})
        return best

    def completed(self, row: Mapping[str, object]) -> None:
        """Take note of a run that completed, and remove the final state that is one too many."""
        if not self._keep:
            return
        best = self._best.setdefault((row[columns.PARAMS], row[columns.TOKENS]), [])
        bisect.insort(best, (float(str(row[columns.LOSS])), str(row[columns.RUN_ID])))
        if len(best) > self._keep:
            _, run_id = best.pop()
            (self._folder / run_id / _FILE).unlink(missing_ok=True)
