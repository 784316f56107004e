"""Layers whose parameters are tagged with their role, for models that transfer over width.

A layer of one tensor applies the parametrization's forward multiplier itself (`multiplier`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.parametrization import Fans, Role, Tag, tag


class Weight(nn.Module):
    """A layer of one tagged tensor; `multiplier` is the parametrization's forward multiplier."""

    def __init__(self, shape: tuple[int, ...], how: Tag) -> None:
        super().__init__()
        self.weight = tag(nn.Parameter(torch.empty(shape)), how)
        self.multiplier = 1.0

    def scaled(self, x: Tensor) -> Tensor:
        """Return multiplier · x, and x itself where the multiplier is 1."""
        return x if self.multiplier == 1.0 else x * self.multiplier


class Linear(Weight):
    """x (..., fan_in) → (..., fan_out), without bias; further tags as `Tag` has them."""

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        role: Role,
        *,
        zero_rows: int = 0,
        blocks: int = 0,
        closes_branch: bool = False,
        std: float | None = None,
    ) -> None:
        how = Tag(role, Fans(fan_in, fan_out), zero_rows, blocks, closes_branch, std)
        super().__init__((fan_out, fan_in), how)

    def forward(self, x: Tensor) -> Tensor:
        """Return multiplier · x Wᵀ."""
        return F.linear(self.scaled(x), self.weight)


class Convolution(Weight):
    """x (samples, channels_in, h, w) → (samples, channels_out, h, w), edges padded with zeros."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        role: Role,
        *,
        blocks: int = 0,
        closes_branch: bool = False,
        std: float | None = None,
    ) -> None:
        fans = Fans(channels_in * kernel**2, channels_out)
        super().__init__(
            (channels_out, channels_in, kernel, kernel),
            Tag(role, fans, blocks=blocks, closes_branch=closes_branch, std=std),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return multiplier · (W ∗ x)."""
        return F.conv2d(self.scaled(x), self.weight, padding="same")


class Bias(Weight):
    """Adds a constant to each feature; `positions` counts the dimensions behind the features."""

    def __init__(
        self, width: int, *, positions: int = 0, blocks: int = 0, closes_branch: bool = False
    ) -> None:
        how = Tag("vector", Fans(1, width), blocks=blocks, closes_branch=closes_branch)
        super().__init__((width, *[1] * positions), how)

    def forward(self, x: Tensor) -> Tensor:
        """Return x + multiplier · b."""
        return x + self.scaled(self.weight)


class Embedding(Weight):
    """Tokens (...) → (..., width)."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__((vocabulary, width), Tag("input", Fans(vocabulary, width)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return multiplier · W[tokens]."""
        return self.scaled(F.embedding(tokens, self.weight))


class Norm(nn.Module):
    """RMSNorm over the last dimension, with a trained gain only where asked for."""

    def __init__(self, width: int, *, gain: bool = False, blocks: int = 0) -> None:
        super().__init__()
        self.width = width
        how = Tag("vector", Fans(1, width), blocks=blocks, start=1.0)
        self.weight = tag(nn.Parameter(torch.empty(width)), how) if gain else None

    def forward(self, x: Tensor) -> Tensor:
        """Return x / rms(x), times the gain."""
        return F.rms_norm(x, (self.width,), self.weight)
