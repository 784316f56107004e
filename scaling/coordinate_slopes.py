"""The coordinate check: does every feature move as much in a large model as in a small one?

Models of several widths (and depths) take the same few optimizer steps, and the change Δh of each
layer's output on a fixed probe is recorded. Under a parametrization whose optimum transfers, the
RMS of Δh does not depend on size: the slope of its logarithm on log size is near zero for every
layer. Under the standard parametrization it is near one, and a rate that suits the small model
blows up the large one (Tensor Programs V, arXiv 2203.03466, appendix D).

`trainers.coordinate_check` measures; a table of changes has a row a layer and step:
`axis`, `size`, `seed`, `layer`, `inside` (whether the layer lies inside a residual block), `step`
and `log_rms`, NaN where an activation was not finite. A step at which a layer has not moved yet,
as hidden layers behind a readout that starts at zero, has no row.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import t as student

from scaling.errors import InsufficientDataError
from scaling.prediction import Interval
from storage.columns import DEPTH, SEED, STEP

AXIS: Final = "axis"
SIZE: Final = "size"
LAYER: Final = "layer"
INSIDE: Final = "inside"
LOG_RMS: Final = "log_rms"
CHANGES: Final = (AXIS, SIZE, SEED, LAYER, INSIDE, STEP, LOG_RMS)
"""The columns of a table of changes."""

TOLERANCE: Final = 0.2
"""Largest absolute slope that passes."""


@dataclass(frozen=True)
class LayerSlope:
    """How the change of one layer's output grows with one axis of size.

    Attributes
    ----------
    axis, layer : what grew, and the layer's name.
    slope : of log RMS on log size, the mean over the steps at which the layer moved in every run,
        with an interval from the spread of the seeds; its ends are NaN where there is one seed.
        All NaN where an activation was not finite, or where the layer never moved.
    steps : at how many steps it moved in every run.
    judged : whether this slope must be near zero.
    """

    axis: str
    layer: str
    slope: Interval
    steps: int
    judged: bool

    @property
    def holds(self) -> bool | None:
        """Whether the layer moves alike at every size; None where it is not judged."""
        return abs(self.slope.value) <= TOLERANCE if self.judged else None

    @property
    def steepness(self) -> float:
        """The absolute slope, infinite where it is not a number: to find the worst by."""
        return abs(self.slope.value) if math.isfinite(self.slope.value) else math.inf


def coordinate_slopes(
    changes: pd.DataFrame, judged_axes: Collection[str], *, level: float = 0.9
) -> tuple[LayerSlope, ...]:
    """Return a slope for each layer and axis, those that are judged first and the worst on top.

    A layer that does not move at all at some size, or is not there, has none.

    Parameters
    ----------
    changes : a table of changes, see the module.
    judged_axes : the axes over which features must move alike. Over depth that is asked of what
        lies outside of the residual blocks (the embedding, the residual stream, the readout):
        inside, a scheme may have each block move less, the more there are.
    level : coverage of the intervals: Student's t over the seeds' own slopes.

    Raises
    ------
    InsufficientDataError
        Where an axis has fewer than two sizes.
    """
    slopes: list[LayerSlope] = []
    for axis, of_axis in changes.groupby(AXIS, sort=False):
        sizes = np.unique(of_axis[SIZE])
        if len(sizes) < 2:
            raise InsufficientDataError(
                f"a slope over {axis} needs two sizes at least; there is {sizes[0]} only"
            )
        n_runs = len(of_axis[[SIZE, SEED]].drop_duplicates())
        for layer, of_layer in of_axis.groupby(LAYER, sort=False):
            if len(of_layer[SIZE].unique()) < len(sizes):
                continue
            inside = bool(of_layer[INSIDE].iloc[0])
            judged = axis in judged_axes and not (axis == DEPTH and inside)
            slope, n_steps = _slope(of_layer, n_runs, level)
            slopes.append(LayerSlope(str(axis), str(layer), slope, n_steps, judged))
    return tuple(sorted(slopes, key=lambda one: (not one.judged, -one.steepness)))


def worst(slopes: Sequence[LayerSlope]) -> LayerSlope | None:
    """Return the judged slope that is furthest from zero; None where none is judged."""
    return max((one for one in slopes if one.judged), key=lambda one: one.steepness, default=None)


def step_means(changes: pd.DataFrame) -> pd.DataFrame:
    """Average log RMS over the seeds: axis, layer, step and size, then log_rms."""
    keys = [AXIS, LAYER, STEP, SIZE]
    return changes.groupby(keys, sort=False)[[LOG_RMS]].mean().reset_index()


def _slope(of_layer: pd.DataFrame, n_runs: int, level: float) -> tuple[Interval, int]:
    """Return the slope of one layer over one axis, and the number of steps that it is the mean of.

    A step counts where the layer moved in all runs.
    """
    nowhere = Interval(math.nan, math.nan, math.nan)
    moved = of_layer.groupby(STEP)[LOG_RMS].transform("size") == n_runs
    table = of_layer[moved].pivot_table(
        index=[SEED, STEP], columns=SIZE, values=LOG_RMS, dropna=False
    )
    n_steps = int(of_layer.loc[moved, STEP].nunique())
    if table.empty or table.isna().to_numpy().any():
        return nowhere, n_steps
    logs = np.log(table.columns.to_numpy(dtype=float))
    centred = logs - logs.mean()
    by_row = table.to_numpy(dtype=float) @ centred / np.square(centred).sum()
    by_seed = pd.Series(by_row, index=table.index).groupby(SEED).mean().to_numpy()
    mean = float(by_seed.mean())
    return seed_interval(mean, by_seed, level=level), n_steps


def seed_interval(value: float, by_seed: Sequence[float] | np.ndarray, *, level: float) -> Interval:
    """Return `value` with Student's t interval of the mean of the seeds' values; NaN of one."""
    n_seeds = len(by_seed)
    if n_seeds < 2:
        return Interval(value, math.nan, math.nan)
    error = float(np.std(by_seed, ddof=1)) / math.sqrt(n_seeds)
    half = float(student.ppf(0.5 + level / 2, n_seeds - 1)) * error
    return Interval(value, value - half, value + half)
