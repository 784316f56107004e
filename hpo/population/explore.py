"""Exploring: from the setting of a good member to one near it, by the rule of the paper."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpo.encoding import from_cube
from hpo.fields import Value
from hpo.points import Setting
from hpo.space import Dimension


def perturb(
    space: Mapping[str, Dimension],
    setting: Mapping[str, Value],
    factors: tuple[float, float],
    resample: float,
    rng: np.random.Generator,
) -> Setting:
    """Return `setting` with each searched value drawn anew or moved.

    Parameters
    ----------
    space : what is searched; other settings stay as they are.
    setting : of the member that is taken over.
    factors : a value of a range is multiplied by one of them, and kept within the range; one of
        the choices moves to a neighbour in their list.
    resample : how likely a value is drawn anew from all of the space instead.
    rng : draws twice a dimension, whatever comes of it.
    """
    moved = dict(setting)
    for name, dimension in space.items():
        anew, side = rng.random() < resample, rng.random()
        if anew:
            moved |= from_cube({name: dimension}, np.array([side]))
        elif dimension.choices is not None:
            moved[name] = _neighbour(dimension.choices, setting[name], up=side >= 0.5)
        else:
            assert dimension.bounds is not None
            low, high = dimension.bounds
            factor = factors[int(side >= 0.5)]
            moved[name] = min(max(float(setting[name]) * factor, low), high)
    return moved


def _neighbour(choices: tuple[Value, ...], value: Value, *, up: bool) -> Value:
    """Return the next choice of the list, or `value` itself at its end."""
    position = choices.index(value) + (1 if up else -1)
    return choices[min(max(position, 0), len(choices) - 1)]
