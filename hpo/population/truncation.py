"""Truncation selection: which members of a population take over the state of which others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def truncation(
    losses: Sequence[float], quantile: float, rng: np.random.Generator
) -> dict[int, int]:
    """Return for each member that gives its state up the one whose state it takes over.

    The worst `quantile` of the members, rounded up and at most half of them, each take that of one
    of as many best, drawn evenly. A member whose loss is not finite takes over in any case.

    Parameters
    ----------
    losses : (members,), nats a token; of equal ones the earlier member counts as better.
    quantile : between 0 and a half.
    rng : draws from the best, once for each member that takes over, in their order.

    Returns
    -------
    dict, member -> member, by their positions; empty where no loss is finite.
    """
    n = len(losses)
    ranked = sorted(range(n), key=lambda i: losses[i] if math.isfinite(losses[i]) else math.inf)
    n_alive = sum(math.isfinite(loss) for loss in losses)
    if not n_alive:
        return {}
    # 0.3 · 10 is a hair above 3.
    n_taken = min(math.ceil(quantile * n - 1e-9), n // 2)
    best = ranked[: min(max(n_taken, 1), n_alive)]
    takers = {*ranked[n - n_taken :], *ranked[n_alive:]}
    return {taker: best[int(rng.integers(len(best)))] for taker in sorted(takers)}
