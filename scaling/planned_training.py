"""The numbers of one training run, collected from a prediction, and where each comes from.

    plan_training(answer(law, runs, params=7e9, tokens=1.4e11), runs, context=4096)

What `scaling.emit` writes as the configuration of a framework.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import pandas as pd

from scaling.adjusted import Answer, only_value, text_values
from scaling.errors import LawError
from scaling.law_prediction import check_batch
from scaling.prediction import Interval, Prediction, format_setting
from storage.columns import (
    BATCH_TOKENS,
    BETA1,
    BETA2,
    EPS,
    LR,
    OPTIMIZER,
    PARAMETRIZATION,
    WARMUP_TOKENS,
    WEIGHT_DECAY,
)

GIVEN, OF_THE_RUNS = "given", "as in the runs"
GIVABLE: Final = (BATCH_TOKENS, WARMUP_TOKENS, WEIGHT_DECAY, BETA1, BETA2, EPS)
ADAM: Final = "adam"  # what the names of optimizers that frameworks are told of begin with
STANDARD: Final = "sp"
SAME_BATCH: Final = 1.1  # times: rounding that moves a batch further is said


class Number(NamedTuple):
    """A number of the configuration, and where it comes from."""

    value: float
    origin: str


@dataclass(frozen=True)
class PlannedTraining:
    """One training run as frameworks ask for it.

    Attributes
    ----------
    prediction : what it follows.
    lr : peak learning rate.
    weight_decay, beta1, beta2, eps : AdamW's; None where nobody told them.
    batch_tokens : tokens a step, before it is rounded to whole sequences.
    warmup_tokens : length of the warm-up; None where nobody told it.
    context : tokens of a sequence.
    devices : that share a batch.
    device_batch : sequences that a device holds at a time.
    cautions : what the numbers do not say by themselves.
    """

    prediction: Prediction
    lr: Number
    weight_decay: Number | None
    beta1: Number | None
    beta2: Number | None
    eps: Number | None
    batch_tokens: Number
    warmup_tokens: Number | None
    context: int
    devices: int
    device_batch: int
    cautions: tuple[str, ...]

    @property
    def accumulation(self) -> int:
        """How many times each device goes before a step; the batch is a multiple of one such."""
        at_once = self.context * self.devices * self.device_batch
        return max(1, round(self.batch_tokens.value / at_once))

    @property
    def sequences(self) -> Number:
        """Sequences a step, whole ones on every device."""
        whole = self.accumulation * self.devices * self.device_batch
        tokens = whole * self.context
        return Number(whole, f"batch of {tokens:,} tokens, {self.batch_tokens.origin}")

    @property
    def steps(self) -> Number:
        """Steps that see the target's tokens."""
        tokens = self.prediction.target.tokens
        count = max(1, math.ceil(tokens / (self.sequences.value * self.context)))
        return Number(count, f"{tokens:.4g} tokens at this batch")

    @property
    def warmup_steps(self) -> Number | None:
        """Steps of the warm-up."""
        if self.warmup_tokens is None:
            return None
        tokens, origin = self.warmup_tokens
        count = max(1, round(tokens / (self.sequences.value * self.context)))
        return Number(count, f"{tokens:,.0f} tokens, {origin}")


def plan_training(
    answered: Answer,
    runs: pd.DataFrame | None,
    *,
    context: int,
    devices: int = 1,
    device_batch: int = 1,
    given: Mapping[str, float] | None = None,
) -> PlannedTraining:
    """Collect the numbers of one training run, and where each comes from.

    Parameters
    ----------
    answered : by `scaling.adjusted.answer`, asked with the batch and decay that are given.
    runs : those behind the law, for what they all share; None where they are not at hand.
    context : tokens of a sequence.
    devices, device_batch : how a batch is spread: so many devices, each with so many sequences at
        a time.
    given : what is settled whatever the law says, such as ``{"batch_tokens": 2**22}``: of
        batch_tokens, warmup_tokens, weight_decay, beta1, beta2 and eps.

    Raises
    ------
    LawError : a number that is not positive, nobody tells the batch, or it is larger than the
        whole training.
    """
    settled = dict(given or {})
    if unknown := [name for name in settled if name not in GIVABLE]:
        raise LawError(f"{unknown[0]!r} cannot be given; {', '.join(GIVABLE)} can")
    spread = {"context": context, "devices": devices, "device_batch": device_batch}
    for name, value in (settled | spread).items():
        if not (math.isfinite(value) and value > 0):
            raise LawError(f"{name} is {value}; it must be a positive number")
    known = _Known(answered, runs, settled)
    batch = known.number(BATCH_TOKENS)
    if batch is None:
        raise LawError(
            "neither the law nor the runs tell one batch, which a configuration needs; give it as "
            "batch_tokens"
        )
    check_batch(batch.value, answered.prediction.target.tokens)
    lr = known.number(LR)
    assert lr is not None, "every law places the learning rate"
    return PlannedTraining(
        prediction=answered.prediction,
        lr=lr,
        weight_decay=known.number(WEIGHT_DECAY),
        beta1=known.number(BETA1),
        beta2=known.number(BETA2),
        eps=known.number(EPS),
        batch_tokens=batch,
        warmup_tokens=known.number(WARMUP_TOKENS, from_runs=False),
        context=context,
        devices=devices,
        device_batch=device_batch,
        cautions=tuple(_cautions(runs)),
    )


@dataclass(frozen=True)
class _Known:
    """Where a number may come from: whoever asks, then the rules, the law, and the runs."""

    answered: Answer
    runs: pd.DataFrame | None
    given: Mapping[str, float]

    def number(self, name: str, *, from_runs: bool = True) -> Number | None:
        if name in self.given:
            return Number(self.given[name], GIVEN)
        predicted = self.answered.prediction.optimum.get(name)
        for rule in self.answered.rules:
            value = rule.adjusted(name)
            if value is not None and (predicted is None or name == LR):
                return Number(value, f"by the {rule.rule}")
        if predicted is not None:
            return Number(predicted.value, _interval(name, predicted, self.answered.prediction))
        if self.runs is None or not from_runs:
            return None
        shared = only_value(self.runs, name)
        return None if shared is None else Number(shared, OF_THE_RUNS)


def _interval(name: str, interval: Interval, prediction: Prediction) -> str:
    low, high = (format_setting(name, end) for end in (interval.low, interval.high))
    return f"predicted, {prediction.level:.0%}: {low} to {high}"


def _cautions(runs: pd.DataFrame | None) -> Iterator[str]:
    """Say what of the runs the keys of a framework do not carry."""
    if runs is None:
        return
    for optimizer in text_values(runs, OPTIMIZER):
        if not optimizer.lower().startswith(ADAM):
            yield f"the runs were trained with {optimizer}; a rate of theirs is not AdamW's"
    other = [name for name in text_values(runs, PARAMETRIZATION) if name != STANDARD]
    if other:
        yield (
            f"the runs were parametrized by {' and '.join(other)}: the rate is the base rate; "
            "scale it and the init of each parameter as there"
        )


def rounding(run: PlannedTraining) -> Iterator[str]:
    """Say where whole sequences on every device make quite another batch."""
    tokens = run.sequences.value * run.context
    if max(tokens, run.batch_tokens.value) > SAME_BATCH * min(tokens, run.batch_tokens.value):
        yield (
            f"a batch of {tokens:,.0f} tokens stands for {run.batch_tokens.value:,.0f}: every "
            "device holds whole sequences; take fewer devices, fewer sequences or shorter ones"
        )


def overdone_decay(run: PlannedTraining) -> Iterator[str]:
    """Say where the steps are so few that one's decay would take all of a weight away."""
    if run.weight_decay is None:
        return
    taken = run.lr.value * run.weight_decay.value
    if taken >= 1:
        yield (
            f"lr × weight decay is {taken:.3g}, so that each step would take all of a weight away; "
            "take a smaller batch, for more steps"
        )
