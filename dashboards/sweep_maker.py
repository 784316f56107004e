"""How the dashboard has sweep files made: by whoever starts it, for it knows no trainers itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd


class SweepMaker(Protocol):
    """What the front door offers for planned runs; see `hyperlaw.dashboard`.

    Both methods raise ValueError, in one line, where the sweeps' runs cannot be trained again.
    """

    def buildable(
        self, sweeps: Sequence[str], candidates: pd.DataFrame, settings: Sequence[str]
    ) -> pd.DataFrame:
        """Return candidates with their settings rounded to what can be trained."""

    def sweep_file(self, sweeps: Sequence[str], planned: pd.DataFrame) -> tuple[str, str]:
        """Return the name of the next sweep, and the text of its file, of planned runs."""
