"""A published law and what it may be asked: the types behind `scaling.published`.

A law is asked about a `Situation`. Some want more of it than N and D, such as the loss that is
reached; a law that is not told what it needs stays silent, and `why_silent` says what is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from scaling.law import Law
from storage.columns import BATCH_TOKENS, LR, PARAMS, TOKENS

EXPERTS = "experts"  # column of a runs table: experts of each layer, 1 in dense models
NEEDS = {
    "loss": "the loss that is reached",
    "experts": f"the number of experts: a column '{EXPERTS}' of the runs, 1 in dense models",
    "lr": "the learning rate beside it",
    "anchor_lr": "the optimum at a smaller measured scale",
    "anchor_batch_tokens": "the best batch at a smaller measured scale",
}


@dataclass(frozen=True)
class Situation:
    """What is known of the scale that published laws are asked about; NaN where it is not.

    Attributes
    ----------
    params, tokens : N (non-embedding; those active for a token, in a mixture of experts) and D.
    loss : nats a token, at the optimum.
    experts : of each layer.
    lr : the rate used beside laws that say nothing of it.
    anchor_params, anchor_tokens : a smaller scale, whose optimum is known from one's own runs.
    anchor_lr, anchor_batch_tokens : that optimum.
    """

    params: float
    tokens: float
    loss: float = math.nan
    experts: float = math.nan
    lr: float = math.nan
    anchor_params: float = math.nan
    anchor_tokens: float = math.nan
    anchor_lr: float = math.nan
    anchor_batch_tokens: float = math.nan

    def knows(self, what: str) -> bool:
        """Say whether one of its quantities is known."""
        return math.isfinite(getattr(self, what))


@dataclass(frozen=True)
class Range:
    """The scales that a law was fitted to, (low, high) of N and of D; NaN where not known here."""

    params: tuple[float, float] = (math.nan, math.nan)
    tokens: tuple[float, float] = (math.nan, math.nan)

    def holds(self, params: float, tokens: float) -> bool | None:
        """Say whether a scale lies in the range; None where what is known cannot tell."""
        ends = ((params, *self.params), (tokens, *self.tokens))
        if any(value < low or value > high for value, low, high in ends):
            return False
        return None if any(math.isnan(end) for _, *pair in ends for end in pair) else True

    def __str__(self) -> str:
        """Write the range out: ``fitted to N 9e+06 to 1.7e+08, D not known here``."""
        if all(math.isnan(end) for end in (*self.params, *self.tokens)):
            return "range not known here"
        return f"fitted to N {_interval(*self.params)}, D {_interval(*self.tokens)}"


@dataclass(frozen=True)
class Formula:
    """What a law says of one hyperparameter.

    Attributes
    ----------
    text : as written, in N, D, C = 6·N·D and L, the loss; B in tokens.
    value : from a situation to the value; NaN where the situation lacks what it needs.
    needs : what it wants beyond N and D, names of `NEEDS`.
    """

    text: str
    value: Callable[[Situation], float]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedLaw:
    """A published law for the optimal learning rate, batch size or weight decay.

    Attributes
    ----------
    name, source : as cited.
    formulas : column of the runs table -> formula.
    conventions : what its symbols mean where that is not the runs table's own meaning.
    checked : True where the constants were read from the authors' own files.
    range : the scales that it was fitted to.
    not_scored : why it cannot be held against an optimum at all; empty where it can.
    """

    name: str
    source: str
    formulas: dict[str, Formula]
    conventions: str
    checked: bool
    range: Range = Range()
    not_scored: str = ""

    @property
    def text(self) -> str:
        """All its formulas."""
        return ", ".join(formula.text for formula in self.formulas.values())

    @property
    def citation(self) -> str:
        """Its source, and whether that is quoted second-hand."""
        return self.source if self.checked else f"{self.source}, second-hand"

    def optimum(self, at: Situation) -> dict[str, float]:
        """Return the settings that it recommends; only those that it can name, and positive."""
        values = {name: formula.value(at) for name, formula in self.formulas.items()}
        return {name: value for name, value in values.items() if 0 < value < math.inf}

    def why_silent(self, at: Situation, settings: Collection[str]) -> str:
        """Say why it recommends none of these settings; empty where it recommends one."""
        if self.not_scored:
            return self.not_scored
        asked = [formula for name, formula in self.formulas.items() if name in settings]
        if not asked:
            return f"it says nothing of {' or '.join(settings)}"
        if any(name in settings for name in self.optimum(at)):
            return ""
        missing = [need for formula in asked for need in formula.needs if not at.knows(need)]
        if not missing:
            return f"it gives no positive value at N = {at.params:.3g}, D = {at.tokens:.3g}"
        return "it needs " + " and ".join(NEEDS[need] for need in dict.fromkeys(missing))


def _interval(low: float, high: float) -> str:
    if math.isnan(low) and math.isnan(high):
        return "not known here"
    if math.isnan(low):
        return f"up to {high:.3g}"
    return f"from {low:.3g}" if math.isnan(high) else f"{low:.3g} to {high:.3g}"


def situation(
    law: Law,
    params: float,
    tokens: float,
    *,
    experts: float = math.nan,
    shape: Mapping[str, float] | None = None,
) -> Situation:
    """Return what published laws may know of a scale: the rest of it comes from one's own law.

    Loss and rate are the fitted law's, so that no loss measured at the scale is looked at; the
    anchor is its optimum at the smallest scale that it was fitted to. `shape` has the scale's width
    and depth, as far as the law stands on them and the scale was not measured.
    """
    of_scale = shape or {}
    optimum = law.optimum(params, tokens, **of_scale)
    smallest = law.scales.iloc[0]
    anchor_params, anchor_tokens = float(smallest[PARAMS]), float(smallest[TOKENS])
    of_anchor = {axis: float(smallest[axis]) for axis in law.shape_axes}
    anchor = law.optimum(anchor_params, anchor_tokens, **of_anchor)
    return Situation(
        params=params,
        tokens=tokens,
        loss=float(law.loss(params, tokens, **of_scale)),
        experts=experts,
        lr=float(optimum.get(LR, math.nan)),
        anchor_params=anchor_params,
        anchor_tokens=anchor_tokens,
        anchor_lr=float(anchor.get(LR, math.nan)),
        anchor_batch_tokens=float(anchor.get(BATCH_TOKENS, math.nan)),
    )


def experts_of(runs: pd.DataFrame | None) -> float:
    """Return the number of experts that all runs have; NaN where they differ or do not tell."""
    if runs is None or EXPERTS not in runs.columns:
        return math.nan
    values = pd.to_numeric(runs[EXPERTS], errors="coerce").unique()
    return float(values[0]) if len(values) == 1 and values[0] >= 1 else math.nan
