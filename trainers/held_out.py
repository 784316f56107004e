"""Held-out losses: a model in evaluation mode, judged by a task's loss."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainers.own_draws import OwnDraws
from trainers.task import Batch, Task

EVALUATION_TOKENS = 4_096
"""Held-out tokens that are judged at once."""
SEED = 0
"""Of what is drawn from torch's global generators in judging, the same for every run."""


@contextmanager
def judging(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Have `model` in evaluation mode, without gradients, and with the same draws each time.

    Dropout is off, and batch norm takes its running statistics and leaves them. Every module has
    the mode that it had before again at the end.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), OwnDraws(SEED, device).in_use():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def mean_loss(task: Task, model: Callable[..., Tensor], samples: Batch) -> float:
    """Return the mean loss over samples, nats a token; for use in `judging`."""
    n_samples = len(samples[0])
    at_once = max(1, EVALUATION_TOKENS // task.sample_tokens)
    losses = []
    for first in range(0, n_samples, at_once):
        batch = tuple(part[first : first + at_once] for part in samples)
        losses.append(task.loss(model, batch) * len(batch[0]))
    return float(torch.stack(losses).sum() / n_samples)
