"""The report's sections on what carries over to other scales: transfer, compute, the next runs."""

from __future__ import annotations

import pandas as pd

from dashboards import theme
from dashboards.figures.drift import DriftRow, get_drift_info, plot_drift
from dashboards.figures.isoflop import get_isoflop_info, plot_best_sizes, plot_isoflop
from dashboards.figures.plan import (
    PlanInfo,
    get_plan_info,
    planned_seconds,
    plot_places,
    plot_promise,
)
from dashboards.progress import duration
from dashboards.report_content import ReportContent
from dashboards.report_parts import Section, Table, panel
from dashboards.report_text import setting_title, term_rows
from dashboards.transfer_cost import cost_row, get_transfer_cost
from scaling.loss_laws.budget import FLOPS_6ND
from storage.columns import FLOPS, LOSS, LR, PARAMETRIZATION, PARAMS, TOKENS


def transfer(content: ReportContent) -> Section | None:
    """Say whether optima move with size; None where the runs cannot tell."""
    if content.law is None:
        return None
    laws = content.by_parametrization or {content.law.name: content.law}
    info = get_drift_info(laws)
    if all(row.holds is None for row in info.rows):
        return None
    drawn = plot_drift(info)
    costs = []
    for name, law in laws.items():
        runs = content.runs
        if content.by_parametrization:
            runs = runs[(runs[PARAMETRIZATION] == name).to_numpy()]
        costs += [
            cost_row(name, get_transfer_cost(law, runs, settings))
            for settings in dict.fromkeys([(LR,), law.settings])
        ]
    table = pd.DataFrame(costs)
    if len(laws) == 1:
        table = table.drop(columns="law")
    names = [str(name) for name in table.columns]
    return Section(
        "Does the optimum move as the model grows?",
        tuple(
            _drift_sentence(row, several=len(laws) > 1) for row in info.rows if row.setting == LR
        ),
        (
            panel(
                drawn,
                "Drift of each optimum",
                "With 90 % intervals, at a fixed number of tokens. At 1 octave the optimum doubles "
                "with the size, at −1 it halves; within the band it stays put.",
            ),
        ),
        Table(names, table.to_numpy().tolist(), range(len(names))),
        "The table: what it costs to copy the smallest size's optimum to the largest. Regret is "
        "the loss above that at the largest size's own optimum, by the law; measured is the run of "
        "the largest size nearest to the copied setting, over its best run.",
    )


def _drift_sentence(row: DriftRow, *, several: bool) -> str:
    of_law = f"Under {row.law}, the" if several else "The"
    return (
        f"{of_law} best {row.label.replace(' as', ' moves as', 1)} by {row.octaves:+.2f} octaves "
        f"({row.low:+.2f} to {row.high:+.2f}): {row.verdict}."
    ).replace("-", "−")


def compute(content: ReportContent) -> Section | None:
    """Split compute between size and data; None where the runs carry no loss law."""
    law = content.loss_law
    if law is None:
        return None
    target = None if content.prediction is None else content.prediction.target
    budgets = [] if target is None else [float(FLOPS_6ND.of(target.params, target.tokens))]
    info = get_isoflop_info(law, content.runs, budgets=budgets)
    text = [
        "A loss law over size and tokens is fitted to the best run of each scale; of each compute "
        "it says which size reaches the least loss."
    ]
    if target is not None:
        best = info.asked.iloc[0]
        text.append(
            f"At the target's compute, {theme.format_flops(budgets[0])} FLOP, that is "
            f"N = {_with_range(best, PARAMS)} on D = {_with_range(best, TOKENS)}, "
            f"{best[TOKENS] / best[PARAMS]:.3g} tokens a parameter, for a loss of "
            f"{best[LOSS]:.4f} ({best[f'{LOSS}_low']:.4f} – {best[f'{LOSS}_high']:.4f}). "
            f"The target has {target.tokens / target.params:.3g} tokens a parameter."
        )
    beside = "".join(f" {name}: {reason}." for name, reason in info.refused.items())
    return Section(
        "How to split compute",
        (*text, *law.warnings),
        (
            panel(plot_isoflop(info), "isoFLOP curves", "Each line is one compute."),
            panel(
                plot_best_sizes(info),
                "Best size by compute",
                "The law's, with its 90 % interval, beside what parabolas through the runs of one "
                "compute say, where there are such runs.",
            ),
        ),
        Table(["term", "value", "90 % interval", "meaning"], term_rows(law), (0, 3)),
        f"Compute is 6·N·D.{beside}",
    )


def _with_range(best: pd.Series, name: str) -> str:
    value, low, high = (
        theme.format_count(float(best[f"{name}{end}"])) for end in ("", "_low", "_high")
    )
    return f"{value} ({low} – {high})"


def next_runs(content: ReportContent) -> Section | None:
    """Tell which runs to do next, what they cost and bring; None where none is planned."""
    law, plan, prediction = content.law, content.plan, content.prediction
    if law is None or plan is None or prediction is None or plan.empty:
        return None
    info = get_plan_info(plan, law, prediction.target)
    info = info._replace(sizes=tuple(sorted({*info.sizes, *content.sizes})))
    runs = info.runs
    after, spent = float(runs["expected_regret_pct"].iloc[-1]), float(runs["spent"].iloc[-1])
    seconds = planned_seconds(runs, content.runs)
    took = (
        ""
        if seconds is None
        else f" They take about {duration(float(seconds.sum()))} one after another, on the machine "
        "that the runs were timed on."
    )
    share = theme.format_percent(100 * spent / float(content.runs[FLOPS].sum()))
    return Section(
        "The next runs, and what they bring",
        (
            f"{len(runs)} more small {'run' if len(runs) == 1 else 'runs'} would lower the regret "
            f"expected at the target from {theme.format_percent(info.now_pct)} to "
            f"{theme.format_percent(after)}, for {theme.format_flops(spent)} FLOP: {share} of what "
            f"all runs so far took.{took}",
            f"{theme.format_percent(info.floor_pct)} stays, whatever small runs are done.",
        ),
        (
            panel(plot_promise(info), "Expected regret, by what is spent", ""),
            panel(plot_places(info), "Where the runs lie", ""),
        ),
        _plan_table(info, law.settings, seconds),
    )


def _plan_table(info: PlanInfo, settings: tuple[str, ...], seconds: pd.Series | None) -> Table:
    names = ["run", "N", "D", *map(setting_title, settings), "FLOP", "regret after"]
    rows = [
        [
            str(place),
            theme.format_count(run[PARAMS]),
            theme.format_count(run[TOKENS]),
            *(theme.format_setting(name, run[name]) for name in settings),
            theme.format_flops(run[FLOPS]),
            theme.format_percent(run["expected_regret_pct"]),
        ]
        for place, run in enumerate(info.runs.to_dict(orient="records"), start=1)
    ]
    if seconds is not None:
        names.append("time")
        rows = [[*row, duration(time)] for row, time in zip(rows, seconds, strict=True)]
    return Table(names, rows)
