"""Where unfinished loss curves will end: a power law a curve, its spread from all of them.

A curve of a run is its losses y(1), …, y(t), one a report, of the n that a whole run has. It is
taken for a power law that wanders as it goes,

    y(s) = c + a·s^-b + w(s),   w(s) - w(s - 1) ~ N(0, σ²·s^-2p)

and is extrapolated from its last report (power-law curves: Domhan et al. 2015; Swersky et al. 2014,
arXiv 1406.3896; Kadra et al. 2023, arXiv 2302.00441; second-hand, none checked). With independent
noise about the power law instead, a plateau that is left late, a warm-up or a first report from
before training pull the fit off all the recent reports, and the forecast is too sure of itself.

Everything but three shape parameters is integrated out in closed form, curve by curve:

- c cancels between neighbours, a ~ N(μ, κ·σ²), and σ² ~ inverse gamma about the typical wandering
  of all curves: every forecast is a Student t, whose tails stay heavy while reports are few;
- b, p, κ and μ, which is 0 or the typical a of all curves, lie on a grid. The weights of its cells
  are learned from all curves at once by expectation maximisation, so that the longer ones tell how
  much the others will still fall (empirical Bayes: curves of one task share their shapes). A
  forecast is the mixture.

Where curves are alike, a short one is expected to fall as the others did, whatever its own noise;
where they are not, by its own slope. The spread says how well one end is known by itself. What is
unknown of all ends alike is part of it, so two ends may be ranked more surely than either is known.

The cost is a few products of (n_curves, n_reports) with (n_reports, n_cells) matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from scaling.errors import LawError

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Counts = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

# b: from nearly logarithmic, still falling at the end, to over within a few reports.
EXPONENTS = np.geomspace(0.1, 3.2, 6)
# p: from steps of one size throughout to steps that die out much faster than the power laws fall.
DECAYS = np.array([0.0, 0.5, 1.0, 2.0])
# κ: squares of what a curve's own fall is beyond μ over the wandering, from lost to 100 times it.
SIGNALS = np.array([1e-2, 1.0, 1e2, 1e4])
# Degrees of freedom of the prior on σ²: the fewest whole number for which the variance of a
# forecast exists, so that the typical wandering counts as little as it can.
FREEDOM = 3.0
SHARED_CURVES = 1.0  # what the grid's cells share before any curve is seen: one curve in all
EM_ROUNDS = 20
FENCE = 3.0  # Tukey's far-out fence, in interquartile ranges above the upper quartile


@dataclass(frozen=True)
class CurveForecast:
    """Expected losses of each curve, (n_curves,) each, in the units of the losses.

    A diverged curve has infinite means and no spread; a finished one its own values, no spread.

    Attributes
    ----------
    end, end_sd : the loss of the last report, noise included.
    best, best_sd : the lowest loss of all its reports, taken to be the lowest so far or the last.
    """

    end: Array
    end_sd: Array
    best: Array
    best_sd: Array


def forecast_curves(curves: Sequence[Sequence[float] | Array], n_reports: int) -> CurveForecast:
    """Forecast the end of each curve from its reports so far and from all other curves.

    Parameters
    ----------
    curves : losses of each run, oldest first, 1 to n_reports of them. A run with a loss that is
        not finite has diverged.
    n_reports : of a whole run.

    Raises
    ------
    LawError
        Where a curve has no report, or more than n_reports.
    """
    for index, curve in enumerate(curves):
        if not 1 <= len(curve) <= n_reports:
            raise LawError(
                f"curve {index} has {len(curve)} reports; a curve has 1 to {n_reports} of them"
            )
    losses = [np.asarray(curve, dtype=float) for curve in curves]
    end = np.full(len(losses), np.inf)
    end_sd, lowest = np.zeros(len(losses)), np.full(len(losses), np.inf)
    sound = np.flatnonzero([bool(np.isfinite(curve).all()) for curve in losses])
    if sound.size:
        lengths = np.array([len(losses[index]) for index in sound])
        lowest[sound] = [losses[index].min() for index in sound]
        end[sound], end_sd[sound] = _ends([losses[index] for index in sound], lengths, n_reports)
        finished = sound[lengths == n_reports]
        end[finished] = [losses[index][-1] for index in finished]
        end_sd[finished] = 0.0
    best, best_sd = _lower_of(lowest, end, end_sd)
    return CurveForecast(end, end_sd, best, best_sd)


def _ends(curves: Sequence[Array], lengths: Counts, n_reports: int) -> tuple[Array, Array]:
    """Return mean and sd of the last report of finite curves, (n_curves,) each."""
    y = np.zeros((len(curves), n_reports))
    for row, curve in zip(y, curves, strict=True):
        row[: len(curve)] = curve
    seen = np.arange(n_reports) < lengths[:, None]
    # A spike of 1e8 says no more than "far out", and would be the typical wandering of all.
    low, high = np.quantile(y[seen], [0.25, 0.75])
    y = np.minimum(y, high + FENCE * (high - low))
    moves = np.diff(y) * seen[:, 1:]  # (n_curves, n_reports - 1)
    moved = seen[:, 1:].astype(float)

    report = np.arange(1.0, n_reports + 1)
    basis = report ** -EXPONENTS[:, None]  # (n_exponents, n_reports)
    falls = np.diff(basis)
    weight = report[1:] ** (2 * DECAYS[:, None])  # (n_decays, n_reports - 1)
    weighted = (falls[:, None, :] * weight).reshape(len(EXPONENTS) * len(DECAYS), -1)
    shape = (len(curves), len(EXPONENTS), len(DECAYS), 1)
    product = (moves @ weighted.T).reshape(shape)
    falls_square = (moved @ (weighted * np.repeat(falls, len(DECAYS), axis=0)).T).reshape(shape)
    moves_square = moves**2 @ weight.T  # (n_curves, n_decays)

    n_moves = lengths - 1
    prior_scale = FREEDOM * _typical_square(moves_square, n_moves, float(np.ptp(y[seen])))
    typical = _typical_slope(product, falls_square, n_moves)
    # From here on: (n_curves, n_exponents, n_decays, n_priors), a prior a pair of κ and μ.
    signals = np.tile(SIGNALS, 2)
    expected = np.repeat([0.0, 1.0], len(SIGNALS)) * typical
    precision = falls_square + 1 / signals
    slope = (product + expected / signals) / precision
    left = moves_square[:, None, :, None] + expected**2 / signals - slope**2 * precision
    freedom = (FREEDOM + n_moves)[:, None, None, None]
    scale = prior_scale[:, None] + np.maximum(left, 0.0)
    log_evidence = (
        0.5 * (moved @ np.log(weight).T)[:, None, :, None]
        - 0.5 * np.log(precision * signals)
        + 0.5 * FREEDOM * np.log(prior_scale)[:, None]
        - 0.5 * freedom * np.log(scale)
    )
    share = _responsibilities(log_evidence.reshape(len(curves), -1)).reshape(log_evidence.shape)

    last = y[np.arange(len(y)), n_moves]
    to_fall = (basis[:, -1:] - basis[:, n_moves]).T[:, :, None, None]
    wander = np.concatenate([np.zeros((len(DECAYS), 1)), np.cumsum(1 / weight, axis=1)], axis=1)
    to_wander = (wander[:, -1:] - wander[:, n_moves]).T[:, None, :, None]
    fall = slope * to_fall
    variance = scale / (freedom - 2) * (to_wander + to_fall**2 / precision)
    mean_fall = (share * fall).sum(axis=(1, 2, 3))
    off = (fall - mean_fall[:, None, None, None]) ** 2
    return last + mean_fall, np.sqrt((share * (variance + off)).sum(axis=(1, 2, 3)))


def _typical_square(moves_square: Array, n_moves: Counts, extent: float) -> Array:
    """Return the median of the curves' mean squared moves for each decay, (n_decays,); never 0."""
    has_moved = n_moves > 0
    typical = np.zeros(len(DECAYS))
    if has_moved.any():
        typical = np.median(moves_square[has_moved] / n_moves[has_moved, None], axis=0)
    # Curves of three digits may not move at all; nothing is known to a millionth of their extent.
    return np.maximum(typical, max((1e-6 * extent) ** 2, float(np.finfo(float).tiny)))


def _typical_slope(product: Array, falls_square: Array, n_moves: Counts) -> Array:
    """Return the median of the curves' own least-squares a, (n_exponents, n_decays, 1)."""
    has_moved = n_moves > 0
    if not has_moved.any():
        return np.zeros(product.shape[1:])
    return np.asarray(np.median(product[has_moved] / falls_square[has_moved], axis=0))


def _responsibilities(log_evidence: Array) -> Array:
    """Return each curve's weights of the grid's cells, (n_curves, n_cells), by EM."""
    n_cells = log_evidence.shape[1]
    likelihood = np.exp(log_evidence - log_evidence.max(axis=1, keepdims=True))
    weights = np.full(n_cells, 1 / n_cells)
    for _ in range(EM_ROUNDS):
        share = likelihood * weights
        share /= share.sum(axis=1, keepdims=True)
        weights = share.sum(axis=0) + SHARED_CURVES / n_cells
        weights /= weights.sum()
    share = likelihood * weights
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def _lower_of(lowest: Array, mean: Array, sd: Array) -> tuple[Array, Array]:
    """Return mean and sd of min(lowest, X), X normal: the moments of a censored normal."""
    best, best_sd = np.minimum(lowest, mean), np.zeros_like(sd)
    open_ends = np.flatnonzero(sd > 0)
    m, s, gap = mean[open_ends], sd[open_ends], lowest[open_ends] - mean[open_ends]
    z = gap / s
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    below = ndtr(z)
    first = gap * (1 - below) - s * density  # of min(gap, X - m)
    second = gap**2 * (1 - below) + s**2 * (below - z * density)
    best[open_ends] = m + first
    best_sd[open_ends] = np.sqrt(np.maximum(second - first**2, 0.0))
    return best, best_sd
