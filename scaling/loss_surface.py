"""The joint loss surface: a loss law, and around each scale's optimum one shared basin.

For a run of N parameters and D tokens with the settings x (log learning rate, log batch, ...)

    log L = log(E + A·N^-α + B·D^-β)  +  q(x - x*(N, D))

    x*_k(N, D) = c_k + a_k·log N + b_k·log D                      the optimum: power laws
    q(z) = N^m D^n · ½|R z|² · (1 + 0.9·t / √(1 + t²)),  t = s·z  the basin: quadratic, skewed

so that *every* run, near its optimum or not, teaches where the optimum is. The basin is in log
loss: its height is the relative regret, and how steep it is may change with scale. R is upper
triangular with a positive diagonal. The skew lets the loss rise faster on one side (too high a
rate costs more than too low a one) and is bounded, so that q has one minimum, rises along every
ray, and may be trusted far out, where a cubic would turn down. All logs are natural and centred
on the data, so that the parameters are of order one.

The functions here are pure and batched: a row of `theta` is one whole surface, which is how a
bootstrap of hundreds of fits becomes one computation (`scaling.robust_fit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SKEW_BOUND = 0.9  # of 1, at which the basin's far side would go flat
SKEW_ITERATIONS = 30


@dataclass(frozen=True)
class Layout:
    """Where each part of the surface stands in its vector of parameters.

    The order is: log E; log A, log B; log α, log β; for each setting the optimum's constant and
    its exponents in N and D; the upper triangle of R row by row, its diagonal as logs; the skew;
    the exponents in N and D of the basin's steepness. N and D stand for whatever axes scale has:
    there may be one of them, such as FLOPs, or more than two.

    Attributes
    ----------
    n_settings, n_axes : hyperparameters, and axes of scale.
    n_size_axes : how many of the first axes are together a model's size, such as width and depth:
        they share a term of the loss law, A·W^-α·L^-α', which is A·N^-α where N is W²·L.
    """

    n_settings: int
    n_axes: int = 2
    n_size_axes: int = 1

    @property
    def n_terms(self) -> int:
        """Terms of the loss law beside E."""
        return self.n_axes - self.n_size_axes + 1

    def term_of(self, axis: int) -> int:
        """Return the term of the loss law that an axis of scale stands in."""
        return max(0, axis - self.n_size_axes + 1)

    @property
    def coefficients(self) -> slice:
        """Logs of the loss law's coefficients, one a term."""
        return slice(1, 1 + self.n_terms)

    @property
    def exponents(self) -> slice:
        """Logs of the loss law's exponents, one an axis of scale."""
        start = self.coefficients.stop
        return slice(start, start + self.n_axes)

    @property
    def centre(self) -> slice:
        """The optimum: n_settings × (constant, exponent in each axis of scale)."""
        start = self.exponents.stop
        return slice(start, start + (1 + self.n_axes) * self.n_settings)

    def centre_of(self, setting: int) -> slice:
        """The constant and the exponents of one setting's optimum."""
        start = self.centre.start + (1 + self.n_axes) * setting
        return slice(start, start + 1 + self.n_axes)

    @property
    def root(self) -> slice:
        """The upper triangle of R."""
        k = self.n_settings
        return slice(self.centre.stop, self.centre.stop + k * (k + 1) // 2)

    @property
    def skew(self) -> slice:
        """The skew along each setting."""
        return slice(self.root.stop, self.root.stop + self.n_settings)

    @property
    def steepness(self) -> slice:
        """The exponents of the basin's steepness in each axis of scale."""
        return slice(self.skew.stop, self.skew.stop + self.n_axes)

    @property
    def size(self) -> int:
        """The number of parameters of one surface."""
        return int(self.steepness.stop)

    @property
    def triangle(self) -> list[tuple[int, int]]:
        """The (row, column) of each entry of `root`."""
        k = self.n_settings
        return [(i, j) for i in range(k) for j in range(i, k)]

    def root_matrix(self, theta: Array) -> Array:
        """Return R, of shape (n_surfaces, n_settings, n_settings)."""
        k = self.n_settings
        matrix = np.zeros((len(theta), k, k))
        for position, (i, j) in enumerate(self.triangle, start=self.root.start):
            entry = theta[:, position]
            matrix[:, i, j] = np.exp(entry) if i == j else entry
        return matrix


class SurfaceData(NamedTuple):
    """Runs as the surface sees them: centred natural logs.

    Attributes
    ----------
    scale : (n_runs, n_axes), log N and log D, or what stands in their place.
    settings : (n_runs, n_settings), log learning rate, log batch, ...
    """

    scale: Array
    settings: Array


def optimum(theta: Array, layout: Layout, scale: Array) -> Array:
    """Return the settings of least loss, (n_surfaces, n_scales, n_settings), in centred logs."""
    design = np.column_stack([np.ones(len(scale)), scale])
    centre = theta[:, layout.centre].reshape(len(theta), layout.n_settings, 1 + layout.n_axes)
    return np.asarray(np.einsum("sm,bkm->bsk", design, centre))


def log_loss_at_optimum(theta: Array, layout: Layout, scale: Array) -> Array:
    """Return the loss law, log(E + A·N^-α + B·D^-β), of shape (n_surfaces, n_scales)."""
    floor, terms = _loss_terms(theta, layout, scale)
    return np.asarray(np.log(floor + terms.sum(axis=1)))


def basin(theta: Array, layout: Layout, scale: Array, offset: Array) -> Array:
    """Return the basin's height at offsets from the optimum, in log loss.

    Parameters
    ----------
    theta : (n_surfaces, layout.size).
    scale : (n_points, n_axes), centred logs.
    offset : (n_surfaces or 1, n_points, n_settings), settings less the optimum's, in logs.

    Returns
    -------
    (n_surfaces, n_points), never negative.
    """
    whitened = offset @ layout.root_matrix(theta).transpose(0, 2, 1)
    tilt = (offset * theta[:, None, layout.skew]).sum(axis=-1)
    quadratic = 0.5 * (whitened**2).sum(axis=-1) * _steepness(theta, layout, scale)
    return np.asarray(quadratic * (1 + SKEW_BOUND * tilt / np.sqrt(1 + tilt**2)))


def best_offset(theta: Array, layout: Layout, fixed: dict[int, Array]) -> Array:
    """Return the offsets of least height where some settings cannot be chosen.

    Parameters
    ----------
    fixed : position of a setting -> its offset from the optimum, (n_surfaces,), in logs.

    Returns
    -------
    (n_surfaces, n_settings): the fixed offsets as they are, the others where the basin, cut at
    them, is lowest. The same at every scale, since scale only changes the basin's steepness.
    """
    k = layout.n_settings
    root = layout.root_matrix(theta)
    curvature = root.transpose(0, 2, 1) @ root
    free = [index for index in range(k) if index not in fixed]
    offset = np.zeros((len(theta), k))
    for index, value in fixed.items():
        offset[:, index] = value
    if not free or not fixed:
        return offset
    within = curvature[:, free][:, :, free]
    skew = theta[:, layout.skew]
    pull = (curvature[:, free] @ (offset[..., None]))[..., 0]
    # Where the slope is zero: (R'R z)_free · stretch + quadratic · stretch' · skew_free = 0, solved
    # by repetition, for the skew bends the quadratic's answer only a little.
    for _ in range(SKEW_ITERATIONS):
        tilt = (offset * skew).sum(axis=-1)
        quadratic = 0.5 * np.einsum("bi,bij,bj->b", offset, curvature, offset)
        stretch = 1 + SKEW_BOUND * tilt / np.sqrt(1 + tilt**2)
        bend = quadratic * SKEW_BOUND * (1 + tilt**2) ** -1.5 / stretch
        slope = pull + bend[:, None] * skew[:, free]
        offset[:, free] = -np.linalg.solve(within, slope[..., None])[..., 0]
    return offset


def surface(theta: Array, layout: Layout, data: SurfaceData) -> tuple[Array, Array]:
    """Return (log loss, the part of it that is the basin), each (n_surfaces, n_runs)."""
    offset = data.settings[None] - optimum(theta, layout, data.scale)
    height = basin(theta, layout, data.scale, offset)
    return log_loss_at_optimum(theta, layout, data.scale) + height, height


def surface_and_jacobian(
    theta: Array, layout: Layout, data: SurfaceData
) -> tuple[Array, Array, Array]:
    """Return `surface` and the derivatives of the log loss by each parameter.

    Returns
    -------
    log_loss, basin : (n_surfaces, n_runs).
    jacobian : (n_surfaces, layout.size, n_runs), a parameter's row contiguous in memory.
    """
    floor, terms = _loss_terms(theta, layout, data.scale)
    loss = floor + terms.sum(axis=1)
    offset = data.settings[None] - optimum(theta, layout, data.scale)
    root = layout.root_matrix(theta)
    whitened = offset @ root.transpose(0, 2, 1)
    steepness = _steepness(theta, layout, data.scale)
    quadratic = 0.5 * (whitened**2).sum(axis=-1) * steepness
    skew = theta[:, None, layout.skew]
    tilt = (offset * skew).sum(axis=-1)
    stretch = 1 + SKEW_BOUND * tilt / np.sqrt(1 + tilt**2)
    height = quadratic * stretch
    scaled = steepness * stretch
    by_tilt = quadratic * SKEW_BOUND * (1 + tilt**2) ** -1.5
    by_offset = (whitened @ root) * scaled[..., None] + by_tilt[..., None] * skew

    jacobian = np.empty((len(theta), layout.size, len(data.scale)))
    jacobian[:, 0] = floor / loss
    exponents = np.exp(theta[:, layout.exponents])
    for axis in range(layout.n_axes):
        term = layout.term_of(axis)
        along, share = data.scale[:, axis], terms[:, term] / loss
        jacobian[:, layout.coefficients.start + term] = share
        jacobian[:, layout.exponents.start + axis] = -share * along * exponents[:, axis, None]
        jacobian[:, layout.steepness.start + axis] = height * along
        for k in range(layout.n_settings):
            jacobian[:, layout.centre_of(k).start + 1 + axis] = -by_offset[..., k] * along
    for k in range(layout.n_settings):
        jacobian[:, layout.centre_of(k).start] = -by_offset[..., k]
        jacobian[:, layout.skew.start + k] = by_tilt * offset[..., k]
    for position, (i, j) in enumerate(layout.triangle, start=layout.root.start):
        entry = whitened[..., i] * offset[..., j] * scaled
        jacobian[:, position] = entry * root[:, i, i, None] if i == j else entry
    return np.log(loss) + height, height, jacobian


def _steepness(theta: Array, layout: Layout, scale: Array) -> Array:
    """Return the factor N^m D^n on the basin, (n_surfaces, n_scales)."""
    return np.asarray(np.exp(theta[:, layout.steepness] @ scale.T))


def _loss_terms(theta: Array, layout: Layout, scale: Array) -> tuple[Array, Array]:
    """Return E, (n_surfaces, 1), and A·N^-α, B·D^-β, (n_surfaces, n_terms, n_scales)."""
    falls = np.exp(theta[:, layout.exponents])[:, :, None] * scale.T
    if (n := layout.n_size_axes) > 1:
        falls = np.concatenate([falls[:, :n].sum(axis=1, keepdims=True), falls[:, n:]], axis=1)
    powers = theta[:, layout.coefficients, None] - falls
    return np.exp(theta[:, :1]), np.exp(powers)
