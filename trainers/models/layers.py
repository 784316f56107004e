"""Layers whose parameters are tagged with their role, for models that transfer over width.

A layer of one tensor applies the parametrization's forward multiplier itself (`multiplier`).
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.parametrization import Fans, Role, Rule, Tag, tag, tag_of


class Weight(nn.Module):
    """A layer of one tagged tensor; `multiplier` is the parametrization's forward multiplier."""

    def __init__(self, shape: tuple[int, ...], how: Tag) -> None:
        super().__init__()
        self.weight = tag(nn.Parameter(torch.empty(shape)), how)
        self.multiplier = 1.0


class Linear(Weight):
    """x (..., fan_in) → (..., fan_out), without bias."""

    def __init__(self, fan_in: int, fan_out: int, role: Role, zero_rows: int = 0) -> None:
        super().__init__((fan_out, fan_in), Tag(role, Fans(fan_in, fan_out), zero_rows))

    def forward(self, x: Tensor) -> Tensor:
        """Return multiplier · x Wᵀ."""
        return F.linear(x if self.multiplier == 1.0 else x * self.multiplier, self.weight)


class Embedding(Weight):
    """Tokens (...) → (..., width)."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__((vocabulary, width), Tag("input", Fans(vocabulary, width)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return multiplier · W[tokens]."""
        x = F.embedding(tokens, self.weight)
        return x if self.multiplier == 1.0 else x * self.multiplier


class Norm(nn.Module):
    """RMSNorm over the last dimension, with a trained gain only where asked for."""

    def __init__(self, width: int, *, gain: bool) -> None:
        super().__init__()
        self.width = width
        self.weight = (
            tag(nn.Parameter(torch.empty(width)), Tag("vector", Fans(1, width))) if gain else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return x / rms(x), times the gain."""
        return F.rms_norm(x, (self.width,), self.weight)


@torch.no_grad()
def initialise(model: nn.Module, rules: Mapping[str, Rule], generator: torch.Generator) -> None:
    """Draw the initial values, gains at one, and take up the forward multipliers."""
    for name, parameter in model.named_parameters():
        how = tag_of(name, parameter)
        if how.role == "vector":
            parameter.fill_(1.0)
        else:
            parameter.normal_(std=rules[name].init_std, generator=generator)
            parameter[: how.zero_rows] = 0.0
    for name, module in model.named_modules():
        if isinstance(module, Weight):
            module.multiplier = rules[f"{name}.weight"].forward_multiplier
