"""Random numbers of torch's global generators, as dropout draws them, that are one run's own.

    draws = OwnDraws(seed, device)
    with draws.in_use():
        ...  # dropout here goes on where it was when they were last in use

Entering and leaving takes microseconds; a run does it once a report, not once a step.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

_STREAM = 0x9E3779B9
"""Bits by which its seed differs from that of samples and initial weights, so that a mask is not
made of the numbers that chose the samples."""


class OwnDraws:
    """The states of the global generators, the CPU's and a GPU's, while one run draws from them."""

    def __init__(self, seed: int, device: torch.device) -> None:
        """Begin with `seed`; `device` is where the run's model is."""
        self._generators = [torch.default_generator]
        self._gpus: list[int] = []
        if device.type == "cuda":
            self._gpus = [torch.cuda.current_device()]
            self._generators += [torch.cuda.default_generators[gpu] for gpu in self._gpus]
        self.states = [
            torch.Generator(of_all.device).manual_seed(seed ^ _STREAM).get_state()
            for of_all in self._generators
        ]
        """Of the CPU, then of the GPU where the model is on one. They are never written to."""

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let what draws from the global generators draw from these; they themselves stay."""
        with self.unmoved():
            for generator, state in zip(self._generators, self.states, strict=True):
                generator.set_state(state)
            try:
                yield
            finally:
                self.states = [generator.get_state() for generator in self._generators]

    @contextmanager
    def unmoved(self) -> Iterator[None]:
        """Leave the global generators as they are found, whatever is drawn here."""
        with torch.random.fork_rng(self._gpus):
            yield

    def go_on_from(self, states: Sequence[Tensor]) -> None:
        """Take up saved states; a GPU's stays as it is where none was saved."""
        known = [state.cpu() for state in states[: len(self.states)]]
        self.states = [*known, *self.states[len(known) :]]
