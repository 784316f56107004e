"""How far a sweep is: runs done of those planned, by scale, and the time that is left.

All of it from what the store holds: the text of the sweep file, runs counted by scale, and legs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import yaml

from storage.columns import (
    COMPLETED,
    DIVERGED,
    FAILED,
    FLOPS,
    PARAMS,
    SECONDS,
    STATUSES,
    STOPPED,
    TOKENS,
)

if TYPE_CHECKING:
    from storage.legs import LegRecord

POPULATION: Final = "population"
LAW_GUIDED: Final = "law-guided"
FREEZE_THAW: Final = "freeze-thaw"

RUNNING: Final = "running"
LEFT: Final = "left"


@dataclass(frozen=True)
class Goal:
    """What a sweep file asks for, as far as it can be told without running it.

    Attributes
    ----------
    method : of the search; empty for imported runs.
    runs : in all; None where the search decides, or a grid does not say.
    flops : the budget of a law-guided search; None of any other.
    reports : of each run.
    target : N and D that a law-guided search is for.
    """

    method: str = ""
    runs: int | None = None
    flops: float | None = None
    reports: int | None = None
    target: tuple[float, float] | None = None


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes
    ----------
    ended, running : runs.
    planned : runs in all; None where that is not known.
    fraction : of the work that is done, 0 to 1; None where it is not known.
    seconds_left : None where nothing is known yet, or nothing runs.
    """

    ended: int
    running: int
    planned: int | None
    fraction: float | None
    seconds_left: float | None


def goal(spec_text: str) -> Goal:
    """Read what a sweep file asks for; an empty goal where there is no file."""
    document = yaml.safe_load(spec_text) if spec_text else None
    if not isinstance(document, dict):
        return Goal()
    search = document.get("search")
    keys: Mapping[str, Any] = search if isinstance(search, dict) else {}
    method = str(keys.get("method", ""))
    runs = document.get("runs")
    if document.get("points"):
        runs = len(document["points"])
    if method in (FREEZE_THAW, LAW_GUIDED):
        runs = None  # as many as the search finds worth their compute
    target = keys.get("target")
    return Goal(
        method=method,
        runs=None if runs is None else int(runs),
        flops=float(keys["flops"]) if method == LAW_GUIDED else None,
        reports=int(document.get("reports", 8)),
        target=(float(target["params"]), float(target["tokens"])) if target else None,
    )


def scale_counts(scales: pd.DataFrame, running: Sequence[LegRecord] = ()) -> pd.DataFrame:
    """Count runs by scale, by compute: how many ended how, and how many are running.

    Parameters
    ----------
    scales : of one sweep, as `Store.scales` returns them.
    running : legs that have not ended.

    Returns
    -------
    DataFrame with columns params, tokens, a column a status, running, best_loss, flops and seconds.
    A run that was stopped at fewer tokens than its scale has counts for that scale.
    """
    counted = scales.drop(columns="sweep").assign(**{RUNNING: 0})
    begun = pd.DataFrame(
        [
            {PARAMS: float(leg.scale[PARAMS]), TOKENS: float(leg.scale[TOKENS]), RUNNING: 1}
            for leg in running
        ],
        columns=[PARAMS, TOKENS, RUNNING],
    )
    own = (counted[[COMPLETED, DIVERGED, FAILED]].sum(axis="columns") > 0).to_numpy()
    known = pd.concat([counted.loc[own, [PARAMS, TOKENS]], begun[[PARAMS, TOKENS]]])
    stopped = counted.loc[~own, [PARAMS, TOKENS]]
    counted.loc[~own, TOKENS] = [
        _least_at(known.loc[known[PARAMS] == params, TOKENS], tokens)
        for params, tokens in zip(stopped[PARAMS], stopped[TOKENS], strict=True)
    ]
    counts = dict.fromkeys((*STATUSES, RUNNING, FLOPS, SECONDS), "sum") | {"best_loss": "min"}
    table = (
        pd.concat([counted, begun])
        .groupby([PARAMS, TOKENS], as_index=False)
        .agg(counts)
        .astype(dict.fromkeys((*STATUSES, RUNNING), "int64"))
        .astype(dict.fromkeys((PARAMS, TOKENS, FLOPS, SECONDS, "best_loss"), "float64"))
    )
    order = (table[PARAMS] * table[TOKENS]).sort_values(kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _least_at(budgets: pd.Series, tokens: float) -> float:
    """Return the smallest of the budgets that `tokens` are a part of; `tokens` without one."""
    larger = budgets[budgets >= tokens]
    return float(larger.min()) if len(larger) else tokens


def progress(
    goal: Goal, counts: pd.DataFrame, running: Sequence[LegRecord], reports: Mapping[str, int]
) -> Progress:
    """Say how far a sweep is.

    Parameters
    ----------
    counts : as `scale_counts` returns them.
    running : legs that have not ended.
    reports : by run_id, how many reports each running run has made.
    """
    ended = int(counts[list(STATUSES)].to_numpy().sum())
    planned = None if goal.runs is None else max(goal.runs, ended + len(running))
    under_way = sum(reports.get(leg.run_id, 0) / max(leg.reports, 1) for leg in running)
    fraction = None
    if goal.flops is not None:
        fraction = min(float(counts[FLOPS].sum()) / goal.flops, 1.0)
    elif planned is not None:
        fraction = (ended + under_way) / max(planned, 1)
    left = None
    if running and planned is not None:
        left = _seconds_left(counts, planned - ended, under_way) / len(running)
    return Progress(
        ended, len(running), planned, fraction, left if left and math.isfinite(left) else None
    )


def population_progress(goal: Goal, legs: Sequence[LegRecord], ended: int) -> Progress:
    """Say how far a population is: its members train side by side, so reports are counted.

    Parameters
    ----------
    legs : all of the sweep.
    ended : runs that came to their end.
    """
    running = [leg for leg in legs if leg.ended is None]
    finished = [leg for leg in legs if leg.reached is not None and leg.ended is not None]
    if goal.runs is None or goal.reports is None:
        return Progress(ended, len(running), goal.runs, None, None)
    made = sum((leg.reached or 0) - (leg.origin_reports or 0) for leg in finished)
    fraction = min(made / (goal.runs * goal.reports), 1.0)
    left = None
    if running and made:
        seconds = sum(_seconds_of(leg) for leg in finished) / made
        left = seconds * (goal.runs * goal.reports - made) / len(running)
    return Progress(ended, len(running), max(goal.runs, ended), fraction, left)


def _seconds_of(leg: LegRecord) -> float:
    begun, ended = datetime.fromisoformat(leg.started), datetime.fromisoformat(str(leg.ended))
    return (ended - begun).total_seconds()


def _seconds_left(counts: pd.DataFrame, n_left: int, under_way: float) -> float:
    """Return the training time of the runs left, one after another; NaN where nothing is known.

    Searches give every scale as many runs, and each takes as long as those of its scale did; one
    of a scale that none has ended at, as long as its compute takes at the next smaller scale.
    """
    ended = counts[[COMPLETED, DIVERGED, STOPPED]].sum(axis="columns")
    flops = counts[PARAMS] * counts[TOKENS]
    seconds = (counts[SECONDS] / ended).where((ended > 0) & (counts[SECONDS] > 0))
    # counts are by compute, so the last known is the next smaller
    rate = (seconds / flops).ffill().bfill()
    expected = seconds.fillna(rate * flops)
    begun = counts[[*STATUSES, RUNNING]].sum(axis="columns")
    even = (begun.sum() - counts[RUNNING].sum() + n_left) / max(len(counts), 1)
    open_runs = (even - counts[list(STATUSES)].sum(axis="columns")).clip(lower=0)
    if open_runs.sum() > 0:
        open_runs *= max(n_left - under_way, 0) / open_runs.sum()
    return float((open_runs * expected).sum(skipna=False))


def duration(seconds: float) -> str:
    """Write a time as people say it.

    >>> duration(7.4), duration(65), duration(7260), duration(200_000)
    ('7 s', '1 min 05 s', '2 h 01 min', '2 d 7 h')
    """
    if not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
