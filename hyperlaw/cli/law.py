"""`hyperlaw law`: fit laws to runs, keep them, look into them, and set them beside others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

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
)
from hyperlaw.sources import (
    Asked,
    find_law,
    find_runs,
    find_runs_and_law,
    fit,
    keep_law,
    open_store,
    parse_mapping,
)

if TYPE_CHECKING:
    from scaling.law import Law

SILENT_SETTINGS: Final = "A law that is silent on a setting is judged with the best constant for it"
app = typer.Typer(no_args_is_help=True, help="Fit laws to runs and look into them.")


@app.command("fit")
def fit_and_keep(
    runs: RunsFile = None,
    mapping: Mapping = None,
    sweep: Sweeps = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What to call the law; after its sweep or file if not given."
        ),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            metavar="AXES",
            help="What scale is measured in, of params, width, depth, tokens and flops; such as "
            "width,tokens. By default what does better on the largest scales, left out: "
            "params,tokens or flops.",
        ),
    ] = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Fit a law to the runs of a file or of sweeps, and keep it in the database.

    A law of the same name is replaced. A law on width or depth is asked with the target's:
    hyperlaw predict --law NAME --params N --tokens D --width W.
    """
    asked = Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ()))
    source = find_runs(asked)
    asked_axes = None if axes is None else [axis.strip() for axis in axes.split(",")]
    law = fit(source, name, axes=asked_axes, try_shapes=True)
    keep_law(db, law, source)
    _print(law, as_json=as_json)
    if not as_json:
        from hyperlaw.hints import command
        from hyperlaw.output import print_note
        from scaling.axes import SYMBOLS

        shape = "".join(f" --{axis} {SYMBOLS[axis]}" for axis in law.shape_axes)
        suggestion = command(f"predict --law {law.name} --params N --tokens D{shape}", db)
        print_note(f"kept in {db}; next: {suggestion}")


@app.command("list")
def list_laws(db: Database = DATABASE, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List the laws of the database."""
    from hyperlaw.output import Cell, chosen_form, print_frame

    form = chosen_form(as_json, as_csv)
    with open_store(db) as store:
        laws = store.laws()
    cells = (
        Cell("name"),
        Cell("sweep"),
        Cell("runs", right=True),
        Cell("scales", right=True),
        Cell("created"),
    )
    print_frame(laws, form, "laws", cells)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="LAW", help="Its name.")],
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Show a law: its formulas, its constants with intervals, and the scales it stands on."""
    _print(find_law(Asked(db, law=name)), as_json=as_json)


@app.command("compare")
def compare_laws(
    runs: RunsFile = None,
    mapping: Mapping = None,
    sweep: Sweeps = None,
    law: LawName = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Set a law beside published laws and the best constant: what each costs on measured scales.

    The law and the constant have seen these runs; `hyperlaw law backtest` leaves scales out.
    """
    from hyperlaw.assemble import mean_gaps, not_scored
    from hyperlaw.output import Form, chosen_form, print_frame, print_json, print_note, records
    from hyperlaw.show import print_comparison
    from scaling.backtest import compare

    form = chosen_form(as_json, as_csv)
    asked = Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ()))
    source, fitted = find_runs_and_law(asked, law)
    scores = compare(fitted, source.runs)
    if form is Form.CSV:
        print_frame(mean_gaps(scores), form, "laws", ())
    elif form is Form.JSON:
        print_json({"laws": records(mean_gaps(scores)), "not_scored": not_scored(scores)})
    else:
        print_comparison(scores)
        print_note(
            "gaps are the loss over the best of the scale, averaged over scales; the law and the "
            "constant were fitted to these runs, a published law only where they are its authors'. "
            f"{SILENT_SETTINGS}"
        )


@app.command("backtest")
def backtest_laws(
    runs: RunsFile = None,
    mapping: Mapping = None,
    sweep: Sweeps = None,
    law: LawName = None,
    hold_out: Annotated[
        int, typer.Option(metavar="K", min=1, help="How many of the largest scales to leave out.")
    ] = 1,
    db: Database = DATABASE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Leave the largest scales out, fit to the others, and score every law where none has looked.

    Laws are this one, the published ones, and the one setting that is best on the fitted scales.
    """
    from hyperlaw.assemble import mean_gaps, not_scored
    from hyperlaw.output import Form, chosen_form, print_frame, print_json, print_note, records
    from hyperlaw.show import print_backtest
    from scaling.backtest import backtest

    form = chosen_form(as_json, as_csv)
    asked = Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ()), law)
    scores = backtest(find_runs(asked).runs, hold_out=hold_out)
    if form is Form.CSV:
        print_frame(scores, form, "scores", ())
    elif form is Form.JSON:
        means, left_out = records(mean_gaps(scores)), not_scored(scores)
        document = {"laws": means, "not_scored": left_out, "scores": records(scores)}
        print_json({"hold_out": hold_out, **document})
    else:
        print_backtest(scores)
        print_note(
            "a gap is the loss at the recommended setting over the best of the scale: of the "
            "measured run nearest to it, and on a quadratic surface through the best runs. "
            f"{SILENT_SETTINGS}"
        )


def _print(law: Law, *, as_json: bool) -> None:
    from hyperlaw.output import print_json
    from hyperlaw.show import law_document, print_law

    if as_json:
        print_json(law_document(law))
    else:
        print_law(law)
