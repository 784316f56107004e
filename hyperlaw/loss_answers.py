"""What is asked of loss laws: one recipe's best N and D for a budget, and where two recipes cross.

The command line (`hyperlaw loss`) and the facade answer from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from hyperlaw.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scaling.loss_laws.budget import Allocation, TokenCost
    from scaling.loss_laws.crossover import Crossover
    from scaling.loss_laws.law import LossLaw
    from scaling.loss_laws.optimal_scaling import OptimalScaling


@dataclass(frozen=True)
class Budget:
    """What may be spent, in one of three units; InputError unless just one is given.

    Attributes
    ----------
    flops, seconds, money : one or more budgets of that unit; seconds and money are those of the
        machine that the runs were timed on.
    price_per_hour : of that whole machine, with money.
    batch_tokens : tokens a step of the planned run, with seconds or money; the runs' own where
        they have one only.
    """

    flops: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    money: tuple[float, ...] = ()
    price_per_hour: float | None = None
    batch_tokens: float | None = None

    def __post_init__(self) -> None:
        """Refuse no budget, two units at once, and what does not go with the unit."""
        units = {"flops": self.flops, "seconds": self.seconds, "money": self.money}
        given = [name for name, amounts in units.items() if amounts]
        if len(given) != 1:
            found = (
                f"budgets of {' and of '.join(given)} are given" if given else "no budget is given"
            )
            raise InputError(f"{found}; give one of flops, seconds and money")
        if self.money and self.price_per_hour is None:
            raise InputError("a budget of money needs the price of an hour of the whole machine")
        if not self.money and self.price_per_hour is not None:
            raise InputError("a price goes with a budget of money")
        if self.flops and self.batch_tokens is not None:
            raise InputError(
                "a batch goes with a budget of seconds or money, not with one of flops"
            )

    @property
    def amounts(self) -> tuple[float, ...]:
        """The budgets, in the unit that was given."""
        return self.flops or self.seconds or self.money

    def cost(self, runs: pd.DataFrame) -> tuple[TokenCost, tuple[str, ...]]:
        """Return what a token costs in the budget's unit, and notes on how that is known.

        Raises
        ------
        InsufficientDataError : the runs' times do not say it.
        LawError : they were not timed, or not with this batch.
        """
        from scaling.loss_laws.budget import FLOPS_6ND
        from scaling.loss_laws.step_time import fit_step_time

        if self.flops:
            return FLOPS_6ND, ()
        step_time = fit_step_time(runs)
        low, high = step_time.batches
        if self.batch_tokens is None and low < high:
            raise InputError(
                f"the runs have batches of {low:g} to {high:g} tokens, and a step's time depends "
                "on it: name the planned batch with --batch-tokens"
            )
        batch = low if self.batch_tokens is None else self.batch_tokens
        cost = step_time.token_cost(batch)
        notes = (
            f"a step of {batch:,.0f} tokens is timed to {step_time.error_pct:.2g} % (median), by "
            f"{step_time.n_runs} runs: their machine is what the budget is of",
        )
        if self.price_per_hour is None:
            return cost, notes
        return cost.priced(self.price_per_hour, "money"), notes


@dataclass(frozen=True)
class OptimalAnswer:
    """The best N and D of budgets, by every approach that the data carries.

    Attributes
    ----------
    law : of loss.
    allocations : by the law, a budget each.
    scalings : best N and D as power laws of compute, where budgets are FLOPs: the approaches of
        Chinchilla that the data carries.
    refused : approach to why it has no answer.
    notes : how it is known what a token costs.
    """

    law: LossLaw
    allocations: tuple[Allocation, ...]
    scalings: tuple[OptimalScaling, ...]
    refused: dict[str, str]
    notes: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that the answers warn of, each once."""
        said = [text for allocation in self.allocations for text in allocation.warnings]
        said += [
            f"{scaling.approach}: {text}"
            for scaling in self.scalings
            for text in scaling.warnings
            if text not in said
        ]
        return tuple(dict.fromkeys(said))


def best_allocations(
    runs: pd.DataFrame,
    budget: Budget,
    *,
    form: str = "chinchilla",
    r_data: float | None = None,
    r_params: float | None = None,
    curves: pd.DataFrame | None = None,
    unique_tokens: float | None = None,
    level: float = 0.9,
) -> OptimalAnswer:
    """Return the best N and D of each budget by the law and, for FLOPs, by the other approaches.

    Parameters
    ----------
    runs : a table of losses by scale.
    form, r_data, r_params : of the law, as `scaling.loss_laws.choice.fit_form` takes them.
    curves : run_id, params, tokens and loss of every report, for the minimum over curves.
    unique_tokens : how many different tokens there are, for a law of repeated data; the other
        approaches, which know no repetition, then do not answer.

    Raises
    ------
    InsufficientDataError : the runs carry no such law, or do not say what a token costs.
    LawError : a budget that buys no run, or a law over other axes.
    """
    from scaling.loss_laws.budget import optimal_allocation
    from scaling.loss_laws.choice import fit_form, runs_for

    law = fit_form(runs, form, r_data=r_data, r_params=r_params)
    cost, notes = budget.cost(runs)
    allocations = tuple(
        optimal_allocation(law, value, cost, unique_tokens=unique_tokens, level=level)
        for value in budget.amounts
    )
    scalings: list[OptimalScaling] = []
    refused: dict[str, str] = {}
    if budget.flops and unique_tokens is None:
        scalings, refused = _approaches(law, runs_for(form, runs), curves)
    return OptimalAnswer(law, allocations, tuple(scalings), refused, notes)


def _approaches(
    law: LossLaw, runs: pd.DataFrame, curves: pd.DataFrame | None
) -> tuple[list[OptimalScaling], dict[str, str]]:
    from scaling.errors import InsufficientDataError
    from scaling.loss_laws.approaches import isoflop_minima, minimum_over_curves, parametric

    scalings = [parametric(law)] if law.form.name == "chinchilla" else []
    refused: dict[str, str] = {}
    try:
        scalings.append(isoflop_minima(runs))
    except InsufficientDataError as error:
        refused["isoFLOP parabolas"] = str(error)
    try:
        if curves is None or curves.empty:
            raise InsufficientDataError("it needs whole training curves; give them with --curves")
        scalings.append(minimum_over_curves(curves[curves["tokens"] > 0]))
    except InsufficientDataError as error:
        refused["minimum over curves"] = str(error)
    return scalings, refused


def crossovers(
    recipes: Mapping[str, pd.DataFrame],
    *,
    form: str = "chinchilla",
    between: tuple[float, float] | None = None,
    level: float = 0.9,
) -> list[tuple[str, str, Crossover]]:
    """Return where each pair of recipes cross: the names, and the compute.

    Parameters
    ----------
    recipes : name to table of losses by scale, two or more.
    form : of the laws, one over params and tokens.
    between : least and greatest FLOPs to search; from the least compute measured to a thousand
        times the largest where None.

    Raises
    ------
    InsufficientDataError : a recipe's runs carry no law; the message names it.
    InputError : fewer than two recipes.
    """
    from scaling.errors import InsufficientDataError
    from scaling.loss_laws.choice import fit_form
    from scaling.loss_laws.crossover import crossover

    if len(recipes) < 2:
        raise InputError(
            f"only '{next(iter(recipes), '')}' is given; a crossover is of two recipes"
        )
    laws = {}
    for name, runs in recipes.items():
        try:
            laws[name] = fit_form(runs, form, name=name)
        except InsufficientDataError as error:
            raise InsufficientDataError(f"{name}: {error}") from error
    low, high = between or _reach(list(laws.values()))
    return [
        (first, second, crossover(laws[first], laws[second], low, high, level=level))
        for first, second in combinations(laws, 2)
    ]


def _reach(laws: Sequence[LossLaw]) -> tuple[float, float]:
    from scaling.loss_laws.budget import FAR_BUDGET, FLOPS_6ND
    from storage.columns import PARAMS, TOKENS

    low, high = math.inf, 0.0
    for law in laws:
        if not {PARAMS, TOKENS} <= set(law.form.axes):
            raise InputError(
                f"a crossover is of laws over params and tokens; '{law.form.name}' is over "
                f"{', '.join(law.form.axes)}"
            )
        flops = FLOPS_6ND.of(law.points[PARAMS], law.points[TOKENS])
        low, high = min(low, float(flops.min())), max(high, float(flops.max()))
    return low, FAR_BUDGET * high
