"""The script that `hyperlaw dashboard` serves: the dashboard, with sweep files of planned runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dashboards import session
from dashboards.app import main
from hyperlaw.planning import buildable, find_recipe, next_sweep
from hyperlaw.sources import open_store, runs_of_sweeps


@dataclass(frozen=True)
class NextSweeps:
    """Makes sweep files of planned runs, trained as the runs of the sweeps that they follow.

    Attributes
    ----------
    db : the database, a file or a URL.
    """

    db: str

    def buildable(
        self, sweeps: Sequence[str], candidates: pd.DataFrame, settings: Sequence[str]
    ) -> pd.DataFrame:
        """Return candidates with their settings rounded to what can be trained."""
        with open_store(self.db) as store:
            source = runs_of_sweeps(store, sweeps)
        rounded = buildable(find_recipe(source, self.db), candidates, settings)
        return rounded.drop_duplicates(ignore_index=True)

    def sweep_file(self, sweeps: Sequence[str], planned: pd.DataFrame) -> tuple[str, str]:
        """Return the name of the next sweep, and the text of its file, of planned runs."""
        with open_store(self.db) as store:
            source = runs_of_sweeps(store, sweeps)
        return next_sweep(source, find_recipe(source, self.db), planned, self.db)


if __name__ == "__main__":
    main(NextSweeps(session.options().database))
