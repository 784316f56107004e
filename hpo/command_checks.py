"""Holds a command against the sweep that it is to train: what it asks for, and what it ignores.

A value that the sweep gives and the command does not take is a mistake: its runs would differ in
name only, and a law would be fitted to their noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hpo.fields import Value
from hpo.ladder import shapes
from hpo.problems import Problem
from hpo.schema import SweepSpec
from hpo.search_keys import Scheduled
from hpo.yaml_lines import KeyPath
from trainers import command_line
from trainers.command import find_program
from trainers.command_line import CommandLine
from trainers.command_values import BASE, OWN_VALUES
from trainers.config import Command
from trainers.errors import TrainerError, unknown
from trainers.registry import kind

COMMAND: KeyPath = ("trainer", "command")


def problems(spec: SweepSpec) -> Iterator[Problem]:
    """Say what keeps a command from being trained; nothing where the trainer is none."""
    if not isinstance(spec.trainer, Command):
        return
    line = command_line.parse(spec.trainer.command)
    try:
        find_program(line, Path(spec.trainer.cwd))
    except TrainerError as error:
        where = ("trainer", "cwd") if str(error).startswith("cwd:") else COMMAND
        yield Problem(where, str(error).removeprefix("cwd: "))
    yield from _check_asked(spec, line)
    yield from _check_settings(spec, line)
    yield from _check_scales(spec, line)
    yield from _check_other_values(spec, line)
    yield from _check_search(spec, line)


def data_of(spec: SweepSpec) -> str:
    """Return what the runs train on; empty for a command that does not ask for it."""
    trainer = spec.trainer
    if isinstance(trainer, Command) and "data" not in command_line.parse(trainer.command).names:
        return ""
    return kind(trainer).default_data if spec.data is None else spec.data


def _check_asked(spec: SweepSpec, line: CommandLine) -> Iterator[Problem]:
    """Everything that the command asks for must be there, in every run."""
    points = [point.setting for point in spec.points or ()]
    sizes = shapes(spec)[0]
    there = [
        *dict.fromkeys([*spec.space, *spec.fixed, *(name for point in points for name in point)]),
        *sizes,
        *spec.model,
        *OWN_VALUES,
        *(f"{BASE}{key}" for key in sizes),
    ]
    for name in line.names:
        if name not in there:
            yield Problem(COMMAND, str(unknown("value", name, dict.fromkeys(there))))
        if name in spec.space and spec.space[name].when:
            yield Problem(
                ("space", name, "when"),
                f"the command asks for {name} in every run; leave the condition out",
            )
        if any(name in point for point in points):
            for index, point in enumerate(points):
                if name not in point and name not in spec.fixed:
                    message = f"no {name}, which the command asks for; give it here or as fixed"
                    yield Problem(("points", index, "setting"), message)
    if "data" in line.names and "data" not in spec.model_fields_set:
        yield Problem(COMMAND, "it asks for data, and no data is given; add 'data: PATH'")


def _check_settings(spec: SweepSpec, line: CommandLine) -> Iterator[Problem]:
    for name in spec.space:
        if name not in line.names:
            yield Problem(("space", name), f"{_ignored(name)} under fixed")
    points = [point.setting for point in spec.points or ()]
    seen: set[str] = set()
    for index, point in enumerate(points):
        for name in point:
            varies = any(other.get(name) != point[name] for other in points)
            if varies and name not in line.names and name not in seen:
                seen.add(name)
                yield Problem(("points", index, "setting", name), _ignored(name))


def _check_scales(spec: SweepSpec, line: CommandLine) -> Iterator[Problem]:
    """Sizes that vary must reach the script, by name or by N; and so must budgets."""
    ladder = shapes(spec)
    for key, first in ladder[0].items():
        taken = key in line.names or "params" in line.names
        if not taken and any(shape.get(key) != first for shape in ladder):
            yield Problem(_scale_key(spec, key), _ignored(key))
    if not {"tokens", "steps"} & set(line.names) and _budgets_vary(spec):
        key = "tokens" if spec.scales is None or spec.scales.tokens else "tokens_per_param"
        yield Problem(
            _scale_key(spec, key),
            "the runs have several budgets, and the command takes none; add {tokens} or {steps}",
        )


def _check_other_values(spec: SweepSpec, line: CommandLine) -> Iterator[Problem]:
    for name in spec.model:
        if name not in line.names:
            yield Problem(("model", name), _unused(name))
    if spec.data is not None and "data" not in line.names:
        yield Problem(("data",), _unused("data"))
    seeds = [point.seed for point in spec.points or ()]
    if "seed" not in line.names:
        if spec.seeds > 1:
            yield Problem(("seeds",), f"{spec.seeds}: {_ignored('seed')}")
        if _vary(seeds):
            index = next(i for i, seed in enumerate(seeds) if seed is not None)
            yield Problem(("points", index, "seed"), _ignored("seed"))


def _check_search(spec: SweepSpec, line: CommandLine) -> Iterator[Problem]:
    method = spec.search.method
    scheduler = spec.search.scheduler if isinstance(spec.search, Scheduled) else None
    if method == "population":
        yield Problem(
            ("search", "method"),
            "a population copies weights from run to run and changes their settings on the way, "
            "which no command can be told; write a class of your own as 'module:Class'",
        )
    elif "folder" not in line.names and (method == "freeze-thaw" or scheduler == "hyperband"):
        key, name = ("scheduler", scheduler) if scheduler else ("method", method)
        yield Problem(
            ("search", key),
            f"{name} ends runs and begins them again where they were; let the script keep its "
            "checkpoints in a folder that it is given as {folder}, or choose another",
        )


def _ignored(name: str) -> str:
    return f"the command never takes {name}; add {{{name}}} to it, or keep to one value"


def _unused(name: str) -> str:
    return f"the command never takes {name}; add {{{name}}} to it, or leave it out"


def _scale_key(spec: SweepSpec, key: str) -> KeyPath:
    return ("scales", key) if spec.scales is not None else ("points",)


def _budgets_vary(spec: SweepSpec) -> bool:
    if spec.scales is None:
        return _vary([point.scale.tokens for point in spec.points or ()])
    if spec.scales.tokens is not None:
        return len(spec.scales.tokens) > 1
    return len(spec.scales.tokens_per_param or ()) > 1 or len(shapes(spec)) > 1


def _vary(values: Sequence[Value | None]) -> bool:
    return len(set(values)) > 1
