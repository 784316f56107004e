"""The rules a setting or a model option must obey, and how a value is checked against them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from trainers.config import Value
from trainers.errors import TrainerError, unknown


@dataclass(frozen=True)
class SettingRule:
    """One setting: its type, its default and where it may lie."""

    kind: Literal["float", "int", "choice", "flag"]
    meaning: str
    default: Value | None = None
    """None: the setting must be given."""
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    accept: Callable[[str], None] | None = None
    """Where given, it decides on a choice, by TrainerError; `choices` then are the usual ones."""

    @property
    def required(self) -> bool:
        """Whether a run must give this setting."""
        return self.default is None

    def describe(self) -> str:
        """Return what a value must be, in words.

        >>> SettingRule("float", "first moment", 0.9, at_least=0, below=1).describe()
        'a number at least 0 and below 1'
        """
        if self.kind == "choice":
            more = " or another that is known" if self.accept else ""
            return f"one of {', '.join(self.choices)}{more}"
        if self.kind == "flag":
            return "true or false"
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (
                ("above", self.above),
                ("at least", self.at_least),
                ("below", self.below),
                ("at most", self.at_most),
            )
            if bound is not None
        ]
        noun = "a whole number" if self.kind == "int" else "a number"
        return f"{noun} {' and '.join(bounds)}".rstrip()

    def parse(self, name: str, value: object) -> Value:
        """Return `value` in this rule's type; TrainerError, naming `name`, where it breaks it."""
        if self.kind == "flag" and isinstance(value, bool):
            return value
        if self.kind == "choice" and isinstance(value, str):
            if self.accept is not None:
                self.accept(value)
                return value
            if value in self.choices:
                return value
        if self.kind in ("float", "int") and self._in_bounds(value):
            assert isinstance(value, float | int)
            return int(value) if self.kind == "int" else float(value)
        raise TrainerError(f"{name} is {value!r}; it must be {self.describe()}")

    def _in_bounds(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, float | int):
            return False
        return (
            math.isfinite(value)
            and (self.kind == "float" or float(value).is_integer())
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )


def complete(
    rules: Mapping[str, SettingRule], given: Mapping[str, Value], what: str
) -> dict[str, Value]:
    """Return `given` checked, typed and filled with the defaults, in the order of `rules`.

    `what` ("setting", "model option") names the kind of value in the errors: an unknown name,
    one that is required and missing, or a value that breaks its rule raises TrainerError.
    """
    for name in given:
        if name not in rules:
            raise unknown(what, name, rules)
    values: dict[str, Value] = {}
    for name, rule in rules.items():
        if name in given:
            values[name] = rule.parse(name, given[name])
        elif rule.default is not None:
            values[name] = rule.default
        else:
            raise TrainerError(f"{what} {name!r} is missing; it must be {rule.describe()}")
    return values
