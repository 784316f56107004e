"""AdamW over plain parameter groups, a group for each distinct rule.

Groups are made by rule, not by value, so that the hyperparameters may change in mid-run: the state
of one run fits another of the same shape, whatever their settings.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from trainers.config import Value
from trainers.parametrization import Rule, tag_of

LR_MULTIPLIER = "lr_multiplier"
"""The group's key for the factor on the learning rate; `set_lr` applies it."""
WEIGHT_DECAY_MULTIPLIER = "weight_decay_multiplier"
EPS_MULTIPLIER = "eps_multiplier"
"""The same for λ (0: not decayed) and ε; `set_hyperparameters` applies them."""


def adamw(
    model: nn.Module, rules: Mapping[str, Rule], setting: Mapping[str, Value]
) -> torch.optim.AdamW:
    """Return AdamW for `model`; `setting` holds lr, weight_decay, beta1, beta2 and eps.

    Decay is multiplied by the learning rate, as torch does it (a step shrinks w by lr·λ·w), so a
    rule that divides lr by r_n multiplies λ by r_n. Vectors are not decayed.
    """
    groups: dict[tuple[float, float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        rule = rules[name]
        decayed = tag_of(name, parameter).role != "vector"
        decay = rule.weight_decay_multiplier if decayed else 0.0
        groups.setdefault((rule.lr_multiplier, decay, rule.eps_multiplier), []).append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {
                "params": parameters,
                LR_MULTIPLIER: lr,
                WEIGHT_DECAY_MULTIPLIER: decay,
                EPS_MULTIPLIER: eps,
            }
            for (lr, decay, eps), parameters in groups.items()
        ],
        lr=float(setting["lr"]),
        fused=True,
    )
    set_hyperparameters(optimizer, setting)
    return optimizer


def set_hyperparameters(optimizer: torch.optim.Optimizer, setting: Mapping[str, Value]) -> None:
    """Set each group to `setting`'s weight_decay, beta1, beta2 and eps; its lr is `set_lr`'s."""
    for group in optimizer.param_groups:
        group["weight_decay"] = float(setting["weight_decay"]) * group[WEIGHT_DECAY_MULTIPLIER]
        group["eps"] = float(setting["eps"]) * group[EPS_MULTIPLIER]
        group["betas"] = (float(setting["beta1"]), float(setting["beta2"]))


def load_moments(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Take the moments and step counts of `state`; hyperparameters and multipliers stay.

    `torch.optim.Optimizer.load_state_dict` by itself would bring those of `state` too.
    """
    own = [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]
    optimizer.load_state_dict(dict(state))
    for group, kept in zip(optimizer.param_groups, own, strict=True):
        group.update(kept)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set each group to `lr` times its multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group[LR_MULTIPLIER]
