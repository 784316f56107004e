"""Which runs are of one scale: N and D that agree but for rounding.

A run trains whole steps, so that budgets written down as steps × batch differ in the last per cent
from batch to batch. Taken at their word, such runs are each a scale of its own, and nothing that
compares the runs of one scale (a best setting, the noise between runs, a gap) can be seen.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from storage.columns import PARAMS, TOKENS

SAME_SCALE = 0.03
"""N and D that differ by less, relative, are of one scale. By a law of L ∝ D^-0.3 that moves the
reducible loss by at most 1 %; what is to be told apart is chosen further apart."""


def on_common_scales(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with one N and one D a scale: the least of those that are nearly equal.

    What has been treated so, or is a part of such a table, comes back as it is.
    """
    common: pd.DataFrame = runs.assign(
        **{name: _common(runs[name].to_numpy(dtype=float)) for name in (PARAMS, TOKENS)}
    )
    return common


def scale_numbers(runs: pd.DataFrame) -> NDArray[np.intp]:
    """Return which scale each run is of, counting from 0 in the order of N and then D."""
    common = on_common_scales(runs)[[PARAMS, TOKENS]].to_numpy(dtype=float)
    numbers: NDArray[np.intp] = np.unique(common, axis=0, return_inverse=True)[1]
    return numbers


def is_same_scale(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Say whether two scales are one; each is its N, D and, where a law stands on them, shape."""
    return bool((np.abs(np.log(one) - np.log(other)) <= np.log1p(SAME_SCALE)).all())


def _common(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values with each group of nearly equal ones replaced by its least."""
    distinct, index = np.unique(values, return_inverse=True)
    least = np.nan
    for at, value in enumerate(distinct):
        if not value <= least * (1 + SAME_SCALE):
            least = value
        distinct[at] = least
    common: NDArray[np.float64] = distinct[index]
    return common
