"""Sparse pre-training: the parameter count to use in a law where it changes while training.

"The Journey Matters" (Jin et al., arXiv 2501.12486) finds that one Chinchilla law holds for dense
and sparse pre-training alike if N is the average over training of the parameters that were not
pruned. So a runs table whose `params` are such averages is fitted and asked like any other, and
6·N·D stays what training costs.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scaling.errors import LawError
from scaling.loss_surface import Array
from storage.columns import FLOPS, PARAMS, TOKENS

FINAL_SPARSITY = "final_sparsity"
PRUNING = {"pruning_start": 0.25, "pruning_end": 0.75}  # shares of training, and their usual values


def average_params(tokens: ArrayLike, params: ArrayLike) -> float:
    """Return the average of N over training, N being linear in tokens between the given points.

    Parameters
    ----------
    tokens : (n_points,), tokens seen, from 0 at the start of training to the budget, in order. A
        jump is two points of the same tokens.
    params : (n_points,), parameters not pruned by then.
    """
    seen, left = np.asarray(tokens, dtype=float), np.asarray(params, dtype=float)
    if seen.ndim != 1 or seen.shape != left.shape or len(seen) < 2:
        raise LawError(
            f"tokens and params of shapes {seen.shape} and {left.shape}: a schedule is two or "
            "more points of both"
        )
    if seen[0] != 0 or (np.diff(seen) < 0).any() or seen[-1] <= 0:
        raise LawError("a schedule's tokens must start at 0 and not decrease")
    if not (left > 0).all():
        raise LawError(f"a schedule's params must be positive; the least is {left.min():g}")
    return float(np.trapezoid(left, seen) / seen[-1])


def gradual_pruning(
    params: float,
    final_sparsity: float,
    tokens: float,
    *,
    start: float = PRUNING["pruning_start"],
    end: float = PRUNING["pruning_end"],
    n_points: int = 257,
) -> tuple[Array, Array]:
    """Return the tokens and params of gradual magnitude pruning, as `average_params` takes them.

    Sparsity stays 0 up to a share `start` of training, grows as 1 - (1 - x)³ (Zhu & Gupta, arXiv
    1710.01878) up to a share `end`, and stays. A quarter and three quarters are what "The Journey
    Matters" finds to be near the best.

    Parameters
    ----------
    params : N before anything is pruned.
    final_sparsity : share of N that is pruned in the end.
    tokens : D, the training budget.
    """
    if not 0 <= final_sparsity < 1:
        raise LawError(f"final_sparsity is {final_sparsity}; it must lie in 0..1, 1 excluded")
    if not 0 <= start < end <= 1:
        raise LawError(f"pruning from {start} to {end} of training: 0 ≤ start < end ≤ 1 is needed")
    along = np.linspace(0.0, 1.0, n_points)
    shares = np.concatenate([[0.0], start + (end - start) * along, [1.0]])
    sparsity = final_sparsity * np.concatenate([[0.0], 1 - (1 - along) ** 3, [1.0]])
    return shares * tokens, params * (1 - sparsity)


def with_average_params(runs: pd.DataFrame) -> pd.DataFrame:
    """Return runs whose params are averages over gradual pruning.

    FLOPs that are 6ND of the dense model, as they are where none were measured, become those of
    the average.

    Parameters
    ----------
    runs : a runs table whose params are counted before anything is pruned, with a column
        final_sparsity (0 for a dense run; empty counts as 0), and pruning_start and pruning_end,
        shares of training, where they are not a quarter and three quarters.

    Raises
    ------
    LawError : there is no column final_sparsity, or a value is none of a pruning schedule.
    """
    if FINAL_SPARSITY not in runs.columns:
        raise LawError(
            f"the runs table has no column '{FINAL_SPARSITY}'; sparse pre-training needs it, the "
            "share of params that is pruned in the end, 0 for a dense run"
        )
    usual = {FINAL_SPARSITY: 0.0} | PRUNING
    given = pd.DataFrame(
        {
            name: pd.to_numeric(runs[name], errors="coerce").where(runs[name].notna(), value)
            if name in runs.columns
            else value
            for name, value in usual.items()
        },
        index=runs.index,
    )
    schedules, which = np.unique(given.to_numpy(dtype=float), axis=0, return_inverse=True)
    shares = np.array(
        [
            average_params(*gradual_pruning(1.0, sparsity, 1.0, start=start, end=end))
            for sparsity, start, end in schedules
        ]
    )
    averaged = runs.assign(**{PARAMS: runs[PARAMS] * shares[which]})
    if FLOPS in runs.columns:
        is_filled = np.isclose(runs[FLOPS], 6.0 * runs[PARAMS] * runs[TOKENS])
        of_average = 6.0 * averaged[PARAMS] * averaged[TOKENS]
        averaged[FLOPS] = runs[FLOPS].where(~is_filled, of_average)
    return averaged
