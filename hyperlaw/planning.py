"""Which runs to do next: chosen from a lattice or a file of candidates, and as a sweep file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyperlaw.errors import InputError
from hyperlaw.sources import RunSource, open_store

if TYPE_CHECKING:
    import pandas as pd

    from hyperlaw.recipe import Recipe
    from scaling.law import Law


@dataclass(frozen=True)
class NextRuns:
    """A plan, and what it promises.

    Attributes
    ----------
    params, tokens : the target.
    settings : the columns of `runs` that the law places.
    runs : a row a run, best first: params, tokens, settings, flops (6ND) and expected_regret_pct,
        at the target after this run and those before it.
    now_pct : expected regret at the target before any of them, as `Law.predict` has it.
    floor_pct : expected regret that no run of these scales can remove.
    asked_for : runs that were asked for at most.
    offered : candidates that they were chosen from.
    """

    params: float
    tokens: float
    settings: tuple[str, ...]
    runs: pd.DataFrame
    now_pct: float
    floor_pct: float
    asked_for: int
    offered: int

    @property
    def after_pct(self) -> float:
        """Expected regret at the target after all of them."""
        return self.now_pct if self.runs.empty else float(self.runs["expected_regret_pct"].iloc[-1])

    @property
    def flops(self) -> float:
        """Compute of all of them."""
        return float(self.runs["flops"].sum())

    @property
    def is_enough(self) -> bool:
        """Whether the plan ends early because more runs of these scales would hardly help."""
        return len(self.runs) < min(self.asked_for, self.offered)


def plan_next(
    source: RunSource,
    law: Law,
    *,
    params: float,
    tokens: float,
    width: float | None = None,
    depth: float | None = None,
    n_runs: int,
    candidates: Path | None = None,
    recipe: Recipe | None = None,
) -> NextRuns:
    """Choose the next runs.

    Parameters
    ----------
    source, law : the runs so far, and the law of them.
    params, tokens : the target.
    width, depth : the target's, where the law stands on them.
    n_runs : how many to choose at most.
    candidates : a CSV file of rows to choose from; a lattice around each scale's optimum if None.
    recipe : how the runs are trained, so that only what can be trained is offered.

    Raises
    ------
    InputError : the file of candidates cannot be read or has a wrong cell.
    scaling.errors.LawError : a target or a number of runs that makes no sense.
    """
    from scaling.design import default_candidates, plan_runs

    if candidates is not None:
        offered = read_candidates(candidates, law.settings)
    else:
        offered = default_candidates(law)
    if recipe is not None:
        offered = buildable(recipe, offered, law.settings)
        offered = offered if candidates is not None else offered.drop_duplicates(ignore_index=True)
    plan = plan_runs(
        law,
        source.runs,
        params=params,
        tokens=tokens,
        width=width,
        depth=depth,
        n_runs=n_runs,
        candidates=offered,
    )
    now, floor = plan.attrs["expected_regret_pct"], plan.attrs["floor_pct"]
    return NextRuns(params, tokens, law.settings, plan, now, floor, n_runs, len(offered))


def buildable(recipe: Recipe, candidates: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """Return candidates with their settings rounded to what can be trained."""
    rounded = {
        name: [recipe.buildable(name, value) for value in candidates[name]] for name in settings
    }
    return candidates.assign(**rounded)


def read_candidates(path: Path, settings: Sequence[str]) -> pd.DataFrame:
    """Read the rows to choose from: a CSV file with columns params, tokens and `settings`.

    Raises
    ------
    InputError : one line that names the file, the row (1 is the first data row) and the column.
    """
    import pandas as pd

    from scaling.design import check_candidates
    from scaling.errors import LawError

    try:
        return check_candidates(pd.read_csv(path, skipinitialspace=True), settings)
    except LawError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{path}: {reason}; name a CSV file of candidates") from error
    except ValueError as error:
        reason = str(error).strip().splitlines()[0].lower()
        raise InputError(f"{path}: not CSV with a header: {reason}") from error


def find_recipe(source: RunSource, db: str) -> Recipe:
    """Return how runs are trained: by the sweep files that they are from, else by their columns.

    Raises
    ------
    InputError : several sweeps train different things, one cannot be run here (any more), or the
        columns do not tell enough.
    """
    from hpo.errors import SpecError
    from hyperlaw.recipe import common_recipe, recipe_of, recipe_of_runs
    from hyperlaw.sweeps import plan_text

    texts = {}
    if source.sweeps:
        with open_store(db) as store:
            texts = {name: store.sweep(name).spec_text for name in source.sweeps}
    try:
        recipes = {
            name: recipe_of(plan_text(text, f"sweep '{name}'").spec)
            for name, text in texts.items()
            if text
        }
    except SpecError as error:
        raise InputError(str(error)) from error
    if recipes:
        return common_recipe(recipes)
    return recipe_of_runs(source.runs, source.file or f"sweep '{source.sweeps[0]}'")


def next_sweep(source: RunSource, recipe: Recipe, plan: pd.DataFrame, db: str) -> tuple[str, str]:
    """Return the name and the checked text of a sweep file of planned runs, a row a run.

    Raises
    ------
    InputError : a planned scale has an N whose shape is not known.
    hpo.errors.SpecError : a planned run cannot be trained.
    """
    from hyperlaw.derived_sweeps import next_name, next_sweep_text
    from hyperlaw.sweeps import plan_text
    from storage.errors import NotFoundError

    try:
        with open_store(db) as store:
            taken = store.sweep_names()
    except NotFoundError:
        taken = []  # no database yet: the first launch makes it
    name = next_name(source.sweeps[0] if source.sweeps else source.name, taken)
    text = next_sweep_text(recipe, name=name, plan=plan, runs=source.runs)
    plan_text(text, f"sweep '{name}'")
    return name, text
