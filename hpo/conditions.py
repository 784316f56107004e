"""Checks of settings that are only sometimes there, and of ranges of whole multiples.

A dimension with `when` is left out of a run, which then trains with the setting's default, unless
another setting has one of the values that it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hpo.fields import Value
from hpo.problems import Problem
from hpo.schema import SweepSpec
from hpo.space import Dimension
from hpo.yaml_lines import KeyPath
from trainers.errors import unknown
from trainers.kind import Kind

METHODS = ("transfer", "random", "grid", "bayesian")
"""Those that leave settings out and keep to multiples; the others have one axis a setting."""


def check_conditions(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    """Hold each `when` and `multiple_of` against the search method and the rest of the space."""
    for name, dimension in spec.space.items():
        if spec.search.method in METHODS:
            yield from _check_when(spec.space, name, trainer)
            continue
        for key, given in (("when", dimension.when), ("multiple_of", dimension.multiple_of)):
            if given:
                yield Problem(
                    ("space", name, key),
                    f"{spec.search.method} searches ranges and choices that every run has; "
                    f"leave it out, or take one of {', '.join(METHODS)}",
                )


def _check_when(space: Mapping[str, Dimension], name: str, trainer: Kind) -> Iterator[Problem]:
    conditions = space[name].when
    rule = trainer.settings.get(name)
    if conditions and rule is not None and rule.required:
        yield Problem(("space", name, "when"), f"every run needs {name}; leave the condition out")
    for other, values in conditions.items():
        yield from _check_condition(space, name, other, values)


def _check_condition(
    space: Mapping[str, Dimension], name: str, other: str, values: Sequence[Value]
) -> Iterator[Problem]:
    path: KeyPath = ("space", name, "when", other)
    if other not in space:
        yield Problem(path, str(unknown("searched setting", other, space)))
    elif name == other or name in _conditions(space, other):
        yield Problem(path, f"{name} would be a condition of itself; leave one of them out")
    elif (choices := space[other].choices) is None:
        yield Problem(path, f"{other} is a range; a condition is on a setting with choices")
    else:
        for value in values:
            if value not in choices:
                yield Problem(
                    path, str(unknown(f"choice of {other}", str(value), map(str, choices)))
                )


def _conditions(space: Mapping[str, Dimension], name: str) -> set[str]:
    """Return the settings that `name` depends on, over any number of steps."""
    found: set[str] = set()
    left = [name]
    while left:
        dimension = space.get(left.pop())
        further = [other for other in dimension.when if other not in found] if dimension else []
        found.update(further)
        left += further
    return found
