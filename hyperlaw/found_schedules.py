"""Schedules that populations found: what `sweep schedule` shows, and sweeps that replay them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hyperlaw.errors import InputError, MissingError
from hyperlaw.recipe import recipe_of

if TYPE_CHECKING:
    import pandas as pd

    from hpo.population.lineage import FoundSchedule
    from storage.store import Store

POPULATION: Final = "population"
REPLAY: Final = "replay"


def find_schedule(store: Store, sweep: str, run_id: str | None) -> FoundSchedule:
    """Return the schedule of a completed run of a population; of the best one if none is named.

    Raises
    ------
    InputError : the sweep is no population.
    MissingError : it has no completed run of that name.
    scaling.errors.InsufficientDataError : no run of it has completed yet.
    """
    from hpo.population.lineage import found_schedule
    from hpo.spec import stored_spec
    from scaling.errors import InsufficientDataError
    from storage.columns import COMPLETED, LOSS, RUN_ID

    record = store.sweep(sweep)
    method = stored_spec(record.spec_text).search.method if record.spec_text else "import"
    if method != POPULATION:
        raise InputError(
            f"sweep '{sweep}' is of method '{method}', whose runs keep their settings; schedules "
            f"are found by 'search: {{method: {POPULATION}}}'"
        )
    runs = store.runs(sweep, statuses=[COMPLETED])
    if runs.empty:
        raise InsufficientDataError(
            f"no run of sweep '{sweep}' has completed yet, so none has a whole schedule"
        )
    if run_id is None:
        run_id = str(runs[RUN_ID].iloc[int(runs[LOSS].argmin())])
    elif run_id not in set(runs[RUN_ID]):
        completed = ", ".join(runs.sort_values(LOSS)[RUN_ID])
        raise MissingError(
            f"no completed run '{run_id}' in sweep '{sweep}'; there are, best first: {completed}"
        )
    return found_schedule(store, sweep, run_id)


def schedule_frame(found: FoundSchedule) -> pd.DataFrame:
    """Return a row a stretch: run_id, reports, at (part of the steps), tokens, then the settings.

    Settings that never changed are left out.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "run_id": stretch.run_id,
                "reports": stretch.reports,
                "at": stretch.at,
                "tokens": stretch.tokens,
                **{name: stretch.setting[name] for name in found.changed},
            }
            for stretch in found.stretches
        ]
    )


def replay_text(store: Store, sweep: str, name: str, found: FoundSchedule) -> str:
    """Return a sweep file of one run that goes the whole way by itself."""
    from hpo.spec import stored_spec

    recipe = recipe_of(stored_spec(store.sweep(sweep).spec_text))
    setting = {name: value for name, value in found.setting.items() if name not in recipe.fixed}
    scale = {**found.scale["shape"], "tokens": found.scale["tokens"]}
    parts: dict[str, object] = {
        "search": {"method": "listed"},
        "points": [{"scale": scale, "setting": setting, "seed": found.seed}],
        "changes": [{"at": change.at, **change.setting} for change in found.changes],
    }
    return recipe.file(name, {key: value for key, value in parts.items() if value})
