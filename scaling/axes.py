"""The axes of scale that a law may stand on: size and tokens, width or depth for size, or compute.

Scales differ in parameters N and tokens D, and where the runs tell them in width W and depth L.
FLOPs stand for 6·N·D. A law stands on any of these that say different things.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from scaling.errors import LawError
from scaling.loss_surface import Array, Layout
from storage.columns import DEPTH, FLOPS, PARAMS, TOKENS, WIDTH

SIZE_AND_TOKENS: Final = (PARAMS, TOKENS)
COMPUTE: Final = (FLOPS,)
SHAPE: Final = (WIDTH, DEPTH)
SIZE: Final = (PARAMS, *SHAPE)
"""Axes that say how big a model is, whatever it is trained on."""
SYMBOLS: Final = {PARAMS: "N", WIDTH: "W", DEPTH: "L", TOKENS: "D", FLOPS: "C"}
"""All axes there are, in the order in which a law has them."""
POWERS_OF_SIZE: Final = {PARAMS: 1.0, WIDTH: 2.0, DEPTH: 1.0}
"""N grows as depth times the square of width: what N does, width does to twice the power."""


def checked_axes(axes: Sequence[str]) -> tuple[str, ...]:
    """Return the axes in their usual order, or raise LawError where no law stands on them."""
    named = ", ".join(axes) or "none"
    for axis in axes:
        if axis not in SYMBOLS:
            close = difflib.get_close_matches(axis, SYMBOLS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise LawError(
                f"axes are {named}; {axis!r} is none: scale has {', '.join(SYMBOLS)}{hint}"
            )
    if not axes or len(set(axes)) < len(axes):
        raise LawError(f"axes are {named}; name one or more of {', '.join(SYMBOLS)}, each once")
    if {PARAMS, TOKENS, FLOPS} <= set(axes):
        raise LawError(f"axes are {named}; flops are 6·params·tokens, so name two of the three")
    return tuple(axis for axis in SYMBOLS if axis in axes)


def listed(axes: Sequence[str]) -> str:
    """Write axes as people do: "width, depth and tokens"."""
    *first, last = axes
    return f"{', '.join(first)} and {last}" if first else last


def layout_of(axes: Sequence[str], settings: Sequence[str]) -> Layout:
    """Return where the surface of a law on these axes and settings has its parameters."""
    n_size_axes = max(1, sum(axis in SIZE for axis in axes))
    return Layout(len(settings), len(axes), n_size_axes)


def shape_axes(axes: Sequence[str]) -> tuple[str, ...]:
    """Return those of the axes, width and depth, that N and D do not tell."""
    return tuple(axis for axis in axes if axis in SHAPE)


def log_axes(
    axes: tuple[str, ...], log_scale: Array, log_shape: Mapping[str, Array] | None = None
) -> Array:
    """Return scales on a law's axes, (n_scales, n_axes).

    Parameters
    ----------
    log_scale : (n_scales, 2), log N and log D.
    log_shape : width and depth, as far as the axes have them, -> their logs, (n_scales,).

    Raises
    ------
    LawError : an axis is width or depth, and `log_shape` does not have it.
    """
    columns = {
        PARAMS: log_scale[:, 0],
        TOKENS: log_scale[:, 1],
        FLOPS: np.log(6.0) + log_scale.sum(axis=1),
        **(log_shape or {}),
    }
    if missing := [axis for axis in axes if axis not in columns]:
        raise LawError(
            f"this law stands on {listed(axes)}, and the {missing[0]} of these scales is not told "
            "here; fit a law on params and tokens"
        )
    return np.stack([columns[axis] for axis in axes], axis=1)
