"""From selected runs to a fitted surface: the problem as arrays, and its best fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.axes import layout_of, log_axes
from scaling.loss_surface import Array, Layout, SurfaceData, surface
from scaling.priors import Prior, surface_prior
from scaling.robust_fit import Fit, fit_surfaces, residual_variance, student_deviance
from scaling.selection import Selection
from scaling.uncertainty import draw_surfaces

STARTS = 3


@dataclass(frozen=True)
class Problem:
    """Runs on a law's axes, centred, with what is expected of their surface.

    Attributes
    ----------
    centre : (n_axes + n_settings,), natural logs that `data` is relative to.
    log_loss : (n_runs,).
    scale_index : (n_runs,), the scale of each run; not every scale need be there.
    """

    layout: Layout
    data: SurfaceData
    centre: Array
    log_loss: Array
    scale_index: NDArray[np.intp]
    prior: Prior

    def fit(self) -> Fit:
        """Return the best surface of several starts: the prior's mean, and draws of the prior.

        The fits are judged alike, each residual by the run's measured height over the best of its
        scale, and not by the height that a fit gives it: else one that puts the optimum far off
        would be forgiven everything.
        """
        rng = np.random.default_rng(0)
        jitter = self.prior.sd * rng.standard_normal((STARTS, self.layout.size))
        jitter[0] = 0.0
        mean = np.repeat(self.prior.mean[None], STARTS, axis=0)
        weights = np.ones((STARTS, len(self.log_loss)))
        fits = fit_surfaces(
            self.layout, self.data, self.log_loss, weights, self.prior, mean, mean + jitter
        )
        predicted, _ = surface(fits.theta, self.layout, self.data)
        variance = residual_variance(self._measured_height, np.median(fits.noise))
        misfit = student_deviance(self.log_loss - predicted, variance).sum(axis=1)
        unlikely = np.square((fits.theta - self.prior.mean) / self.prior.sd).sum(axis=1)
        best = [int(np.nanargmin(misfit + unlikely))]
        return Fit(fits.theta[best], fits.noise[best])

    @property
    def _measured_height(self) -> Array:
        """Log loss of each run over the best of its scale, (n_runs,)."""
        lowest = np.full(self.scale_index.max() + 1, np.inf)
        np.minimum.at(lowest, self.scale_index, self.log_loss)
        return np.asarray(self.log_loss - lowest[self.scale_index])

    def draws(self, best: Fit, *, n_draws: int, seed: int) -> Array:
        """Return surfaces that the same sweep might have given, (n_draws, layout.size)."""
        return draw_surfaces(
            self.layout,
            self.data,
            self.log_loss,
            self.scale_index,
            self.prior,
            best.theta[0],
            float(best.noise[0]),
            n_draws=n_draws,
            seed=seed,
        )


def pose(
    selection: Selection, axes: tuple[str, ...], scales: NDArray[np.intp] | None = None
) -> Problem:
    """Put the selected runs, or those of some of their scales, on a law's axes.

    Parameters
    ----------
    axes : of `scaling.axes`.
    scales : positions in `selection.scales`; all where None.
    """
    taken = np.arange(len(selection.scales)) if scales is None else scales
    rows = np.isin(selection.scale_index, taken)
    on_axes = log_axes(axes, selection.log_scale, selection.log_shape)
    of_scales = [on_axes[selection.scale_index == scale][0] for scale in taken]
    centre = np.concatenate([np.mean(of_scales, axis=0), selection.setting_centre])
    n_axes = len(axes)
    log_loss = selection.log_loss[rows]
    return Problem(
        layout=layout_of(axes, selection.settings),
        data=SurfaceData(
            scale=on_axes[rows] - centre[:n_axes],
            settings=selection.log_settings[rows] - centre[n_axes:],
        ),
        centre=centre,
        log_loss=log_loss,
        scale_index=selection.scale_index[rows],
        prior=surface_prior(
            axes,
            selection.settings,
            float(np.exp(log_loss.min())),
            mu_parametrized=selection.mu_parametrized,
        ),
    )
