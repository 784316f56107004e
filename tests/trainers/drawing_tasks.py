"""Linear regressions whose models behave otherwise while they are trained than when judged."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tests.trainers.linear_task import FEATURES, LinearTask, Weights
from trainers.config import Value
from trainers.parametrization import Fans, Tag, tag
from trainers.task import Batch


class Dropped(Weights):
    """x → x · w of features of which some are dropped; its scale is drawn where it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.3)
        self.register_buffer("scale", 1 + 0.1 * torch.rand(FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        return super().forward(self.dropout(x * self.scale))


class Dropping(LinearTask):
    """Has dropout."""

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return weights with dropout before them."""
        return Dropped()


class Augmenting(LinearTask):
    """Draws from torch's global generator in its batches, in its loss and when it is judged."""

    def draw(self, n_samples: int, generator: torch.Generator) -> Batch:
        """Return features with noise of the global generator."""
        x, y = super().draw(n_samples, generator)
        return x + 0.1 * torch.randn_like(x), y


class Normed(Weights):
    """x → norm(x) · w, batch norm with a bias, and a second one that is kept as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(FEATURES, affine=False)
        self.bias = tag(nn.Parameter(torch.empty(1)), Tag("vector", Fans(1, 1)))
        self.frozen = nn.BatchNorm1d(FEATURES, affine=False).eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        return super().forward(self.norm(self.frozen(x))) + self.bias


class Norming(LinearTask):
    """Has batch norm."""

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return weights with batch norm before them."""
        return Normed()
