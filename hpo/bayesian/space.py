"""The space of settings as Optuna's samplers see it.

Choices that are numbers, such as batch sizes, are searched in their order, so that a sampler learns
of 2048 from 1024 and 4096; Optuna takes any choices to be unordered names.
"""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo import planned
from hpo.fields import Value
from hpo.points import Setting
from hpo.space import Dimension

Drawn = float | int | str


def ordered_choices(dimension: Dimension) -> tuple[Value, ...] | None:
    """Return the choices in ascending order where all are numbers; None for other dimensions."""
    if dimension.choices is None:
        return None
    numbers = [c for c in dimension.choices if isinstance(c, int | float)]
    if len(numbers) < len(dimension.choices) or any(isinstance(c, bool) for c in numbers):
        return None
    return tuple(sorted(numbers))


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return what a sampler draws from: a range, or choices by name or by their place in order."""
    ordered = ordered_choices(dimension)
    if ordered is not None:
        return IntDistribution(0, len(ordered) - 1)
    return planned.distribution(dimension)


def drawn(dimension: Dimension, value: Value) -> Drawn:
    """Return what a sampler would have to draw for a value."""
    ordered = ordered_choices(dimension)
    if ordered is not None:
        return ordered.index(value)
    if dimension.multiple_of is not None:
        return round(float(value) / dimension.multiple_of)
    return value


def value_of(dimension: Dimension, drawn: Drawn) -> Value:
    """Return the value of what a sampler drew."""
    ordered = ordered_choices(dimension)
    if ordered is not None:
        return ordered[int(drawn)]
    return int(drawn) * dimension.multiple_of if dimension.multiple_of is not None else drawn


def holds(space: Mapping[str, Dimension], setting: Mapping[str, Value]) -> bool:
    """Say whether a setting has just what the space asks for, each value where it may lie."""
    there = names_there(space, setting)
    return setting.keys() == there and all(_takes(space[n], setting[n]) for n in there)


def names_there(space: Mapping[str, Dimension], setting: Mapping[str, Value]) -> set[str]:
    """Return the names that the conditions of the space ask for, given the values of a setting."""
    there: set[str] = set()
    for name in in_order(space):
        conditions = space[name].when.items()
        if all(other in there and setting.get(other) in values for other, values in conditions):
            there.add(name)
    return there


def in_order(space: Mapping[str, Dimension]) -> list[str]:
    """Return the names of the space, each after those that it is conditional on."""

    def depth(name: str) -> int:
        return 1 + max((depth(other) for other in space[name].when), default=0)

    return sorted(space, key=depth)


def suggest(trial: optuna.Trial, space: Mapping[str, Dimension]) -> Setting:
    """Have a trial's sampler draw a setting, in the order of the space."""
    found: Setting = {}
    for name in in_order(space):
        dimension = space[name]
        if all(found.get(other) in values for other, values in dimension.when.items()):
            found[name] = value_of(dimension, _suggest(trial, name, distribution(dimension)))
    return {name: found[name] for name in space if name in found}


def _suggest(trial: optuna.Trial, name: str, axis: BaseDistribution) -> Drawn:
    if isinstance(axis, FloatDistribution):
        return trial.suggest_float(name, axis.low, axis.high, log=axis.log)
    if isinstance(axis, IntDistribution):
        return trial.suggest_int(name, axis.low, axis.high, log=axis.log)
    assert isinstance(axis, CategoricalDistribution)
    choice = trial.suggest_categorical(name, axis.choices)
    assert isinstance(choice, bool | int | float | str)
    return choice


def _takes(dimension: Dimension, value: Value) -> bool:
    if dimension.choices is not None:
        return value in dimension.choices
    assert dimension.bounds is not None
    low, high = dimension.bounds
    if not isinstance(value, int | float) or not low <= value <= high:
        return False
    return dimension.multiple_of is None or value % dimension.multiple_of == 0
