"""`hyperlaw transfer`: does the best setting of a small model serve a large one?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperlaw.cli.options import DATABASE, AsCsv, AsJson, Database
from hyperlaw.errors import ExitCode, InputError

if TYPE_CHECKING:
    from scaling.basin_check import BasinCheck
    from scaling.transfer_check import TransferCheck

app = typer.Typer(
    no_args_is_help=True, help="Check whether the best setting of a small model serves a large one."
)
MODEL, MEASURED = "What is checked", "How it is measured"

Pairs = list[str] | None


@app.command("check")
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="[SWEEP.yaml]", help="Check the model of a sweep file.")
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=MODEL,
            help="Check the model of a sweep of the database, and the basins of its runs.",
        ),
    ] = None,
    trainer: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            rich_help_panel=MODEL,
            help="Or name the model: gpt, mlp, resnet, vit, or your own module:Class.",
        ),
    ] = None,
    parametrization: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME",
            rich_help_panel=MODEL,
            help="sp, mup, u-mup, depth-mup or complete-p; mup if not given.",
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=MODEL, help="adamw if not given."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", rich_help_panel=MODEL, help="As in a sweep file; the trainer's own."
        ),
    ] = None,
    model: Annotated[
        Pairs,
        typer.Option(
            metavar="NAME=VALUE", rich_help_panel=MODEL, help="A model option. Repeatable."
        ),
    ] = None,
    rule: Annotated[
        Pairs,
        typer.Option(
            metavar="NAME=VALUE",
            rich_help_panel=MODEL,
            help="A parametrization option, such as embedding_lr=constant. Repeatable.",
        ),
    ] = None,
    setting: Annotated[
        Pairs,
        typer.Option(
            "--set", metavar="NAME=VALUE", rich_help_panel=MODEL, help="A setting. Repeatable."
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            metavar="LR",
            rich_help_panel=MEASURED,
            help="Constant learning rate; 2^-8, or the middle of the sweep's range.",
        ),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(
            metavar="W,W,…",
            rich_help_panel=MEASURED,
            help="64,128,256,512, or those of the sweep.",
        ),
    ] = None,
    depths: Annotated[
        str | None,
        typer.Option(
            metavar="L,L,…",
            rich_help_panel=MEASURED,
            help="2,4,8,16 where the scheme is for depth, or those of the sweep.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, rich_help_panel=MEASURED)] = 3,
    steps: Annotated[
        int, typer.Option(min=1, rich_help_panel=MEASURED, help="Optimizer steps a size and seed.")
    ] = 10,
    basin: Annotated[
        bool,
        typer.Option(
            "--basin",
            rich_help_panel=MEASURED,
            help="Train a grid over the learning rate at three sizes, too: whole runs.",
        ),
    ] = False,
    rates: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            rich_help_panel=MEASURED,
            help="Learning rates of the grid, an octave apart; 2^-10 to 2^-4, or the sweep's.",
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            metavar="D",
            min=1,
            rich_help_panel=MEASURED,
            help="Tokens a run of the grid; 300 steps, or the sweep's least.",
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            metavar="PCT",
            min=0,
            rich_help_panel=MEASURED,
            help="Loss in % that the smallest size's best rate may cost at the largest.",
        ),
    ] = 0.5,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call the check in the database.")
    ] = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Check that features move alike at every size, and that the best rate stays put.

    The coordinate check takes a few optimizer steps at several widths (and depths) and fits how the
    change of each layer's output grows with size: a slope of at most 0.2 passes. The basin check,
    of the runs of --sweep or of a grid that --basin trains, holds the smallest size's best rate
    against the largest size's. The check is kept in the database. Exit code 5 where it fails.
    """
    from hyperlaw.output import print_note
    from hyperlaw.sources import open_store
    from hyperlaw.transfer import (
        judge,
        keep,
        kept_basins,
        measure_changes,
        name_for,
        plan_grid,
        train_basins,
    )
    from hyperlaw.transfer_plan import AskedCheck, plan_check
    from hyperlaw.transfer_values import parse_pairs, parse_rates, parse_sizes
    from scaling.errors import InsufficientDataError

    if not basin and (rates is not None or tokens is not None):
        raise InputError("--rates and --tokens are of the grid that --basin trains; add --basin")
    asked = AskedCheck(
        file=file,
        sweep=sweep,
        trainer=trainer,
        parametrization=parametrization,
        optimizer=optimizer,
        data=data,
        model=parse_pairs("--model", model),
        rules=parse_pairs("--rule", rule),
        setting=parse_pairs("--set", setting),
        lr=lr,
        sizes={"width": parse_sizes("--widths", widths), "depth": parse_sizes("--depths", depths)},
        rates=parse_rates(rates),
        tokens=tokens,
    )
    plan = plan_check(asked, db)
    called = name_for(name, plan, db)
    grid = plan_grid(plan, called, seeds=seeds, db=db) if basin else None
    basins: tuple[BasinCheck, ...] = ()
    if sweep is not None and not basin:
        try:
            basins = kept_basins(sweep, tolerance_pct=tolerance, db=db)
        except InsufficientDataError as error:
            print_note(f"no basin check: {error}, or add --basin")
    changes = measure_changes(plan, seeds=seeds, steps=steps, tell=print_note)
    if grid is not None:
        basins = train_basins(grid, tolerance_pct=tolerance, db=db)
    with open_store(db, create=True) as store:
        made = keep(store, judge(called, plan, changes, basins))
    _print(made, as_json=as_json)
    code = {True: ExitCode.DONE, False: ExitCode.CHECK_FAILED, None: ExitCode.CANNOT_ANSWER}
    raise typer.Exit(code[made.passed])


@app.command("list")
def list_checks(db: Database = DATABASE, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List the checks of the database."""
    from hyperlaw.output import Cell, chosen_form, print_frame
    from hyperlaw.sources import open_store
    from hyperlaw.transfer import checks_frame

    form = chosen_form(as_json, as_csv)
    with open_store(db) as store:
        checks = checks_frame(store)
    cells = (
        Cell("name"),
        Cell("trainer"),
        Cell("parametrization"),
        Cell("optimizer"),
        Cell("verdict"),
        Cell("created"),
    )
    print_frame(checks, form, "checks", cells)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="CHECK", help="Its name.")],
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Show a check: every layer's slope, the basins, and the verdict."""
    from hyperlaw.sources import open_store
    from hyperlaw.transfer import kept

    with open_store(db) as store:
        _print(kept(store, name), as_json=as_json)


def _print(made: TransferCheck, *, as_json: bool) -> None:
    from hyperlaw.output import print_json
    from hyperlaw.show_transfer import check_document, print_check

    if as_json:
        print_json(check_document(made))
    else:
        print_check(made)
