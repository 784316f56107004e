"""What is expected of a surface before any run is seen: weak, and from the literature.

A prior is a mean and a width for each parameter of `scaling.loss_surface`. With dozens of runs a
scale it hardly matters; with a few it keeps exponents where every published law has found them,
and where the runs say nothing (one N, one D) it says how little is known, because the draws of
`scaling.uncertainty` spread over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scaling.axes import POWERS_OF_SIZE, layout_of
from scaling.loss_surface import Array
from storage.columns import BATCH_TOKENS, FLOPS, LR, TOKENS

MU_PARAMETRIZATIONS = frozenset({"mup", "u-mup", "depth-mup", "complete-p"})


@dataclass(frozen=True)
class Prior:
    """Independent normal expectations, (layout.size,) each."""

    mean: Array
    sd: Array


@dataclass(frozen=True)
class SettingPrior:
    """What is expected of one hyperparameter's optimum and of what missing it costs.

    Attributes
    ----------
    exponents : mean and width of the optimum's exponent in each axis of scale.
    curvature : √ of the second derivative of log loss by the log setting; the width is in logs.
    """

    exponents: Mapping[str, tuple[float, float]]
    curvature: tuple[float, float]


def _exponents(
    size: tuple[float, float], tokens: tuple[float, float], flops: tuple[float, float]
) -> dict[str, tuple[float, float]]:
    """Return an expectation for each axis; those of width and depth follow from that of N."""
    mean, sd = size
    by_size = {axis: (power * mean, power * sd) for axis, power in POWERS_OF_SIZE.items()}
    return {**by_size, TOKENS: tokens, FLOPS: flops}


# Exponents of the optimal rate in N: Step Law -0.71, Bjorck et al. -0.23, Porian et al. -0.33,
# DeepSeek -0.125; in D: +0.31, -0.32, 0, -0.125; in C DeepSeek's -0.125. Of the batch in D: 0.57,
# 0.38, 0.33; in N DeepSeek 0.33, Step Law 0; in C DeepSeek 0.33. A factor of two off costs some
# 0.3 % in the rate and 0.15 % in the batch, give or take a factor of four.
LR_PRIOR = SettingPrior(
    _exponents(size=(-0.4, 0.4), tokens=(0.0, 0.4), flops=(-0.15, 0.2)), curvature=(0.11, 0.7)
)
BATCH_PRIOR = SettingPrior(
    _exponents(size=(0.0, 0.15), tokens=(0.45, 0.25), flops=(0.3, 0.15)), curvature=(0.08, 0.7)
)
# Under muP and its kin the optimal rate is meant not to move with width.
LR_PRIOR_MUP = SettingPrior(
    _exponents(size=(0.0, 0.2), tokens=(0.0, 0.4), flops=(0.0, 0.2)), curvature=(0.11, 0.7)
)
# Of weight decay, warm-up and the rest little is published: they move either way, and cost less.
OTHER_PRIOR = SettingPrior(
    _exponents(size=(0.0, 0.3), tokens=(0.0, 0.4), flops=(0.0, 0.25)), curvature=(0.05, 1.0)
)

# The floor's share of the lowest loss, the other terms sharing the rest, and their exponents: in
# Hoffmann et al. and its replication, α 0.34, 0.35 and β 0.28, 0.37.
FLOOR_SHARE, LOSS_EXPONENT = 0.7, 0.35
FLOOR_SD, TERM_SD, LOSS_EXPONENT_SD = 0.5, 1.0, 0.4  # in logs
CENTRE_SD = 3.0  # log units about the best runs: a factor of 20
COUPLING_SD = 0.1  # off-diagonal of R: rate and batch may pull together or apart
STEEPNESS_SD = 0.2  # exponents: ten times the size may steepen the basin by half, or flatten it
SKEW_SD = 0.3  # a log unit away one side costs a third more than the other


def surface_prior(
    axes: tuple[str, ...], settings: tuple[str, ...], lowest_loss: float, *, mu_parametrized: bool
) -> Prior:
    """Build the prior of a surface over the named settings, its scale on the named axes.

    Parameters
    ----------
    lowest_loss : of all runs, nats a token; the loss law's parts are expected as shares of it.
    mu_parametrized : whether the runs' optimum is meant to stay put as width grows.
    """
    layout = layout_of(axes, settings)
    known = {LR: LR_PRIOR_MUP if mu_parametrized else LR_PRIOR, BATCH_TOKENS: BATCH_PRIOR}
    setting_priors = [known.get(name, OTHER_PRIOR) for name in settings]
    mean, sd = np.zeros(layout.size), np.empty(layout.size)
    mean[0], sd[0] = np.log(FLOOR_SHARE * lowest_loss), FLOOR_SD
    term_share = (1 - FLOOR_SHARE) / layout.n_terms
    mean[layout.coefficients], sd[layout.coefficients] = np.log(term_share * lowest_loss), TERM_SD
    powers = {**POWERS_OF_SIZE, TOKENS: 1.0, FLOPS: 0.5}  # C grows as N·D where both grow alike
    mean[layout.exponents] = np.log([powers[axis] * LOSS_EXPONENT for axis in axes])
    sd[layout.exponents] = LOSS_EXPONENT_SD
    for index, expected in enumerate(setting_priors):
        exponents = np.array([expected.exponents[axis] for axis in axes])
        mean[layout.centre_of(index)] = np.append(0.0, exponents[:, 0])
        sd[layout.centre_of(index)] = np.append(CENTRE_SD, exponents[:, 1])
    for position, (i, j) in enumerate(layout.triangle, start=layout.root.start):
        if i == j:
            size, width = setting_priors[i].curvature
            mean[position], sd[position] = np.log(size), width
        else:
            sd[position] = COUPLING_SD
    sd[layout.skew] = SKEW_SD
    sd[layout.steepness] = [STEEPNESS_SD * POWERS_OF_SIZE.get(axis, 1.0) for axis in axes]
    return Prior(mean, sd)
