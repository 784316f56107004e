"""A small vision transformer (arXiv 2010.11929), every parameter tagged with its role.

Patches of 2 × 2 pixels with learned positions, the pre-norm blocks of
`trainers.models.transformer`, the mean over patches before the readout. The readout starts at zero.
"""

import torch
from torch import Tensor, nn

from trainers.models.images import IMAGE_SIDE, N_CLASSES
from trainers.models.layers import Embedding, Linear, Norm
from trainers.models.transformer import Block
from trainers.models.vit_shape import N_PATCHES, PATCH_PIXELS, PATCH_SIDE, ViTShape


class ViT(nn.Module):
    """The model; its values are undefined until they are drawn."""

    places: Tensor

    def __init__(self, shape: ViTShape) -> None:
        super().__init__()
        width = shape.width
        self.embedding = Linear(PATCH_PIXELS, width, "input", std=PATCH_PIXELS**-0.5)
        self.positions = Embedding(N_PATCHES, width)
        self.blocks = nn.ModuleList(Block(shape.block, causal=False) for _ in range(shape.depth))
        self.norm = Norm(width)
        self.readout = Linear(width, N_CLASSES, "output", zero_rows=N_CLASSES)
        self.register_buffer("places", torch.arange(N_PATCHES), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, side, side) → logits (batch, classes)."""
        x = self.embedding(_patches(images)) + self.positions(self.places)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.readout(self.norm(x).mean(1))
        return logits


def _patches(images: Tensor) -> Tensor:
    """Cut images, (batch, side, side), into (batch, patches, pixels)."""
    n_along = IMAGE_SIDE // PATCH_SIDE
    grid = images.reshape(-1, n_along, PATCH_SIDE, n_along, PATCH_SIDE)
    return grid.transpose(2, 3).reshape(-1, N_PATCHES, PATCH_PIXELS)
