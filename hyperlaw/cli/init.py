"""`hyperlaw init`: a sweep file to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    path: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="Where to write it.", show_default=True)
    ] = Path("sweep.yaml"),
    trainer: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="gpt, mlp, resnet, vit, random-features, simulated, command for any training "
            "script, or module:Class for your own.",
        ),
    ] = "gpt",
    search: Annotated[
        str | None,
        typer.Option(metavar="METHOD", help="bayesian; transfer, as the others, if not given."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The sweep's name; the file's if not given.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if there is one.")
    ] = False,
) -> None:
    """Write a sweep file with comments, ready to be launched or changed."""
    from hyperlaw.hints import command
    from hyperlaw.output import print_line, print_note
    from hyperlaw.starters import write_starter

    write_starter(path, trainer, name, search=search, replace=force)
    print_line(str(path))
    print_note(f"next: look it over, then {command(f'sweep launch {path}')}")
