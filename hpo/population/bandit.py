"""PB2's bandit: which settings will gain most in the next generation, by a Gaussian process.

What a setting gained over a generation is modelled over settings and time: the process forgets, as
what is good early in training is not what is good late. The covariance of two legs is

    exp(-|x - x'|² / (2 l²)) · (1 - ε)^(|t - t'| / 2)

over x, the settings in a unit cube, and t, the generation; plus a nugget. Time-varying GP-UCB:
Bogunovic et al. 2016; its use: PB2, arXiv 2002.02518 (both second-hand, by Ray Tune's source).
Three things differ from there, each for more gain on problems with a known best: a gain counts by
how far it falls short of the best of its generation, as losses fall ever more slowly for all
members alike; the confidence bound is narrow; and the loss before a leg is no input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.stats import qmc

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

REMEMBERED = 200
"""Legs that the process is fitted to, the newest: forgotten ones would only cost time."""
CANDIDATES_LOG2 = 9
UCB_WIDTH = 0.5
"""Standard deviations: a generation has few legs, and one far off costs a member its progress."""
CLIP = 2.0
"""A gain this many standard deviations off is no worse than any further off."""
# Medians of (l, ε, nugget), and standard deviations of their logarithms; the signal is 1, as the
# scores are. A weak prior: of the first generations there are a dozen legs.
PRIOR = np.log([0.5, 0.1, 0.1])
PRIOR_SD = np.array([0.7, 1.0, 1.0])
MOST_FORGOTTEN = 0.5


@dataclass(frozen=True)
class Gain:
    """What one leg of a member made of its state.

    Attributes
    ----------
    generation : which, from 0.
    unit : (dimensions,) its searched ranges in the unit cube.
    before, after : held-out loss at its ends, nats a token; after is infinite where it diverged.
    """

    generation: int
    unit: Array
    before: float
    after: float


def propose(
    gains: Sequence[Gain],
    generation: int,
    *,
    going_on: Sequence[Array],
    count: int,
    rng: np.random.Generator,
) -> list[Array]:
    """Return `count` points of the unit cube, one for each member that takes over a state.

    Parameters
    ----------
    gains : of all legs so far, at least one.
    generation : the one that begins.
    going_on : setting in the unit cube of each member that keeps its state.
    rng : draws the candidates.

    Notes
    -----
    One after the other maximises an upper confidence bound; those before it, and the members that
    go on, are taken to gain what is expected of them, so that not all land in one place.
    """
    x, t, y = _encode(gains[-REMEMBERED:])
    theta = _fit(x, t, y)
    for unit in going_on:
        x, t, y = _imagine(theta, x, t, y, unit, generation)
    candidates = qmc.Sobol(x.shape[1], rng=rng).random_base2(CANDIDATES_LOG2)
    chosen: list[Array] = []
    for _ in range(count):
        mean, sd = _predict(theta, x, t, y, candidates, generation)
        best = int(np.argmax(mean + UCB_WIDTH * sd))
        chosen.append(candidates[best])
        candidates = np.delete(candidates, best, axis=0)
        x, t, y = _imagine(theta, x, t, y, chosen[-1], generation)
    return chosen


def _encode(gains: Sequence[Gain]) -> tuple[Array, Array, Array]:
    """Return x (n, dimensions), t (n,), and the gains (n,), scored."""
    x = np.array([gain.unit for gain in gains])
    t = np.array([float(gain.generation) for gain in gains])
    y = np.array([gain.before - gain.after for gain in gains])
    for generation in np.unique(t):
        here = t == generation
        y[here] = _shortfall(_bounded(y[here]))
    spread = float(y.std()) or 1.0
    return x, t, np.clip((y - y.mean()) / spread, -CLIP, CLIP)


def _shortfall(gains: Array) -> Array:
    """Return how far each gain of a generation falls short of its best one, as a part of that."""
    best, spread = float(gains.max()), float(gains.std())
    return np.asarray((gains - best) / (max(abs(best), spread) or 1.0))


def _bounded(gains: Array) -> Array:
    """Put legs that diverged as far below the worst of the others as those are apart."""
    finite = gains[np.isfinite(gains)]
    return np.where(np.isfinite(gains), gains, 2 * finite.min() - finite.max())


def _covariance(theta: Array, x: Array, t: Array, x2: Array, t2: Array) -> Array:
    """Return the covariance (n, m) without nugget; `theta` is log (l, ε, nugget)."""
    length, epsilon, _ = np.exp(theta)
    square = ((x[:, None, :] - x2[None, :, :]) ** 2).sum(axis=2)
    forgotten = (1 - min(epsilon, MOST_FORGOTTEN)) ** (np.abs(t[:, None] - t2[None, :]) / 2)
    return np.asarray(np.exp(-square / (2 * length**2)) * forgotten)


def _fit(x: Array, t: Array, y: Array) -> Array:
    """Return the most probable log (l, ε, nugget)."""

    def objective(theta: Array) -> float:
        covariance = _covariance(theta, x, t, x, t) + np.exp(theta[2]) * np.eye(len(y))
        factor = cho_factor(covariance, lower=True)
        fit = 0.5 * y @ cho_solve(factor, y) + np.log(np.diag(factor[0])).sum()
        return float(fit + 0.5 * (((theta - PRIOR) / PRIOR_SD) ** 2).sum())

    bounds = list(zip(PRIOR - 3 * PRIOR_SD, PRIOR + 3 * PRIOR_SD, strict=True))
    return np.asarray(minimize(objective, PRIOR, method="L-BFGS-B", bounds=bounds).x)


def _predict(
    theta: Array, x: Array, t: Array, y: Array, points: Array, generation: int
) -> tuple[Array, Array]:
    """Return mean and sd (m,) of the gain at (m, dimensions) points in a generation."""
    covariance = _covariance(theta, x, t, x, t) + np.exp(theta[2]) * np.eye(len(y))
    factor = cho_factor(covariance, lower=True)
    cross = _covariance(theta, x, t, points, np.full(len(points), float(generation)))
    explained = solve_triangular(factor[0], cross, lower=True)
    variance = np.maximum(1 - (explained**2).sum(axis=0), 0.0)
    return cross.T @ cho_solve(factor, y), np.sqrt(variance)


def _imagine(
    theta: Array, x: Array, t: Array, y: Array, point: Array, generation: int
) -> tuple[Array, Array, Array]:
    """Add a leg that is going to be trained, with the gain that is expected of it."""
    mean, _ = _predict(theta, x, t, y, point[None], generation)
    return np.vstack([x, point]), np.append(t, float(generation)), np.append(y, mean)
