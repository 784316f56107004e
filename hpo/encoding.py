"""Settings as points: what a model over a space of settings computes with.

A setting has a point in the unit cube, one coordinate a dimension, in which ranges are even (log
ranges in the logarithm) and each choice has a cell of its own; and features, in which choices
without an order stand equally far apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from hpo.fields import Value
from hpo.space import Dimension

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Counts = np.ndarray[tuple[int, ...], np.dtype[np.intp]]


def to_cube(space: Mapping[str, Dimension], setting: Mapping[str, Value]) -> Array:
    """Return the point of a setting in the unit cube, (n_dimensions,); a choice's cell's middle.

    Raises
    ------
    ValueError
        Where the setting lacks a dimension, has one more, or lies outside the space.
    """
    if set(setting) != set(space):
        raise ValueError(f"the setting has {', '.join(setting)}; the space is {', '.join(space)}")
    return np.array([_to_unit(name, space[name], setting[name]) for name in space])


def from_cube(space: Mapping[str, Dimension], point: Array) -> dict[str, Value]:
    """Return the setting at a point of the unit cube, (n_dimensions,)."""
    return {
        name: _from_unit(dimension, float(coordinate))
        for (name, dimension), coordinate in zip(space.items(), point, strict=True)
    }


def snap(space: Mapping[str, Dimension], points: Array) -> Array:
    """Return (n, n_dimensions) points with each choice in the middle of its cell."""
    snapped = points.copy()
    for column, dimension in zip(snapped.T, space.values(), strict=True):
        if dimension.choices is not None:
            column[:] = (_place(column, dimension.choices) + 0.5) / len(dimension.choices)
    return snapped


def features(space: Mapping[str, Dimension], points: Array) -> Array:
    """Return (n, n_features) for (n, n_dimensions) points of the unit cube.

    Numbers to choose from count as an order, by their place; other choices have a column each, two
    of them a side of the cube apart.
    """
    columns: list[Array] = []
    for coordinate, dimension in zip(points.T, space.values(), strict=True):
        choices = dimension.choices
        if choices is None:
            columns.append(coordinate)
        elif _in_order(choices):
            columns.append(_place(coordinate, choices) / max(len(choices) - 1, 1))
        else:
            place = _place(coordinate, choices)
            columns.extend((place == k) / math.sqrt(2) for k in range(len(choices)))
    return np.stack(columns, axis=1)


def _place(coordinate: Array, choices: Sequence[Value]) -> Counts:
    return np.minimum((coordinate * len(choices)).astype(np.intp), len(choices) - 1)


def _in_order(choices: Sequence[Value]) -> bool:
    numbers = [c for c in choices if isinstance(c, int | float) and not isinstance(c, bool)]
    return len(numbers) == len(choices) and all(a < b for a, b in pairwise(numbers))


def _to_unit(name: str, dimension: Dimension, value: Value) -> float:
    if dimension.choices is not None:
        if value not in dimension.choices:
            listed = ", ".join(map(str, dimension.choices))
            raise ValueError(f"{name} is {value!r}; it is one of {listed}")
        return (dimension.choices.index(value) + 0.5) / len(dimension.choices)
    assert dimension.bounds is not None
    low, high = dimension.bounds
    if isinstance(value, str | bool) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; it lies from {low:g} to {high:g}")
    if dimension.log is not None:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _from_unit(dimension: Dimension, coordinate: float) -> Value:
    if dimension.choices is not None:
        n_choices = len(dimension.choices)
        return dimension.choices[min(int(coordinate * n_choices), n_choices - 1)]
    assert dimension.bounds is not None
    low, high = dimension.bounds
    if dimension.log is not None:
        value = low * math.exp(coordinate * math.log(high / low))
    else:
        value = low + coordinate * (high - low)
    return min(max(value, low), high)
