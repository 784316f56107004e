"""The best N and D for a budget of FLOPs, seconds or money.

What a run costs is tokens times what a token costs, and a token costs u + v·N: with u = 0 and
v = 6 the usual 6·N·D FLOPs, with a measured u and v seconds (`scaling.loss_laws.step_time`), and
times a price, money. Along the curve D = budget / (u + v·N) a law's loss has one minimum, which
is searched in log N for the law and all of its draws at once, whatever the law's form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scaling.errors import LawError
from scaling.loss_laws.law import LossLaw, interval
from scaling.loss_surface import Array
from scaling.prediction import Interval, Regret
from storage.columns import PARAMS, TOKENS, UNIQUE_TOKENS

FAR_BUDGET = 1000.0  # beyond this many times the largest measured cost, say so
LEAST_PARAMS = 1e3
SECONDS_PER_HOUR = 3600.0

_GRID = 49  # points of log N in each round of the search
_ROUNDS = 5  # each narrows the range to two steps of the one before: 24⁴ times in all


@dataclass(frozen=True)
class TokenCost:
    """What training on a token costs: fixed + per_param·N, in `unit`.

    Attributes
    ----------
    unit : such as "FLOPs", "seconds", "USD".
    coefficients : (2,), fixed and per_param.
    draws : (n_draws, 2), others that the same measurements might have given; none where the cost
        is known.
    """

    unit: str
    coefficients: Array
    draws: Array

    @classmethod
    def known(cls, unit: str, *, fixed: float, per_param: float) -> TokenCost:
        """Return a cost without uncertainty; LawError where it would not grow with N."""
        if not (math.isfinite(fixed) and fixed >= 0 and math.isfinite(per_param) and per_param > 0):
            raise LawError(
                f"a token's cost is {fixed:g} + {per_param:g}·N {unit}; the first must not be "
                "negative and the second must be positive"
            )
        return cls(unit, np.array([fixed, per_param]), np.empty((0, 2)))

    def priced(self, price_per_hour: float, currency: str = "USD") -> TokenCost:
        """Turn a cost in seconds into money, by the price of the whole machine an hour."""
        if self.unit != "seconds":
            raise LawError(f"a cost in {self.unit} has no price an hour; it must be in seconds")
        if not (math.isfinite(price_per_hour) and price_per_hour > 0):
            raise LawError(f"the price is {price_per_hour} an hour; it must be a positive number")
        factor = price_per_hour / SECONDS_PER_HOUR
        return TokenCost(currency, self.coefficients * factor, self.draws * factor)

    def of(self, params: ArrayLike, tokens: ArrayLike) -> Array:
        """Return what runs of N parameters and D tokens cost, in `unit`."""
        fixed, per_param = self.coefficients
        return np.asarray(np.asarray(tokens) * (fixed + per_param * np.asarray(params)))

    def split(self, budget: float, tokens_per_param: float) -> tuple[float, float]:
        """Return the N and the D = tokens_per_param·N that a budget in `unit` pays for."""
        for name, value in (("the budget", budget), ("tokens_per_param", tokens_per_param)):
            if not (math.isfinite(value) and value > 0):
                raise LawError(f"{name} is {value}; it must be a positive number")
        fixed, per_param = (float(rate) for rate in self.coefficients)
        half = fixed / (2 * per_param)
        params = math.sqrt(half**2 + budget / (per_param * tokens_per_param)) - half
        return params, tokens_per_param * params

    def paired(self, n_draws: int) -> Array:
        """Return the coefficients and as many draws, repeated where fewer, (1 + n_draws, 2)."""
        draws = self.draws if len(self.draws) else self.coefficients[None]
        return np.vstack([self.coefficients, np.resize(draws, (n_draws, 2))])


FLOPS_6ND = TokenCost.known("FLOPs", fixed=0.0, per_param=6.0)


@dataclass(frozen=True)
class Allocation:
    """The best N and D of one budget, with intervals.

    Attributes
    ----------
    budget, unit : what may be spent.
    params, tokens, tokens_per_param : at the optimum.
    loss : nats a token, there.
    regret_pct : what the optimum's own error is expected to cost, in % of loss; usually far less
        than the intervals of N and D suggest, for the minimum is flat.
    warnings : sentences, the most important first.
    """

    budget: float
    unit: str
    params: Interval
    tokens: Interval
    tokens_per_param: Interval
    loss: Interval
    regret_pct: Regret
    level: float
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the allocation as plain data."""
        document: dict[str, Any] = {"budget": self.budget, "unit": self.unit, "level": self.level}
        for name in ("params", "tokens", "tokens_per_param", "loss"):
            value: Interval = getattr(self, name)
            document[name] = {"value": value.value, "low": value.low, "high": value.high}
        document["regret_pct"] = {
            "expected": self.regret_pct.expected,
            "p90": self.regret_pct.p90,
        }
        return document | {"warnings": list(self.warnings)}


def optimal_allocation(
    law: LossLaw,
    budget: float,
    cost: TokenCost = FLOPS_6ND,
    *,
    unique_tokens: float | None = None,
    level: float = 0.9,
) -> Allocation:
    """Return the N and D of least loss that the budget can pay for.

    Parameters
    ----------
    law : over params and tokens, and unique_tokens for a data-constrained one.
    budget : in the unit of `cost`.
    unique_tokens : how many there are, for a data-constrained law.
    level : coverage of the intervals.

    Raises
    ------
    LawError : a budget that is not positive or buys no run, or a law over other axes.
    """
    log_n, log_d, log_loss = frontier(law, [budget], cost, unique_tokens=unique_tokens)
    chosen = np.array([[log_n[0, 0], log_d[0, 0]]])
    at_chosen = law.log_loss_of_all(
        _centred(law, chosen[None, :, 0], chosen[None, :, 1], unique_tokens)
    )
    regret_pct = 100 * np.expm1(np.maximum(at_chosen[1:, 0] - log_loss[1:, 0], 0.0))
    has_draws = len(regret_pct) > 0
    return Allocation(
        budget=float(budget),
        unit=cost.unit,
        params=interval(np.exp(log_n[:, 0]), level),
        tokens=interval(np.exp(log_d[:, 0]), level),
        tokens_per_param=interval(np.exp(log_d[:, 0] - log_n[:, 0]), level),
        loss=interval(np.exp(log_loss[:, 0]), level),
        regret_pct=Regret(
            float(regret_pct.mean()) if has_draws else math.nan,
            float(np.quantile(regret_pct, 0.9)) if has_draws else math.nan,
        ),
        level=level,
        warnings=(*_warnings(law, budget, cost), *law.warnings),
    )


def frontier_table(
    law: LossLaw,
    budgets: ArrayLike,
    cost: TokenCost = FLOPS_6ND,
    *,
    unique_tokens: float | None = None,
    level: float = 0.9,
) -> pd.DataFrame:
    """Return a row a budget: budget, and params, tokens and loss, each with _low and _high."""
    values = np.atleast_1d(np.asarray(budgets, dtype=float))
    parts = frontier(law, values, cost, unique_tokens=unique_tokens)
    table = {"budget": values}
    for name, logs in zip(("params", "tokens", "loss"), parts, strict=True):
        ends = [interval(column, level) for column in np.exp(logs).T]
        table |= {
            name: np.array([end.value for end in ends]),
            f"{name}_low": np.array([end.low for end in ends]),
            f"{name}_high": np.array([end.high for end in ends]),
        }
    return pd.DataFrame(table)


def frontier(
    law: LossLaw,
    budgets: ArrayLike,
    cost: TokenCost = FLOPS_6ND,
    *,
    unique_tokens: float | None = None,
) -> tuple[Array, Array, Array]:
    """Return log N, log D and log loss at each budget's optimum, by the law and by each draw.

    Returns
    -------
    Three arrays (1 + n_draws, n_budgets); draws of the law and of the cost are paired.
    """
    if law.form.axes[:2] != (PARAMS, TOKENS):
        raise LawError(
            f"this law is over {', '.join(law.form.axes)}; a budget is divided by a law over "
            f"{PARAMS} and {TOKENS}"
        )
    if (UNIQUE_TOKENS in law.form.axes) != (unique_tokens is not None):
        needs = "needs" if unique_tokens is None else "does not take"
        raise LawError(f"the {law.form.name} form {needs} unique_tokens")
    spent = np.atleast_1d(np.asarray(budgets, dtype=float))
    coefficients = cost.paired(len(law.draws))
    fixed, per_param = coefficients[:, 0, None], coefficients[:, 1, None]
    if not (np.isfinite(spent) & (spent > 0)).all():
        raise LawError(f"the budget is {spent.min():g} {cost.unit}; it must be a positive number")
    low = np.full((len(coefficients), len(spent)), math.log(LEAST_PARAMS))
    high = np.log(spent / per_param)  # all of it on one token
    if (high <= low).any():
        raise LawError(
            f"a budget of {spent.min():g} {cost.unit} does not pay for a model of "
            f"{LEAST_PARAMS:g} parameters"
        )
    log_budget = np.log(spent)

    def losses(log_n: Array) -> tuple[Array, Array]:
        """log_n: (n_laws, n_budgets, n_grid)."""
        cost_of_token = np.log(fixed[..., None] + per_param[..., None] * np.exp(log_n))
        log_d = log_budget[:, None] - cost_of_token
        flat = log_n.reshape(len(log_n), -1), log_d.reshape(len(log_n), -1)
        found = law.log_loss_of_all(_centred(law, *flat, unique_tokens))
        return found.reshape(log_n.shape), log_d

    steps = np.linspace(0.0, 1.0, _GRID)
    for _ in range(_ROUNDS):
        grid = low[..., None] + (high - low)[..., None] * steps
        log_loss, log_d = losses(grid)
        best = log_loss.argmin(axis=-1)[..., None]
        width = (high - low) / (_GRID - 1)
        centre = np.take_along_axis(grid, best, axis=-1)[..., 0]
        low, high = np.maximum(low, centre - width), np.minimum(high, centre + width)
    log_n, log_d, log_loss = (
        np.take_along_axis(part, best, axis=-1)[..., 0] for part in (grid, log_d, log_loss)
    )
    return log_n, log_d, log_loss


def _centred(law: LossLaw, log_n: Array, log_d: Array, unique_tokens: float | None) -> Array:
    """Return scale as the law takes it, (n_laws, n_points, n_axes)."""
    axes = [log_n, log_d]
    if unique_tokens is not None:
        axes.append(np.full_like(log_n, math.log(unique_tokens)))
    return np.stack(axes, axis=-1) - law.centre


def _warnings(law: LossLaw, budget: float, cost: TokenCost) -> list[str]:
    if law.points.empty:
        return []
    largest = float(cost.of(law.points[PARAMS], law.points[TOKENS]).max())
    if budget <= FAR_BUDGET * largest:
        return []
    return [
        f"the budget is {budget / largest:,.0f} times the cost of the largest run: the intervals "
        "assume that the same power laws hold that far"
    ]
