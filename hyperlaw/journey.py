"""The demo: from nothing to a checked prediction, by the functions that every command uses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperlaw import output, show
from hyperlaw.errors import InputError
from hyperlaw.hints import command
from hyperlaw.output import print_line, print_note
from hyperlaw.sources import fit, keep_law, open_store, runs_of_sweeps

if TYPE_CHECKING:
    from hyperlaw.sources import RunSource
    from hyperlaw.sweeps import SweepPlan
    from scaling.backtest import HeldOut
    from scaling.law import Law

LAW: Final = "demo"
STEPS: Final = 5
CHECK_WIDTH: Final = 1.5
"""Width of the size that the law is checked on, over the ladder's largest."""
TARGET_SCALE: Final = 16
"""N of the size that is predicted, over the ladder's largest, at as many tokens a parameter."""


@dataclass(frozen=True)
class Place:
    """A demo's folder, and what is where in it."""

    folder: Path

    @property
    def ladder_file(self) -> Path:
        """The sweep file; one that is there already is used as it is."""
        return self.folder / "ladder.yaml"

    @property
    def check_file(self) -> Path:
        """The sweep file of the check."""
        return self.folder / "check.yaml"

    @property
    def db(self) -> str:
        """The database."""
        return str(self.folder / "hyperlaw.db")

    @property
    def report(self) -> Path:
        """The report."""
        return self.folder / "report.html"


def run_demo(folder: Path) -> None:
    """Go the whole way, or what is left of it after an earlier start in the same folder.

    Raises
    ------
    InputError : the folder cannot be made.
    hpo.errors.SpecError : its ladder.yaml is no sweep, or not the one that its runs are from.
    KeyboardInterrupt : the demo was interrupted; it goes on where it was.
    """
    began = time.monotonic()
    place = Place(folder)
    ladder = _plan_ladder(place)
    with _step(1, f"train {ladder.n_runs} small models, {len(ladder.ladder)} scales of them"):
        show.print_plan(ladder)
        _train(ladder, place)
    with _step(2, "fit the law to all of them at once"):
        source, law = _fit_law(ladder, place)
    with _step(3, "check the law on a size that it did not see"):
        check = _plan_check(ladder, law, place)
        _train(check, place)
        show.print_check(_measure(check, law, place))
    target = _target(ladder)
    with _step(4, f"predict for a model {TARGET_SCALE} times larger than the largest proxy"):
        params, tokens = target
        print_line(
            f"  N = {output.count(params)} parameters on D = {output.count(tokens)} tokens: "
            f"{tokens / params:.3g} tokens a parameter, as the largest proxies had"
        )
        show.print_prediction(law.predict(*target), law)
    with _step(5, "write the report"):
        _write_report(source, law, check, target, place)
    print_line(f"The whole way in {output.duration(time.monotonic() - began)}.")
    _say_what_next(place)


@contextmanager
def _step(number: int, what: str) -> Iterator[None]:
    began = time.monotonic()
    output.stdout().print(f"\n[bold]Step {number} of {STEPS}: {what}[/bold]")
    yield
    print_line(f"  done in {output.duration(time.monotonic() - began)}")


def _plan_ladder(place: Place) -> SweepPlan:
    from hyperlaw.starters import template
    from hyperlaw.sweeps import plan_file

    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        if not place.ladder_file.exists():
            place.ladder_file.write_text(template("ladder"), encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"--dir {place.folder}: {reason}; name a folder to write in") from error
    return plan_file(place.ladder_file)


def _train(plan: SweepPlan, place: Place) -> None:
    from hyperlaw.sweeps import run_plan

    summary = run_plan(plan, place.db)
    if summary.interrupted:
        print_note("interrupted; the same command goes on from here")
        raise KeyboardInterrupt
    print_line(
        f"  {summary.completed} of {summary.planned} runs completed, {summary.diverged} diverged"
    )
    if summary.failed:
        why = command(f"runs list --sweep {summary.name} --status failed", place.db)
        print_line(f"  {summary.failed} failed; see why: {why}")


def _fit_law(ladder: SweepPlan, place: Place) -> tuple[RunSource, Law]:
    with open_store(place.db) as store:
        source = runs_of_sweeps(store, [ladder.spec.name])
    law = fit(source, LAW)
    keep_law(place.db, law, source)
    show.print_formulas(law)
    output.print_warnings(law.warnings)
    return source, law


def _plan_check(ladder: SweepPlan, law: Law, place: Place) -> SweepPlan:
    """Plan the check; the one that was begun earlier where there is one."""
    from hyperlaw.derived_sweeps import check_sweep_text
    from hyperlaw.sweeps import plan_file, stored_plan
    from trainers.registry import kind

    spec, largest = ladder.spec, ladder.ladder[-1]
    name = f"{spec.name}-check"
    shape = {**largest.shape, "width": round(CHECK_WIDTH * largest.shape["width"])}
    params = kind(spec.trainer).sizes(shape, spec.model).params
    prediction = law.predict(params, largest.tokens)
    predicted = ", ".join(
        f"{key} {output.setting(key, value.value)}" for key, value in prediction.optimum.items()
    )
    print_line(
        f"  width {shape['width']}, N = {output.count(params)}, "
        f"D = {output.count(largest.tokens)}: the law predicts {predicted}"
    )
    with open_store(place.db) as store:
        if store.has_sweep(name):
            return stored_plan(store, name)
    optimum = {key: value.value for key, value in prediction.optimum.items()}
    text = check_sweep_text(spec, name=name, shape=shape, tokens=largest.tokens, optimum=optimum)
    place.check_file.write_text(text, encoding="utf-8")
    return plan_file(place.check_file)


def _measure(check: SweepPlan, law: Law, place: Place) -> HeldOut:
    from scaling.backtest import held_out

    with open_store(place.db) as store:
        return held_out(law, store.runs(check.spec.name))


def _target(ladder: SweepPlan) -> tuple[float, float]:
    largest = ladder.ladder[-1]
    return float(TARGET_SCALE * largest.params), float(TARGET_SCALE * largest.tokens)


def _write_report(
    source: RunSource, law: Law, check: SweepPlan, target: tuple[float, float], place: Place
) -> None:
    from dashboards.report import write_report
    from hyperlaw.answers import Question
    from hyperlaw.assemble import report_content

    content = report_content(
        source,
        law,
        db=place.db,
        held_out=[check.spec.name],
        target=Question(*target),
        title="The hyperlaw demo",
    )
    write_report(place.report, content)
    print_line(f"  {place.report}: open it in a browser; it needs no network")


def _say_what_next(place: Place) -> None:
    suggestions = (
        (
            "predict for a size of yours, from this law",
            f"predict --law {LAW} --params 1e7 --tokens 2e8",
        ),
        ("look into the law", f"law show {LAW}"),
        ("browse the runs", "dashboard"),
    )
    own = (
        ("runs that you have already", "predict --runs runs.csv --params 7e9 --tokens 1.4e11"),
        ("a sweep of your own", "init sweep.yaml"),
    )
    print_line("\nWhat to type next:")
    for what, text in suggestions:
        print_line(f"  {what}:\n    {command(text, place.db)}")
    for what, text in own:
        print_line(f"  {what}:\n    {command(text)}")
