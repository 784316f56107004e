"""How many samples each step takes: fixed, in stages of a table, or grown by the norm test.

A run is counted in steps of batch_tokens, and always trains on the same number of tokens. Where a
step takes a multiple of that batch, it takes fewer steps.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from trainers.noise_scale import GradientNoise

LARGEST_GROWTH = 2
"""A norm test multiplies the batch by this at most, as what it reads is an estimate."""


def next_multiple(
    multiple: int, noise: GradientNoise, theta: float, n_batch: int, most: int
) -> int:
    """Return the batch that the norm test asks for after one of `multiple` · `n_batch` samples.

    The test is that the variance of the batch's gradient is at most θ² of its squared norm, both as
    expected of a batch of B samples: tr Σ/B ≤ θ²·(|G|² + tr Σ/B). Where it fails, the batch grows
    to tr Σ over that right-hand side (Byrd et al. 2012, doi 10.1007/s10107-012-0572-5; Bollapragada
    et al., arXiv 1710.11258; both second-hand), until after some tests B = B_noise·(1 − θ²)/θ².
    It never shrinks.

    Parameters
    ----------
    multiple : of the batch now.
    noise : estimates, by the sample.
    theta : θ, above 0 and below 1.
    n_batch : samples in a batch of multiple 1.
    most : the largest multiple allowed.
    """
    variance = noise.trace / (multiple * n_batch)
    allowed = theta**2 * (noise.squared_norm + variance)
    reach = max(multiple, min(LARGEST_GROWTH * multiple, most))
    if variance >= allowed * reach / multiple:
        return reach
    return max(multiple, math.ceil(noise.trace / allowed / n_batch))


@dataclass
class BatchLog:
    """The batches that a run has taken, in stretches of equal ones."""

    stretches: list[tuple[int, int]] = field(default_factory=list)
    """(samples a step, steps)."""

    def add(self, n_samples: int) -> None:
        """Note a step."""
        if self.stretches and self.stretches[-1][0] == n_samples:
            self.stretches[-1] = (n_samples, self.stretches[-1][1] + 1)
        else:
            self.stretches.append((n_samples, 1))

    @property
    def steps(self) -> int:
        """How many steps there were."""
        return sum(steps for _, steps in self.stretches)

    @property
    def samples(self) -> int:
        """How many samples they took."""
        return sum(n_samples * steps for n_samples, steps in self.stretches)

    def __iter__(self) -> Iterator[int]:
        """Go through the steps: how many samples each took."""
        for n_samples, steps in self.stretches:
            yield from [n_samples] * steps


def split(n_samples: int, n_batch: int) -> Sequence[tuple[int, int]]:
    """Cut a step's samples into parts of `n_batch`, first and end of each; the last may be short.

    Gradients are summed up over parts, so that a batch that grows needs no more memory.
    """
    return [(first, min(first + n_batch, n_samples)) for first in range(0, n_samples, n_batch)]
