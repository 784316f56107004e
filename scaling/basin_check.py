"""The basin check: does the best learning rate of a small model serve a large one?

Of runs over several learning rates at several sizes, all else equal: a parabola through the best
rate of each size and its two neighbours places the optimum. The *drift* is by how many octaves it
moves as the size doubles; the *regret* is the loss paid at the largest size for using the smallest
size's optimum, in %. What counts as diverged, and what that tells, is in `scaling.basin`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import dropwhile
from typing import Any, Final

import numpy as np
import pandas as pd

from scaling.basin import Basin, fit_basin, or_nan, or_none
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
class BasinCheck:
    """How the optimum moves along one axis of size, all else equal.

    Attributes
    ----------
    axis : width, depth or params.
    held : what else was equal and tells this check from others of the same runs.
    basins : from the smallest size to the largest.
    octaves : by how much the best rate moves a doubling, by least squares over all sizes.
    regret_pct : at the largest size, for the smallest size's best rate, in % of loss. Infinite
        where the largest size diverges there, NaN where it diverged at each of its rates and the
        smallest size's is lower than those.
    tolerance_pct : the largest regret that passes.

    The intervals are from the spread of the seeds; their ends are NaN where there is one seed, or
    one at which the value is not finite. The drift is NaN where only one size has losses.
    """

    axis: str
    held: Mapping[str, float | str]
    basins: tuple[Basin, ...]
    octaves: Interval
    regret_pct: Interval
    tolerance_pct: float = REGRET_PCT

    @property
    def edges(self) -> tuple[float, ...]:
        """The sizes whose best rate is the lowest or the highest one that was tried.

        One next to a rate that diverged is none of them: wider rates would not tell more.
        """
        return tuple(basin.size for basin in self.basins if basin.outermost)

    @property
    def diverges_from(self) -> float | None:
        """The rate that tells that the largest size diverges at the smallest's best; or None."""
        return self.basins[-1].divergence_at(self.basins[0].lr)

    @property
    def at_least(self) -> bool:
        """Whether more than `regret_pct` may be paid, by too few rates of the largest size."""
        largest = self.basins[-1]
        return largest.at_edge or not largest.surrounds(self.basins[0].lr)

    @property
    def holds(self) -> bool | None:
        """Whether the smallest size's rate serves the largest; None where the rates do not tell.

        It does not where the largest diverges, unless the smallest size's optimum may lie below
        all of its rates. What is paid at least is known also where the largest size's optimum, or
        the rate itself, lies beyond the rates at which the largest has losses.
        """
        smallest = self.basins[0]
        may_be_lower = smallest.at_edge and smallest.lr == smallest.lrs[0]
        if self.diverges_from is not None and not may_be_lower:
            return False
        if smallest.at_edge:
            return None
        if self.regret_pct.value > self.tolerance_pct:
            return False
        return None if self.at_least else True

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain data that `from_dict` takes back; None for NaN and infinity."""
        document = asdict(self)
        for name in ("octaves", "regret_pct"):
            document[name] = [or_none(end) for end in document[name].values()]
        return document | {"basins": [one.to_dict() for one in self.basins]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> BasinCheck:
        """Rebuild a check from `to_dict`."""
        octaves, regret = (
            Interval(*map(or_nan, document[name])) for name in ("octaves", "regret_pct")
        )
        basins = tuple(map(Basin.from_dict, document["basins"]))
        if math.isnan(regret.value):
            regret = replace(regret, value=_regret_pct(basins))
        read = {"basins": basins, "octaves": octaves, "regret_pct": regret}
        return cls(**{**document, **read})


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
        Where no two sizes have three learning rates each with the rest equal, or all runs of the
        smaller one diverged.
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
            "equal, and losses at the smaller; these runs have none such: run a grid over lr at "
            "two widths or more"
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
    """Give the basin of every size that has rates enough, by size, from the first with a loss."""
    of_sizes = ((float(size), runs[runs[axis] == size]) for size in np.unique(runs[axis]))
    losses = ((size, table.groupby(LR)[LOSS].mean(skipna=False)) for size, table in of_sizes)
    basins = (fit_basin(size, by_lr) for size, by_lr in losses if len(by_lr) >= LEAST_RATES)
    return dropwhile(lambda basin: not basin.losses, basins)


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
    drift = _interval(octaves, [_octaves(own) for own in by_seed], level)
    paid = _interval(regret, [_regret_pct(own) for own in by_seed], level)
    not_below_zero = replace(paid, low=float(np.maximum(paid.low, 0.0)))  # NaN stays
    return BasinCheck(axis, held, basins, drift, not_below_zero, tolerance_pct)


def _interval(value: float, by_seed: Sequence[float], level: float) -> Interval:
    if not np.isfinite([value, *by_seed]).all():
        return Interval(value, math.nan, math.nan)
    return seed_interval(value, by_seed, level=level)


def _octaves(basins: Sequence[Basin]) -> float:
    known = [basin for basin in basins if basin.losses]
    if len(known) < 2:
        return math.nan
    sizes = np.log2([basin.size for basin in known])
    rates = np.log2([basin.lr for basin in known])
    centred = sizes - sizes.mean()
    return float(centred @ rates / np.square(centred).sum())


def _regret_pct(basins: Sequence[Basin]) -> float:
    smallest, largest = basins[0], basins[-1]
    paid = largest.loss_at(smallest.lr)
    return math.inf if math.isinf(paid) else 100 * (paid / largest.loss - 1)
