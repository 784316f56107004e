"""`hyperlaw predict`: the optimum at a target size."""

from __future__ import annotations

from typing import Annotated

import typer

from hyperlaw.cli.options import (
    DATABASE,
    AsJson,
    Database,
    LawName,
    Level,
    Mapping,
    RunsFile,
    Sweeps,
    TargetParams,
    TargetTokens,
)
from hyperlaw.sources import Asked, find_law_and_runs, parse_mapping


def predict(
    params: TargetParams,
    tokens: TargetTokens,
    runs: RunsFile = None,
    mapping: Mapping = None,
    sweep: Sweeps = None,
    law: LawName = None,
    width: Annotated[
        int | None,
        typer.Option(
            metavar="W", help="Its width, for a law on width and tokens, kept or fitted here."
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(metavar="L", help="Its number of blocks, for a law on depth, as --width."),
    ] = None,
    level: Level = 0.9,
    batch_tokens: Annotated[
        float | None,
        typer.Option(
            metavar="B", help="Tokens a step, where the batch cannot be chosen; such as 2097152."
        ),
    ] = None,
    decay: Annotated[
        float | None,
        typer.Option(
            metavar="LAMBDA",
            help="Weight decay of the runs; that of their column weight_decay if not given.",
        ),
    ] = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Predict the best learning rate and batch size of a model that is too big to tune.

    The law is fitted to the runs of a file or of sweeps, or taken from the database by name. Where
    nothing is named, the only law, or else the only sweep, of the database answers.

    With --width or --depth, a law that is fitted here stands on them in place of size.

    Where the runs tell their weight decay, so does the answer: the one that holds AdamW's timescale
    of the largest measured scale.
    """
    from hyperlaw.adjusted import answer

    asked = Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ()), law)
    shape = {"width": width, "depth": depth}
    given = tuple(axis for axis, value in shape.items() if value is not None)
    fitted, of_law = find_law_and_runs(asked, (*given, "tokens") if given else None)
    answered = answer(
        fitted,
        of_law,
        params=params,
        tokens=tokens,
        width=width,
        depth=depth,
        level=level,
        batch_tokens=batch_tokens,
        decay=decay,
    )
    if as_json:
        from hyperlaw.output import print_json

        print_json(answered.to_dict())
    else:
        from hyperlaw.show import print_prediction

        print_prediction(answered.prediction, fitted, answered.rules, of_law)
