"""`hyperlaw plan`: the next runs, for the least compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperlaw.cli.options import (
    DATABASE,
    AsCsv,
    AsJson,
    Database,
    LawName,
    Mapping,
    RunsFile,
    Sweeps,
    TargetDepth,
    TargetParams,
    TargetTokens,
    TargetWidth,
)
from hyperlaw.errors import InputError
from hyperlaw.sources import Asked, axes_for, find_runs_and_law, parse_mapping

if TYPE_CHECKING:
    from hyperlaw.recipe import Recipe


def plan(
    params: TargetParams,
    tokens: TargetTokens,
    runs: RunsFile = None,
    mapping: Mapping = None,
    sweep: Sweeps = None,
    law: LawName = None,
    width: TargetWidth = None,
    depth: TargetDepth = None,
    n_runs: Annotated[
        int, typer.Option("--n", metavar="RUNS", min=1, help="How many runs at most.")
    ] = 8,
    candidates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A CSV file of the runs to choose from: params, tokens, lr, batch_tokens. "
            "Settings around each measured scale's optimum if not given.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a sweep file that 'sweep launch' takes."),
    ] = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Choose the next small runs: those that make the prediction for a target better for least.

    Fewer runs than asked for, or none, are chosen where more of these scales would hardly help.
    """
    from hyperlaw.output import chosen_form, print_note
    from hyperlaw.planning import find_recipe, next_sweep, plan_next
    from hyperlaw.show import print_next_runs

    form = chosen_form(as_json, as_csv)
    if out is not None and out.exists():
        raise InputError(f"--out {out}: it exists; name a new file")
    source, fitted = find_runs_and_law(
        Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ())),
        law,
        axes_for(width, depth),
    )
    recipe: Recipe | None = None
    refusal: InputError | None = None
    # A file's runs may come from anywhere, and need no trainer here unless a sweep is to be made.
    if out is not None or source.sweeps:
        try:
            recipe = find_recipe(source, db)
        except InputError as error:
            refusal = error
    chosen = plan_next(
        source,
        fitted,
        params=params,
        tokens=tokens,
        width=width,
        depth=depth,
        n_runs=n_runs,
        candidates=candidates,
        recipe=recipe,
    )
    print_next_runs(chosen, form)
    if out is None:
        return
    if chosen.runs.empty:
        print_note(f"{out} is not written: there is nothing to run")
        return
    if recipe is None:
        assert refusal is not None
        raise refusal
    name, text = next_sweep(source, recipe, chosen.runs, db)
    _write(out, text)
    _say_what_next(out, name, len(chosen.runs), source.sweeps, db)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"--out {path}: {reason}; name a file that can be written") from error


def _say_what_next(path: Path, name: str, n_runs: int, sweeps: tuple[str, ...], db: str) -> None:
    import shlex

    from hyperlaw.hints import command
    from hyperlaw.output import print_note

    print_note(f"sweep '{name}', {n_runs} runs, written to {path}; next:")
    print_note(f"  {command(f'sweep launch {shlex.quote(str(path))}', db)}")
    if sweeps:
        together = " ".join(f"--sweep {sweep}" for sweep in (*sweeps, name))
        print_note(f"  {command(f'law fit {together}', db)}")
