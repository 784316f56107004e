"""Linear regressions whose losses cannot be computed for several runs at once."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.trainers.linear_task import FEATURES, LinearTask, Weights
from trainers.config import RunConfig, Value
from trainers.parametrization import Fans, Tag, tag
from trainers.settings import SettingRule
from trainers.task import Batch


class Dropping(LinearTask):
    """Draws random numbers in its loss."""

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the loss of features of which some were dropped."""
        return super().loss(model, (F.dropout(batch[0]), batch[1]))


class Deciding(LinearTask):
    """Decides by the value of its loss."""

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the loss where it is above 1, and twice the loss below."""
        loss = super().loss(model, batch)
        return loss if loss > 1 else 2 * loss


class Seeded(LinearTask):
    """Has another loss with each seed."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self._seed = config.seed

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the loss and a hundredth of the seed."""
        return super().loss(model, batch) * (1 + self._seed / 100)


class FromZero(Seeded):
    """Begins where its loss is the same with each seed, as that of a readout which starts at 0."""

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return weights that start at 0."""
        model = Weights()
        tag(model.w, Tag("vector", Fans(1, FEATURES), zero_rows=FEATURES))
        return model

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the loss of predictions that the seed scales."""
        return LinearTask.loss(self, lambda x: model(x) * (1 + self._seed), batch)


class Steered(Seeded):
    """Has the same loss with each seed, and another gradient."""

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the loss, some of whose gradient is kept back."""
        loss = LinearTask.loss(self, model, batch)
        part = 1 / (1 + self._seed)
        return part * loss + (1 - part) * loss.detach()


class ShiftedWeights(Weights):
    """x → x · (w + shift), where the shift is kept in states."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return x · (w + shift)."""
        return super().forward(x + self.shift)


class Shifted(LinearTask):
    """Has a buffer."""

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return the weights and the buffer."""
        return ShiftedWeights()


class Counting(LinearTask):
    """Has another loss at each call."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self._calls = 0

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the loss and a hundredth for each call before."""
        self._calls += 1
        return super().loss(model, batch) * (1 + self._calls / 100)


class Ragged(LinearTask):
    """Draws now more samples, now fewer."""

    def draw(self, n_samples: int, generator: torch.Generator) -> Batch:
        """Return all samples that are asked for or all but one."""
        fewer = int(torch.randint(2, (), generator=generator))
        return super().draw(n_samples - fewer, generator)


class TwoWeights(nn.Module):
    """x → x · w; `idle` is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.used = Weights()
        self.idle = tag(nn.Parameter(torch.empty(1)), Tag("vector", Fans(1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return x · w."""
        out: Tensor = self.used(x)
        return out


class Idle(LinearTask):
    """Has a parameter that its loss does not depend on."""

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return the weights, of which one is idle."""
        return TwoWeights()


class Sharp(LinearTask):
    """Has a setting of its own."""

    settings: ClassVar = {"sharpness": SettingRule("float", "of the loss", 1.0, above=0)}

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self._sharpness = float(config.setting.get("sharpness", 1.0))

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the loss times the sharpness."""
        return super().loss(model, batch) * self._sharpness
