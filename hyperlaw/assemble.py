"""What a report holds, put together from runs, a law and the database."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hyperlaw.hints import command
from hyperlaw.sources import RunSource, open_store

if TYPE_CHECKING:
    import pandas as pd

    from dashboards.report import ReportContent
    from scaling.backtest import HeldOut
    from scaling.law import Law


NEXT_SCALE: Final = 10
"""A reader without a target is shown to ask for this many times the largest measured scale."""


def report_content(
    source: RunSource,
    law: Law,
    *,
    db: str,
    held_out: Sequence[str] = (),
    target: tuple[float, float] | None = None,
    title: str | None = None,
) -> ReportContent:
    """Put a report together.

    Parameters
    ----------
    source : the runs, of sweeps or of a file.
    law : fitted to them.
    db : the database, for curves, sweep files and held-out sweeps.
    held_out : sweeps that the law is checked on; their scales must be new to it.
    target : (params, tokens) to predict for.
    title : the heading; the law's name where None.

    Raises
    ------
    storage.errors.NotFoundError : no database or sweep of that name.
    scaling.errors.LawError : a held-out scale is one that the law was fitted to.
    """
    from dashboards.report import ReportContent
    from scaling.backtest import compare
    from storage.columns import RUN_ID

    curves, texts, checks = {}, [], []
    if source.sweeps or held_out:
        with open_store(db) as store:
            curves = store.curves([str(run_id) for run_id in source.runs[RUN_ID]])
            texts = [text for name in source.sweeps if (text := store.sweep(name).spec_text)]
            checks = [check for name in held_out for check in checks_of(law, store.runs(name))]
    return ReportContent(
        title=title or law.name,
        law=law,
        runs=source.runs,
        prediction=None if target is None else law.predict(*target),
        curves=curves,
        held_out=checks,
        comparison=compare(law, source.runs),
        sweep_text="\n---\n".join(texts) or None,
        next_commands=_next_commands(source, law, target, db),
    )


def checks_of(law: Law, runs: pd.DataFrame) -> list[HeldOut]:
    """Check a law on each scale of runs that it was not fitted to."""
    from scaling.backtest import held_out
    from storage.columns import PARAMS, TOKENS

    return [held_out(law, group) for _, group in runs.groupby([PARAMS, TOKENS])]


def mean_gaps(scores: pd.DataFrame) -> pd.DataFrame:
    """Average each law's gaps over scales, best first; `scores` is of `scaling.backtest`.

    `in_range` becomes the number of scales that a published law was fitted to, NaN where not known.
    """
    gaps = ["nearest_gap_pct", "quadratic_gap_pct"]
    grouped = scores.groupby("law", sort=False)
    means = grouped[gaps].mean()
    means.insert(0, "scales", grouped.size())
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
    source: RunSource, law: Law, target: tuple[float, float] | None, db: str
) -> list[str]:
    if source.file is not None:
        runs, db_of_runs = f"--runs {shlex.quote(source.file)}", None
    else:
        runs, db_of_runs = " ".join(f"--sweep {name}" for name in source.sweeps), db
    largest = law.scales.iloc[-1]
    params, tokens = target or (NEXT_SCALE * largest["params"], NEXT_SCALE * largest["tokens"])
    return [
        command(f"predict {runs} --params {params:g} --tokens {tokens:g}", db_of_runs),
        command(f"law compare {runs}", db_of_runs),
    ]
