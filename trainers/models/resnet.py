"""A residual convolutional net over images, every parameter tagged with its role.

Pre-activation blocks (arXiv 1603.05027) of two convolutions with biases, as many channels in all
of them; after half of the blocks the image is pooled to half its side. RMSNorm without gains over
all features of an image: unlike batch norm it treats each sample by itself, in training and
evaluation alike. The readout starts at zero.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from trainers.models.images import N_CLASSES
from trainers.models.layers import Bias, Convolution, Linear
from trainers.models.resnet_shape import KERNEL, ResNetShape


def norm_map(x: Tensor) -> Tensor:
    """Return x / rms(x), x: (batch, channels, height, width), the rms that of a sample."""
    return F.rms_norm(x, x.shape[1:])


class ConvolutionBlock(nn.Module):
    """Two convolutions, each of what was normed and rectified, added to the residual stream."""

    def __init__(self, shape: ResNetShape) -> None:
        super().__init__()
        width, blocks = shape.width, shape.depth
        self.first = Convolution(width, width, KERNEL, "hidden", blocks=blocks)
        self.first_bias = Bias(width, positions=2, blocks=blocks)
        self.second = Convolution(width, width, KERNEL, "hidden", blocks=blocks, closes_branch=True)
        self.second_bias = Bias(width, positions=2, blocks=blocks, closes_branch=True)

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, channels, height, width)."""
        inner = self.first_bias(self.first(F.relu(norm_map(x))))
        out: Tensor = x + self.second_bias(self.second(F.relu(norm_map(inner))))
        return out


class ResNet(nn.Module):
    """The model; its values are undefined until they are drawn."""

    def __init__(self, shape: ResNetShape) -> None:
        super().__init__()
        self.n_fine_blocks = shape.n_fine_blocks
        self.stem = Convolution(1, shape.width, KERNEL, "input", std=1 / KERNEL)
        self.bias = Bias(shape.width, positions=2)
        self.blocks = nn.ModuleList(ConvolutionBlock(shape) for _ in range(shape.depth))
        self.readout = Linear(shape.width, N_CLASSES, "output", zero_rows=N_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, side, side) → logits (batch, classes)."""
        x = self.bias(self.stem(images[:, None]))
        for index, block in enumerate(self.blocks):
            if index == self.n_fine_blocks:
                x = F.avg_pool2d(x, 2)
            x = block(x)
        logits: Tensor = self.readout(norm_map(x).mean((2, 3)))
        return logits
