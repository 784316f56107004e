"""`hyperlaw loss`: what more parameters, more tokens and more compute buy."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperlaw.cli.options import DATABASE, AsJson, Database, Level, Mapping, Only, RunsFile, Sweeps
from hyperlaw.errors import InputError
from hyperlaw.sources import Asked, parse_mapping
from hyperlaw.tables import curves_of_sweeps, find_curves, find_losses, parse_only

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    no_args_is_help=True, help="Fit laws of loss by scale: what more N, D and compute buy."
)


class LossForm(StrEnum):
    """The formula of a law of loss by scale."""

    CHINCHILLA = "chinchilla"
    KAPLAN = "kaplan"
    REPEATED = "repeated-data"
    SPARSE = "sparse"
    FLOPS = "flops"


OfForm = Annotated[LossForm, typer.Option("--form", help="The law's formula.")]
RData = Annotated[
    float | None,
    typer.Option(
        metavar="R", help="R*_D of repeated-data where it is known, such as 15.4; else fitted."
    ),
]
RParams = Annotated[
    float | None,
    typer.Option(
        metavar="R", help="R*_N of repeated-data where it is known, such as 5.31; else fitted."
    ),
]


@app.command("fit")
def fit(
    runs: RunsFile = None,
    mapping: Mapping = None,
    only: Only = None,
    sweep: Sweeps = None,
    form: OfForm = LossForm.CHINCHILLA,
    r_data: RData = None,
    r_params: RParams = None,
    hold_out: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=1,
            help="How many of the largest scales the forms are judged on; a fifth if not given.",
        ),
    ] = None,
    level: Level = 0.9,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Fit a law of loss to the best loss of each scale: constants with intervals.

    A file needs params, tokens and loss; repeated-data needs unique_tokens too, and sparse
    final_sparsity. Beside it stands how each form predicts the largest scales when they are left
    out of its fit.
    """
    from hyperlaw.output import print_json
    from hyperlaw.show_loss import loss_law_document, print_loss_law
    from scaling.errors import InsufficientDataError
    from scaling.loss_laws.choice import fit_form, held_out_forms

    asked = Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ()))
    table = find_losses(asked, parse_only(only or [])).runs
    law = fit_form(table, form.value, r_data=r_data, r_params=r_params)
    held_out: pd.DataFrame | None
    try:
        held_out = held_out_forms(table, hold_out=hold_out, r_data=r_data, r_params=r_params)
    except InsufficientDataError:
        if hold_out is not None:
            raise
        held_out = None
    if as_json:
        print_json(loss_law_document(law, len(table), held_out, level))
    else:
        print_loss_law(law, len(table), held_out, level)


@app.command("optimal")
def optimal(
    flops: Annotated[
        list[float] | None, typer.Option(metavar="C", help="A budget of compute. Repeatable.")
    ] = None,
    seconds: Annotated[
        list[float] | None,
        typer.Option(
            metavar="S", help="A budget of time, on the machine that the runs took. Repeatable."
        ),
    ] = None,
    money: Annotated[
        list[float] | None, typer.Option(metavar="M", help="A budget of money. Repeatable.")
    ] = None,
    price_per_hour: Annotated[
        float | None,
        typer.Option(metavar="P", help="What an hour of the whole machine costs, with --money."),
    ] = None,
    batch_tokens: Annotated[
        float | None,
        typer.Option(
            metavar="B",
            help="Tokens a step, with --seconds or --money; the runs' own if they have one only.",
        ),
    ] = None,
    runs: RunsFile = None,
    mapping: Mapping = None,
    only: Only = None,
    sweep: Sweeps = None,
    curves: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Training curves, a row a report: run_id, params, tokens, loss. A sweep has its "
            "own.",
        ),
    ] = None,
    form: OfForm = LossForm.CHINCHILLA,
    r_data: RData = None,
    r_params: RParams = None,
    unique_tokens: Annotated[
        float | None,
        typer.Option(metavar="U", help="How many different tokens there are, for repeated-data."),
    ] = None,
    level: Level = 0.9,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Find the N and D of least loss that a budget of compute, time or money pays for.

    Budgets of compute are answered in each of Chinchilla's three ways that the data carries: a
    fitted law, parabolas through runs of one compute, the lowest of whole training curves. Time
    and money need the columns batch_tokens and seconds.
    """
    from hyperlaw.loss_answers import Budget, best_allocations
    from hyperlaw.output import print_json
    from hyperlaw.show_loss import optimal_document, print_optimal
    from storage.columns import LOSS, PARAMS, TOKENS

    budget = Budget(
        tuple(flops or ()), tuple(seconds or ()), tuple(money or ()), price_per_hour, batch_tokens
    )
    asked = Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ()))
    source = find_losses(asked, parse_only(only or []))
    reported: pd.DataFrame | None = None
    if curves is not None:
        reported = find_curves(Asked(db, curves), (PARAMS, TOKENS, LOSS))
    elif source.sweeps and budget.flops:
        reported = curves_of_sweeps(db, source.sweeps)
        reported = reported[reported["run_id"].isin(source.runs["run_id"])]
    answer = best_allocations(
        source.runs,
        budget,
        form=form.value,
        r_data=r_data,
        r_params=r_params,
        curves=reported,
        unique_tokens=unique_tokens,
        level=level,
    )
    if as_json:
        print_json(optimal_document(answer, level))
    else:
        print_optimal(answer, level)


@app.command("crossover")
def crossover(
    runs: RunsFile = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="OTHER", help="The other recipe: a file with --runs, a sweep with --sweep."
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="The column that tells recipes apart, of runs in one table."
        ),
    ] = None,
    mapping: Mapping = None,
    only: Only = None,
    sweep: Sweeps = None,
    form: OfForm = LossForm.CHINCHILLA,
    low: Annotated[
        float | None, typer.Option("--from", metavar="C", help="The least compute to look at.")
    ] = None,
    high: Annotated[
        float | None, typer.Option("--to", metavar="C", help="The greatest compute to look at.")
    ] = None,
    level: Level = 0.9,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Find the compute from which one recipe beats another, each at its own best N and D.

    Looked at is everything from the least compute measured to a thousand times the greatest.
    """
    from hyperlaw.loss_answers import crossovers
    from hyperlaw.output import print_json
    from hyperlaw.show_loss import crossovers_document, print_crossovers

    if (low is None) != (high is None):
        raise InputError("--from and --to bound what is looked at; give both or none")
    between = None if low is None or high is None else (low, high)
    asked = Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ()))
    recipes = _recipes(asked, parse_only(only or []), against, by)
    found = crossovers(recipes, form=form.value, between=between, level=level)
    if as_json:
        print_json(crossovers_document(found))
    else:
        print_crossovers(found)


def _recipes(
    asked: Asked, only: dict[str, str], against: str | None, by: str | None
) -> dict[str, pd.DataFrame]:
    """Return the recipes' runs by name: of two files or sweeps, or of one table's column."""
    if (against is None) == (by is None):
        raise InputError(
            "name the other recipe with --against, or the column that tells recipes apart with --by"
        )
    source = find_losses(asked, only)
    if by is not None:
        if by not in source.runs.columns:
            columns = ", ".join(source.runs.columns)
            raise InputError(f"--by {by}: the runs have no such column; they have {columns}")
        return {str(name): rows for name, rows in source.runs.groupby(by)}
    assert against is not None
    if asked.file is None:
        other = find_losses(Asked(asked.db, sweeps=(against,)), only)
    else:
        other = find_losses(Asked(asked.db, Path(against), asked.mapping), only)
    names = source.name, other.name
    if names[0] == names[1]:
        names = str(asked.file or names[0]), against
    if names[0] == names[1]:
        raise InputError(f"--against {against}: it is the same as what it is set against")
    return {names[0]: source.runs, names[1]: other.runs}
