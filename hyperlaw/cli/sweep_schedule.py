"""`hyperlaw sweep schedule`: what the best member of a population went through, and its replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyperlaw.cli.options import DATABASE, AsCsv, AsJson, Database
from hyperlaw.errors import InputError
from hyperlaw.sources import open_store


def schedule(
    name: Annotated[str, typer.Argument(metavar="SWEEP", help="A population's name.")],
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN_ID", help="A run that completed; the best one if not given."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a sweep file that replays it as one plain run."),
    ] = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the schedule of settings that a population found: that of the best run's weights.

    It goes back through the runs that the weights were taken over from, to the start of training.
    """
    from hyperlaw import output
    from hyperlaw.found_schedules import REPLAY, find_schedule, replay_text, schedule_frame
    from hyperlaw.hints import command
    from hyperlaw.output import Cell, Form

    form = output.chosen_form(as_json, as_csv)
    if out is not None and out.exists():
        raise InputError(f"--out {out}: it exists; name a new file")
    replay = f"{name}-{REPLAY}"
    with open_store(db) as store:
        found = find_schedule(store, name, run)
        text = replay_text(store, name, replay, found)
    frame = schedule_frame(found)
    if form is Form.JSON:
        output.print_json(
            {
                "sweep": name,
                "run_id": found.run_id,
                "loss": found.loss,
                "seed": found.seed,
                "exploits": found.n_exploits,
                "setting": found.setting,
                "schedule": output.records(frame),
            }
        )
    else:
        cells = (
            Cell("run_id", "trained in"),
            Cell("at", "from", lambda at: f"{at:.1%}", right=True),
            Cell("tokens", "tokens", output.whole, right=True),
            *(Cell(name, show=_shown, right=True) for name in found.changed),
        )
        if form is Form.TABLE:
            output.print_line(
                f"{found.run_id}: loss {output.loss(found.loss)}, weights taken over "
                f"{found.n_exploits} times"
            )
            begun = ", ".join(f"{key} {_shown(value)}" for key, value in found.setting.items())
            output.print_line(f"begins with {begun}")
        output.print_frame(frame, form, "schedule", cells)
    if out is None:
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"--out {out}: {reason}; name a file that can be written") from error
    output.print_note(f"sweep '{replay}', one run, written to {out}; next:")
    output.print_note(f"  {command(f'sweep launch {out}', db)}")


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
