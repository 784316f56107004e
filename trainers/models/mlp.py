"""A multilayer perceptron over images, every parameter tagged with its role.

Each hidden layer is a residual branch: x + W relu(norm(x)) + b, with RMSNorm without gains, so
that it can be made deeper as well as wider (one matrix a branch is the model of Tensor Programs VI,
arXiv 2310.02244; second-hand). The readout starts at zero.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from trainers.models.images import N_CLASSES, N_PIXELS
from trainers.models.layers import Bias, Linear, Norm
from trainers.models.mlp_shape import MLPShape


class HiddenLayer(nn.Module):
    """One residual branch."""

    def __init__(self, shape: MLPShape) -> None:
        super().__init__()
        width, blocks = shape.width, shape.depth
        self.norm = Norm(width)
        self.linear = Linear(width, width, "hidden", blocks=blocks, closes_branch=True)
        self.bias = Bias(width, blocks=blocks, closes_branch=True)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width)."""
        out: Tensor = x + self.bias(self.linear(F.relu(self.norm(x))))
        return out


class MLP(nn.Module):
    """The model; its values are undefined until they are drawn."""

    def __init__(self, shape: MLPShape) -> None:
        super().__init__()
        self.embedding = Linear(N_PIXELS, shape.width, "input", std=N_PIXELS**-0.5)
        self.bias = Bias(shape.width)
        self.layers = nn.Sequential(*(HiddenLayer(shape) for _ in range(shape.depth)))
        self.norm = Norm(shape.width)
        self.readout = Linear(shape.width, N_CLASSES, "output", zero_rows=N_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, side, side) → logits (batch, classes)."""
        x = self.layers(self.bias(self.embedding(images.flatten(1))))
        logits: Tensor = self.readout(self.norm(x))
        return logits
