"""`hyperlaw import`: runs that were trained elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyperlaw.cli.options import DATABASE, AsJson, Database, Mapping
from hyperlaw.sources import open_store, parse_mapping, rehearse

app = typer.Typer(no_args_is_help=True, help="Bring in runs that were trained elsewhere.")


@app.callback()
def group() -> None:
    """Keep `csv` a command of its own while it is the only one."""


@app.command("csv")
def import_file(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="A table of runs: .csv, .tsv or .parquet.")
    ],
    sweep: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The sweep that the runs are to belong to: a new one, or one that was imported.",
        ),
    ],
    mapping: Mapping = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Import a table of runs as a sweep. Nothing is written if any cell is wrong.

    Runs without a column run_id are named after the sweep: NAME-000001 and on.
    """
    from hyperlaw.hints import command
    from hyperlaw.output import print_json, print_line, print_note
    from storage.columns import COMPLETED, STATUS
    from storage.importers.csv import import_csv

    columns = parse_mapping(mapping or [])
    rehearse(lambda store: import_csv(store, path, sweep=sweep, mapping=columns))
    with open_store(db, create=True) as store:
        runs = import_csv(store, path, sweep=sweep, mapping=columns)
    completed = int((runs[STATUS] == COMPLETED).sum())
    if as_json:
        print_json({"sweep": sweep, "runs": len(runs), "completed": completed})
    else:
        print_line(f"{len(runs)} runs imported as sweep '{sweep}', {completed} of them completed")
        print_note(f"next: {command(f'law fit --sweep {sweep}', db)}")
