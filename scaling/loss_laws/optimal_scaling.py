"""Compute-optimal N and D as power laws of compute: what `scaling.loss_laws.approaches` return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scaling.errors import LawError
from scaling.loss_laws.law import interval
from scaling.loss_surface import Array
from scaling.prediction import Interval
from storage.columns import PARAMS, TOKENS


@dataclass(frozen=True)
class OptimalScaling:
    """Compute-optimal N and D as power laws of compute, with draws.

    Attributes
    ----------
    approach : which of the three.
    lines : (1 + n_draws, 2, 2), for params and for tokens the log at `centre` and the exponent
        of C; the best estimate first.
    centre : natural log of the compute, in FLOPs, that the lines are relative to.
    points : what the lines were drawn through: flops, params, tokens, loss.
    warnings : what the runs could not say.
    """

    approach: str
    lines: Array
    centre: float
    points: pd.DataFrame
    warnings: tuple[str, ...]

    def at(self, flops: float, *, level: float = 0.9) -> tuple[Interval, Interval]:
        """Return the best N and D of a compute budget."""
        log_params, log_tokens = self._logs(flops)
        return interval(np.exp(log_params), level), interval(np.exp(log_tokens), level)

    def tokens_per_param(self, flops: float, *, level: float = 0.9) -> Interval:
        """Return D/N at the best N and D of a compute budget."""
        log_params, log_tokens = self._logs(flops)
        return interval(np.exp(log_tokens - log_params), level)

    def exponent(self, name: str, *, level: float = 0.9) -> Interval:
        """Return the power of C with which the best params, or tokens, grow."""
        return interval(self.lines[:, (PARAMS, TOKENS).index(name), 1], level)

    def _logs(self, flops: float) -> tuple[Array, Array]:
        """Return log N and log D at a compute budget, (1 + n_draws,) each."""
        if not (np.isfinite(flops) and flops > 0):
            raise LawError(f"flops is {flops}; it must be a positive number")
        logs = self.lines[..., 0] + self.lines[..., 1] * (np.log(flops) - self.centre)
        return logs[:, 0], logs[:, 1]

    def terms(self, *, level: float = 0.9) -> pd.DataFrame:
        """Return both power laws' constants: columns term, value, low, high, meaning."""
        rows = []
        for index, name in enumerate((PARAMS, TOKENS)):
            exponent = self.lines[:, index, 1]
            coefficient = np.exp(self.lines[:, index, 0] - exponent * self.centre)
            rows += [
                (f"{name}: exponent", exponent, f"best {name} grow as C to this"),
                (f"{name}: coefficient", coefficient, f"best {name} at C = 1 FLOP"),
            ]
        ends = [(term, interval(values, level), meaning) for term, values, meaning in rows]
        return pd.DataFrame(
            {
                "term": term,
                "value": end.value,
                "low": end.low,
                "high": end.high,
                "meaning": meaning,
            }
            for term, end, meaning in ends
        )


def weighted_lines(log_flops: Array, logs: Array, weights: Array) -> Array:
    """Return weighted least-squares lines through points, (n_fits, 2): value at 0, and slope.

    Parameters
    ----------
    log_flops : (n_points,).
    logs : (n_fits, n_points), finite.
    weights : (n_fits, n_points), two or more positive in each row.
    """
    total = weights.sum(axis=1)
    x = weights @ log_flops / total
    y = (weights * logs).sum(axis=1) / total
    from_x = log_flops - x[:, None]
    slope = (weights * from_x * (logs - y[:, None])).sum(axis=1) / (weights * from_x**2).sum(axis=1)
    return np.column_stack([y - slope * x, slope])


def lines_of_draws(
    log_flops: Array, log_params: Array, log_tokens: Array, weights: Array, keep: NDArray[np.bool_]
) -> Array:
    """Return the lines of `OptimalScaling` for the fits to keep, (n_kept, 2, 2)."""
    lines = [
        weighted_lines(log_flops, logs[keep], weights[keep]) for logs in (log_params, log_tokens)
    ]
    return np.stack(lines, axis=1)
