"""Holds settings against the runs table, which has a column for each of them.

A class of one's own and a command take settings of any name. Where the table says something else
under that name, the setting would be overwritten in it; where it has a rule for that column, a run
whose setting breaks it could not be recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from hpo.ladder import shapes
from hpo.problems import Problem, dimension_problems, value_problems
from hpo.rows import WARMUP_FRACTION
from hpo.schema import SweepSpec
from hpo.yaml_lines import KeyPath
from storage.columns import COLUMNS, PARAMS, WARMUP_TOKENS, Column
from trainers.settings import SettingRule

_COLUMNS: Mapping[str, Column] = {column.name: column for column in COLUMNS}


def problems(spec: SweepSpec, own: Collection[str]) -> Iterator[Problem]:
    """Say which names are taken, and which values of the others the table refuses.

    `own` are the columns that tell of a run beside its setting and its shape
    (`hpo.rows.own_columns`). The sweep is one whose names, values and sizes suit its trainer.
    """
    sizes = shapes(spec)[0]
    for name, path in _size_places(spec):
        if name in own and name != PARAMS:  # which is N
            yield Problem(path, _taken(name))
    for name, path in _setting_places(spec):
        if name in own:
            yield Problem(path, _taken(name))
        elif name in sizes:
            yield Problem(path, f"{name} is a size of the model as well; rename it, {_as(name)}")
        else:
            yield from _check_values(spec, name, path)


def _size_places(spec: SweepSpec) -> Iterator[tuple[str, KeyPath]]:
    if spec.scales is not None:
        yield from ((name, ("scales", name)) for name in spec.scales.shape)
    for index, point in enumerate(spec.points or ()):
        yield from ((name, ("points", index, "scale", name)) for name in point.scale.shape)


def _setting_places(spec: SweepSpec) -> Iterator[tuple[str, KeyPath]]:
    yield from ((name, ("space", name)) for name in spec.space)
    yield from ((name, ("fixed", name)) for name in spec.fixed)
    for index, point in enumerate(spec.points or ()):
        yield from ((name, ("points", index, "setting", name)) for name in point.setting)


def _check_values(spec: SweepSpec, name: str, path: KeyPath) -> Iterator[Problem]:
    column = _COLUMNS.get(WARMUP_TOKENS if name == WARMUP_FRACTION else name)
    if column is None or column.kind not in ("float", "int"):
        return  # Any value can be text.
    rule = SettingRule(
        column.kind,
        column.meaning,
        above=0 if column.positive else None,
        at_least=0 if column.nonnegative else None,
    )
    match path:
        case ("space", _):
            found = dimension_problems(rule, name, spec.space[name], path)
        case ("points", int(index), *_):
            found = value_problems(rule, name, (spec.points or ())[index].setting[name], path)
        case _:
            found = value_problems(rule, name, spec.fixed[name], path)
    other = f"where it is not the {name} of runs tables ({column.meaning}), rename it, {_as(name)}"
    for problem in found:
        yield Problem(problem.path, f"{problem.message}; {other}")


def _taken(name: str) -> str:
    column = _COLUMNS.get(name)
    meaning = f" ({column.meaning})" if column else ""
    return f"the runs table says something else under {name}{meaning}; rename it, {_as(name)}"


def _as(name: str) -> str:
    return f"such as {name}_"
