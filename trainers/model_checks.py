"""What can be wrong with a model of a user's own, told before anything trains."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainers.errors import TrainerError
from trainers.parametrization import tag_of

if TYPE_CHECKING:
    from torch import nn

NAMED = 5
"""Parameters that an error names; the rest it counts."""


def check_roles(name: str, model: "nn.Module") -> None:
    """Raise TrainerError, naming the trainer `name`, where parameters have no role."""
    roleless = [key for key, parameter in model.named_parameters() if not _has_role(parameter)]
    if roleless:
        raise TrainerError(
            f"trainer {name!r}: no role is given to {_listed(roleless)}; tag each parameter where "
            "the model is made (trainers.parametrization.tag)"
        )


def check_base(model: "nn.Module", base: "nn.Module") -> None:
    """Raise TrainerError unless both are of one kind: alike in their parameters.

    A stack may have another number of blocks there: numbers in names do not count.
    """
    own, other = _kinds_of_parameters(model), _kinds_of_parameters(base)
    for here, there, message in (
        (own, other, "the model there has nothing like {} of the run's"),
        (other, own, "the run's model has nothing like {} of the one there"),
    ):
        alone = [name for kind, name in here.items() if kind not in there]
        if alone:
            raise TrainerError(
                f"base shape: {message.format(_listed(alone))}; the two must be one model, in two "
                "sizes"
            )


def _has_role(parameter: "nn.Parameter") -> bool:
    try:
        tag_of("", parameter)
    except TrainerError:
        return False
    return True


def _kinds_of_parameters(model: "nn.Module") -> dict[tuple[str, str, bool, int], str]:
    """Return the first name of each kind of parameter.

    A kind is a name without numbers, a role, whether it is in a stack of blocks, and its axes.
    """
    found: dict[tuple[str, str, bool, int], str] = {}
    for name, parameter in model.named_parameters():
        how = tag_of(name, parameter)
        kind = (re.sub(r"\d+", "#", name), how.role, how.blocks > 0, parameter.dim())
        found.setdefault(kind, name)
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:NAMED]))
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"
