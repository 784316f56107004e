"""`hyperlaw emit`: the predicted optimum as the configuration of a training framework."""

from __future__ import annotations

from typing import Annotated

import typer

from hyperlaw.answers import Question, answer_from
from hyperlaw.cli.options import (
    DATABASE,
    AsJson,
    Database,
    FixedBatch,
    LawName,
    Level,
    Mapping,
    RunsDecay,
    RunsFile,
    Sweeps,
    TargetDepth,
    TargetParams,
    TargetTokens,
    TargetWidth,
)
from hyperlaw.sources import Asked, parse_mapping


def emit(
    framework: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="pytorch, huggingface, nanogpt, torchtitan, megatron or litgpt.",
        ),
    ],
    params: TargetParams,
    tokens: TargetTokens,
    runs: RunsFile = None,
    mapping: Mapping = None,
    sweep: Sweeps = None,
    law: LawName = None,
    width: TargetWidth = None,
    depth: TargetDepth = None,
    level: Level = 0.9,
    batch_tokens: FixedBatch = None,
    decay: RunsDecay = None,
    context: Annotated[int, typer.Option(min=1, help="Tokens of a sequence.")] = 2048,
    devices: Annotated[int, typer.Option(min=1, help="How many share a batch.")] = 1,
    device_batch: Annotated[
        int, typer.Option(min=1, help="Sequences that a device holds at a time.")
    ] = 1,
    warmup_tokens: Annotated[
        float | None,
        typer.Option(metavar="W", help="Length of the warm-up, in tokens; left out if not known."),
    ] = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Write the predicted optimum as a training framework is told it, to copy.

    The law is found, and the target named, as for 'predict'. Each number says where it comes from:
    predicted, by a rule, as in the runs, or given here.
    """
    from hyperlaw.output import print_json
    from scaling.emit import emit
    from scaling.planned_training import plan_training
    from storage.columns import BATCH_TOKENS, WARMUP_TOKENS

    answered, _, of_law = answer_from(
        Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ()), law),
        Question(params, tokens, width, depth, level, batch_tokens, decay),
    )
    given = {BATCH_TOKENS: batch_tokens, WARMUP_TOKENS: warmup_tokens}
    planned = plan_training(
        answered,
        of_law,
        context=context,
        devices=devices,
        device_batch=device_batch,
        given={name: value for name, value in given.items() if value is not None},
    )
    text = emit(framework, planned)
    if as_json:
        print_json({"framework": framework, "text": text, "prediction": answered.to_dict()})
    else:
        typer.echo(text, nl=False)
