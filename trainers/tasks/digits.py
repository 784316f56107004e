"""Images of handwritten digits, told apart by a multilayer perceptron, a ResNet or a ViT.

A token is an image: `tokens` counts images trained on, `batch_tokens` those of a step, and losses
are in nats an image.
"""

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.config import RunConfig, Value
from trainers.flops import training_flops_per_token
from trainers.models.images import N_CLASSES
from trainers.models.mlp import MLP
from trainers.models.mlp_shape import mlp_shape
from trainers.models.resnet import ResNet
from trainers.models.resnet_shape import resnet_shape
from trainers.models.sizes import ModelShape
from trainers.models.vit import ViT
from trainers.models.vit_shape import vit_shape
from trainers.task import Batch
from trainers.tasks import digit_images

REPORT_EVERY = len(digit_images.SHIFTS) + 1
"""Reports before the last are judged by one in so many held-out images: another shift of each."""


class _Digits:
    """The data; a batch is images, (n, 8, 8) float32, and their classes, (n,) int64."""

    sample_tokens = 1
    start_loss = math.log(N_CLASSES)

    def __init__(self, shape: ModelShape, device: torch.device) -> None:
        digits = digit_images.load()
        self.flops_per_token = float(training_flops_per_token(shape))
        self._train = _on(device, digits.train)
        self._held_out = _on(device, digits.held_out)

    def draw(self, n_samples: int, generator: torch.Generator) -> Batch:
        """Return random training images."""
        images, labels = self._train
        chosen = torch.randint(len(images), (n_samples,), generator=generator).to(images.device)
        return images[chosen], labels[chosen]

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the classes, nats an image."""
        images, labels = batch
        return F.cross_entropy(model(images), labels)

    def held_out(self, *, final: bool) -> Batch:
        """Return the images held out, in all their shifts for a final loss."""
        images, labels = self._held_out
        every = 1 if final else REPORT_EVERY
        return images[::every], labels[::every]


class MLPTask(_Digits):
    """Digits for a multilayer perceptron; see `trainers.task.Task`."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        super().__init__(mlp_shape(config.shape, config.model), device)

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return a multilayer perceptron."""
        return MLP(mlp_shape(shape, options))


class ResNetTask(_Digits):
    """Digits for a residual convolutional net; see `trainers.task.Task`."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        super().__init__(resnet_shape(config.shape, config.model), device)

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return a residual convolutional net."""
        return ResNet(resnet_shape(shape, options))


class ViTTask(_Digits):
    """Digits for a vision transformer; see `trainers.task.Task`."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        super().__init__(vit_shape(config.shape, config.model), device)

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return a vision transformer."""
        return ViT(vit_shape(shape, options))


def _on(device: torch.device, part: digit_images.Images) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(part.images).to(device), torch.from_numpy(part.labels).to(device)
