"""What a report holds, put together from runs, a law and the database."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hyperlaw.answers import Question, ask
from hyperlaw.errors import InputError
from hyperlaw.hints import command
from hyperlaw.sources import RunSource, open_store

if TYPE_CHECKING:
    import pandas as pd

    from dashboards.report_content import ReportContent
    from hyperlaw.recipe import Recipe
    from scaling.backtest import HeldOut
    from scaling.law import Law
    from scaling.loss_laws.law import LossLaw
    from scaling.transfer_check import TransferCheck
    from storage.store import Store

NEXT_SCALE: Final = 10
"""A reader without a target is shown to ask for this many times the largest measured scale."""
PLANNED_RUNS: Final = 8
LADDER: Final = "ladder"
"""What a sweep over several scales is called where one is suggested."""


def report_content(
    source: RunSource,
    law: Law | None,
    *,
    db: str,
    held_out: Sequence[str] = (),
    target: Question | None = None,
    title: str | None = None,
    why_no_law: str = "",
) -> ReportContent:
    """Put a report together.

    Parameters
    ----------
    source : the runs, of sweeps or of a file.
    law : fitted to them; None where they carry none, and nothing is predicted or checked.
    db : the database, for curves, sweep files and held-out sweeps.
    held_out : sweeps that the law is checked on; their scales must be new to it.
    target : what to predict for.
    title : the heading; the law's name where None, or that of the runs.
    why_no_law : what the runs lack for a law, where there is none.

    Raises
    ------
    storage.errors.NotFoundError : no database or sweep of that name.
    scaling.errors.LawError : a held-out scale is one that the law was fitted to.
    """
    from dashboards.figures.curves import choose_runs
    from dashboards.report_content import ReportContent
    from hyperlaw.planning import find_recipe
    from storage.columns import FAILED, RUN_ID, STATUS

    of_sweeps: dict[str, Any] = {}
    if source.sweeps:
        with open_store(db) as store:
            of_sweeps = _from_sweeps(store, source.sweeps)
            drawn = choose_runs(source.runs[source.runs[STATUS] != FAILED])[RUN_ID]
            of_sweeps["curves"] = store.curves([str(run_id) for run_id in drawn])
    of_law: dict[str, Any] = {"why_no_law": why_no_law}
    recipe = None
    if law is not None:
        with suppress(InputError):  # runs from elsewhere may be planned, and trained elsewhere
            recipe = find_recipe(source, db)
        of_law = _from_law(law, source, db, held_out, target, recipe)
    return ReportContent(
        title=title or (source.name if law is None else law.name),
        law=law,
        runs=source.runs,
        loss_law=_loss_law(source.runs),
        next_commands=_next_commands(source, law, target, db, recipe),
        **of_sweeps,
        **of_law,
    )


def _from_law(
    law: Law,
    source: RunSource,
    db: str,
    held_out: Sequence[str],
    target: Question | None,
    recipe: Recipe | None,
) -> dict[str, Any]:
    """Return what a law answers, and how it does, as fields of a report's content."""
    from scaling.backtest import compare

    found: dict[str, Any] = {
        "comparison": compare(law, source.runs),
        "by_parametrization": _by_parametrization(source.runs, law),
    }
    if held_out:
        with open_store(db) as store:
            found["held_out"] = [
                check for name in held_out for check in checks_of(law, store.runs(name))
            ]
    if target is not None:
        answered = ask(law, source.runs, target)
        found["prediction"], found["rules"] = answered.prediction, answered.rules
        found["plan"] = _plan(source, law, target, recipe)
    return found


def _from_sweeps(store: Store, sweeps: Sequence[str]) -> dict[str, Any]:
    """Return what the store knows of sweeps beside their runs, as fields of a report's content."""
    texts = {name: text for name in sweeps if (text := store.sweep(name).spec_text)}
    rounds = {name: records for name in sweeps if (records := store.rounds(name))}
    lineages = {name: store.lineage(name) for name in sweeps if store.has_exploits(name)}
    checks = _transfer_checks(store, texts.values())
    return {"sweep_texts": texts, "rounds": rounds, "populations": lineages, "checks": checks}


def _transfer_checks(store: Store, texts: Iterable[str]) -> list[TransferCheck]:
    """Return the last checks of transfer of sweeps' models; a trainer need not be found here."""
    from hpo.errors import SpecError
    from hpo.spec import stored_spec
    from hyperlaw.transfer import checks_of
    from trainers.errors import TrainerError

    found: dict[str, TransferCheck] = {}
    for text in texts:
        with suppress(SpecError, TrainerError):
            found |= {check.name: check for check in checks_of(store, stored_spec(text))}
    return list(found.values())


def _by_parametrization(runs: pd.DataFrame, law: Law) -> dict[str, Law]:
    """Fit a law to the runs of each parametrization, where there are several and each carries one.

    They stand on width or depth where the law of all runs does.

    Parametrizations differ in how their optima move, so one law of all says little of that.
    """
    from scaling.errors import LawError
    from scaling.fitting import fit_law
    from storage.columns import PARAMETRIZATION

    kinds = sorted(runs[PARAMETRIZATION].dropna().unique()) if PARAMETRIZATION in runs else []
    axes = law.axes if law.shape_axes else None
    laws: dict[str, Law] = {}
    for kind in kinds if len(kinds) > 1 else ():
        own = runs[(runs[PARAMETRIZATION] == kind).to_numpy()]
        with suppress(LawError):
            laws[str(kind)] = fit_law(own, name=str(kind), axes=axes)
    return laws


def _loss_law(runs: pd.DataFrame) -> LossLaw | None:
    """Fit a law of the best loss of each scale; None where the runs do not carry one."""
    from scaling.errors import LawError
    from scaling.loss_laws.choice import fit_form

    try:
        return fit_form(runs)
    except LawError:
        return None


def _plan(source: RunSource, law: Law, target: Question, recipe: Recipe | None) -> pd.DataFrame:
    """Plan the next runs for a target, of what can be trained where that is known."""
    from hyperlaw.planning import plan_next

    return plan_next(
        source,
        law,
        params=target.params,
        tokens=target.tokens,
        width=target.width,
        depth=target.depth,
        n_runs=PLANNED_RUNS,
        recipe=recipe,
    ).runs


def checks_of(law: Law, runs: pd.DataFrame) -> list[HeldOut]:
    """Check a law on each scale of runs that it was not fitted to."""
    from scaling.backtest import held_out
    from scaling.scales import on_common_scales
    from storage.columns import PARAMS, TOKENS

    of_scales = on_common_scales(runs).groupby([PARAMS, TOKENS, *law.shape_axes])
    return [held_out(law, group) for _, group in of_scales]


def mean_gaps(scores: pd.DataFrame) -> pd.DataFrame:
    """Average each law's gaps over scales, best first; `scores` is of `scaling.backtest`.

    `in_range` becomes the number of scales that a published law was fitted to, NaN where not known.
    """
    gaps = ["nearest_gap_pct", "quadratic_gap_pct"]
    grouped = scores.groupby("law", sort=False)
    means = grouped[gaps].mean()
    means.insert(0, "scales", grouped[gaps[0]].count())
    means["in_range"] = grouped["in_range"].agg(_count_known)
    means["second_hand"] = grouped["second_hand"].first()
    return means.reset_index().sort_values("nearest_gap_pct", kind="stable", ignore_index=True)


def not_scored(scores: pd.DataFrame) -> list[dict[str, str]]:
    """Return the published laws that scores of `scaling.backtest` leave out, with reasons."""
    left_out: dict[str, str] = scores.attrs["not_scored"]
    return [{"law": name, "reason": reason} for name, reason in left_out.items()]


def _count_known(in_range: pd.Series) -> float:
    return math.nan if in_range.isna().any() else float(sum(in_range))


def _next_commands(
    source: RunSource, law: Law | None, target: Question | None, db: str, recipe: Recipe | None
) -> list[str]:
    """Return command lines worth typing next: with a law those that ask it, else to one.

    Where a recipe is known, the planned runs are to be a sweep file.
    """
    if law is None:
        ladder = " ".join(f"--sweep {name}" for name in (*source.sweeps, LADDER))
        return [
            command(f"init {LADDER}.yaml"),
            command(f"sweep launch {LADDER}.yaml", db),
            command(f"law fit {ladder}", db),
        ]
    runs, at = _source_flags(source), _flags(target or _next_target(law))
    db_of_runs = db if source.sweeps else None
    plan = f"plan {runs} {at}"
    return [
        command(f"predict {runs} {at}", db_of_runs),
        command(plan, db_of_runs) if recipe is None else command(f"{plan} --out next.yaml", db),
        command(f"law compare {runs}", db_of_runs),
    ]


def _source_flags(source: RunSource) -> str:
    """Return the flags that name runs on the command line."""
    if source.file is None:
        return " ".join(f"--sweep {name}" for name in source.sweeps)
    pairs = [f"{ours}={theirs}" for ours, theirs in (source.mapping or {}).items()]
    return " ".join(
        [f"--runs {shlex.quote(source.file)}", *(f"--map {shlex.quote(pair)}" for pair in pairs)]
    )


def _next_target(law: Law) -> Question:
    largest = law.scales.iloc[-1]
    shape = {axis: float(largest[axis]) for axis in law.shape_axes}
    if "width" in shape:
        shape["width"] = round(shape["width"] * math.sqrt(NEXT_SCALE))
    return Question(NEXT_SCALE * largest["params"], NEXT_SCALE * largest["tokens"], **shape)


def _flags(target: Question) -> str:
    """Return the flags that name a target on the command line."""
    values = {name: getattr(target, name) for name in ("params", "tokens", "width", "depth")}
    return " ".join(f"--{name} {value:g}" for name, value in values.items() if value is not None)
