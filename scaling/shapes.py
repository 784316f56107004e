"""Width and depth of the scales that a law is asked about, where it stands on them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from scaling.axes import listed, shape_axes
from scaling.errors import LawError
from scaling.loss_surface import Array
from storage.columns import PARAMS


def complete_shape(
    axes: tuple[str, ...], scales: pd.DataFrame, params: Array, given: Mapping[str, Array]
) -> dict[str, Array]:
    """Return width and depth, as far as a law stands on them: as given, or as measured.

    Parameters
    ----------
    axes, scales : of the law.
    params : (n_scales,), N of the scales that it is asked about.
    given : width or depth -> its values, (n_scales,); one that is not given is that of the measured
        scales of the same N, where these all have one.

    Raises
    ------
    LawError : one is neither given nor measured, or is given and the law does not stand on it.
    """
    needed = shape_axes(axes)
    stands_on = f"this law stands on {listed(axes)}"
    for axis in given:
        if axis not in needed:
            raise LawError(f"{stands_on}: it does not take the {axis}; leave it out")
    return {
        axis: given[axis] if axis in given else _measured(axis, scales, params, stands_on)
        for axis in needed
    }


def _measured(axis: str, scales: pd.DataFrame, params: Array, stands_on: str) -> Array:
    of_size = scales.groupby(PARAMS)[axis].agg(["min", "max"])
    of_size = of_size[of_size["min"] == of_size["max"]].reindex(params)
    if of_size["min"].isna().any():
        n = params[int(of_size["min"].isna().to_numpy().argmax())]
        reason = "has several" if (scales[PARAMS] == n).any() else "was not measured"
        raise LawError(f"{stands_on}: give the target's {axis} (N = {n:.4g} {reason})")
    return np.asarray(of_size["min"].to_numpy(dtype=float))
