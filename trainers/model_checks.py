"""What can be wrong with a model of a user's own, told before anything trains."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainers.config import Size
from trainers.errors import TrainerError
from trainers.parametrization import likeness, model_rules, tag_of
from trainers.scaling_rules import RuleOptions

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


def check_inner(name: str, size: Size) -> None:
    """Raise TrainerError, naming the trainer `name`, where N is 0: a law of N needs one above 0."""
    if size.params == 0:
        raise TrainerError(
            f"trainer {name!r}: no parameter has the role hidden or vector, so N, the parameters "
            f"between embedding and readout, is 0 (of {size.params_total} in all); give the model "
            "a layer between those of role input and output, or those layers biases"
        )


def check_base(
    model: "nn.Module", base: "nn.Module", scheme: str, optimizer: str, options: RuleOptions
) -> None:
    """Raise TrainerError unless both are of one kind: alike in their parameters.

    A stack may have another number of blocks there: numbers in names do not count, but where
    `scheme` would scale a parameter by one or by another there, its name must tell by which.
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
    model_rules(model, base, scheme, optimizer, options)


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
        found.setdefault((*likeness(name, how), parameter.dim()), name)
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:NAMED]))
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"
