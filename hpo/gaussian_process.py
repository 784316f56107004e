"""A Gaussian process over encoded settings, for a surface that is dear to measure.

Matérn 5/2 with a length a dimension, a mean and a nugget; the lengths are the most probable ones
under a weak prior (maximum a posteriori, exact gradients).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

ROOT5 = np.sqrt(5.0)
JITTER = 1e-6  # of a signal of variance 1: below what any measurement tells
# Settings lie in a unit cube and scores have variance 1. Lengths are expected at half a side, and
# longer the more dimensions there are, since points then lie further apart (Hvarfner et al. 2024,
# arXiv 2402.02229; second-hand): half a side times d^(1/4), give or take a factor of e.
LENGTH, LENGTH_SD = 0.5, 1.0
SIGNAL_SD = 1.0  # of log variance, about 1
NUGGET, NUGGET_SD = 0.01, 1.5  # variance: what two runs of one setting differ by; sd of its log
MEAN_SD = 0.5
ITERATIONS = 30


@dataclass(frozen=True)
class Hyperparameters:
    """What a fit finds: lengths (n_dimensions,), variances and the mean."""

    lengths: Array
    signal: float
    nugget: float
    mean: float


@dataclass(frozen=True)
class GaussianProcess:
    """A process that has seen measurements.

    Build it by `condition`.
    """

    hyperparameters: Hyperparameters
    points: Array
    factor: Array  # lower Cholesky factor of the measurements' covariance
    weights: Array
    values: Array

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Return mean and sd of the function (no nugget) at (m, d) points, (m,) each."""
        known = self.hyperparameters
        cross = known.signal * _matern(self.points / known.lengths, points / known.lengths)
        explained = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variance = np.maximum(known.signal - (explained**2).sum(axis=0), JITTER**2)
        return known.mean + self.weights @ cross, np.sqrt(variance)


def fit(points: Array, values: Array) -> Hyperparameters:
    """Find the most probable hyperparameters for (n, d) points and (n,) measurements.

    The cost is some thirty Cholesky factorizations of (n, n).
    """
    n_dimensions = points.shape[1]
    length = np.log(LENGTH * n_dimensions**0.25)
    prior_mean = np.concatenate([np.full(n_dimensions, length), [0.0, np.log(NUGGET), 0.0]])
    prior_sd = np.concatenate([np.full(n_dimensions, LENGTH_SD), [SIGNAL_SD, NUGGET_SD, MEAN_SD]])

    def objective(theta: Array) -> tuple[float, Array]:
        value, gradient = _negative_log_likelihood(theta, points, values)
        pull = (theta - prior_mean) / prior_sd
        return value + 0.5 * float(pull @ pull), gradient + pull / prior_sd

    # Five standard deviations of the prior: only to keep the search within what doubles carry.
    bounds = list(zip(prior_mean - 5 * prior_sd, prior_mean + 5 * prior_sd, strict=True))
    found = minimize(
        objective,
        prior_mean,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": ITERATIONS},
    )
    lengths, (signal, nugget) = np.exp(found.x[:-3]), np.exp(found.x[-3:-1])
    return Hyperparameters(lengths, float(signal), float(nugget), float(found.x[-1]))


def condition(known: Hyperparameters, points: Array, values: Array) -> GaussianProcess:
    """Return the process after (n,) measurements at (n, d) points."""
    scaled = points / known.lengths
    covariance = known.signal * _matern(scaled, scaled)
    covariance[np.diag_indices(len(points))] += known.nugget + JITTER
    factor = cho_factor(covariance, lower=True, check_finite=False)
    weights = cho_solve(factor, values - known.mean, check_finite=False)
    return GaussianProcess(known, points, np.tril(factor[0]), weights, values)


def _squared_distances(a: Array, b: Array) -> Array:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))


def _matern(a: Array, b: Array) -> Array:
    square = _squared_distances(a, b)
    distance = ROOT5 * np.sqrt(square)
    return np.asarray((1 + distance + 5 / 3 * square) * np.exp(-distance))


def _negative_log_likelihood(theta: Array, points: Array, values: Array) -> tuple[float, Array]:
    """Return −log p(values) and its gradient by (log lengths, log signal, log nugget, mean)."""
    lengths, signal, nugget, mean = np.exp(theta[:-3]), *np.exp(theta[-3:-1]), theta[-1]
    scaled = points / lengths
    square = _squared_distances(scaled, scaled)
    distance = ROOT5 * np.sqrt(square)
    decay = np.exp(-distance)
    correlation = (1 + distance + 5 / 3 * square) * decay
    covariance = signal * correlation
    covariance[np.diag_indices(len(points))] += nugget + JITTER
    factor = cho_factor(covariance, lower=True, check_finite=False)
    inverse = cho_solve(factor, np.eye(len(points)), check_finite=False)
    weights = inverse @ (values - mean)
    value = 0.5 * (values - mean) @ weights + np.log(np.diag(factor[0])).sum()
    by_covariance = 0.5 * (inverse - np.outer(weights, weights))
    # ∂k/∂log length_i = signal · 5/3 · (1 + √5 r) · exp(-√5 r) · (x_i - x_i')² / length_i²
    radial = by_covariance * signal * (5 / 3) * (1 + distance) * decay
    by_lengths = 2 * (scaled**2 * radial.sum(axis=1)[:, None]).sum(axis=0)
    by_lengths -= 2 * np.einsum("id,id->d", scaled, radial @ scaled)
    by_signal = (by_covariance * correlation).sum() * signal
    by_nugget = nugget * np.trace(by_covariance)
    return float(value), np.concatenate([by_lengths, [by_signal, by_nugget, -weights.sum()]])
