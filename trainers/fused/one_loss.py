"""Whether runs have one loss, so that one graph serves all: asked before a run joins others.

What a loss reads beside weights and batch is a constant of the graph, that of the run which was
recorded: tensors that a task makes from the seed, settings that it reads, buffers of a model. So
runs are compared where such a constant shows, on the same weights and batch, in value and gradient.
"""

import math

import torch
from torch import Tensor

from trainers.errors import TrainerError
from trainers.fused.run import FusedRun
from trainers.fused.tracing import losses_and_gradients

TOLERANCE = 1e-4
"""Relative, of the loss and of the whole gradient: both runs compute the same operations, which
need not be the same to the last bit on a GPU. Of a loss absolute, too, as it may cancel to 0."""
NOISE = 0.3
"""Standard deviation, over 1/√fan-in, of what is added to initial weights. Many a readout starts at
zero, where the first loss is the same whatever lies before it and whatever the labels are."""


class Probe:
    """Weights and a batch, and the loss and gradient that all runs must have there."""

    def __init__(self, run: FusedRun) -> None:
        """Take `run`, which has not trained yet, as the one that others are compared with.

        Raises TrainerError where its loss cannot be computed for several runs at once.
        """
        generator = torch.Generator().manual_seed(0)
        self._batch = tuple(part[None] for part in run.draw(generator))
        self._weights = {
            name: _beside(parameter, generator)[None]
            for name, parameter in run.model.named_parameters()
        }
        self._loss, self._gradient = self._asked(run)

    def check(self, run: FusedRun) -> None:
        """Raise TrainerError where `run` has another loss."""
        loss, gradient = self._asked(run)
        if not torch.isclose(loss, self._loss, TOLERANCE, TOLERANCE, equal_nan=True):
            raise another_loss(alone=loss, among=self._loss)
        # Where there are no numbers, as in an overflow, nothing is larger.
        if (gradient - self._gradient).norm() > TOLERANCE * self._gradient.norm():
            raise TrainerError(
                "the same weights and batch have another gradient in a run by itself than among "
                "others; these runs must be trained one at a time"
            )

    def _asked(self, run: FusedRun) -> tuple[Tensor, Tensor]:
        """Return the loss of `run`, a scalar, and its gradient, (values of all weights,)."""
        losses, gradients = losses_and_gradients(run.loss, self._weights, self._batch)
        return losses[0], torch.cat([gradient.flatten() for gradient in gradients])


def another_loss(alone: Tensor, among: Tensor) -> TrainerError:
    """Return the error for a run whose loss is another among others than `alone`."""
    return TrainerError(
        f"the same weights and batch have a loss of {float(alone):.6g} in a run by itself and of "
        f"{float(among):.6g} among others; these runs must be trained one at a time"
    )


def _beside(parameter: Tensor, generator: torch.Generator) -> Tensor:
    std = NOISE / math.sqrt(math.prod(parameter.shape[1:]))
    noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return parameter.detach() + std * noise.to(parameter.device)
