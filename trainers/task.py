"""What hyperlaw's own loop trains: a model and its data. Write one to train a model of your own.

A sweep file names such a class as "module:Class". It gives the model, with every parameter tagged
(`trainers.parametrization.tag`), what a batch is and what its loss is; the optimizer, the
schedules, the parametrization, reports, states and the watch for divergence are the loop's.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from trainers.config import RunConfig, Size, Value
from trainers.parametrization import tag_of

Batch = tuple[Tensor, ...]
"""What a loss reads; dimension 0 of each tensor is the sample."""


class Task(Protocol):
    """A model and its data, on one device.

    Two class attributes may be added: `settings` and `model_options`, the rules
    (`trainers.settings.SettingRule`) of settings and model options beyond the loop's own, by name.
    An attribute `flops_per_token` counts training FLOPs; 6·N where it is missing.
    """

    sample_tokens: int
    """Tokens a sample: a context of text; 1 where a sample is one thing to predict, as an image."""
    start_loss: float
    """Loss of a guess that knows nothing, nats a token, such as ln 10 for ten classes. A run that
    stays well above it has diverged."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        """Load the data that `config` names to `device`."""
        ...

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return the model of a shape, every parameter tagged; its values are drawn by the loop.

        It is called on the meta device, too, for sizes and for the base shape.
        """
        ...

    def draw(self, n_samples: int, generator: torch.Generator) -> Batch:
        """Return random training samples on the device; `generator` is the CPU's."""
        ...

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the mean loss of `batch`, a scalar, nats a token.

        `model` is called and nothing else: it may be a module with other values put in its place.
        """
        ...

    def held_out(self, *, final: bool) -> Batch:
        """Return the samples that reports are judged by; `final` ones may be more."""
        ...


def count_parameters(model: nn.Module) -> Size:
    """Return a tagged model's sizes: N leaves out the tensors with role input and output."""
    total = inner = 0
    for name, parameter in model.named_parameters():
        total += parameter.numel()
        if tag_of(name, parameter).role not in ("input", "output"):
            inner += parameter.numel()
    return Size(inner, total)
