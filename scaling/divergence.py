"""What runs that diverged say: they have no loss to fit, but bound where the optimum can be."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scaling.law import Law
from scaling.prediction import format_setting
from scaling.scales import scale_numbers
from scaling.selection import have_diverged, have_loss
from storage.columns import BATCH_TOKENS, LR, PARAMS, TOKENS

NEAR_BATCH = 2.0
"""Rates diverge sooner at smaller batches: those of a batch within this factor are compared."""


def divergence_warning(law: Law, runs: pd.DataFrame) -> str | None:
    """Name the scales at which the law's best learning rate is one that diverged.

    Of a scale's runs those of about the law's best batch are looked at. The rate at which they
    begin to diverge is the lowest that diverged of those above all that have a loss: one that
    diverged among others that did not says nothing.

    Parameters
    ----------
    runs : a runs table, on common scales; those that the law was fitted to among them.
    """
    judged = runs[have_diverged(runs) | have_loss(runs)]
    numbers = scale_numbers(judged)
    found: list[str] = []
    n_scales = int(numbers.max()) + 1 if len(judged) else 0
    for number in range(n_scales):
        of_scale = judged[numbers == number]
        params, tokens = (float(of_scale[key].iloc[0]) for key in (PARAMS, TOKENS))
        shape = {axis: float(of_scale[axis].iloc[0]) for axis in law.shape_axes}
        best = law.optimum(params, tokens, **shape)
        near = of_scale
        if BATCH_TOKENS in law.settings:
            octaves = np.log2(of_scale[BATCH_TOKENS].to_numpy(dtype=float) / best[BATCH_TOKENS])
            near = of_scale[np.abs(octaves) <= np.log2(NEAR_BATCH)]
        ended = near[LR][~have_diverged(near)]
        beyond = near[LR][have_diverged(near) & (near[LR] > ended.max())]
        if len(ended) and len(beyond) and float(beyond.min()) <= float(best[LR]):
            from_lr, law_lr = (format_setting(LR, float(x)) for x in (beyond.min(), best[LR]))
            found.append(
                f"N = {params:.4g}, D = {tokens:.4g}: {from_lr} and above diverged, the law says "
                f"{law_lr}"
            )
    if not found:
        return None
    return (
        f"at {len(found)} of {n_scales} scales the law's best learning rate is one at which runs "
        f"diverged ({found[-1]}): the optimum lies below; take a lower rate than the law's"
    )
