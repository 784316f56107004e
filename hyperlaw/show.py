"""What commands print of a prediction, a law, a sweep, a check: the same wherever it is shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Final

from hyperlaw import output
from hyperlaw.output import Cell, Form, frame_table, print_line
from storage.columns import STATUSES, STOPPED

if TYPE_CHECKING:
    import pandas as pd

    from hyperlaw.planning import NextRuns
    from hyperlaw.sweeps import SweepPlan
    from scaling.backtest import HeldOut
    from scaling.law import Law
    from scaling.prediction import Prediction
    from scaling.rules import Adjustment

PUBLISHED_TITLE: Final = (
    "What published laws say there (AdamW, most under the standard parametrization)"
)
N: Final = Cell("params", "N", output.count, right=True)
D: Final = Cell("tokens", "D", output.count, right=True)


def print_prediction(
    prediction: Prediction,
    law: Law,
    rules: Sequence[Adjustment] = (),
    runs: pd.DataFrame | None = None,
) -> None:
    """Print a prediction, the rules applied to it, what published laws say, and the warnings.

    Parameters
    ----------
    law : the one that predicted.
    runs : those behind it, where they are at hand: some published laws ask for more than it knows.
    """
    from scaling.published import published_optima, silent_laws
    from scaling.published_law import experts_of, situation

    console = output.stdout()
    console.print(prediction)
    for note in prediction.notes:
        print_line(f"note: {note}")
    for rule in rules:
        print_line(f"rule: {_rule(rule)}")
    target = prediction.target
    experts = experts_of(runs)
    at = situation(law, target.params, target.tokens, experts=experts, shape=target.shape)
    published = published_optima(at)
    cells = (
        Cell("law"),
        Cell("lr", show=output.rate, right=True),
        Cell("batch_tokens", show=output.whole, right=True),
        Cell("weight_decay", show=output.rate, right=True),
        Cell("in_range", "in its range", yes_or_no, right=True),
        Cell("source"),
    )
    console.print(frame_table(published, cells, title=PUBLISHED_TITLE))
    for name, reason in silent_laws(at, tuple(published.columns)).items():
        print_line(f"  {name} says nothing here: {reason}")
    answered = prediction.law
    print_line(f"law '{answered.name}', fitted to {answered.runs} runs of {answered.scales} scales")
    output.print_warnings(prediction.warnings)


def print_law(law: Law) -> None:
    """Print a law: its formulas, its constants with intervals, and the scales it stands on."""
    print_line(f"law '{law.name}': {law.n_runs} runs of {law.n_scales} scales")
    print_formulas(law)
    for line in (*_forms(law), *_transfer(law)):
        print_line(f"  {line}")
    terms = (
        Cell("term"),
        Cell("value", show=output.rate, right=True),
        Cell("low", show=output.rate, right=True),
        Cell("high", show=output.rate, right=True),
        Cell("meaning"),
    )
    scales = (
        N,
        D,
        *(Cell(axis, show=output.whole, right=True) for axis in law.shape_axes),
        Cell("flops", "6ND", output.compute, right=True),
        Cell("runs", right=True),
        Cell("diverged", right=True),
        Cell("best_loss", "best loss", output.loss, right=True),
    )
    console = output.stdout()
    console.print(frame_table(law.terms(), terms, title="Constants, with 90 % intervals"))
    console.print(frame_table(law.scales, scales, title="Scales it stands on"))
    output.print_warnings(law.warnings)


def print_formulas(law: Law) -> None:
    """Print where a law puts the optimum, and how noisy its runs are."""
    for name in law.settings:
        print_line(f"  best {law.formula(name)}")
    print_line(f"  noise from seed to seed: {law.noise_pct:.2g} % of loss")


def _forms(law: Law) -> Iterator[str]:
    """Say which forms were tried, and their errors on the largest scales when left out.

    A form on width or depth is never chosen unasked, so the options that ask for it are named.
    """
    from scaling.axes import listed, shape_axes

    for form in law.forms:
        error = "not tried on scales left out"
        if form.error_pct is not None:
            error = f"{output.percent(form.error_pct)} off on the largest scales, left out"
        said = ", chosen" if form.chosen else ""
        if shape_axes(form.axes) and not form.chosen:
            said = f" (law fit --axes {','.join(form.axes)})"
        yield f"scale by {listed(form.axes)}: {error}{said}"


def _transfer(law: Law) -> Iterator[str]:
    """Say of a law of runs under muP or its kin whether the optimal learning rate stays put."""
    if not law.mu_parametrized:
        return
    drifts = [drift for drift in law.drift() if drift.setting == "lr"]
    if not drifts:
        yield "transfer: a law on compute does not tell it; fit one with --axes params,tokens"
    verdicts = {True: "it holds", False: "it does not hold", None: "the runs cannot tell"}
    for drift in drifts:
        octaves = drift.octaves
        yield (
            f"transfer: optimal lr drifts by {octaves.value:+.3f} octaves a doubling of "
            f"{drift.axis} (90 %: {octaves.low:+.3f} to {octaves.high:+.3f}): "
            f"{verdicts[drift.holds]}"
        )


def law_document(law: Law) -> dict[str, object]:
    """Return what `law show --json` prints: all but the draws."""
    return {
        "name": law.name,
        "runs": law.n_runs,
        "settings": list(law.settings),
        "formulas": {name: law.formula(name) for name in law.settings},
        "noise_pct": law.noise_pct,
        "axes": list(law.axes),
        "forms": [asdict(form) for form in law.forms],
        "mu_parametrized": law.mu_parametrized,
        "drift": [asdict(drift) for drift in law.drift()],
        "terms": output.records(law.terms()),
        "scales": output.records(law.scales),
        "warnings": list(law.warnings),
    }


def print_plan(plan: SweepPlan) -> None:
    """Print on stderr what a sweep is about to run."""
    shape = [key for key in plan.ladder[0].shape if key != N.column]
    cells = (
        *(Cell(key, right=True) for key in shape),
        N,
        D,
        Cell("runs", right=True),
        Cell("flops", "compute", output.compute, right=True),
    )
    spec = plan.spec
    output.print_note(
        f"sweep '{spec.name}', trainer {spec.trainer} ({spec.parametrization}): {plan.summary}"
    )
    output.stderr().print(frame_table(plan.table(), cells))


def print_next_runs(plan: NextRuns, form: Form) -> None:
    """Print a plan; as a table with what it promises, and where it ends early why."""
    if form is Form.JSON:
        output.print_json(next_runs_document(plan))
        return
    if form is Form.CSV or not plan.runs.empty:
        cells = (
            N,
            D,
            *(Cell(name, show=partial(output.setting, name), right=True) for name in plan.settings),
            Cell("flops", "compute", output.compute, right=True),
            Cell("expected_regret_pct", "expected regret after", output.percent, right=True),
        )
        output.print_frame(plan.runs, form, "runs", cells)
    if form is Form.TABLE:
        for line in _promise(plan):
            print_line(line)


def next_runs_document(plan: NextRuns) -> dict[str, object]:
    """Return what `plan --json` prints."""
    return {
        "target": {"params": plan.params, "tokens": plan.tokens},
        "expected_regret_pct": {
            "now": plan.now_pct,
            "after": plan.after_pct,
            "floor": plan.floor_pct,
        },
        "runs": output.records(plan.runs),
        "flops": plan.flops,
        "is_enough": plan.is_enough,
    }


def _promise(plan: NextRuns) -> Iterator[str]:
    target = f"N = {output.count(plan.params)}, D = {output.count(plan.tokens)}"
    yield f"expected regret at {target}: {output.percent(plan.now_pct)} now"
    if not plan.runs.empty:
        runs = "this run" if len(plan.runs) == 1 else f"these {len(plan.runs)} runs"
        yield (
            f"  {output.percent(plan.after_pct)} after {runs} ({output.compute(plan.flops)} in all)"
        )
    yield f"  {output.percent(plan.floor_pct)} of it stays whatever small runs are done"
    if plan.is_enough and plan.runs.empty:
        yield "no run is recommended: more small runs would hardly help, larger ones would"
    elif plan.is_enough:
        yield (
            f"fewer than the {plan.asked_for} asked for: more small runs beyond these would "
            "hardly help, larger ones would"
        )


GAPS: Final = (
    Cell("nearest_gap_pct", "gap, nearest run", output.percent, right=True),
    Cell("quadratic_gap_pct", "gap, quadratic", output.percent, right=True),
)


def print_comparison(scores: pd.DataFrame, title: str | None = None) -> None:
    """Print the mean gap of each law over the scales of a comparison, and the laws left out."""
    from hyperlaw.assemble import mean_gaps, not_scored

    cells = (
        Cell("law"),
        Cell("scales", right=True),
        *GAPS,
        Cell("in_range", "in its range", output.whole, right=True),
        Cell("second_hand", "constants", lambda second_hand: "second-hand" if second_hand else ""),
    )
    output.stdout().print(frame_table(mean_gaps(scores), cells, title=title))
    for law in not_scored(scores):
        print_line(f"  {law['law']} is not scored: {law['reason']}")


def print_backtest(scores: pd.DataFrame) -> None:
    """Print how each law did on scales that were left out: on average, and at each of them."""
    print_comparison(scores, "Mean gap over the scales left out, in % of loss")
    known = ("law", N.column, D.column, "in_range", "second_hand", *(cell.column for cell in GAPS))
    settings = [
        Cell(str(name), show=partial(output.setting, str(name)), right=True)
        for name in scores.columns
        if name not in known
    ]
    cells = (N, D, Cell("law"), *settings, *GAPS, Cell("in_range", "in its range", yes_or_no))
    title = "At each of them, what each law recommends"
    output.stdout().print(frame_table(scores, cells, title=title))


def yes_or_no(value: bool) -> str:
    """Write a truth as people say it."""
    return "yes" if value else "no"


def print_scales(scales: pd.DataFrame) -> None:
    """Print how the runs of each scale ended, and the best of them; see `sweeps.scale_counts`."""
    ends = [name for name in STATUSES if name != STOPPED or scales[STOPPED].any()]
    cells = (
        N,
        D,
        *(Cell(name, right=True) for name in ends),
        Cell("loss", "best loss", output.loss, right=True),
        Cell("lr", "at lr", output.rate, right=True),
        Cell("batch_tokens", "and batch", output.whole, right=True),
    )
    output.stdout().print(frame_table(scales, cells))


def print_running(running: pd.DataFrame) -> None:
    """Print the runs that are being trained; see `steering.running_now`."""
    cells = (
        Cell("run_id", "running now"),
        N,
        D,
        Cell("lr", "lr", output.rate, right=True),
        Cell("batch_tokens", "batch", output.whole, right=True),
        Cell("reports", right=True),
        Cell("of", right=True),
        Cell("loss", "last loss", output.loss, right=True),
    )
    output.stdout().print(frame_table(running, cells))


def print_check(check: HeldOut) -> None:
    """Print what a law's prediction cost on a size that it did not see."""
    for what, run in (("best measured", check.best), ("at the prediction", check.nearest)):
        print_line(f"  {what:>17}: loss {run['loss']:.4f} with {_setting(check, run)}")
    print_line(f"  measured regret of the prediction: {check.nearest_gap_pct:.2f} %")
    if math.isfinite(check.quadratic_gap_pct):
        print_line(f"  on a smooth surface through the best runs: {check.quadratic_gap_pct:.2f} %")


def _rule(rule: Adjustment) -> str:
    adjusted = asdict(rule)["values"]
    values = ", ".join(f"{name} {output.setting(name, adjusted[name])}" for name in adjusted)
    doubt = "" if rule.checked else "; quoted second-hand"
    return f"{values}, by the {rule.rule} ({rule.source}{doubt})"


def _setting(check: HeldOut, run: pd.Series) -> str:
    values = {name: output.setting(name, float(run[name])) for name in check.optimum}
    return ", ".join(f"{name} {value}" for name, value in values.items())
