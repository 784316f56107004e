"""Tasks of a user, found by Ray's workers through Python's path, that cannot be fused."""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.trainers.linear_task import FEATURES, LinearTask
from trainers.config import RunConfig
from trainers.task import Batch


class Dropping(LinearTask):
    """A regression of which some features are dropped at random."""

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the loss of a batch."""
        features, targets = batch
        kept = torch.rand_like(features) < 0.9
        return super().loss(model, (features * kept, targets))


class Taught(LinearTask):
    """A regression to what a teacher says that is drawn from the seed."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self._teacher = torch.randn(FEATURES, generator=torch.Generator().manual_seed(config.seed))

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the loss of a batch, whose targets are not read."""
        features, _ = batch
        return super().loss(model, (features, features @ self._teacher))


class Failing(LinearTask):
    """A regression that cannot be trained at one rate."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        super().__init__(config, device)
        if config.setting["lr"] == 0.03:
            raise ArithmeticError("0.03 is too odd")
