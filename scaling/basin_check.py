"""The basin check: does the best learning rate of a small model serve a large one?

Of runs over several learning rates at several sizes, all else equal: a parabola through the best
rate of each size and its two neighbours places the optimum. The *drift* is by how many octaves it
moves as the size doubles; the *regret* is the loss paid at the largest size for using the smallest
size's optimum, in %.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from scaling.coordinate_slopes import seed_interval
from scaling.errors import InsufficientDataError
from scaling.prediction import Interval
from storage.columns import (
    BATCH_TOKENS,
    BETA1,
    BETA2,
    COMPLETED,
    DATA,
    DEPTH,
    DIVERGED,
    EPS,
    LOSS,
    LR,
    MODEL,
    OPTIMIZER,
    PARAMETRIZATION,
    PARAMS,
    SCHEDULE,
    SEED,
    STATUS,
    TOKENS,
    UNIQUE_TOKENS,
    WEIGHT_DECAY,
    WIDTH,
)

REGRET_PCT: Final = 0.5
"""Largest regret that passes, in % of loss."""
LEAST_RATES: Final = 3
HELD: Final = (
    BATCH_TOKENS,
    WEIGHT_DECAY,
    BETA1,
    BETA2,
    EPS,
    SCHEDULE,
    OPTIMIZER,
    PARAMETRIZATION,
    MODEL,
    DATA,
    UNIQUE_TOKENS,
)
"""What must be equal, beside the budget and the rest of the shape, for rates to be compared."""
TOKENS_PER_PARAM: Final = "tokens_per_param"


@dataclass(frozen=True)
class Basin:
    """Loss against learning rate at one size.

    Attributes
    ----------
    size : on the check's axis.
    lrs, losses : ascending rates, and the mean loss of the seeds, nats a token; a rate at which a
        seed diverged is left out.
    lr, loss : at the minimum of the parabola.
    at_edge : whether the best rate has a neighbour on one side only: it stands for the optimum
        then, which may lie beyond.
    """

    size: float
    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    lr: float
    loss: float
    at_edge: bool

    def loss_at(self, lr: float) -> float:
        """Return the loss at a rate: on the parabola, and on straight lines where that ends."""
        x, y = np.log2(self.lrs), np.array(self.losses)
        best = int(y.argmin())
        at = math.log2(lr)
        if not self.at_edge and x[best - 1] <= at <= x[best + 1]:
            curvature, _, _ = _parabola(x[best - 1 : best + 2], y[best - 1 : best + 2])
            return self.loss + curvature * (at - math.log2(self.lr)) ** 2
        return float(np.interp(at, x, y))


@dataclass(frozen=True)
class BasinCheck:
    """How the optimum moves along one axis of size, all else equal.

    Attributes
    ----------
    axis : width, depth or params.
    held : what else was equal and tells this check from others of the same runs.
    basins : from the smallest size to the largest.
    octaves : by how much the best rate moves a doubling, by least squares over all sizes.
    regret_pct : at the largest size, for the smallest size's best rate, in % of loss.
    tolerance_pct : the largest regret that passes.

    The intervals are from the spread of the seeds; their ends are NaN where there is one seed.
    """

    axis: str
    held: Mapping[str, float | str]
    basins: tuple[Basin, ...]
    octaves: Interval
    regret_pct: Interval
    tolerance_pct: float = REGRET_PCT

    @property
    def edges(self) -> tuple[float, ...]:
        """The sizes whose best rate is the lowest or the highest one that was tried."""
        return tuple(basin.size for basin in self.basins if basin.at_edge)

    @property
    def holds(self) -> bool | None:
        """Whether the smallest size's rate serves the largest; None where the rates end too soon.

        What is paid at least is known also where the largest size's optimum lies beyond its rates.
        """
        if self.basins[0].at_edge:
            return None
        if self.regret_pct.value > self.tolerance_pct:
            return False
        return None if self.basins[-1].at_edge else True

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain data that `from_dict` takes back; a missing end is None."""
        document = asdict(self)
        for name in ("octaves", "regret_pct"):
            document[name] = [_or_none(end) for end in document[name].values()]
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> BasinCheck:
        """Rebuild a check from `to_dict`."""
        intervals = {
            name: Interval(*(math.nan if end is None else end for end in document[name]))
            for name in ("octaves", "regret_pct")
        }
        basins = tuple(
            Basin(**{**basin, "lrs": tuple(basin["lrs"]), "losses": tuple(basin["losses"])})
            for basin in document["basins"]
        )
        return cls(**{**document, "basins": basins, **intervals})


def check_basins(
    runs: pd.DataFrame,
    *,
    held: Sequence[str] = HELD,
    tolerance_pct: float = REGRET_PCT,
    level: float = 0.9,
) -> tuple[BasinCheck, ...]:
    """Check every axis along which runs differ in size, for each value of all that must be equal.

    Parameters
    ----------
    runs : a checked runs table.
    held : columns that must be equal beside the budget and the rest of the shape; those that the
        runs lack, or that do not vary, do not matter. Budgets are equal where the runs of every
        size have as many tokens, else as many tokens a parameter.
    tolerance_pct : the largest regret that passes.
    level : coverage of the intervals.

    Raises
    ------
    InsufficientDataError
        Where no two sizes have three learning rates each with the rest equal.
    """
    ended = runs[runs[STATUS].isin((COMPLETED, DIVERGED))]
    shape = [axis for axis in (WIDTH, DEPTH) if axis in ended and _varies(ended[axis])]
    found: list[BasinCheck] = []
    for axis in shape or [PARAMS]:
        others = [other for other in shape if other != axis]
        budgeted, budget = _with_budget(ended, axis)
        names = [name for name in (*others, budget, *held) if name in budgeted]
        varying = [name for name in names if _varies(budgeted[name])]
        for key, group in _groups(budgeted, varying):
            basins = tuple(_basins(group, axis))
            if len(basins) >= 2:
                found.append(_check(axis, key, basins, group, tolerance_pct, level))
    if not found:
        raise InsufficientDataError(
            f"the basin check needs {LEAST_RATES} learning rates at each of two sizes, all else "
            "equal; these runs have none such: run a grid over lr at two widths or more"
        )
    return tuple(found)


def worst(checks: Sequence[BasinCheck]) -> BasinCheck:
    """Return the check of largest regret; those that cannot tell come before those that pass."""
    rank = {False: 2, None: 1, True: 0}
    return max(checks, key=lambda check: (rank[check.holds], check.regret_pct.value))


def _varies(column: pd.Series) -> bool:
    return len(column.unique()) > 1


def _with_budget(runs: pd.DataFrame, axis: str) -> tuple[pd.DataFrame, str]:
    """Return the runs with the column by which budgets are equal, and its name."""
    tokens = [set(of_size) for _, of_size in runs.groupby(axis)[TOKENS]]
    if set.intersection(*tokens):
        return runs, TOKENS
    ratio = (runs[TOKENS] / runs[PARAMS]).map(lambda value: float(f"{value:.3g}"))
    return runs.assign(**{TOKENS_PER_PARAM: ratio}), TOKENS_PER_PARAM


def _groups(
    runs: pd.DataFrame, names: Sequence[str]
) -> Iterator[tuple[dict[str, float | str], pd.DataFrame]]:
    if not names:
        yield {}, runs
        return
    for values, group in runs.groupby(list(names), dropna=False):
        key = values if isinstance(values, tuple) else (values,)
        yield dict(zip(names, map(_plain, key), strict=True)), group


def _plain(value: Hashable) -> float | str:
    return float(value) if isinstance(value, int | float | np.number) else str(value)


def _basins(runs: pd.DataFrame, axis: str) -> Iterator[Basin]:
    """Give the basin of every size that has rates enough, by size."""
    for size in np.unique(runs[axis]):
        of_size = runs[runs[axis] == size]
        losses = of_size.groupby(LR)[LOSS].mean(skipna=False).dropna()
        if len(losses) >= LEAST_RATES:
            lrs = losses.index.to_numpy(dtype=float)
            yield _basin(float(size), lrs, losses.to_numpy(dtype=float))


def _basin(size: float, lrs: np.ndarray, losses: np.ndarray) -> Basin:
    best = int(losses.argmin())
    at_edge = best in (0, len(losses) - 1)
    lr, loss = float(lrs[best]), float(losses[best])
    if not at_edge:
        near = slice(best - 1, best + 2)
        _, at, loss = _parabola(np.log2(lrs[near]), losses[near])
        lr = 2.0**at
    return Basin(size, tuple(lrs.tolist()), tuple(losses.tolist()), lr, loss, at_edge)


def _parabola(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Return curvature, place and height of the minimum through three points, the middle lowest."""
    left, right = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    curvature = float((right - left) / (x[2] - x[0]))
    if curvature <= 0:  # three equal losses
        return 0.0, float(x[1]), float(y[1])
    at = float((x[0] + x[1]) / 2 - left / (2 * curvature))
    return curvature, at, float(y[1] - curvature * (x[1] - at) ** 2)


def _check(
    axis: str,
    held: dict[str, float | str],
    basins: tuple[Basin, ...],
    group: pd.DataFrame,
    tolerance_pct: float,
    level: float,
) -> BasinCheck:
    octaves, regret = _octaves(basins), _regret_pct(basins)
    by_seed = [
        own
        for _, of_seed in (group.groupby(SEED) if SEED in group else ())
        if len(own := tuple(_basins(of_seed, axis))) == len(basins)
    ]
    drift = seed_interval(octaves, [_octaves(own) for own in by_seed], level=level)
    paid = seed_interval(regret, [_regret_pct(own) for own in by_seed], level=level)
    not_below_zero = replace(paid, low=float(np.maximum(paid.low, 0.0)))  # NaN stays
    return BasinCheck(axis, held, basins, drift, not_below_zero, tolerance_pct)


def _octaves(basins: Sequence[Basin]) -> float:
    sizes = np.log2([basin.size for basin in basins])
    rates = np.log2([basin.lr for basin in basins])
    centred = sizes - sizes.mean()
    return float(centred @ rates / np.square(centred).sum())


def _regret_pct(basins: Sequence[Basin]) -> float:
    return 100 * (basins[-1].loss_at(basins[0].lr) / basins[-1].loss - 1)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
