"""Optimizers by name over plain parameter groups, a group for each distinct rule.

Groups are made by rule, not by value, so that the hyperparameters may change in mid-run: the state
of one run fits another of the same shape, whatever their settings.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from trainers.config import Value
from trainers.optimizer_names import OPTIMIZERS, optimizer_of
from trainers.parametrization import tag_of
from trainers.scaling_rules import Rule

Group = dict[str, Any]

LR_MULTIPLIER = "lr_multiplier"
"""The group's key for the factor on the learning rate; `set_lr` applies it."""
WEIGHT_DECAY_MULTIPLIER = "weight_decay_multiplier"
EPS_MULTIPLIER = "eps_multiplier"
"""The same for λ (0: not decayed) and ε; `set_hyperparameters` applies them."""
DECOUPLED_DECAY = "decoupled_decay"
"""The group's key for λ where `_decay` shrinks the weights, as the optimizer by itself would let
decay go through its momentum; its own, under torch's key, is then 0."""
ALGORITHM = "algorithm"
"""The group's key for the name of the optimizer that trains it."""

ADAFACTOR_SCALE = 2.0**20
"""torch's Adafactor steps by max(ε₂, RMS(w))·min(lr, 1/√step), whatever it is told. With this as ε₂
and lr divided by it, the first is ε₂ and the second lr, so that it steps by lr, as AdamW does. A
power of two: the product is exact."""


class Optimizer(Protocol):
    """What the loop needs of an optimizer; torch's have it."""

    @property
    def param_groups(self) -> list[Group]:
        """The groups, whose values hold from the next step on."""
        ...

    def zero_grad(self) -> None:
        """Forget the gradients."""
        ...

    def step(self) -> object:
        """Take a step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return moments and groups."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up moments and groups."""
        ...


class Together:
    """Several optimizers, each of its own tensors, as one."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self._parts = parts

    @property
    def param_groups(self) -> list[Group]:
        """The groups of all."""
        return [group for part in self._parts for group in part.param_groups]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self._parts:
            part.zero_grad()

    def step(self) -> None:
        """Take a step of each."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the states of all."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


def build_optimizer(
    model: nn.Module, rules: Mapping[str, Rule], setting: Mapping[str, Value], seed: int = 0
) -> Optimizer:
    """Return the optimizer that `setting` names, over all parameters of `model`.

    `rules` are those of `trainers.initialisation.parametrize`; `setting` holds optimizer, lr,
    weight_decay, beta1, beta2 and eps, of which each optimizer reads its own. `seed` is of what the
    optimizer draws, if it does. Decay is multiplied by the learning rate and, where `_build` can
    see to it, apart from gradients and moments, as torch's AdamW has it (a step shrinks w by
    lr·λ·w), so a rule that divides lr by r_n multiplies λ by r_n. Vectors are not decayed.

    Raises TrainerError for a name that there is no optimizer of.
    """
    parts: dict[str, dict[tuple[object, ...], Group]] = {}
    for name, parameter in model.named_parameters():
        rule, role = rules[name], tag_of(name, parameter).role
        algorithm = optimizer_of(str(setting["optimizer"]), role, parameter.dim())
        is_vector = role == "vector"
        decay = 0.0 if is_vector else rule.weight_decay_multiplier
        key = (rule.lr_multiplier, decay, rule.eps_multiplier, is_vector)
        group: Group = {
            "params": [],
            LR_MULTIPLIER: rule.lr_multiplier,
            WEIGHT_DECAY_MULTIPLIER: decay,
            EPS_MULTIPLIER: rule.eps_multiplier,
            ALGORITHM: algorithm,
        }
        if algorithm == "soap" and is_vector:
            group["max_precondition_dim"] = 1  # whatever its dimensions: to be stepped as by Adam
        parts.setdefault(algorithm, {}).setdefault(key, group)["params"].append(parameter)
    lr = float(setting["lr"])
    built = [_build(name, groups.values(), lr, seed) for name, groups in parts.items()]
    optimizer = built[0] if len(built) == 1 else Together(built)
    set_hyperparameters(optimizer, setting)
    set_lr(optimizer, lr)
    return optimizer


def _build(name: str, groups: Iterable[Group], lr: float, seed: int) -> Optimizer:
    """Return the one optimizer called `name`; its hyperparameters are set afterwards."""
    if name not in OPTIMIZERS or OPTIMIZERS[name].packaged:
        from trainers.packaged_optimizers import build_packaged

        return build_packaged(name, list(groups), lr, seed)
    match name:
        case "adamw":
            return torch.optim.AdamW(groups, lr=lr, fused=True)
        case "sgd":
            sgd = torch.optim.SGD(groups, lr=lr, fused=True)
            sgd.register_step_pre_hook(_decay)
            return sgd
        case "adafactor":
            return torch.optim.Adafactor(groups, lr=lr)
        case "muon":
            return torch.optim.Muon(groups, lr=lr, adjust_lr_fn="original")
        case "muon-rms":
            return torch.optim.Muon(groups, lr=lr, adjust_lr_fn="match_rms_adamw")
    raise AssertionError(name)


@torch.no_grad()
def _decay(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """Shrink what is about to be stepped by lr·λ·w, as AdamW does."""
    for group in optimizer.param_groups:
        if group[DECOUPLED_DECAY]:
            for weights in group["params"]:
                if weights.grad is not None:
                    weights.mul_(1 - group["lr"] * group[DECOUPLED_DECAY])


def set_hyperparameters(optimizer: Optimizer, setting: Mapping[str, Value]) -> None:
    """Set each group to `setting`'s weight_decay, beta1, beta2 and eps; its lr is `set_lr`'s."""
    for group in optimizer.param_groups:
        group.update(_hyperparameters(group, setting))


def _hyperparameters(group: Group, setting: Mapping[str, Value]) -> Group:
    """Return what `setting` makes of a group, under the names that its optimizer has for it."""
    beta1, beta2 = float(setting["beta1"]), float(setting["beta2"])
    decay = float(setting["weight_decay"]) * group[WEIGHT_DECAY_MULTIPLIER]
    eps = float(setting["eps"]) * group[EPS_MULTIPLIER]
    match group[ALGORITHM]:
        case "adafactor":
            return {"weight_decay": decay * ADAFACTOR_SCALE, "eps": (eps, ADAFACTOR_SCALE)}
        case "muon" | "muon-rms":  # whose own eps only keeps a gradient of zero from a division
            return {"weight_decay": decay, "momentum": beta1}
        case "adabelief":  # adds ε to the square
            return {"weight_decay": decay, "betas": (beta1, beta2), "eps": eps**2}
        case "sgd":
            return {DECOUPLED_DECAY: decay, "momentum": beta1}
        case "shampoo":
            return {"weight_decay": decay, "matrix_eps": eps}
    values = {
        "weight_decay": decay,
        "betas": (beta1, beta2, *group.get("betas", ())[2:]),
        "momentum": beta1,
        "beta": beta1,
        "eps": eps,
    }
    return {name: value for name, value in values.items() if name in group}


_OWN = {
    *(LR_MULTIPLIER, WEIGHT_DECAY_MULTIPLIER, EPS_MULTIPLIER, ALGORITHM),
    *("lr", "weight_decay", DECOUPLED_DECAY, "betas", "momentum", "beta", "eps", "matrix_eps"),
}


def load_moments(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Take the moments and step counts of `state`; hyperparameters and multipliers stay.

    `torch.optim.Optimizer.load_state_dict` by itself would bring those of `state` too.
    """
    own = [{name: group[name] for name in group.keys() & _OWN} for group in optimizer.param_groups]
    optimizer.load_state_dict(dict(state))
    for group, kept in zip(optimizer.param_groups, own, strict=True):
        group.update(kept)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set each group to `lr` times its multiplier."""
    for group in optimizer.param_groups:
        scale = ADAFACTOR_SCALE if group[ALGORITHM] == "adafactor" else 1.0
        group["lr"] = lr * group[LR_MULTIPLIER] / scale
