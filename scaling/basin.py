"""One size's basin: its loss against learning rate, where that is lowest, and where it diverges.

A size diverges at a rate where one of its seeds does, be it one of three: a large run is not to be
staked on the others. Beyond its best rate it then diverges at every higher rate as well, whatever
was seen there; below its best rate, where all seeds of higher rates ended, a diverged seed is a
mishap that speaks of that one rate. A rate that the largest size was not tried at, or that lies
between one at which it ended and one at which it diverged, is not known to serve: in one valley
the nearest loss that was measured is what is paid there at least, and that can be too much.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

SAME_RATE: Final = 1 + 1e-9
"""Rates within this factor are the same one, but for rounding."""


@dataclass(frozen=True)
class Basin:
    """Loss against learning rate at one size.

    Attributes
    ----------
    size : on the check's axis.
    lrs, losses : ascending rates at which no seed diverged, and the mean loss of the seeds, nats a
        token; none where every rate diverged.
    lr, loss : at the minimum of the parabola; NaN where every rate diverged.
    at_edge : whether the best rate has a neighbour with a loss on one side only: it stands for the
        optimum then, which may lie beyond.
    diverged : ascending rates at which a seed diverged.
    """

    size: float
    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    lr: float
    loss: float
    at_edge: bool
    diverged: tuple[float, ...] = ()

    @property
    def outermost(self) -> bool:
        """Whether the best rate is the lowest or the highest of all, diverged ones included."""
        tried = (*self.lrs, *self.diverged)
        return self.at_edge and self.lr in (min(tried), max(tried))

    @property
    def ceiling(self) -> float:
        """The lowest rate above the best one at which a seed diverged; infinite without one."""
        above = (lr for lr in self.diverged if not self.losses or lr > self.lr)
        return min(above, default=math.inf)

    def divergence_at(self, lr: float) -> float | None:
        """Return the rate that tells that this size diverges at `lr`; None where none does."""
        if lr * SAME_RATE >= self.ceiling:
            return self.ceiling
        return next((one for one in self.diverged if _same(one, lr)), None)

    def surrounds(self, lr: float) -> bool:
        """Say whether the rates next to `lr` on both sides, of all that were tried, have losses."""
        tried = sorted((*self.lrs, *self.diverged))
        below = [one for one in tried if one <= lr * SAME_RATE]
        above = [one for one in tried if one >= lr / SAME_RATE]
        return bool(below and above) and {below[-1], above[0]} <= set(self.lrs)

    def loss_at(self, lr: float) -> float:
        """Return the loss at a rate: on the parabola, and on straight lines where that ends.

        Infinite where the size diverges. Where the rates next to it have not both a loss, what it
        is at least: the lower of the nearest ones that were measured, NaN where none was.
        """
        if self.divergence_at(lr) is not None:
            return math.inf
        if not self.surrounds(lr):
            return self._least_at(lr)
        x, y = np.log2(self.lrs), np.array(self.losses)
        best = int(y.argmin())
        at = math.log2(lr)
        if not self.at_edge and x[best - 1] <= at <= x[best + 1]:
            curvature, _, _ = _parabola(x[best - 1 : best + 2], y[best - 1 : best + 2])
            return self.loss + curvature * (at - math.log2(self.lr)) ** 2
        return float(np.interp(at, x, y))

    def _least_at(self, lr: float) -> float:
        below = [loss for one, loss in zip(self.lrs, self.losses, strict=True) if one <= lr]
        above = [
            loss for one, loss in zip(self.lrs, self.losses, strict=True) if lr < one < self.ceiling
        ]
        return min((*below[-1:], *above[:1]), default=math.nan)

    def to_dict(self) -> dict[str, Any]:
        """Return the basin as plain data that `from_dict` takes back; NaN is None."""
        return asdict(self) | {"lr": or_none(self.lr), "loss": or_none(self.loss)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Basin:
        """Rebuild a basin from `to_dict`; those kept before may lack what diverged."""
        tuples = {name: tuple(document.get(name, ())) for name in ("lrs", "losses", "diverged")}
        numbers = {name: or_nan(document[name]) for name in ("lr", "loss")}
        return cls(**{**document, **tuples, **numbers})


def fit_basin(size: float, of_rates: pd.Series) -> Basin:
    """Return the basin of mean losses, indexed by ascending rates; NaN where a seed diverged."""
    diverged = tuple(float(lr) for lr in of_rates.index[of_rates.isna()])
    if of_rates.isna().all():
        return Basin(size, (), (), math.nan, math.nan, at_edge=True, diverged=diverged)
    ended = of_rates.dropna()
    lrs, losses = ended.index.to_numpy(dtype=float), ended.to_numpy(dtype=float)
    best = int(losses.argmin())
    at_edge = best in (0, len(losses) - 1)
    lr, loss = float(lrs[best]), float(losses[best])
    if not at_edge:
        near = slice(best - 1, best + 2)
        _, at, loss = _parabola(np.log2(lrs[near]), losses[near])
        lr = 2.0**at
    return Basin(size, tuple(lrs.tolist()), tuple(losses.tolist()), lr, loss, at_edge, diverged)


def or_none(value: float) -> float | None:
    """Return None for a value that JSON cannot hold: NaN or infinity."""
    return value if math.isfinite(value) else None


def or_nan(value: float | None) -> float:
    """Return NaN for None."""
    return math.nan if value is None else value


def _parabola(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Return curvature, place and height of the minimum through three points, the middle lowest."""
    left, right = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    curvature = float((right - left) / (x[2] - x[0]))
    if curvature <= 0:  # three equal losses
        return 0.0, float(x[1]), float(y[1])
    at = float((x[0] + x[1]) / 2 - left / (2 * curvature))
    return curvature, at, float(y[1] - curvature * (x[1] - at) ** 2)


def _same(lr: float, other: float) -> bool:
    return max(lr, other) <= min(lr, other) * SAME_RATE
