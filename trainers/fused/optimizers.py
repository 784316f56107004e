"""The optimizers of `trainers.optimizers`, stepping several runs at once.

Tensors of a parameter group lie side by side, (runs, values), and hyperparameters are columns,
(runs, 1): one operation steps all. The steps are those of torch 2.13 (`torch.optim`; SGD with the
decay of `trainers.optimizers`) and of pytorch-optimizer 4.1 (Lion), in an order of
operations that takes fewer passes over memory.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.optimizers import ALGORITHM, DECOUPLED_DECAY, Group, Optimizer, load_moments

Columns = Sequence[Tensor]


@dataclass(frozen=True, eq=False)
class StackedGroup:
    """One parameter group of all runs."""

    like: Group
    """The group in one of the runs; what of it is no hyperparameter is equal in all."""
    shapes: Sequence[torch.Size]
    """Of its tensors in one run."""
    weights: Tensor
    """(runs, values): the tensors flattened, one behind another."""
    gradient: Tensor
    moments: Mapping[str, Tensor]

    def tensors(self, flat: Tensor) -> list[Tensor]:
        """Return views of `flat`, (runs, values), by tensor: (runs, *shape) each."""
        parts = torch.split(flat, [shape.numel() for shape in self.shapes], dim=1)
        return [
            torch.unflatten(part, 1, shape) if shape else part.squeeze(1)
            for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def step(self, groups: Sequence[Group], steps: Sequence[int]) -> None:
        """Take the step number `steps`, from 1 on, of each run with the values in its group."""
        algorithm = ALGORITHMS[str(self.like[ALGORITHM])]
        values = [algorithm.coefficients(*of_run) for of_run in zip(groups, steps, strict=True)]
        columns = torch.tensor(values, dtype=self.weights.dtype).to(self.weights.device)
        algorithm.update(self, columns.T.unsqueeze(-1).unbind())


@dataclass(frozen=True)
class Algorithm:
    """How a group is stepped."""

    moments: tuple[str, ...]
    """Their names in the states of torch's optimizers, zero at the start."""
    coefficients: Callable[[Group, int], tuple[float, ...]]
    """(a run's group, number of its step) → what `update` needs of it, in double precision."""
    update: Callable[[StackedGroup, Columns], None]
    counts_steps: bool = False
    """Whether its states hold the number of steps."""


def _adamw_coefficients(group: Group, step: int) -> tuple[float, ...]:
    beta1, beta2 = group["betas"]
    correction1, correction2 = 1 - beta1**step, math.sqrt(1 - beta2**step)
    rate = group["lr"] * correction2 / correction1
    keep = 1 - group["lr"] * group["weight_decay"]
    return keep, 1 - beta1, 1 - beta2, group["eps"] * correction2, rate


def _adamw(group: StackedGroup, columns: Columns) -> None:
    keep, new1, new2, eps, rate = columns
    mean, square = group.moments["exp_avg"], group.moments["exp_avg_sq"]
    mean.lerp_(group.gradient, new1)
    square.lerp_(group.gradient.square(), new2)
    change = square.sqrt().add_(eps)
    torch.div(mean, change, out=change)
    group.weights.mul_(keep).sub_(change.mul_(rate))


def _sgd_coefficients(group: Group, step: int) -> tuple[float, ...]:
    return 1 - group["lr"] * group[DECOUPLED_DECAY], group["momentum"], group["lr"]


def _sgd(group: StackedGroup, columns: Columns) -> None:
    keep, momentum, rate = columns
    buffer = group.moments["momentum_buffer"]
    # Without momentum the buffer stays as it is, for a time when there is some again.
    has_momentum = momentum != 0
    torch.where(has_momentum, buffer * momentum + group.gradient, buffer, out=buffer)
    change = torch.where(has_momentum, buffer, group.gradient)
    group.weights.mul_(keep).sub_(change.mul_(rate))


def _lion_coefficients(group: Group, step: int) -> tuple[float, ...]:
    beta1, beta2 = group["betas"]
    return 1 - group["lr"] * group["weight_decay"], 1 - beta1, 1 - beta2, group["lr"]


def _lion(group: StackedGroup, columns: Columns) -> None:
    keep, new1, new2, rate = columns
    mean = group.moments["exp_avg"]
    change = mean.lerp(group.gradient, new1).sign_()
    mean.lerp_(group.gradient, new2)
    group.weights.mul_(keep).sub_(change.mul_(rate))


def _muon_coefficients(group: Group, step: int) -> tuple[float, ...]:
    momentum = group["momentum"]
    return 1 - group["lr"] * group["weight_decay"], 1 - momentum, momentum, group["lr"]


def _muon(group: StackedGroup, columns: Columns) -> None:
    keep, new, momentum, rate = columns
    buffer = group.moments["momentum_buffer"]
    buffer.lerp_(group.gradient, new)
    change = group.gradient.lerp(buffer, momentum)
    group.weights.mul_(keep)
    weights, changes = group.tensors(group.weights), group.tensors(change)
    for shape in dict.fromkeys(group.shapes):
        alike = [index for index, other in enumerate(group.shapes) if other == shape]
        steps = orthogonalised(torch.stack([changes[index] for index in alike], dim=1), group.like)
        scaled = steps.to(rate.dtype) * (rate * _muon_ratio(group.like, shape))[..., None, None]
        for index, of_tensor in zip(alike, scaled.unbind(1), strict=True):
            weights[index].sub_(of_tensor)


def orthogonalised(matrices: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Return matrices (…, rows, columns) with singular values near 1, in bfloat16.

    By Newton–Schulz, as torch's Muon has it for one matrix; `options` holds its ns_coefficients,
    ns_steps and eps.
    """
    a, b, c = options["ns_coefficients"]
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.bfloat16().flatten(0, -3)
    norm = torch.linalg.vector_norm(x.flatten(1), dim=1)
    x = x / norm.clamp(min=options["eps"])[:, None, None]
    if tall:
        x = x.mT
    for _ in range(options["ns_steps"]):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).reshape(matrices.shape)


def _muon_ratio(group: Group, shape: torch.Size) -> float:
    """Return the factor on the rate of a matrix, by torch's rule of that name."""
    rows, columns = shape
    if group["adjust_lr_fn"] == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


_MUON = Algorithm(("momentum_buffer",), _muon_coefficients, _muon)

ALGORITHMS: Mapping[str, Algorithm] = {
    "adamw": Algorithm(("exp_avg", "exp_avg_sq"), _adamw_coefficients, _adamw, counts_steps=True),
    "sgd": Algorithm(("momentum_buffer",), _sgd_coefficients, _sgd),
    "lion": Algorithm(("exp_avg",), _lion_coefficients, _lion),
    "muon": _MUON,
    "muon-rms": _MUON,
}


def clip(groups: Sequence[StackedGroup], limits: Sequence[float]) -> None:
    """Scale the gradients of each run down to its limit of their norm over all groups; 0: none."""
    if not any(limits):
        return
    norms = [torch.linalg.vector_norm(group.gradient, dim=1) for group in groups]
    norm = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    limit = torch.tensor(limits, dtype=norm.dtype).to(norm.device)
    # The summand is that of torch.nn.utils.clip_grad_norm_.
    scale = torch.where(limit > 0, (limit / (norm + 1e-6)).clamp(max=1.0), 1.0)[:, None]
    for group in groups:
        group.gradient.mul_(scale)


Moments = Mapping[str, Tensor]


def moments_of(optimizer: Optimizer) -> list[Moments]:
    """Return the moments of each tensor, in the order of the groups; none before the first step."""
    return [
        part["state"].get(index, {})
        for part in _parts(optimizer.state_dict())
        for index in range(_n_tensors(part))
    ]


def set_moments(optimizer: Optimizer, moments: Iterable[Moments]) -> None:
    """Replace the moments of each tensor, in the order of the groups."""
    state, ordered = optimizer.state_dict(), iter(moments)
    for part in _parts(state):
        part["state"] = {index: dict(next(ordered)) for index in range(_n_tensors(part))}
    load_moments(optimizer, state)


def _parts(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the states of the optimizers that `trainers.optimizers.Together` holds, or of one."""
    parts: list[dict[str, Any]] = state.get("parts", [state])
    return parts


def _n_tensors(part: Mapping[str, Any]) -> int:
    return sum(len(group["params"]) for group in part["param_groups"])
