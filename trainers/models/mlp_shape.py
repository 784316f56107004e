"""How big a multilayer perceptron is, without building it: exact counts; torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass

from trainers.config import Value
from trainers.models.images import N_CLASSES, N_PIXELS
from trainers.models.sizes import read_sizes
from trainers.settings import SettingRule, complete

MODEL_OPTIONS: dict[str, SettingRule] = {}


@dataclass(frozen=True)
class MLPShape:
    """The shape of a residual multilayer perceptron over images."""

    width: int
    depth: int
    """Hidden layers: square matrices, each with a bias."""

    @property
    def n_params(self) -> int:
        """N: all but the first matrix and the readout."""
        return self.depth * (self.width**2 + self.width) + self.width

    @property
    def n_params_total(self) -> int:
        """All parameters."""
        return self.n_params + (N_PIXELS + N_CLASSES) * self.width

    @property
    def forward_flops_per_token(self) -> int:
        """FLOPs of a forward pass, an image."""
        return 2 * (self.depth * self.width**2 + (N_PIXELS + N_CLASSES) * self.width)

    @property
    def data_flops_per_token(self) -> int:
        """Those of the first matrix."""
        return 2 * N_PIXELS * self.width


def mlp_shape(shape: Mapping[str, int], model: Mapping[str, Value]) -> MLPShape:
    """Return the shape for `shape` (width, depth); TrainerError for a key that is missing."""
    complete(MODEL_OPTIONS, model, "model option")
    return MLPShape(*read_sizes(shape, ("width", "depth")))
