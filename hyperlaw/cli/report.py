"""`hyperlaw report`: one HTML file with the answer and what it stands on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyperlaw.answers import Question
from hyperlaw.cli.options import (
    DATABASE,
    Database,
    LawName,
    Mapping,
    RunsFile,
    Sweeps,
    TargetDepth,
    TargetWidth,
)
from hyperlaw.errors import InputError


def report(
    runs: RunsFile = None,
    mapping: Mapping = None,
    sweep: Sweeps = None,
    law: LawName = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A sweep of sizes that the law did not see. Repeatable."),
    ] = None,
    params: Annotated[
        float | None, typer.Option(metavar="N", help="Parameters of the model to predict for.")
    ] = None,
    tokens: Annotated[
        float | None, typer.Option(metavar="D", help="Tokens that it will be trained on.")
    ] = None,
    width: TargetWidth = None,
    depth: TargetDepth = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")] = Path(
        "report.html"
    ),
    title: Annotated[
        str | None, typer.Option(help="Its heading; the law's name if not given.")
    ] = None,
    db: Database = DATABASE,
) -> None:
    """Write one HTML file: the prediction, the basins, the curves, the law and its checks.

    It holds everything and opens without a network. The law is fitted to the runs of a file or of
    sweeps, or taken from the database by name. Runs that carry no law give a report of what they
    do tell, and of what they lack.
    """
    from dashboards.report import write_report
    from hyperlaw.assemble import report_content
    from hyperlaw.output import print_line, print_note
    from hyperlaw.sources import Asked, axes_for, find_runs, find_runs_and_law, fit, parse_mapping
    from scaling.errors import InsufficientDataError

    target = _target(params, tokens, width, depth)
    asked = Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ()))
    fitted, why_no_law = None, ""
    if law is not None:
        source, fitted = find_runs_and_law(asked, law)
    else:
        source = find_runs(asked)
        try:
            fitted = fit(source, axes=axes_for(width, depth))
        except InsufficientDataError as error:
            why_no_law = str(error)
            print_note(f"there is no law of these runs: {error}")
    content = report_content(
        source,
        fitted,
        db=db,
        held_out=held_out or (),
        target=target,
        title=title,
        why_no_law=why_no_law,
    )
    write_report(out, content)
    print_line(str(out))


def _target(
    params: float | None, tokens: float | None, width: float | None, depth: float | None
) -> Question | None:
    """Return the target; None where none is named."""
    if params is not None and tokens is not None:
        return Question(params, tokens, width, depth)
    if any(value is not None for value in (params, tokens, width, depth)):
        raise InputError("a target has a size and tokens; give both --params and --tokens")
    return None
