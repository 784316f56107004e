"""`hyperlaw dashboard`: the database in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyperlaw.cli.options import DATABASE, Database
from hyperlaw.sources import open_store


def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it listens.")] = 8501,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open it in a browser.")
    ] = True,
    host: Annotated[
        str, typer.Option(help="Address it listens at; whoever reaches it reads the database.")
    ] = "127.0.0.1",
    allow_control: Annotated[
        bool,
        typer.Option("--allow-control", help="Show buttons that pause, resume and end sweeps."),
    ] = False,
    db: Database = DATABASE,
) -> None:
    """Browse sweeps, runs and laws in a browser, on this machine only; Ctrl-C ends it."""
    import hyperlaw
    from dashboards.launch import serve

    with open_store(db):
        pass  # a database that is missing is better said here than in the browser
    script = Path(hyperlaw.__file__).with_name("dashboard.py")
    raise typer.Exit(
        serve(
            db,
            script=script,
            port=port,
            open_browser=browser,
            host=host,
            allow_control=allow_control,
        )
    )
