"""A prediction where the batch is given, and the weight decay that goes with it.

The law answers what it was fitted to. What it cannot know, such as a batch where the runs had one
only, comes from the rules of `scaling.rules`, which are handed on with their names and sources.
Where the runs have a column `critical_batch_tokens`, measured as by `scaling.gradient_noise`, a
note compares the batch with it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from scaling.errors import LawError, MissingRunsError
from scaling.law import Law
from scaling.law_prediction import check_batch
from scaling.prediction import Interval, Prediction
from scaling.rules import Adjustment, adamw_timescale, batch_rule, hold_timescale
from storage.columns import (
    BATCH_TOKENS,
    BETA1,
    BETA2,
    EPS,
    LR,
    OPTIMIZER,
    PARAMS,
    TOKENS,
    WEIGHT_DECAY,
)

CRITICAL_BATCH_TOKENS: Final = "critical_batch_tokens"


@dataclass(frozen=True)
class Answer:
    """A prediction, and the rules that moved it or add to it, in the order of their use."""

    prediction: Prediction
    rules: tuple[Adjustment, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return what `predict --json` prints: the prediction, and its rules."""
        rules = [{"name": rule.rule, **asdict(rule)} for rule in self.rules]
        for rule in rules:
            del rule["rule"]
        return {**self.prediction.to_dict(), "rules": rules}


def answer(
    law: Law,
    runs: pd.DataFrame | None,
    *,
    params: float,
    tokens: float,
    width: float | None = None,
    depth: float | None = None,
    level: float = 0.9,
    batch_tokens: float | None = None,
    weight_decay: float | None = None,
    decay: float | None = None,
) -> Answer:
    """Predict for a target, with its batch given or not, and its weight decay where that is known.

    Parameters
    ----------
    law : asked for the optimum.
    runs : the runs behind it; None where they are not at hand.
    params, tokens : the target.
    width, depth : the target's, where the law stands on them; see `scaling.law.Law.predict`.
    level : coverage of the intervals.
    batch_tokens : the batch that the target will have; the law's, or that of the runs, if None.
        Where the runs have one batch, the rate is moved by the rule that their optimizer follows.
    weight_decay : that the target will have, where the law places it; the law's if None.
    decay : the weight decay of the runs; that of their column where it has one value, if None.

    Raises
    ------
    MissingRunsError : a rule needs the runs, and they are not at hand.
    LawError : a batch or a decay that these runs leave no rule for, a batch larger than the whole
        training, or a value that makes no sense.
    """
    if batch_tokens is not None and not (math.isfinite(batch_tokens) and batch_tokens > 0):
        raise LawError(f"batch_tokens is {batch_tokens}; it must be a positive number")
    asked = {BATCH_TOKENS: batch_tokens, WEIGHT_DECAY: weight_decay}
    fixed = {name: value for name, value in asked.items() if value is not None}
    moved = BATCH_TOKENS in fixed and BATCH_TOKENS not in law.settings
    if moved:
        del fixed[BATCH_TOKENS]
    predicted = law.predict(params, tokens, width=width, depth=depth, level=level, fixed=fixed)
    given = Answer(predicted)
    if batch_tokens is not None and moved:
        given = _moved(predicted, runs, batch_tokens)
    note = _beside_critical_batch(runs, given.prediction, batch_tokens)
    if note is not None:
        notes = (*given.prediction.notes, note)
        given = replace(given, prediction=replace(given.prediction, notes=notes))
    held = _held_timescale(law, runs, given.prediction, batch_tokens, decay)
    return given if held is None else replace(given, rules=(*given.rules, held))


def _moved(prediction: Prediction, runs: pd.DataFrame | None, batch_tokens: float) -> Answer:
    """Move the optimum of runs of one batch to another batch, by their optimizer's rule."""
    check_batch(batch_tokens, prediction.target.tokens)
    if runs is None:
        raise MissingRunsError(
            f"law '{prediction.law.name}' knows no batches, and the runs that would tell theirs "
            "are not in the database"
        )
    tuned = only_value(runs, BATCH_TOKENS)
    if tuned is None:
        raise LawError(
            "batch_tokens: the runs have a few batches, too few to fit and too many for a rule; "
            "give runs of one batch, or of three and more"
        )
    if batch_tokens == tuned:
        return Answer(prediction)
    best = prediction.optimum[LR]
    optimizers = text_values(runs, OPTIMIZER)
    rule = batch_rule(
        optimizers,
        batch_tokens / tuned,
        lr=best.value,
        beta1=only_value(runs, BETA1),
        beta2=only_value(runs, BETA2),
        eps=only_value(runs, EPS),
    )
    note = (
        f"the runs have one batch of {tuned:,.0f} tokens: the learning rate is moved from it to "
        f"{batch_tokens:,.0f} by the {rule.rule} ({rule.source}); loss and regret are those of "
        "the runs' batch"
    )
    if not optimizers:
        note += "; the runs do not name their optimizer: the rule is Adam's"
    factor = asdict(rule)["values"][LR] / best.value
    moved = {**prediction.optimum, LR: _times(best, factor)}
    notes = (*prediction.notes, note)
    return Answer(replace(prediction, optimum=moved, notes=notes), (rule,))


def _held_timescale(
    law: Law,
    runs: pd.DataFrame | None,
    prediction: Prediction,
    batch_tokens: float | None,
    decay: float | None,
) -> Adjustment | None:
    """Return the weight decay for the target, None where the runs do not tell theirs."""
    if WEIGHT_DECAY in law.settings:
        if decay is not None:
            raise LawError(
                "decay: the law places the weight decay itself, as the runs vary it; leave it out"
            )
        return None
    tuned = decay if decay is not None or runs is None else only_value(runs, WEIGHT_DECAY)
    if tuned is None or (decay is None and tuned == 0):
        return None
    largest = law.scales.iloc[-1]
    params, tokens = float(largest[PARAMS]), float(largest[TOKENS])
    shape = {axis: float(largest[axis]) for axis in law.shape_axes}
    best = {name: float(value) for name, value in law.optimum(params, tokens, **shape).items()}
    batch = best.get(BATCH_TOKENS) or (None if runs is None else only_value(runs, BATCH_TOKENS))
    if batch is None and decay is not None:
        raise LawError(
            "decay: neither the law nor the runs tell one batch, which AdamW's timescale needs; "
            "give runs of one batch, or of three and more"
        )
    if batch is None:
        return None
    timescale = adamw_timescale(batch_tokens=batch, lr=best[LR], weight_decay=tuned, tokens=tokens)
    predicted = prediction.optimum.get(BATCH_TOKENS)
    target_batch = batch_tokens or (batch if predicted is None else predicted.value)
    return hold_timescale(
        timescale,
        batch_tokens=target_batch,
        lr=prediction.optimum[LR].value,
        tokens=prediction.target.tokens,
    )


def _beside_critical_batch(
    runs: pd.DataFrame | None, prediction: Prediction, batch_tokens: float | None
) -> str | None:
    """Say how the target's batch compares with the critical batch that the runs measured.

    It is that of the largest scale that has one, the geometric mean over its runs. None where none
    was measured, or the batch is not known.
    """
    predicted = prediction.optimum.get(BATCH_TOKENS)
    batch = batch_tokens if predicted is None else predicted.value
    if runs is None or CRITICAL_BATCH_TOKENS not in runs.columns or batch is None:
        return None
    critical = pd.to_numeric(runs[CRITICAL_BATCH_TOKENS], errors="coerce")
    measured = runs.assign(**{CRITICAL_BATCH_TOKENS: critical})[critical.notna()]
    if measured.empty:
        return None
    if (measured[CRITICAL_BATCH_TOKENS] <= 0).any():
        raise LawError(f"column {CRITICAL_BATCH_TOKENS} has values that are not positive")
    scales = measured.assign(flops=measured[PARAMS] * measured[TOKENS])
    largest = scales[scales["flops"] == scales["flops"].max()]
    value = float(np.exp(np.log(largest[CRITICAL_BATCH_TOKENS]).mean()))
    what = "predicted" if predicted is not None else "given"
    return (
        f"the {what} batch is {batch / value:.2g} times the critical batch measured at the largest "
        f"scale ({value:,.0f} tokens at N = {float(largest[PARAMS].iloc[0]):.4g}, "
        f"D = {float(largest[TOKENS].iloc[0]):.4g}); a batch well beyond it buys few steps"
    )


def only_value(runs: pd.DataFrame, column: str) -> float | None:
    """Return the one value that all runs have in a column; None where they differ or lack it."""
    if column not in runs.columns:
        return None
    values = runs[column].unique().tolist()
    return float(values[0]) if len(values) == 1 and math.isfinite(values[0]) else None


def text_values(runs: pd.DataFrame, column: str) -> list[str]:
    """Return the different texts that runs have in a column, sorted; none where they lack it."""
    return sorted(set(runs[column].dropna()) - {""}) if column in runs.columns else []


def _times(interval: Interval, factor: float) -> Interval:
    return replace(
        interval,
        value=interval.value * factor,
        low=interval.low * factor,
        high=interval.high * factor,
    )
