"""Optimizers of pytorch-optimizer by their names there; imported only where one is asked for."""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import torch
from pytorch_optimizer.optimizer import OPTIMIZERS as PACKAGED

from trainers.errors import TrainerError
from trainers.optimizer_names import OPTIMIZERS

_FIXED: Mapping[str, Mapping[str, object]] = {
    # Its momentum averages the gradient with the last preconditioned step, which is of another
    # unit, so no rate could transfer.
    "shampoo": {"momentum": 0.0},
    # Else it keeps the beta2 that a run began with, whatever becomes of the setting.
    "soap": {"shampoo_beta": 0.95},
}
"""Arguments that no setting gives."""

_UNFIT: Mapping[str, str] = {
    "a2grad": "takes no learning rate",
    "adahessian": "needs second derivatives, which the loop does not take",
    "demo": "needs processes that exchange what they find",
    "kron": "draws from numpy's global random numbers, so that a run could not be repeated",
    "lbfgs": "takes the loss several times a step",
    "lorarite": "trains pairs of low-rank matrices only",
    "sophiah": "needs second derivatives, which the loop does not take",
    "spectralsphere": "trains matrices only",
}
_RANDOM_STATE = "random_state"
"""The first group's key for the state of the random numbers that are an optimizer's own."""


def check_packaged(name: str) -> None:
    """Raise TrainerError unless the loop can train with pytorch-optimizer's `name`."""
    if name not in PACKAGED:
        near = get_close_matches(name.lower(), [*OPTIMIZERS, *PACKAGED], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TrainerError(
            f"unknown optimizer {name!r}{hint} (there are: {', '.join(OPTIMIZERS)}, and those of "
            "pytorch_optimizer.get_supported_optimizers())"
        )
    unfit = _UNFIT.get(name) or _unfit_for_the_loop(name)
    if unfit:
        raise TrainerError(
            f"optimizer {name!r} of pytorch-optimizer {unfit}; take one that makes its steps of "
            f"gradients alone, such as {', '.join(OPTIMIZERS)}"
        )


def _unfit_for_the_loop(name: str) -> str | None:
    arguments = _arguments(name)
    needed = [key for key, argument in arguments.items() if argument.default is argument.empty]
    if needed != ["params"]:
        return f"needs {', '.join(key for key in needed if key != 'params')}"
    if "lr" not in arguments:
        return "takes no learning rate"
    if "adamw_lr" in arguments:
        return "must be told tensor by tensor what it trains as AdamW"
    if hasattr(PACKAGED[name], "train"):
        return "has weights to be judged that are not those it trains"
    return None


@lru_cache
def _arguments(name: str) -> Mapping[str, inspect.Parameter]:
    parameters = inspect.signature(PACKAGED[name]).parameters
    return {key: p for key, p in parameters.items() if p.kind is not p.VAR_KEYWORD}


def own_defaults(name: str) -> dict[str, float]:
    """Return the defaults that `name` itself has for beta1, beta2 and eps, of those it reads."""
    arguments = _arguments(name)
    found: dict[str, float] = {}
    for key in ("beta", "momentum"):
        if key in arguments:
            found["beta1"] = arguments[key].default
    if "betas" in arguments:
        found["beta1"], found["beta2"], *_ = arguments["betas"].default
    if "eps" in arguments:
        found["eps"] = arguments["eps"].default
    return found


def settings_read(name: str) -> tuple[str, ...]:
    """Return the settings beside lr that `name` reads."""
    decay = ("weight_decay",) if "weight_decay" in _arguments(name) else ()
    return (*decay, *own_defaults(name))


def build_packaged(
    name: str, groups: list[dict[str, Any]], lr: float, seed: int
) -> torch.optim.Optimizer:
    """Return pytorch-optimizer's `name` over `groups`; what it draws, it draws by `seed`.

    Where it can, it decays as AdamW does: by lr·λ·w, and not through its moments.

    Raises TrainerError for a name that the loop cannot train with.
    """
    check_packaged(name)
    fixed = dict(_FIXED.get(name, {}))
    if "weight_decouple" in _arguments(name):
        fixed["weight_decouple"] = True
    make: Callable[..., torch.optim.Optimizer] = PACKAGED[name]
    optimizer = make(groups, lr=lr, **fixed)
    _draw_by_itself(optimizer, seed)
    return optimizer


def _draw_by_itself(optimizer: torch.optim.Optimizer, seed: int) -> None:
    """Keep the global random numbers from its steps; its own are part of its state."""
    parameter = optimizer.param_groups[0]["params"][0]
    kept: list[torch.Tensor] = []

    def state() -> torch.Tensor:
        on_gpu = parameter.is_cuda
        return torch.cuda.get_rng_state(parameter.device) if on_gpu else torch.get_rng_state()

    def set_state(value: torch.Tensor) -> None:
        if parameter.is_cuda:
            torch.cuda.set_rng_state(value.cpu(), parameter.device)
        else:
            torch.set_rng_state(value.cpu())

    def before(*_: object) -> None:
        kept.append(state())
        set_state(optimizer.param_groups[0][_RANDOM_STATE])

    def after(*_: object) -> None:
        optimizer.param_groups[0][_RANDOM_STATE] = state()
        set_state(kept.pop())

    generator = torch.Generator(parameter.device).manual_seed(seed)
    optimizer.param_groups[0][_RANDOM_STATE] = generator.get_state()
    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)
