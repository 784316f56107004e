"""Bytes of text, each predicted from those before it, by a GPT."""

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers import data
from trainers.config import RunConfig, Value
from trainers.flops import training_flops_per_token
from trainers.models.gpt import GPT
from trainers.models.gpt_shape import VOCABULARY, gpt_shape
from trainers.task import Batch

FINAL_HELD_OUT_TOKENS = 32_768
"""Held-out tokens behind a run's final loss: the same windows for every run of a context."""
REPORT_HELD_OUT_TOKENS = 2_048
"""The same for the reports before; fewer, so that evaluation stays a small part of a run."""


class GPTTask:
    """See `trainers.task.Task`; a batch is windows of the text, (sequences, context + 1) int64."""

    start_loss = math.log(VOCABULARY)

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        shape = gpt_shape(config.shape, config.model)
        corpus = data.load(config.data)
        corpus.check_context(shape.context)
        self.sample_tokens = shape.context
        self.flops_per_token = float(training_flops_per_token(shape))
        self._train_text = torch.from_numpy(corpus.train).to(device)
        self._offsets = torch.arange(shape.context + 1, device=device)
        text = torch.from_numpy(corpus.held_out).to(device)
        n_windows = FINAL_HELD_OUT_TOKENS // shape.context
        starts = data.even_windows(len(corpus.held_out), shape.context, n_windows)
        self._held_out = _windows(text, torch.from_numpy(starts), self._offsets)

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return a GPT."""
        return GPT(gpt_shape(shape, options))

    def draw(self, n_samples: int, generator: torch.Generator) -> Batch:
        """Return random windows of the training text."""
        last = len(self._train_text) - self.sample_tokens
        starts = torch.randint(last, (n_samples,), generator=generator)
        return (_windows(self._train_text, starts, self._offsets),)

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the windows' bytes but the first, nats."""
        return next_byte_loss(model, batch[0])

    def held_out(self, *, final: bool) -> Batch:
        """Return fixed windows, evenly spread over the held-out text."""
        every = 1 if final else FINAL_HELD_OUT_TOKENS // REPORT_HELD_OUT_TOKENS
        return (self._held_out[::every],)


def next_byte_loss(model: Callable[..., Tensor], windows: Tensor) -> Tensor:
    """Return the mean cross-entropy of each byte given those before it, nats; windows (n, t+1)."""
    logits = model(windows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


def _windows(text: Tensor, starts: Tensor, offsets: Tensor) -> Tensor:
    """Return text[start + offset], (starts, offsets) int64 on the text's device."""
    return text[starts.to(text.device)[:, None] + offsets].long()
