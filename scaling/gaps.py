"""What a setting costs at one measured scale: its gap to the best, in % of loss.

Two measures, because a measured grid is coarse and noisy. The *nearest gap* is the loss of the
measured run nearest to the setting over the loss of the best run: it needs no model, and cannot
be smaller than the steps of the grid. The *quadratic gap* is read from a quadratic surface in the
log settings through the runs within 2 % of the best: it resolves much smaller differences, where
there are runs enough to draw it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scaling.errors import InsufficientDataError
from scaling.loss_surface import Array
from storage.columns import LOSS

QUADRATIC_WINDOW = 0.02
LEAST_SETTINGS = 3
"""Of fewer, the nearest to any setting is nearly always the best one: a gap of nothing would say
nothing."""


@dataclass(frozen=True)
class Gap:
    """What one setting costs at one scale.

    Attributes
    ----------
    nearest : the measured run nearest to the setting, in log distance.
    best : the measured run of least loss.
    nearest_pct : loss of the one over the other, in %.
    quadratic_pct : the gap on the local quadratic surface; NaN where the runs near the best are
        too few or have no interior minimum.
    """

    nearest: pd.Series
    best: pd.Series
    nearest_pct: float
    quadratic_pct: float


@dataclass(frozen=True)
class QuadraticBasin:
    """The local surface: log loss = const + ½ (z - minimum)ᵀ H (z - minimum), z log settings."""

    minimum: Array
    hessian: Array

    def gap_pct(self, log_setting: Array) -> float:
        """Return the loss at a setting over the loss at the minimum, in %."""
        offset = log_setting - self.minimum
        return 100 * math.expm1(0.5 * float(offset @ self.hessian @ offset))


def comparable(runs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the runs whose settings can be near or far: those that are above zero."""
    return runs[(runs[list(names)].astype(float) > 0).all(axis=1)]


def shows_gaps(runs: pd.DataFrame, names: Sequence[str]) -> bool:
    """Say whether finite runs of one scale are enough to measure what a setting costs."""
    return len(comparable(runs, names)[list(names)].drop_duplicates()) >= LEAST_SETTINGS


def setting_gap(runs: pd.DataFrame, setting: Mapping[str, float]) -> Gap:
    """Measure a setting against the finite runs of one scale; `setting` names its columns.

    Raises
    ------
    InsufficientDataError : the runs have too few settings, see `shows_gaps`.
    """
    names = list(setting)
    if not shows_gaps(runs, names):
        raise InsufficientDataError(
            f"fewer than {LEAST_SETTINGS} settings ({', '.join(names)}) were measured here: what "
            "one costs cannot be seen; add runs"
        )
    runs = comparable(runs, names)
    logs = np.log(runs[names].to_numpy(dtype=float))
    loss = runs[LOSS].to_numpy(dtype=float)
    wanted = np.log([setting[name] for name in names])
    distance = np.square(logs - wanted).sum(axis=1)
    at = int(np.lexsort((loss, distance))[0])
    best = int(loss.argmin())
    basin = quadratic_basin(runs, names)
    return Gap(
        nearest=runs.iloc[at],
        best=runs.iloc[best],
        nearest_pct=100 * (loss[at] / loss[best] - 1),
        quadratic_pct=math.nan if basin is None else basin.gap_pct(wanted),
    )


def quadratic_basin(runs: pd.DataFrame, names: Sequence[str]) -> QuadraticBasin | None:
    """Fit the quadratic surface through the runs within 2 % of the best one of their scale.

    Returns None where fewer runs than terms are near the best, or where they show no minimum.
    """
    loss = runs[LOSS].to_numpy(dtype=float)
    near = runs[loss <= loss.min() * (1 + QUADRATIC_WINDOW)]
    logs = np.log(near[list(names)].to_numpy(dtype=float))
    k = logs.shape[1]
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    if len(near) < 1 + k + len(pairs):
        return None
    middle = logs.mean(axis=0)
    z = logs - middle
    terms = np.column_stack([np.ones(len(z)), z, *(z[:, i] * z[:, j] for i, j in pairs)])
    solution, _, rank, _ = np.linalg.lstsq(terms, np.log(near[LOSS].to_numpy(dtype=float)))
    if rank < terms.shape[1]:
        return None
    hessian = np.zeros((k, k))
    for (i, j), value in zip(pairs, solution[1 + k :], strict=True):
        hessian[i, j] += value
        hessian[j, i] += value
    if np.linalg.eigvalsh(hessian).min() <= 0:
        return None
    return QuadraticBasin(middle - np.linalg.solve(hessian, solution[1 : 1 + k]), hessian)
