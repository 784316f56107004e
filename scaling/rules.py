"""Rules for one scale: what to change when the batch, the horizon or the decay is not as tuned.

Each rule takes tuned values and returns an `Adjustment`: the values to use instead, with the
rule's name and source, so that whoever prints them can say where they come from. `checked` tells
a formula read from the authors' own files from one that is quoted second-hand.

Batches may be counted in tokens or in examples, as long as they are all counted alike; D and the
batch of AdamW's timescale are tokens.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from scaling.errors import LawError
from storage.columns import BATCH_TOKENS, BETA1, BETA2, EPS, LR, TOKENS, WEIGHT_DECAY

MALLADI = "Malladi et al., arXiv 2205.10287"
GOYAL = "Goyal et al., arXiv 1706.02677"
COMPLETE_P = "Complete(d)P, quoted second-hand"
TIMESCALE = "AdamW timescale τ = B/(η·λ·D), arXiv 2405.13698"
POWER_LINES = "Power Lines, arXiv 2505.13738"

BATCH_RULES: Final[dict[str, Literal["square-root", "linear"]]] = {
    "adam": "square-root",
    "adamw": "square-root",
    "rmsprop": "square-root",
    "adabelief": "square-root",
    "adafactor": "square-root",
    "soap": "square-root",
    "sgd": "linear",
}
"""Which batch rule an optimizer follows. The square-root rule was derived for RMSprop and Adam;
AdamW, AdaBelief, Adafactor and SOAP, whose step is Adam's but for a detail, are taken to follow it.
Of optimizers that are not here, such as Lion and Muon, no rule is known."""


@dataclass(frozen=True)
class Adjustment:
    """Values that a rule puts in the place of tuned ones.

    Attributes
    ----------
    values : column of the runs table -> adjusted value.
    rule : its name, with the factor it was applied for.
    source : the paper behind it.
    checked : False where the formula is quoted second-hand.
    """

    values: dict[str, float]
    rule: str
    source: str
    checked: bool

    def adjusted(self, name: str) -> float | None:
        """Return the adjusted value of a column; None where the rule says nothing of it."""
        found: dict[str, float] = self.values
        return found.get(name)


def batch_rule(
    optimizers: Collection[str],
    batch_factor: float,
    *,
    lr: float,
    beta1: float | None = None,
    beta2: float | None = None,
    eps: float | None = None,
) -> Adjustment:
    """Adjust settings to another batch by the rule that their optimizer follows.

    Parameters
    ----------
    optimizers : names of those that the settings were tuned with, of `BATCH_RULES` in any case,
        what follows an underscore aside (adamw_torch_fused); Adam is meant where there are none.
    batch_factor : κ, new batch over tuned batch.
    lr, beta1, beta2, eps : tuned values. The linear rule leaves all but the rate as it is.

    Raises
    ------
    LawError : an optimizer that no rule is known for, several that follow different rules, or what
        the rule refuses.
    """
    followed = {name: BATCH_RULES.get(name.lower().partition("_")[0]) for name in optimizers}
    if unknown := [name for name, rule in followed.items() if rule is None]:
        raise LawError(
            f"optimizer {unknown[0]!r}: no rule is known that moves its learning rate to another "
            f"batch (there are rules for {', '.join(BATCH_RULES)}); give runs of three batches or "
            "more, which show where it goes"
        )
    if len(set(followed.values())) > 1:
        listed = ", ".join(f"{rule} for {name}" for name, rule in followed.items())
        raise LawError(
            f"the runs' optimizers follow different batch rules ({listed}); give those of one"
        )
    if "linear" in followed.values():
        return linear_batch_rule(batch_factor, lr=lr)
    return square_root_batch_rule(batch_factor, lr=lr, beta1=beta1, beta2=beta2, eps=eps)


def square_root_batch_rule(
    batch_factor: float,
    *,
    lr: float,
    beta1: float | None = None,
    beta2: float | None = None,
    eps: float | None = None,
) -> Adjustment:
    """Adjust Adam's settings to a batch `batch_factor` times the one they were tuned at.

    η → η·√κ, 1-β → κ·(1-β) for both betas, ε → ε/√κ, so that both runs follow one stochastic
    differential equation over the same number of tokens (Malladi et al., arXiv 2205.10287).

    Parameters
    ----------
    batch_factor : κ, new batch over tuned batch.
    lr, beta1, beta2, eps : tuned values; what is not given is not returned. A beta of 0, no
        average at all, stays 0.

    Raises
    ------
    LawError : a value out of its range, or a batch so large that a beta would not stay above 0.
    """
    factor = _positive("batch_factor", batch_factor)
    root = math.sqrt(factor)
    values = {LR: _positive(LR, lr) * root}
    for name, beta in ((BETA1, beta1), (BETA2, beta2)):
        if beta is not None:
            values[name] = _scaled_beta(name, beta, factor)
    if eps is not None:
        values[EPS] = _positive(EPS, eps) / root
    return Adjustment(values, f"square-root batch rule, batch × {factor:g}", MALLADI, checked=False)


def linear_batch_rule(batch_factor: float, *, lr: float) -> Adjustment:
    """Adjust SGD's rate to a batch `batch_factor` times the tuned one: η → η·κ.

    It holds below the critical batch only (Goyal et al., arXiv 1706.02677).
    """
    factor = _positive("batch_factor", batch_factor)
    values = {LR: _positive(LR, lr) * factor}
    return Adjustment(values, f"linear batch rule, batch × {factor:g}", GOYAL, checked=False)


def longer_horizon_rule(horizon_factor: float, *, lr: float) -> Adjustment:
    """Adjust a rate to `horizon_factor` times the tokens it was tuned at: η → η/√κ.

    Second-hand (Complete(d)P); `scaling.schedule_transfer` gives the same for constant schedules.
    """
    factor = _positive("horizon_factor", horizon_factor)
    values = {LR: _positive(LR, lr) / math.sqrt(factor)}
    return Adjustment(
        values, f"longer-horizon rule, tokens × {factor:g}", COMPLETE_P, checked=False
    )


def adamw_timescale(*, batch_tokens: float, lr: float, weight_decay: float, tokens: float) -> float:
    """Return τ = B/(η·λ·D): over which share of training AdamW's weights average their updates."""
    return _positive(BATCH_TOKENS, batch_tokens) / (
        _positive(LR, lr) * _positive(WEIGHT_DECAY, weight_decay) * _positive(TOKENS, tokens)
    )


def hold_timescale(
    timescale: float, *, batch_tokens: float, lr: float, tokens: float
) -> Adjustment:
    """Return the weight decay that gives AdamW the timescale τ: λ = B/(η·τ·D).

    Parameters
    ----------
    timescale : τ, a share of training, as `adamw_timescale` gives it for the tuned run.
    batch_tokens, lr, tokens : of the run that is planned. The decay is PyTorch's, which the
        optimizer multiplies by the rate.
    """
    decay = _positive(BATCH_TOKENS, batch_tokens) / (
        _positive(LR, lr) * _positive("timescale", timescale) * _positive(TOKENS, tokens)
    )
    rule = f"AdamW timescale held at {timescale:.3g}"
    return Adjustment({WEIGHT_DECAY: decay}, rule, TIMESCALE, checked=False)


def power_lines_timescale(params: float, tokens: float) -> float:
    """Return the optimal τ = 1.084·(D/N)^-0.527 of Power Lines (arXiv 2505.13738; unchecked)."""
    return float(1.084 * (_positive(TOKENS, tokens) / _positive("params", params)) ** -0.527)


def power_lines_weight_decay(
    *, params: float, batch_tokens: float, lr: float, tokens: float
) -> Adjustment:
    """Return the weight decay that gives AdamW the timescale of Power Lines."""
    timescale = power_lines_timescale(params, tokens)
    held = hold_timescale(timescale, batch_tokens=batch_tokens, lr=lr, tokens=tokens)
    rule = f"Power Lines timescale {timescale:.3g}"
    return Adjustment(held.values, rule, POWER_LINES, checked=False)


def _scaled_beta(name: str, beta: float, factor: float) -> float:
    if not 0 <= beta < 1:
        raise LawError(f"{name} is {beta:g}; it must lie between 0 and 1")
    if beta == 0:
        return 0.0
    scaled = 1 - factor * (1 - beta)
    if scaled <= 0:
        raise LawError(
            f"a batch {factor:g} times the tuned one would take {name} = {beta:g} to "
            f"{scaled:.3g}: the square-root rule ends at {1 / (1 - beta):.3g} times"
        )
    return scaled


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise LawError(f"{name} is {value}; it must be a positive number")
    return float(value)
