"""Gives a tagged model its initial values and forward multipliers, by a parametrization."""

from collections.abc import Mapping

import torch
from torch import nn

from trainers.optimizer_names import optimizer_of
from trainers.parametrization import model_rules, tag_of
from trainers.scaling_rules import Rule, RuleOptions, folded


def parametrize(
    model: nn.Module,
    base: nn.Module,
    scheme: str,
    optimizer: str,
    options: RuleOptions,
    generator: torch.Generator,
) -> dict[str, Rule]:
    """Initialise `model` by `scheme`; return the rules that its optimizer is to follow, by name.

    Parameters
    ----------
    model : every parameter is tagged; its values are overwritten.
    base : the same model at the base shape; it may live on the meta device.
    scheme : one of trainers.parametrization.SCHEMES
    optimizer : the name of the optimizer that is to train it
    generator : on the model's device; parameters are drawn in their order.

    Raises
    ------
    TrainerError
        As `trainers.parametrization.model_rules` does.
    """
    rules = model_rules(model, base, scheme, optimizer, options)
    return initialise(model, rules, optimizer, options, generator)


@torch.no_grad()
def initialise(
    model: nn.Module,
    rules: Mapping[str, Rule],
    optimizer: str,
    options: RuleOptions,
    generator: torch.Generator,
) -> dict[str, Rule]:
    """Draw initial values by `rules` and set the forward multipliers; return what is left to do.

    A module with an attribute `multiplier` applies the forward multiplier of its `weight` itself.
    Of every other tensor it goes into initial values, learning rate, decay and ε instead, which
    trains the same model (`trainers.scaling_rules.folded`).
    """
    modules = dict(model.named_modules())
    applied = {}
    for name, parameter in model.named_parameters():
        how, rule = tag_of(name, parameter), rules[name]
        start = how.start
        owner, _, attribute = name.rpartition(".")
        if attribute == "weight" and hasattr(modules[owner], "multiplier"):
            modules[owner].multiplier = rule.forward_multiplier
        else:
            start *= rule.forward_multiplier
            rule = folded(rule, optimizer_of(optimizer, how.role, parameter.dim()), options)
        applied[name] = rule
        if how.role == "vector":
            parameter.fill_(start)
        else:
            parameter.normal_(std=rule.init_std, generator=generator)
            parameter[: how.zero_rows] = 0.0
    return applied
