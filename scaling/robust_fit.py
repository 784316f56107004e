"""Fitting loss surfaces robustly: many weighted, regularised fits as one batched computation.

Runs are noisy, some have half diverged, and far from the optimum no simple basin is right. So a
residual r is judged by a Student-t law whose width grows with the run's height q above the
optimum:

    s² = σ² + (κ·q)² + (q²/w)²

σ is the noise from seed to seed; κ·q, that basins of different scales differ by a share of their
height; q²/w, that a basin described to third order misses by the fourth, which goes with q².
Near the optimum runs count fully; a run 10 % above it tells to about 5 % and counts for little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scaling.loss_surface import Array, Layout, SurfaceData, surface_and_jacobian
from scaling.priors import Prior

SHAPE_MISFIT = 0.05  # κ: basins of two scales agree to about a twentieth of their height
EXPANSION_MISFIT = 0.2  # w: at 2 % above the optimum 0.2 % of misfit, at 20 % all of it
STUDENT_DOF = 4.0  # tails in which one run in a few hundred may be plainly wrong
PRIOR_NOISE = 0.002  # relative loss from seed to seed of one setting, as published sweeps show
PRIOR_NOISE_RUNS = 4.0  # how many runs that expectation is worth

_CHUNK_RUNS = 64_000  # surfaces × runs at once: bounds the jacobian, whatever the runs table


@dataclass(frozen=True)
class Fit:
    """Fitted surfaces.

    Attributes
    ----------
    theta : (n_surfaces, layout.size).
    noise : σ, (n_surfaces,), in log loss.
    """

    theta: Array
    noise: Array


def residual_variance(height: Array, noise: Array | float) -> Array:
    """Return s² for basins of the given height; shapes broadcast."""
    return np.asarray(noise**2 + (SHAPE_MISFIT * height) ** 2 + (height**2 / EXPANSION_MISFIT) ** 2)


def fit_surfaces(
    layout: Layout,
    data: SurfaceData,
    log_loss: Array,
    run_weights: Array,
    prior: Prior,
    prior_mean: Array,
    start: Array,
    *,
    noise: float | None = None,
    iterations: int = 60,
) -> Fit:
    """Fit one surface a row of `run_weights` by iteratively reweighted Levenberg–Marquardt.

    Parameters
    ----------
    log_loss : (n_runs,), natural log of the measured losses, all finite; or (n_surfaces, n_runs),
        where each surface is fitted to losses of its own.
    run_weights : (n_surfaces, n_runs), how often each run counts.
    prior, prior_mean : widths shared by all surfaces, and means, (n_surfaces, layout.size).
    start : (n_surfaces, layout.size).
    noise : σ where it is already known; estimated along with the surface where None.
    """
    chunk = max(1, _CHUNK_RUNS // run_weights.shape[1])
    losses = np.broadcast_to(log_loss, run_weights.shape)
    parts = [
        _fit_chunk(
            layout,
            data,
            losses[first : first + chunk],
            run_weights[first : first + chunk],
            prior.sd,
            prior_mean[first : first + chunk],
            start[first : first + chunk],
            noise,
            iterations,
        )
        for first in range(0, len(run_weights), chunk)
    ]
    return Fit(
        theta=np.concatenate([part.theta for part in parts]),
        noise=np.concatenate([part.noise for part in parts]),
    )


def _fit_chunk(
    layout: Layout,
    data: SurfaceData,
    log_loss: Array,
    run_weights: Array,
    prior_sd: Array,
    prior_mean: Array,
    start: Array,
    known_noise: float | None,
    iterations: int,
) -> Fit:
    theta = start.copy()
    noise = np.full(len(theta), PRIOR_NOISE if known_noise is None else known_noise)
    damping = np.full(len(theta), 1e-2)
    precision = prior_sd**-2.0
    diagonal = np.arange(layout.size)
    predicted, height, jacobian = surface_and_jacobian(theta, layout, data)
    residual = log_loss - predicted
    for _ in range(iterations):
        variance = residual_variance(height, noise[:, None])
        weight = run_weights * student_weight(residual, variance) / variance
        weighted = jacobian * weight[:, None]
        hessian = weighted @ jacobian.transpose(0, 2, 1)
        gradient = (weighted @ residual[..., None])[..., 0] - precision * (theta - prior_mean)
        hessian[:, diagonal, diagonal] += precision
        hessian[:, diagonal, diagonal] *= 1 + damping[:, None]
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]

        tried = theta + step
        tried_predicted, tried_height, tried_jacobian = surface_and_jacobian(tried, layout, data)
        tried_residual = log_loss - tried_predicted

        def objective(residual: Array, theta: Array, variance: Array = variance) -> Array:
            misfit = (run_weights * student_deviance(residual, variance)).sum(axis=1)
            return np.asarray(misfit + (precision * (theta - prior_mean) ** 2).sum(axis=1))

        before, after = objective(residual, theta), objective(tried_residual, tried)
        better = after <= before  # NaN, from a step too far, is not better
        theta = np.where(better[:, None], tried, theta)
        residual = np.where(better[:, None], tried_residual, residual)
        height = np.where(better[:, None], tried_height, height)
        jacobian = np.where(better[:, None, None], tried_jacobian, jacobian)
        damping = np.clip(np.where(better, damping * 0.3, damping * 5), 1e-9, 1e9)
        new_noise = (
            noise if known_noise is not None else _noise(residual, height, noise, run_weights)
        )
        settled = np.abs(step).max() < 1e-6 and np.abs(new_noise - noise).max() < 1e-8
        noise = new_noise
        if settled:
            break
    return Fit(theta=theta, noise=noise)


def student_deviance(residual: Array, variance: Array) -> Array:
    """Return twice the negative log density of residuals, up to a constant of the variance."""
    return np.asarray((STUDENT_DOF + 1) * np.log1p(residual**2 / variance / STUDENT_DOF))


def student_weight(residual: Array, variance: Array) -> Array:
    """Return how much each residual counts, in a normal law of the same variance, at its size."""
    return np.asarray((STUDENT_DOF + 1) / (STUDENT_DOF + residual**2 / variance))


def _noise(residual: Array, height: Array, noise: Array, run_weights: Array) -> Array:
    """One expectation–maximisation step for σ: of each residual, the share that is noise."""
    variance = residual_variance(height, noise[:, None])
    share = noise[:, None] ** 2 / variance
    second_moment = share**2 * student_weight(residual, variance) * residual**2 + share * (
        variance - noise[:, None] ** 2
    )
    total = (run_weights * second_moment).sum(axis=1) + PRIOR_NOISE_RUNS * PRIOR_NOISE**2
    return np.asarray(np.sqrt(total / (run_weights.sum(axis=1) + PRIOR_NOISE_RUNS)))
