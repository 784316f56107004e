"""Tags on a model's parameters, and the rule of each by its tag.

A model of your own joins by tagging every parameter with its role when it is made:

>>> import torch
>>> layer = torch.nn.Linear(64, 256, bias=False)
>>> weight = tag(layer.weight, Tag("hidden", Fans(64, 256)))

`model_rules` reads the tags of a model and of the same model at the base shape;
`trainers.initialisation.parametrize` applies what comes of it.
"""

import re
from collections.abc import Mapping
from itertools import takewhile
from typing import TYPE_CHECKING

from trainers.errors import TrainerError
from trainers.optimizer_names import optimizer_of
from trainers.scaling_rules import SCHEMES, Rule, RuleOptions, folded, rule_options, rules
from trainers.tags import Fans, Role, Tag

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "SCHEMES",
    "Fans",
    "Role",
    "Rule",
    "RuleOptions",
    "Tag",
    "folded",
    "model_rules",
    "rule_options",
    "rules",
    "tag",
    "tag_of",
]

_TAG_ATTRIBUTE = "hyperlaw_tag"


def tag(parameter: "nn.Parameter", tag: Tag) -> "nn.Parameter":
    """Tag `parameter` and return it."""
    setattr(parameter, _TAG_ATTRIBUTE, tag)
    return parameter


def tag_of(name: str, parameter: "nn.Parameter") -> Tag:
    """Return the tag of the parameter called `name`; TrainerError if it has none."""
    found = getattr(parameter, _TAG_ATTRIBUTE, None)
    if not isinstance(found, Tag):
        raise TrainerError(
            f"parameter {name!r} has no role; tag it with trainers.parametrization.tag"
        )
    return found


def model_rules(
    model: "nn.Module",
    base: "nn.Module",
    scheme: str,
    optimizer: str,
    options: RuleOptions | None = None,
) -> dict[str, Rule]:
    """Return the rule of each parameter of `model`, by name.

    `base` is the same model at the base shape (it may live on the meta device: only its tags are
    read). Where its stacks have fewer blocks, the parameters of the further blocks are held
    against those of the first.

    Raises TrainerError for a parameter without a tag, and where `base` is another kind of model.
    """
    base_tags = {name: tag_of(name, p) for name, p in base.named_parameters()}
    found = {}
    for name, parameter in model.named_parameters():
        own = tag_of(name, parameter)
        trained_by = optimizer_of(optimizer, own.role, parameter.dim())
        found[name] = rules(scheme, trained_by, own, _counterpart(name, own, base_tags), options)
    return found


def _counterpart(name: str, own: Tag, base_tags: Mapping[str, Tag]) -> Tag:
    """Return the tag at the base shape: of the same name, but for a block's number, and role."""

    numberless = re.sub(r"\d+", "#", name)
    counterparts = [
        base_name
        for base_name, base in base_tags.items()
        if re.sub(r"\d+", "#", base_name) == numberless
        and (base.role, base.blocks > 0) == (own.role, own.blocks > 0)
    ]
    if counterparts:
        # Of a net with several stacks, one in the same stack.
        return base_tags[max(counterparts, key=lambda other: _n_shared(name, other))]
    raise TrainerError(
        f"base shape: the model there has no counterpart of parameter {name!r}, of role "
        f"{own.role}; it must be the same model, smaller"
    )


def _n_shared(name: str, other: str) -> int:
    """Return how many parts two dotted names have in common at their beginning."""
    pairs = zip(name.split("."), other.split("."), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
