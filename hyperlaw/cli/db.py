"""`hyperlaw db`: the database itself, its schema and whether it is whole."""

from __future__ import annotations

import typer

from hyperlaw.cli.options import DATABASE, AsJson, Database
from hyperlaw.errors import ExitCode

app = typer.Typer(no_args_is_help=True, help="Check the database, or upgrade it.")


@app.command("check")
def check(db: Database = DATABASE, as_json: AsJson = False) -> None:
    """See whether the database is whole and of the newest schema; nothing is changed."""
    import dataclasses

    from hyperlaw.hints import command
    from hyperlaw.output import print_json, print_line
    from storage.health import examine

    health = examine(db)
    if as_json:
        print_json(dataclasses.asdict(health) | {"is_newest": health.is_newest})
    else:
        held = ", ".join(f"{name} {count}" for name, count in health.counts.items())
        print_line(f"{health.name}: schema {health.revision}; {held}")
        for problem in health.problems:
            print_line(f"problem: {problem}")
        if not health.is_newest:
            print_line(
                f"its schema is older than this hyperlaw's, {health.newest}: any command that "
                f"opens it upgrades it, '{command('db upgrade', db)}' now"
            )
        elif not health.problems:
            print_line("it is whole, and its schema is the newest")
    if health.problems or not health.is_newest:
        raise typer.Exit(ExitCode.CHECK_FAILED)


@app.command("upgrade")
def upgrade(db: Database = DATABASE, as_json: AsJson = False) -> None:
    """Bring the database to the newest schema; what it holds stays."""
    from hyperlaw.output import print_json, print_line
    from storage.health import upgrade as bring_to_newest

    before, after = bring_to_newest(db)
    if as_json:
        print_json({"database": db, "before": before, "after": after})
    elif before == after:
        print_line(f"{db}: schema {after} is the newest already")
    else:
        print_line(f"{db}: upgraded from schema {before} to {after}")
