"""How big a vision transformer is, without building it: exact counts, the widths that work."""

from collections.abc import Mapping
from dataclasses import dataclass

from trainers.config import Value
from trainers.models.images import N_CLASSES, N_PIXELS
from trainers.models.sizes import check_heads, read_sizes
from trainers.models.transformer_shape import BlockShape
from trainers.settings import SettingRule, complete

PATCH_SIDE = 2
PATCH_PIXELS = PATCH_SIDE**2
N_PATCHES = N_PIXELS // PATCH_PIXELS

MODEL_OPTIONS: dict[str, SettingRule] = {
    "head_size": SettingRule("int", "width of an attention head", 16, at_least=1),
}


@dataclass(frozen=True)
class ViTShape:
    """The shape of a vision transformer over patches of 2 × 2 pixels."""

    width: int
    depth: int
    head_size: int = 16

    @property
    def block(self) -> BlockShape:
        """The shape of each block."""
        return BlockShape(self.width, self.head_size, self.depth)

    @property
    def n_params(self) -> int:
        """N: parameters of the blocks, 12·depth·width²."""
        return self.depth * self.block.n_params

    @property
    def n_params_total(self) -> int:
        """All parameters: the blocks, the embedding of patches and positions, the readout."""
        return self.n_params + (PATCH_PIXELS + N_PATCHES + N_CLASSES) * self.width

    @property
    def forward_flops_per_token(self) -> int:
        """FLOPs of a forward pass, an image."""
        blocks = self.depth * N_PATCHES * self.block.forward_flops(N_PATCHES)
        return self.data_flops_per_token + blocks + 2 * N_CLASSES * self.width

    @property
    def data_flops_per_token(self) -> int:
        """Those of the embedding of patches."""
        return 2 * N_PIXELS * self.width


def vit_shape(shape: Mapping[str, int], model: Mapping[str, Value]) -> ViTShape:
    """Return the shape for `shape` (width, depth) and `model` (see MODEL_OPTIONS).

    Raises TrainerError for a key that is missing or not positive, and for a width that does not
    split into heads, naming the nearest widths that do.
    """
    width, depth = read_sizes(shape, ("width", "depth"))
    head_size = int(complete(MODEL_OPTIONS, model, "model option")["head_size"])
    check_heads(width, head_size)
    return ViTShape(width, depth, head_size)
