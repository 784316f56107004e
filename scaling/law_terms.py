"""A law in words and numbers: its constants with intervals, its formulas, the drift of its optimum.

Drift is the check of hyperparameter transfer: under muP and its kin the optimal learning rate is
meant to stay where it is as the model grows (Yang et al., arXiv 2203.03466; second-hand, as is
that in the standard parametrization it halves with every doubling of width).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from scaling.axes import POWERS_OF_SIZE, SIZE, SYMBOLS
from scaling.evidence import setting_name
from scaling.loss_surface import Array
from scaling.prediction import Interval
from storage.columns import DEPTH, FLOPS, PARAMS, TOKENS, WIDTH

if TYPE_CHECKING:
    from scaling.law import Law

LOSS_EXPONENT_NAMES: Final = {
    PARAMS: "alpha",
    WIDTH: "alpha_width",
    DEPTH: "alpha_depth",
    TOKENS: "beta",
    FLOPS: "gamma",
}
NO_DRIFT: Final = 0.05
"""Octaves a doubling of N within which an optimum stays put: half an octave over ten doublings,
which at the curvature that published sweeps show costs less than 0.1 % of loss."""


@dataclass(frozen=True)
class Drift:
    """How far the optimum of one setting moves as the model grows.

    Attributes
    ----------
    setting : the column of the setting.
    axis : what doubles: params, width or depth.
    octaves : log2 of the factor on the optimum at a doubling of the axis, with its interval.
    holds : whether the whole interval lies so near zero that the optimum stays put; False where
        all of it lies on one side of zero, None where the runs do not tell.
    """

    setting: str
    axis: str
    octaves: Interval
    holds: bool | None


def drift(law: Law, *, level: float) -> tuple[Drift, ...]:
    """Return the drift of each setting's optimum along each axis of size; see `Law.drift`."""
    drifts = []
    for index, setting in enumerate(law.settings):
        for position, axis in enumerate(law.axes):
            if axis not in SIZE:
                continue
            # The exponent in an axis is log2 of what a doubling of it does.
            values = _column(law, law.layout.centre_of(index).start + 1 + position)
            octaves = Interval(float(values[0]), *_ends(values, level))
            tolerance = NO_DRIFT * POWERS_OF_SIZE[axis]
            holds = True if max(-octaves.low, octaves.high) <= tolerance else None
            if holds is None and octaves.low * octaves.high > 0:
                holds = False
            drifts.append(Drift(setting, axis, octaves, holds))
    return tuple(drifts)


def terms(law: Law, *, level: float) -> pd.DataFrame:
    """Return the law's constants with intervals; see `Law.terms`."""
    layout = law.layout
    rows: list[tuple[str, Array, str]] = [
        (
            "E",
            np.exp(_column(law, 0)),
            "loss that no size and no data would remove, nats a token",
        )
    ]
    for position, axis in enumerate(law.axes):
        rows.append(
            (
                LOSS_EXPONENT_NAMES[axis],
                np.exp(_column(law, layout.exponents.start + position)),
                f"loss falls with {SYMBOLS[axis]} to the power of minus this",
            )
        )
    root = layout.root_matrix(np.vstack([law.theta, law.draws]))
    for index, name in enumerate(law.settings):
        what = setting_name(name)
        cost = 100 * np.expm1(0.5 * math.log(2) ** 2 * (root[:, :, index] ** 2).sum(axis=1))
        rows += [
            (
                f"{name}: exponent of {SYMBOLS[axis]}",
                _column(law, layout.centre_of(index).start + 1 + position),
                f"optimal {what} grows as {SYMBOLS[axis]} to this",
            )
            for position, axis in enumerate(law.axes)
        ]
        rows.append((f"{name}: cost of a factor 2", cost, f"% of loss for a {what} off by two"))
    intervals = [
        (term, values[0], *_ends(values, level), meaning) for term, values, meaning in rows
    ]
    return pd.DataFrame(intervals, columns=["term", "value", "low", "high", "meaning"])


def formula(law: Law, name: str) -> str:
    """Write the optimum of a setting as a power law, e.g. `lr = 1.8·N^-0.71·D^0.31`."""
    index, n_axes = law.settings.index(name), len(law.axes)
    constant, *exponents = law.theta[law.layout.centre_of(index)]
    log_constant = constant + law.centre[n_axes + index] - np.dot(exponents, law.centre[:n_axes])
    powers = "".join(
        f"·{SYMBOLS[axis]}^{exponent:.3f}"
        for axis, exponent in zip(law.axes, exponents, strict=True)
    )
    return f"{name} = {math.exp(log_constant):.4g}{powers}"


def _column(law: Law, position: int) -> Array:
    """Return one parameter: the best fit's first, then the draws'."""
    return np.concatenate([law.theta[position : position + 1], law.draws[:, position]])


def _ends(values: Array, level: float) -> tuple[float, float]:
    """Return the interval of the draws; it never leaves the best estimate, the first, out."""
    tail = (1 - level) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    return float(min(values[0], low)), float(max(values[0], high))
