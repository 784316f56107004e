"""`hyperlaw runs`: what the database keeps, a run a row."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hyperlaw.cli.options import DATABASE, AsCsv, AsJson, Database
from hyperlaw.sources import open_store

app = typer.Typer(no_args_is_help=True, help="List, show and export runs.")


class Status(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    DIVERGED = "diverged"
    STOPPED = "stopped"
    FAILED = "failed"


class FileFormat(StrEnum):
    """A format of `runs export`."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


OfSweep = Annotated[
    str | None, typer.Option("--sweep", metavar="NAME", help="Only the runs of this sweep.")
]
OfStatus = Annotated[
    list[Status] | None, typer.Option("--status", help="Only runs that ended so. Repeatable.")
]


@app.command("list")
def list_runs(
    sweep: OfSweep = None,
    status: OfStatus = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List runs, with what most readers want of each; CSV and JSON hold every column."""
    from hyperlaw import output
    from hyperlaw.output import Cell

    form = output.chosen_form(as_json, as_csv)
    with open_store(db) as store:
        runs = store.runs(sweep, statuses=_statuses(status))
    cells = (
        Cell("run_id"),
        Cell("status"),
        Cell("params", "N", output.count, right=True),
        Cell("tokens", "D", output.count, right=True),
        Cell("lr", show=output.rate, right=True),
        Cell("batch_tokens", show=output.whole, right=True),
        Cell("loss", show=output.loss, right=True),
        Cell("seed", right=True),
        Cell("seconds", "time", output.duration, right=True),
        Cell("reason"),
    )
    has_reasons = "reason" in runs.columns and runs["reason"].notna().any()
    shown = cells if has_reasons else cells[:-1]
    output.print_frame(runs, form, "runs", shown)


@app.command("show")
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Its run_id.")],
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Show one run: everything that is kept of it, and its learning curve."""
    import pandas as pd

    from hyperlaw import output
    from hyperlaw.output import Cell

    with open_store(db) as store:
        row = store.run(run_id)
        curve = store.curves([run_id]).get(run_id)
    record = output.records(row.to_frame().T)[0]
    points = pd.DataFrame(curve.columns()) if curve is not None else pd.DataFrame()
    if as_json:
        output.print_json({"run": record, "curve": output.records(points)})
        return
    for name, value in record.items():
        if value is not None and value != "":
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            output.print_line(f"{name:>16}  {text}")
    cells = (
        Cell("step", right=True),
        Cell("tokens", show=output.whole, right=True),
        Cell("loss", "held-out loss", output.loss, right=True),
        Cell("train_loss", "training loss", output.loss, right=True),
        Cell("lr", show=output.rate, right=True),
        Cell("noise_scale", "noise scale (tokens)", output.whole, right=True),
        Cell("seconds", "time", output.duration, right=True),
    )
    if curve is not None:
        output.stdout().print(output.frame_table(points, cells, title="Learning curve"))


@app.command("export")
def export(
    sweep: OfSweep = None,
    status: OfStatus = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; stdout if not given.")
    ] = None,
    form: Annotated[
        FileFormat | None,
        typer.Option("--format", help="By the file's name, else CSV, if not given."),
    ] = None,
    db: Database = DATABASE,
) -> None:
    """Write runs to a file or to stdout: CSV reads back to the last digit."""
    import sys

    from hyperlaw.errors import InputError
    from hyperlaw.output import print_note
    from storage.export import write_runs

    suffix = out.suffix.removeprefix(".") if out is not None else ""
    known = [item.value for item in FileFormat]
    chosen = form or FileFormat(suffix if suffix in known else "csv")
    if chosen is FileFormat.PARQUET and out is None:
        raise InputError("Parquet is no text for a terminal; name a file with --out")
    with open_store(db) as store:
        runs = store.runs(sweep, statuses=_statuses(status))
    write_runs(runs, sys.stdout if out is None else out, chosen.value)
    if out is not None:
        print_note(f"{len(runs)} runs written to {out}")


def _statuses(chosen: list[Status] | None) -> list[str] | None:
    return [status.value for status in chosen] if chosen else None
