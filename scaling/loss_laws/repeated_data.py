"""Loss where tokens are seen more than once: the data-constrained law.

Muennighoff et al., "Scaling Data-Constrained Language Models" (arXiv 2305.16264): a token seen
again is worth less than a new one, and so is a parameter beyond those that the unique tokens can
use. With U unique tokens, R_D = D/U - 1 repetitions and the same for parameters,

    L = E + A·N'^-α + B·D'^-β
    D' = U + U·R*_D·(1 - exp(-R_D/R*_D))
    N' = U_N + U_N·R*_N·(1 - exp(-R_N/R*_N)),   U_N = min(N, N_opt(U)),   R_N = N/U_N - 1

N_opt(U) is the N for which U tokens would be compute-optimal, by E, A, B, α and β themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scaling.errors import InsufficientDataError, LawError
from scaling.loss_laws.forms import CHINCHILLA, named
from scaling.loss_laws.huber_fit import Limits
from scaling.loss_laws.points import check_scales
from scaling.loss_surface import Array
from storage.columns import PARAMS, TOKENS, UNIQUE_TOKENS

RATES = (0.1, 1e4)  # R*: below, the first repetition is worthless; above, none ever is
START_RATES = (3.0, 15.0)
MIN_REPETITIONS = 1.0  # some run must see its data twice for R* to be fitted


@dataclass(frozen=True)
class RepeatedData:
    """The data-constrained form, over params, tokens (seen) and unique_tokens.

    Parameters
    ----------
    r_data, r_params : R*_D and R*_N where they are known (the paper has 15.388 and 5.310); fitted
        where None. Where no run has more parameters than its unique tokens can use, R*_N cannot
        be fitted and must be given.
    """

    r_data: float | None = None
    r_params: float | None = None

    def __post_init__(self) -> None:
        """Refuse a given R* that is not positive."""
        for what, value in (("r_data", self.r_data), ("r_params", self.r_params)):
            if value is not None and not RATES[0] <= value <= RATES[1]:
                raise LawError(f"{what} is {value}; it must lie in {RATES[0]:g}..{RATES[1]:g}")

    @property
    def name(self) -> str:
        """`repeated-data`."""
        return "repeated-data"

    @property
    def axes(self) -> tuple[str, ...]:
        """Params, tokens and unique_tokens."""
        return (PARAMS, TOKENS, UNIQUE_TOKENS)

    @property
    def formula(self) -> str:
        """Chinchilla's in N' and D'; see the module."""
        return "L = E + A·N'^-alpha + B·D'^-beta,  D' = U + U·R_D·(1 - exp(-(D/U - 1)/R_D))"

    def check(self, log_scale: Array) -> list[str]:
        """Refuse scales that cannot carry a Chinchilla law, or show no repetition."""
        fitted = 5 + (self.r_data is None) + (self.r_params is None)
        warnings = check_scales(log_scale[:, :2], self.axes[:2], fitted)
        most = float(np.exp(log_scale[:, 1] - log_scale[:, 2]).max()) - 1
        if self.r_data is None and most < MIN_REPETITIONS:
            raise InsufficientDataError(
                f"no run saw its data more than {most + 1:.3g} times, so what a repetition is "
                "worth cannot be fitted; add runs of two epochs or more, or give r_data"
            )
        return warnings

    def centre(self, log_scale: Array) -> Array:
        """Return the means of log N and log D; unique tokens are centred as tokens are."""
        n, d = log_scale[:, :2].mean(axis=0)
        return np.array([n, d, d])

    def limits(self, log_loss: Array) -> Limits:
        """Return Chinchilla's limits and those of R*; a given R* has no room."""
        low, high = CHINCHILLA.limits(log_loss)
        rates = [
            np.log(RATES if given is None else (given, given))
            for given in (self.r_data, self.r_params)
        ]
        return Limits(
            *(np.append(side, [r[i] for r in rates]) for i, side in enumerate((low, high)))
        )

    def starts(self, scale: Array, log_loss: Array) -> Array:
        """Return Chinchilla's starts, as if D were D' for a typical R*, with each R*."""
        starts = []
        for rate in START_RATES:
            effective, _, _ = _worth(scale[:, 1], scale[:, 2], np.array([[rate]]))
            base = CHINCHILLA.starts(np.column_stack([scale[:, 0], effective[0]]), log_loss)
            starts.append(np.hstack([base, np.full((len(base), 2), np.log(rate))]))
        return np.concatenate(starts)

    def log_loss(self, theta: Array, scale: Array) -> Array:
        """Return log(E + A·N'^-α + B·D'^-β)."""
        effective = self._effective(theta, scale)
        return CHINCHILLA.log_loss(theta[:, :5], np.stack([effective[0], effective[1]], axis=-1))

    def log_loss_and_jacobian(self, theta: Array, scale: Array) -> tuple[Array, Array]:
        """Return log loss and its derivatives, N_opt's own dependence on the law included."""
        log_n, log_d, n_by_optimal, n_by_rate, d_by_rate, optimal = self._effective(theta, scale)
        log_loss, chinchilla = CHINCHILLA.log_loss_and_jacobian(
            theta[:, :5], np.stack([log_n, log_d], axis=-1)
        )
        alpha, beta = np.exp(theta[:, 3:4]), np.exp(theta[:, 4:5])
        by_n = -alpha * chinchilla[:, 1]
        by_optimal = by_n * n_by_optimal
        unique = np.minimum(scale[..., 2], scale[..., 1])

        jacobian = np.empty((len(theta), 7, log_loss.shape[1]))
        jacobian[:, :5] = chinchilla
        jacobian[:, 1] += by_optimal / alpha
        jacobian[:, 2] -= by_optimal / alpha
        jacobian[:, 3] += by_optimal * (1 / alpha - optimal)
        jacobian[:, 4] += by_optimal * (beta * unique - 1) / alpha
        jacobian[:, 5] = -beta * chinchilla[:, 2] * d_by_rate
        jacobian[:, 6] = by_n * n_by_rate
        return log_loss, jacobian

    def _effective(
        self, theta: Array, scale: Array
    ) -> tuple[Array, Array, Array, Array, Array, Array]:
        """Return log N' and log D' with derivatives.

        Returns
        -------
        log N', log D', d log N'/d log N_opt, d log N'/d log R*_N, d log D'/d log R*_D, log N_opt.
        """
        alpha, beta = np.exp(theta[:, 3:4]), np.exp(theta[:, 4:5])
        seen = scale[..., 1]
        unique = np.minimum(scale[..., 2], seen)
        optimal = (
            theta[:, 1:2] + theta[:, 3:4] - theta[:, 2:3] - theta[:, 4:5] + beta * unique
        ) / alpha
        log_d, _, d_by_rate = _worth(seen, unique, np.exp(theta[:, 5:6]))
        params = np.broadcast_to(scale[..., 0], optimal.shape)
        log_n, n_by_base, n_by_rate = _worth(
            params, np.minimum(params, optimal), np.exp(theta[:, 6:7])
        )
        n_by_optimal = np.where(params > optimal, n_by_base, 0.0)
        return log_n, log_d, n_by_optimal, n_by_rate, d_by_rate, optimal

    def constants(self, theta: Array, centre: Array) -> dict[str, Array]:
        """Return Chinchilla's constants, R_D and R_N."""
        rates = np.exp(theta[:, 5:])
        return CHINCHILLA.constants(theta[:, :5], centre[:2]) | {
            "R_D": rates[:, 0],
            "R_N": rates[:, 1],
        }

    def theta(self, constants: dict[str, float], centre: Array) -> Array:
        """Return the parameters of given constants."""
        names = tuple(self.meanings())
        values = dict(zip(names, named(constants, names).tolist(), strict=True))
        rates = np.log([values.pop("R_D"), values.pop("R_N")])
        return np.concatenate([CHINCHILLA.theta(values, centre[:2]), rates])

    def meanings(self) -> dict[str, str]:
        """Say what each constant is."""
        return CHINCHILLA.meanings() | {
            "R_D": "repetitions of the data after which 1/e of a new token's worth is left",
            "R_N": "the same for parameters beyond those that the unique tokens can use",
        }


def _worth(log_amount: Array, log_base: Array, rate: Array) -> tuple[Array, Array, Array]:
    """Return log(base·(1 + R*·(1 - exp(-R/R*)))), R = amount/base - 1, and two derivatives.

    Returns
    -------
    The log of what the amount is worth; its derivative by log base; by log R*.
    """
    times = np.exp(log_amount - log_base)
    decay = np.exp(-(times - 1) / rate)
    worth = 1 + rate * (1 - decay)
    by_base = 1 - times * decay / worth
    by_rate = (rate * (1 - decay) - (times - 1) * decay) / worth
    return log_base + np.log(worth), by_base, by_rate
