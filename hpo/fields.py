"""Field types of the sweep file: numbers as YAML writes them, with messages that say what is right.

A whole number may be written ``1000000`` or ``1e6``; text and ``true`` are not numbers.
"""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

Value = float | int | str


class Part(BaseModel):
    """A mapping of the sweep file whose keys are all known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def refuse(message: str) -> PydanticCustomError:
    """An error whose text is `message` as it stands, for pydantic's validators to raise."""
    return PydanticCustomError("sweep_file", "{message}", {"message": message})


def _number(value: object, *, what: str = "a number") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise refuse(f"{show(value)} is not {what}")
    return value


def _whole(value: object, *, at_least: int) -> int:
    what = f"a whole number of at least {at_least}"
    number = _number(value, what=what)
    if number != int(number) or number < at_least:
        raise refuse(f"{show(value)} is not {what}")
    return int(number)


def _positive_whole(value: object) -> int:
    return _whole(value, at_least=1)


def _nonnegative_whole(value: object) -> int:
    return _whole(value, at_least=0)


def _positive(value: object) -> float:
    number = _number(value, what="a number above 0")
    if number <= 0:
        raise refuse(f"{show(value)} is not a number above 0")
    return number


def _nonnegative(value: object) -> float:
    number = _number(value, what="a number of at least 0")
    if number < 0:
        raise refuse(f"{show(value)} is not a number of at least 0")
    return number


def _value(value: object) -> Value:
    if isinstance(value, bool | str):
        return value
    return _number(value, what="a number or text")


def as_list(value: object) -> object:
    """Take a single value for a list of one; for pydantic's validators."""
    return value if isinstance(value, list | tuple) else [value]


def distinct(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """Refuse an empty list and a value that repeats; for pydantic's validators."""
    if not values:
        raise refuse("the list is empty; give at least one value")
    for index, value in enumerate(values):
        if value in values[:index]:
            raise refuse(f"{value} is given twice; keep one of them")
    return values


def one_of(*names: str) -> BeforeValidator:
    """Take one of these words; the message names them, and the one that was meant."""

    def check(value: object) -> object:
        if value in names:
            return value
        near = get_close_matches(value, names, n=1) if isinstance(value, str) else []
        meant = f"did you mean '{near[0]}'? " if near else ""
        raise refuse(f"{show(value)} is none of these; {meant}there are: {', '.join(names)}")

    return BeforeValidator(check)


def _fraction(value: object) -> float:
    number = _number(value, what="a number between 0 and 1")
    if not 0 <= number <= 1:
        raise refuse(f"{show(value)} is not a number between 0 and 1")
    return number


def _pair(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise refuse(f"{show(value)} where the two bounds should be; write [lowest, highest]")
    return value


def show(value: object) -> str:
    """How a value is named in a message."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if value is None:
        return "nothing"
    return repr(value) if not isinstance(value, bool) else str(value).lower()


Number = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[float, BeforeValidator(_positive)]
Nonnegative = Annotated[float, BeforeValidator(_nonnegative)]
PositiveInt = Annotated[int, BeforeValidator(_positive_whole)]
NonnegativeInt = Annotated[int, BeforeValidator(_nonnegative_whole)]
Fraction = Annotated[float, BeforeValidator(_fraction)]
distinct_names = AfterValidator(distinct)
Pair = Annotated[tuple[Number, Number], BeforeValidator(_pair)]
# bool is named so that pydantic keeps `true` from becoming 1.
Scalar = Annotated[bool | Value, BeforeValidator(_value)]
PositiveAxis = Annotated[tuple[Positive, ...], BeforeValidator(as_list), AfterValidator(distinct)]
PositiveIntAxis = Annotated[
    tuple[PositiveInt, ...], BeforeValidator(as_list), AfterValidator(distinct)
]
