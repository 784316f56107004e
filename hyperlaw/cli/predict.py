"""`hyperlaw predict`: the optimum at a target size."""

from __future__ import annotations

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


def predict(
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
    answered, fitted, of_law = answer_from(
        Asked(db, runs, parse_mapping(mapping or []), tuple(sweep or ()), law),
        Question(params, tokens, width, depth, level, batch_tokens, decay),
    )
    if as_json:
        from hyperlaw.output import print_json

        print_json(answered.to_dict())
    else:
        from hyperlaw.show import print_prediction

        print_prediction(answered.prediction, fitted, answered.rules, of_law)
