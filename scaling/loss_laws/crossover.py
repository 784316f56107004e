"""The compute from which one recipe beats another.

Two recipes (data mixes, architectures, parametrizations), each with a loss law of its own, are
compared at their own optimum of every budget. The draws of the two laws give the interval of
where they cross; a draw that does not cross within the range counts as crossing beyond the end
that it points to, so that an interval may be open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scaling.errors import LawError
from scaling.loss_laws.budget import FLOPS_6ND, TokenCost, frontier
from scaling.loss_laws.law import LossLaw
from scaling.loss_surface import Array
from scaling.prediction import Interval

_GRID = 201  # budgets between which the first change of sign is sought


@dataclass(frozen=True)
class Crossover:
    """Where the better of two laws changes, in budget.

    Attributes
    ----------
    budget : the first crossing in the range with its interval, None where the best estimates do
        not cross. An end of the interval is 0 or infinite where the draws leave the range there.
    unit : of the budget, such as FLOPs.
    searched : the range, least and greatest budget.
    better_below, better_above : names of the better law at the range's two ends.
    certainty : share of the draws that say the same: that the laws cross within the range, or
        that the same one is better throughout. NaN without draws.
    """

    budget: Interval | None
    unit: str
    searched: tuple[float, float]
    better_below: str
    better_above: str
    certainty: float

    def __str__(self) -> str:
        """Say it in a sentence."""
        low, high = self.searched
        if self.budget is None:
            sure = "" if math.isnan(self.certainty) else f" ({self.certainty:.0%} of the draws)"
            return (
                f"no crossing within {low:.3g}..{high:.3g} {self.unit}: "
                f"{self.better_below} is better throughout{sure}"
            )
        sure = "" if math.isnan(self.certainty) else f"; {self.certainty:.0%} of the draws cross"
        return (
            f"{self.better_below} is better below {self.budget.value:.3g} {self.unit} "
            f"({self.budget.low:.3g}..{self.budget.high:.3g}{sure}), {self.better_above} above"
        )


def crossover(
    first: LossLaw,
    second: LossLaw,
    low: float,
    high: float,
    *,
    costs: tuple[TokenCost, TokenCost] = (FLOPS_6ND, FLOPS_6ND),
    level: float = 0.9,
) -> Crossover:
    """Find the budget at which the better of two laws changes.

    Parameters
    ----------
    first, second : laws over params and tokens, with different names; draws are paired.
    low, high : the range of budgets, in the unit of the costs.
    costs : what a token costs under each recipe, in one unit.
    level : coverage of the interval.

    Raises
    ------
    LawError : laws of one name, costs of different units, or a range that is none.
    """
    if first.name == second.name:
        raise LawError(f"both laws are named {first.name!r}; give them different names")
    if costs[0].unit != costs[1].unit:
        raise LawError(
            f"one law costs {costs[0].unit}, the other {costs[1].unit}: one unit is needed"
        )
    if not 0 < low < high < math.inf:
        raise LawError(f"the range is {low:g}..{high:g}; it must be two growing positive numbers")
    if not 0 < level < 1:
        raise LawError(f"level is {level}; it must lie between 0 and 1, such as 0.9")
    log_budget = np.linspace(math.log(low), math.log(high), _GRID)
    losses = [
        frontier(law, np.exp(log_budget), cost)[2]
        for law, cost in zip((first, second), costs, strict=True)
    ]
    n_draws = min(len(loss) for loss in losses) - 1
    advantage = losses[1][: 1 + n_draws] - losses[0][: 1 + n_draws]
    crossing = _first_crossing(log_budget, advantage)
    names = [first.name if value >= 0 else second.name for value in advantage[0, [0, -1]]]
    crosses = bool(np.isfinite(crossing[0]))
    agrees = np.isfinite(crossing) if crosses else np.isposinf(crossing)
    certainty = float(agrees[1:].mean()) if n_draws else math.nan
    return Crossover(
        budget=_interval(crossing, level) if crosses else None,
        unit=costs[0].unit,
        searched=(float(low), float(high)),
        better_below=names[0],
        better_above=names[1],
        certainty=certainty,
    )


def _first_crossing(log_budget: Array, advantage: Array) -> Array:
    """Return each row's first zero, (n_rows,), or ±inf where it has none.

    A row without one crosses above the range if the best estimate's lower winner wins it all,
    below the range if the other does.
    """
    positive = advantage >= 0
    changes = positive[:, 1:] != positive[:, :-1]
    index = changes.argmax(axis=1)
    row = np.arange(len(advantage))
    before, after = advantage[row, index], advantage[row, index + 1]
    has_change = changes.any(axis=1)
    share = np.divide(before, before - after, out=np.zeros(len(row)), where=has_change)
    step = log_budget[1] - log_budget[0]
    beyond = np.where(positive[:, 0] == positive[0, 0], np.inf, -np.inf)
    return np.where(has_change, log_budget[index] + share * step, beyond)


def _interval(crossing: Array, level: float) -> Interval:
    """Return the interval of exp(crossing), whose ends may be 0 or infinite."""
    best, drawn = crossing[0], np.sort(crossing[1:])
    if len(drawn) == 0:
        return Interval(float(np.exp(best)), math.nan, math.nan)
    tail = (1 - level) / 2
    # Order statistics, not interpolation: between a number and infinity there is nothing.
    low = drawn[math.floor(tail * (len(drawn) - 1))]
    high = drawn[math.ceil((1 - tail) * (len(drawn) - 1))]
    return Interval(
        float(np.exp(best)), float(np.exp(min(low, best))), float(np.exp(max(high, best)))
    )
