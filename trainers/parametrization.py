"""Tags on a model's parameters, and the rule of each by its tag.

A model of your own joins by tagging every parameter with its role when it is made:

>>> import torch
>>> layer = torch.nn.Linear(64, 256, bias=False)
>>> weight = tag(layer.weight, Tag("hidden", Fans(64, 256)))

`model_rules` reads the tags of a model and of the same model at the base shape;
`trainers.initialisation.parametrize` applies what comes of it.
"""

import re
from collections.abc import Mapping, Sequence
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
    "likeness",
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

    `base` is the same model at the base shape; of both only tags are read, so that they may live on
    the meta device. Where its stacks have another number of blocks, each parameter is held against
    those in its place in any of them.

    Raises TrainerError for a parameter without a tag, where `base` is another kind of model, and
    where names do not tell which of several parameters there is the counterpart.
    """
    tags = {name: tag_of(name, p) for name, p in model.named_parameters()}
    base_tags = {name: tag_of(name, p) for name, p in base.named_parameters()}
    alike, base_alike = _by_likeness(tags), _by_likeness(base_tags)
    found = {}
    for name, parameter in model.named_parameters():
        own = tags[name]
        trained_by = optimizer_of(optimizer, own.role, parameter.dim())
        like = likeness(name, own)
        others = _counterparts(name, alike[like], base_alike.get(like, []))
        by_tag = {base_tags[other]: other for other in reversed(others)}
        by_rule = {rules(scheme, trained_by, own, t, options): n for t, n in by_tag.items()}
        if not by_rule:
            raise TrainerError(
                f"base shape: the model there has no counterpart of parameter {name!r}, of role "
                f"{own.role}; it must be the same model, smaller"
            )
        if len(by_rule) > 1:
            first, second, *_ = sorted(by_rule.values(), key=others.index)
            raise TrainerError(
                f"base shape: the counterpart there of parameter {name!r} may be {first!r} or "
                f"{second!r}, and its learning rate, decay, ε or start would differ; where the "
                "number of blocks changes, put each block into a module of its own, in an "
                "nn.ModuleList apart from the first and the last layer"
            )
        (found[name],) = by_rule
    return found


def likeness(name: str, tag: Tag) -> tuple[str, Role, bool]:
    """Return what a parameter and its counterpart have in common.

    That is the name without numbers, the role, and whether it is in a stack of blocks.
    """
    return re.sub(r"\d+", "#", name), tag.role, tag.blocks > 0


def _by_likeness(tags: Mapping[str, Tag]) -> dict[tuple[str, Role, bool], list[str]]:
    found: dict[tuple[str, Role, bool], list[str]] = {}
    for name, its_tag in tags.items():
        found.setdefault(likeness(name, its_tag), []).append(name)
    return found


def _counterparts(name: str, alike: Sequence[str], there: Sequence[str]) -> list[str]:
    """Return those of `there`, at the base shape, that may be the counterpart of `name`.

    `alike` are the parameters that are like it in its own model, in their order, as are those of
    `there`. Part by part of the name, as many siblings in both stand for one another in their
    order; where their numbers differ, as those of blocks do, any may be it.
    """
    own, siblings = name.split("."), [other.split(".") for other in alike]
    left = [other.split(".") for other in there]
    for index, part in enumerate(own):
        here = list(dict.fromkeys(one[index] for one in siblings))
        others = list(dict.fromkeys(one[index] for one in left))
        if len(here) == len(others):
            place = others[here.index(part)]
            left = [one for one in left if one[index] == place]
        siblings = [one for one in siblings if one[index] == part]
    return [".".join(one) for one in left]
