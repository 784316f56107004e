"""Values of `hyperlaw transfer check` as they are typed: sizes, ends of ranges, NAME=VALUE."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hyperlaw.errors import InputError

if TYPE_CHECKING:
    from trainers.config import Value


def parse_sizes(flag: str, text: str | None) -> tuple[int, ...] | None:
    """Return sizes in order from text such as ``64,128,256``.

    >>> parse_sizes("--widths", "128,64")
    (64, 128)
    """
    if text is None:
        return None
    try:
        sizes = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise InputError(f"{flag} {text}: write whole numbers, such as 64,128,256,512") from error
    if sizes[0] < 1:
        raise InputError(f"{flag} {text}: a size is at least 1")
    return tuple(sizes)


def parse_rates(text: str | None) -> tuple[float, float] | None:
    """Return the ends of a range of learning rates from text such as ``1e-3,6e-2``."""
    if text is None:
        return None
    wrong = InputError(f"--rates {text}: write the lowest and the highest, such as 1e-3,6e-2")
    try:
        low, high = map(float, text.split(","))
    except ValueError as error:
        raise wrong from error
    if not 0 < low < high < math.inf:
        raise wrong
    return low, high


def parse_pairs(flag: str, pairs: Sequence[str] | None) -> dict[str, Value]:
    """Return {name: value} from ``NAME=VALUE`` texts; numbers, true and false as such.

    >>> parse_pairs("--model", ["context=32", "mlp=swiglu", "norm_gains=true"])
    {'context': 32, 'mlp': 'swiglu', 'norm_gains': True}
    """
    found: dict[str, Value] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not (equals and name and value):
            raise InputError(f"{flag} {pair}: write NAME=VALUE")
        if name in found:
            raise InputError(f"{flag} {pair}: '{name}' is {found[name]} already")
        found[name] = _value(value)
    return found


def _value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
