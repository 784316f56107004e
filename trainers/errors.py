"""The one error of this room, and the hint that goes with a mistyped name."""

from collections.abc import Iterable
from difflib import get_close_matches


class TrainerError(ValueError):
    """A run that cannot be trained as asked; one line: what, where, what would be right."""


def unknown(what: str, name: str, known: Iterable[str]) -> TrainerError:
    """Return the error for a `name` that is not one of `known`, with the nearest of them.

    >>> print(unknown("setting", "weigth_decay", ["lr", "weight_decay"]))
    unknown setting 'weigth_decay'; did you mean 'weight_decay'? (there are: lr, weight_decay)
    """
    names = list(known)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = f"(there are: {', '.join(names)})" if names else "(there are none)"
    return TrainerError(f"unknown {what} {name!r}{hint} {listed}")
