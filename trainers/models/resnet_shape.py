"""How big a residual convolutional net is, without building it: exact counts; torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass

from trainers.config import Value
from trainers.models.images import IMAGE_SIDE, N_CLASSES
from trainers.models.sizes import read_sizes
from trainers.settings import SettingRule, complete

KERNEL = 3
"""Pixels along a side of every kernel."""
MODEL_OPTIONS: dict[str, SettingRule] = {}


@dataclass(frozen=True)
class ResNetShape:
    """The shape of a residual convolutional net."""

    width: int
    """Channels, the same everywhere."""
    depth: int
    """Blocks of two convolutions."""

    @property
    def n_fine_blocks(self) -> int:
        """Blocks on the whole image, half of them; the others see it at half its side."""
        return (self.depth + 1) // 2

    @property
    def n_params(self) -> int:
        """N: all but the first convolution's kernel and the readout."""
        return 2 * self.depth * (self._kernel + self.width) + self.width

    @property
    def n_params_total(self) -> int:
        """All parameters."""
        return self.n_params + (KERNEL**2 + N_CLASSES) * self.width

    @property
    def forward_flops_per_token(self) -> int:
        """FLOPs of a forward pass, an image."""
        positions = IMAGE_SIDE**2
        coarse_blocks = self.depth - self.n_fine_blocks
        block_positions = positions * self.n_fine_blocks + positions // 4 * coarse_blocks
        blocks = 2 * (2 * self._kernel) * block_positions
        return self.data_flops_per_token + blocks + 2 * N_CLASSES * self.width

    @property
    def data_flops_per_token(self) -> int:
        """Those of the first convolution."""
        return 2 * KERNEL**2 * self.width * IMAGE_SIDE**2

    @property
    def _kernel(self) -> int:
        return KERNEL**2 * self.width**2


def resnet_shape(shape: Mapping[str, int], model: Mapping[str, Value]) -> ResNetShape:
    """Return the shape for `shape` (width, depth); TrainerError for a key that is missing."""
    complete(MODEL_OPTIONS, model, "model option")
    return ResNetShape(*read_sizes(shape, ("width", "depth")))
