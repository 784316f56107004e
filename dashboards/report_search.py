"""The report's sections on the search itself: how it went, what mattered, what it found, failures.

Each returns None where the data do not support it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dashboards import theme
from dashboards.failures import failures as count_failures
from dashboards.figures.history import get_history_info, plot_history
from dashboards.figures.importance import (
    LEVEL,
    WEAK,
    TooFewRunsError,
    get_importance_info,
    plot_importance,
)
from dashboards.figures.lineage import get_lineage_info, plot_lineage
from dashboards.figures.pareto import get_pareto_info, plot_pareto
from dashboards.figures.rounds import get_rounds_info, plot_rounds
from dashboards.figures.schedules_found import SchedulesInfo, get_schedules_info, plot_schedules
from dashboards.objective import Objective, measure
from dashboards.progress import goal
from dashboards.report_content import ReportContent
from dashboards.report_parts import Panel, Section, Table, panel
from dashboards.settings import varying_settings
from storage.columns import CREATED, RUN_ID

MAX_POINTS = 1_500  # of a figure: the file stays small, and a page prints
MAX_LANES = 30  # of a population: a figure is no taller than a page
MAX_REASONS = 20
MIN_FRONT = 2


def search(content: ReportContent) -> Section | None:
    """Show the runs in order, where it is known, and the least loss by compute."""
    panels = [
        one for one in (_history(content.runs, content.sizes), _cost(content)) if one is not None
    ]
    if not panels:
        return None
    return Section("How the search went", (), tuple(panels))


def _history(runs: pd.DataFrame, sizes: tuple[float, ...]) -> Panel | None:
    if CREATED not in runs or runs[CREATED].isna().any():
        return None
    info = get_history_info(runs, max_points=MAX_POINTS)._replace(sizes=sizes)
    if np.isnan(info.ceiling):
        return None
    return panel(
        plot_history(info),
        "Runs in the order in which they ended",
        "Steps are the best so far of each scale. Crosses diverged or failed.",
    )


def _cost(content: ReportContent) -> Panel | None:
    objective = Objective(relative=False)
    info = get_pareto_info(
        measure(content.runs, objective), "flops", objective, max_points=MAX_POINTS
    )
    if len(info.front) < MIN_FRONT:
        return None
    return panel(
        plot_pareto(info._replace(sizes=content.sizes)),
        "Loss over cost",
        "The line goes through the runs that no other undercuts in loss for the same compute or "
        "less.",
    )


def importance(content: ReportContent) -> Section | None:
    """Say which settings explain how runs of one scale differ; None where too little does."""
    settings = varying_settings(content.runs, content.sweep_texts.values())
    try:
        info = get_importance_info(measure(content.runs, Objective(relative=True)), settings)
    except TooFewRunsError:
        return None
    if info.explained < 100 * WEAK or len(info.settings) < 2:
        return None
    sample = f" (a sample of {info.n_all:,})" * (info.n_runs < info.n_all)
    caption = (
        f"Random forests on {info.n_runs:,} runs{sample}, scales set apart and "
        f"{info.n_diverged:,} diverged runs counted as the highest loss, explain "
        f"{info.explained:.0f} % of the variance of runs left out. Lines hold {LEVEL:.0%} of "
        "forests; grey bars cannot be told from chance."
    )
    return Section(
        "Which settings matter",
        ("Over the whole range that was tried; near the optimum it may be others.",),
        (panel(plot_importance(info), "Importance", caption),),
    )


def rounds(content: ReportContent) -> Section | None:
    """Show what each round of law-guided sweeps brought, from the first law on."""
    text, panels = [], []
    for sweep, records in content.rounds.items():
        info = get_rounds_info(records)
        if not info.number:
            continue
        target = goal(content.sweep_texts.get(sweep, "")).target
        at = "its target"
        if target is not None:
            size, tokens = (theme.format_count(value) for value in target)
            at = f"N = {size} and D = {tokens}"
        text.append(
            f"{sweep} chose its runs by the law so far. The regret expected at {at} went from "
            f"{theme.format_percent(info.regret_pct[0])} after round {info.number[0]} "
            f"({info.runs[0]} runs) to {theme.format_percent(info.regret_pct[-1])} after round "
            f"{info.number[-1]} ({info.runs[-1]} runs)."
        )
        panels.append(panel(plot_rounds(info), f"Rounds of {sweep}", ""))
    if not panels:
        return None
    return Section("What each round brought", tuple(text), tuple(panels))


def population(content: ReportContent) -> Section | None:
    """Show who took over whose state, and the schedules that came of it."""
    panels: list[Panel] = []
    text: list[str] = []
    rows: list[Mapping[str, object]] = []
    names: tuple[str, ...] = ()
    for sweep, lineage in content.populations.items():
        info = get_lineage_info(lineage, max_lanes=MAX_LANES)
        if info.best is None or not info.exploits:
            continue
        n_taken = int(lineage["exploit"].sum())
        times = "once" if n_taken == 1 else f"{n_taken:,} times"
        text.append(
            f"In {sweep}, {info.n_runs:,} runs trained side by side, and {times} one took over "
            f"another's state. The best is {info.best}."
        )
        panels.append(
            panel(
                plot_lineage(info),
                f"Who took over whose state in {sweep}",
                "A lane a run, the best on top; an arrow goes from the run whose state was taken "
                "to the one that went on from it. Red: the weights that the best run ended with.",
            )
        )
        found = get_schedules_info(lineage, max_paths=MAX_LANES)
        panels += _schedules(found)
        names = tuple(dict.fromkeys((*names, *found.settings)))
        rows += [
            {"sweep": sweep, **{str(name): value for name, value in row.items()}}
            for row in found.schedule.to_dict(orient="records")
        ]
    if not panels:
        return None
    return Section(
        "The population, and the schedule that it found",
        tuple(text),
        tuple(panels),
        _schedule_table(rows, names) if names else None,
        "The table: what the best run's weights went through, whichever runs trained them."
        if names
        else "",
    )


def _schedules(info: SchedulesInfo) -> list[Panel]:
    """Draw a figure a setting, so that each fits on a page."""
    return [
        panel(
            plot_schedules(info._replace(settings=(setting,))),
            f"The schedules found: {setting}",
            "What the weights of each run went through; red is the best run's.",
        )
        for setting in info.settings
    ]


def _schedule_table(rows: Sequence[Mapping[str, object]], settings: Sequence[str]) -> Table:
    several = len({row["sweep"] for row in rows}) > 1
    return Table(
        [*(["sweep"] if several else []), "trained by", "from report", *settings],
        [
            [
                *([str(row["sweep"])] if several else []),
                str(row[RUN_ID]),
                str(row["reports"]),
                *(
                    theme.format_setting(name, float(str(row[name]))) if name in row else "–"
                    for name in settings
                ),
            ]
            for row in rows
        ],
        (0, 1) if several else (0,),
    )


def failures(content: ReportContent) -> Section | None:
    """Count the failed runs by what went wrong."""
    table = count_failures(content.runs)
    if table.empty:
        return None
    shown = table.head(MAX_REASONS)
    n_failed = int(table["runs"].sum())
    others = len(table) - len(shown)
    return Section(
        "Runs that failed",
        (f"{n_failed:,} {'run' if n_failed == 1 else 'runs'} failed; a law does not see them.",),
        table=Table(
            ["what went wrong", "runs", "last one"],
            [[str(row.reason), str(row.runs), str(row.run)] for row in shown.itertuples()],
            (0, 2),
        ),
        note=f"{others:,} further reasons are left out." if others else "",
    )
