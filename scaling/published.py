"""What published laws say of the optimum: to stand beside a law fitted to one's own runs.

Every law states its own conventions, because they differ: what counts as N, what C is, what the
batch is counted in. `checked` tells constants that were read from the authors' own files from
those that are quoted second-hand. Nearly all were found for AdamW under the standard
parametrization; they say no more than a hint about runs under muP.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import pandas as pd

from scaling.published_law import Formula, PublishedLaw, Range, Situation
from scaling.rules import power_lines_timescale
from storage.columns import BATCH_TOKENS, LR, WEIGHT_DECAY

POWER_LINES_SEQUENCE = 2048  # tokens; the context of the runs that its batches were found on


def _flops(at: Situation) -> float:
    return 6.0 * at.params * at.tokens


def _power_lines_batch(at: Situation) -> float:
    return float(POWER_LINES_SEQUENCE * 0.0306 * at.tokens**0.383)


def _power_lines_decay(at: Situation) -> float:
    timescale = power_lines_timescale(at.params, at.tokens)
    return _power_lines_batch(at) / (at.lr * timescale * at.tokens)


PUBLISHED: tuple[PublishedLaw, ...] = (
    PublishedLaw(
        name="Step Law",
        source="arXiv 2503.04715",
        formulas={
            LR: Formula(
                "lr = 1.79·N^-0.713·D^0.307",
                lambda at: 1.79 * at.params**-0.713 * at.tokens**0.307,
            ),
            BATCH_TOKENS: Formula("B = 0.58·D^0.571", lambda at: 0.58 * at.tokens**0.571),
        },
        conventions="final rate fixed at 1e-5; the range is that of the grids they released",
        checked=True,
        range=Range(params=(2.14e8, 1.08e9), tokens=(4e9, 1e11)),
    ),
    PublishedLaw(
        name="DeepSeek LLM",
        source="arXiv 2401.02954",
        formulas={
            LR: Formula("lr = 0.3118·C^-0.125", lambda at: 0.3118 * _flops(at) ** -0.125),
            BATCH_TOKENS: Formula("B = 0.2920·C^0.3271", lambda at: 0.2920 * _flops(at) ** 0.3271),
        },
        conventions="C is taken as 6·N·D; theirs counts attention as well",
        checked=True,
    ),
    PublishedLaw(
        name="Porian et al.",
        source="arXiv 2406.19146, rounded",
        formulas={
            LR: Formula(
                "lr = 0.0047·(N/108e6)^(-1/3)",
                lambda at: 0.0047 * (at.params / 108e6) ** (-1 / 3),
            ),
            BATCH_TOKENS: Formula(
                "B = 327680·(N/108e6)^(2/3)",
                lambda at: 160 * 2048 * (at.params / 108e6) ** (2 / 3),
            ),
        },
        conventions="their N includes the readout; here the non-embedding N is put in",
        checked=True,
    ),
    PublishedLaw(
        name="Porian, by Step Law",
        source="quoted in arXiv 2503.04715",
        formulas={
            LR: Formula("lr = 3.7·N^-0.36", lambda at: 3.7 * at.params**-0.36),
            BATCH_TOKENS: Formula("B = 0.7576·N^0.703", lambda at: 0.7576 * at.params**0.703),
        },
        conventions="their N includes the readout; here the non-embedding N is put in",
        checked=False,
    ),
    PublishedLaw(
        name="Kaplan et al.",
        source="arXiv 2001.08361",
        formulas={
            LR: Formula(
                "lr = 3.239e-3 - 1.395e-4·ln N",
                lambda at: 3.239e-3 - 1.395e-4 * math.log(at.params),
            ),
            BATCH_TOKENS: Formula("B = 2e8·L^-4.76", lambda at: 2e8 * at.loss**-4.76, ("loss",)),
        },
        conventions=(
            "B is the critical batch, a compromise of steps and tokens; L is the loss on WebText2 "
            "with their tokenizer, here that of your runs"
        ),
        checked=False,
        range=Range(params=(math.nan, 1.5e9)),
    ),
    PublishedLaw(
        name="MiniCPM",
        source="arXiv 2404.06395",
        formulas={
            BATCH_TOKENS: Formula(
                "B = 1.21e9·L^-6.24", lambda at: 1.21e9 * at.loss**-6.24, ("loss",)
            )
        },
        conventions="L is the loss on C4 with their tokenizer, here that of your runs",
        checked=False,
        range=Range(params=(9e6, 1.7e8)),
    ),
    PublishedLaw(
        name="Bjorck et al., anchored",
        source="arXiv 2409.19913, exponents only",
        formulas={
            LR: Formula(
                "lr = lr0·(N/N0)^-0.23·(D/D0)^-0.32",
                lambda at: (
                    at.anchor_lr
                    * (at.params / at.anchor_params) ** -0.23
                    * (at.tokens / at.anchor_tokens) ** -0.32
                ),
                ("anchor_lr",),
            ),
            BATCH_TOKENS: Formula(
                "B = B0", lambda at: at.anchor_batch_tokens, ("anchor_batch_tokens",)
            ),
        },
        conventions=(
            "found at a fixed batch; lr0 and B0 are the optimum of your own smallest scale N0, D0, "
            "by the law fitted to your runs"
        ),
        checked=True,
    ),
    PublishedLaw(
        name="Power Lines",
        source="arXiv 2505.13738",
        formulas={
            BATCH_TOKENS: Formula("B = 2048·0.0306·D^0.383", _power_lines_batch),
            WEIGHT_DECAY: Formula(
                "λ = B/(lr·τ·D) with τ = 1.084·(D/N)^-0.527", _power_lines_decay, ("lr",)
            ),
        },
        conventions=(
            "found under muP; B is taken to count sequences of 2048 tokens, for in tokens it would "
            "be some hundred"
        ),
        checked=False,
        range=Range(params=(1.11e8, 3.3e9)),
    ),
    PublishedLaw(
        name="Joint MoE",
        source="arXiv 2502.05172",
        formulas={
            LR: Formula(
                "lr = exp(8.39 - 0.81·ln N - 0.25·ln E)",
                lambda at: math.exp(8.39 - 0.81 * math.log(at.params) - 0.25 * np.log(at.experts)),
                ("experts",),
            )
        },
        conventions="N is active for a token, embeddings left out; E counts experts, 1 where dense",
        checked=False,
        range=Range(params=(math.nan, 2.7e9)),
    ),
    PublishedLaw(
        name="Power scheduler",
        source="arXiv 2408.13359",
        formulas={},
        conventions=(
            "lr = min(0.02, 4·B·n^-0.51) after n tokens, B in sequences; a = 4 is that of IBM's "
            "configuration"
        ),
        checked=False,
        not_scored=(
            "it is a schedule, which falls as tokens are seen; its peak is 0.02 at every scale, "
            "a rate for muP"
        ),
    ),
)


def published_optima(at: Situation) -> pd.DataFrame:
    """Return what each published law recommends for one scale; silent laws are left out.

    Returns
    -------
    DataFrame with columns law, lr, batch_tokens, weight_decay (NaN where it is silent), in_range
    (None where its range is not known), formula, conventions, range, source, checked; a row a law.
    """
    rows = []
    for law in PUBLISHED:
        if optimum := law.optimum(at):
            rows.append(
                {
                    "law": law.name,
                    **{
                        name: optimum.get(name, math.nan)
                        for name in (LR, BATCH_TOKENS, WEIGHT_DECAY)
                    },
                    "in_range": law.range.holds(at.params, at.tokens),
                    "formula": law.text,
                    "conventions": law.conventions,
                    "range": str(law.range),
                    "source": law.citation,
                    "checked": law.checked,
                }
            )
    return pd.DataFrame(rows)


def silent_laws(at: Situation, settings: Collection[str]) -> dict[str, str]:
    """Return the laws that recommend none of these settings, each with the reason."""
    reasons = {law.name: law.why_silent(at, settings) for law in PUBLISHED}
    return {name: reason for name, reason in reasons.items() if reason}
