"""`hyperlaw runs soup`: the mean of the weights of a sweep's runs, uniform and greedy."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperlaw.cli.options import DATABASE, AsCsv, AsJson, Database, Only
from hyperlaw.errors import InputError
from hyperlaw.sources import open_store

if TYPE_CHECKING:
    import pandas as pd

    from hyperlaw.soups import Soup


def soup(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="It has kept final_states.")],
    only: Only = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the greedy soup's weights, as torch.save does."),
    ] = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Average the weights of runs of one shape, and judge the mean on held-out data.

    Every second held-out sample chooses the members of the greedy soup; the rest judge it.
    """
    from hyperlaw import output
    from hyperlaw.output import Cell, Form
    from hyperlaw.soups import make_soup
    from hyperlaw.tables import parse_only

    form = output.chosen_form(as_json, as_csv)
    if out is not None and out.exists():
        raise InputError(f"--out {out}: it exists; name a new file")
    with open_store(db) as store:
        made = make_soup(store, sweep, parse_only(only or []))
    frame = _frame(made)
    if form is Form.JSON:
        output.print_json(
            {
                "sweep": sweep,
                "shape": dict(made.shape),
                "weights": output.records(frame),
                "members": [member.run_id for member in made.members if member.taken],
                "warnings": list(made.warnings),
            }
        )
    else:
        cells = (
            Cell("weights"),
            Cell("seed", show=output.whole, right=True),
            *(Cell(name, show=partial(_shown, name), right=True) for name in made.differing),
            Cell("in_greedy", "in greedy soup", lambda taken: "yes" if taken else "no"),
            Cell("choosing_loss", "loss (choosing half)", output.loss, right=True),
            Cell("loss", "loss (other half)", output.loss, right=True),
        )
        output.print_frame(frame, form, "weights", cells)
        if form is Form.TABLE:
            output.print_warnings(made.warnings)
    if out is not None:
        _save(made, out)
        output.print_note(f"the greedy soup's weights are in {out}")


def _frame(made: Soup) -> pd.DataFrame:
    """Return a row a set of weights: the members, best first, then the soups."""
    import pandas as pd

    rows: list[dict[str, object]] = [
        {
            "weights": member.run_id,
            "seed": member.seed,
            **{name: member.setting.get(name) for name in made.differing},
            "in_greedy": member.taken,
            "choosing_loss": member.losses.choosing,
            "loss": member.losses.judging,
        }
        for member in made.members
    ]
    rows += [
        {"weights": name, "choosing_loss": losses.choosing, "loss": losses.judging}
        for name, losses in (("uniform soup", made.uniform), ("greedy soup", made.greedy))
    ]
    return pd.DataFrame(rows, dtype=object)  # so that a seed stays a whole number


def _save(made: Soup, out: Path) -> None:
    import torch

    try:
        with out.open("xb") as file:
            torch.save(dict(made.weights), file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"--out {out}: {reason}; name a file that can be written") from error


def _shown(name: str, value: float | str) -> str:
    from hyperlaw.output import setting

    return value if isinstance(value, str) else setting(name, value)
