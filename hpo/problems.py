"""What a check of a sweep file finds: the key that is wrong there, and what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hpo.space import Dimension
from hpo.yaml_lines import KeyPath
from trainers.errors import TrainerError
from trainers.settings import SettingRule


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the key it belongs to, and what would be right there."""

    path: KeyPath
    message: str


def value_problems(rule: SettingRule, name: str, value: object, path: KeyPath) -> Iterator[Problem]:
    """The problem of a setting's or model option's value, if it breaks its rule."""
    try:
        rule.parse(name, value)
    except TrainerError as error:
        yield Problem(path, str(error))


def dimension_problems(
    rule: SettingRule, name: str, dimension: Dimension, path: KeyPath
) -> Iterator[Problem]:
    """The problems of what is searched, if some of its values break the setting's rule."""
    if dimension.choices is not None:
        for index, choice in enumerate(dimension.choices):
            yield from value_problems(rule, name, choice, (*path, "choices", index))
        return
    axis = "log" if dimension.log is not None else "uniform"
    if rule.kind == "int" and dimension.multiple_of is None:
        yield Problem(
            (*path, axis),
            f"{name} must be {rule.describe()}; list them as choices, or add multiple_of",
        )
        return
    if rule.kind not in ("float", "int"):
        yield Problem((*path, axis), f"{name} must be {rule.describe()}; list them as choices")
        return
    for index, bound in enumerate(dimension.bounds or ()):
        yield from value_problems(rule, name, bound, (*path, axis, index))


def blame(message: str, words: Mapping[str, KeyPath], otherwise: KeyPath) -> KeyPath:
    """The path of the word that `message` names first."""
    found = [
        (match.start(), path)
        for word, path in words.items()
        if (match := re.search(rf"\b{re.escape(word)}\b", message))
    ]
    return min(found, key=lambda item: item[0])[1] if found else otherwise
