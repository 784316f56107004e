"""The form that names a target: its size and tokens, or what may be spent on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import streamlit as st

from dashboards import theme
from dashboards.chosen_law import ChosenLaw, loss_law_of
from scaling.errors import LawError
from scaling.law import Law
from scaling.loss_laws.budget import FLOPS_6ND, SECONDS_PER_HOUR, TokenCost, optimal_allocation
from scaling.loss_laws.step_time import fit_step_time
from storage.columns import BATCH_TOKENS, FLOPS, PARAMS, TOKENS, WIDTH

TARGET_TIMES: Final = 10  # the form's first suggestion: this many times the largest size
SIZE, COMPUTE, HOURS, MONEY = "size and tokens", "compute", "hours", "money"
RATIO, OPTIMAL = "tokens a parameter", "compute-optimal"


@dataclass(frozen=True)
class WantedScale:
    """The target: params, tokens, and width and depth where the law stands on them, else None."""

    params: float
    tokens: float
    width: float | None = None
    depth: float | None = None


def ask_target(chosen: ChosenLaw) -> WantedScale | None:
    """Show the part of the form that names the target."""
    law = chosen.law
    mode = st.segmented_control(
        "The target by", [SIZE, COMPUTE, HOURS, MONEY], default=SIZE, required=True,
        key="by", bind="query-params",
    )  # fmt: skip
    try:
        params, tokens = _size_and_tokens(law) if mode == SIZE else _bought(mode, chosen)
        return WantedScale(params, tokens, **_shape(law))
    except ValueError as error:
        st.error(str(error))
        return None


def suggestion(law: Law) -> tuple[float, float]:
    """Return the target that is shown first: ten times the largest size, as many tokens each."""
    largest = law.scales.iloc[int(law.scales[FLOPS].to_numpy().argmax())]
    params = float(law.scales[PARAMS].max()) * TARGET_TIMES
    return params, params * float(largest[TOKENS] / largest[PARAMS])


def _size_and_tokens(law: Law) -> tuple[float, float]:
    params, tokens = suggestion(law)
    left, right = st.columns(2)
    params_text = left.text_input(
        "Parameters", theme.format_count(params), help="Non-embedding: 7B, 7e9",
        key="params", bind="query-params",
    )  # fmt: skip
    tokens_text = right.text_input(
        "Tokens", theme.format_count(tokens), help="140B, or 1.4e11",
        key="tokens", bind="query-params",
    )  # fmt: skip
    return theme.parse_count(params_text), theme.parse_count(tokens_text)


def _bought(mode: str, chosen: ChosenLaw) -> tuple[float, float]:
    """Return the N and D that a budget pays for."""
    law = chosen.law
    params, tokens = suggestion(law)
    first, second, third = st.columns(3)
    cost = FLOPS_6ND
    if mode == COMPUTE:
        text = first.text_input(
            "Compute, FLOP", theme.format_flops(6 * params * tokens), help="6·N·D: 5.9e21",
            key="flops", bind="query-params",
        )  # fmt: skip
        budget = theme.parse_count(text, "compute in FLOP", "1e21 or 5.9e21")
    else:
        cost, budget = _machine(mode, chosen, first)
    split = second.segmented_control(
        "Split", [RATIO, OPTIMAL], default=RATIO, required=True, key="split", bind="query-params"
    )
    if split == RATIO:
        ratio = third.number_input(
            "Tokens a parameter", 0.01, None, round(tokens / params, 2),
            key="ratio", bind="query-params",
        )  # fmt: skip
        found = cost.split(budget, ratio)
    else:
        allocation = optimal_allocation(loss_law_of(chosen), budget, cost)
        found = allocation.params.value, allocation.tokens.value
        third.caption(
            f"N {_between(allocation.params.low, allocation.params.high)}, by the loss law of "
            f"these runs: being off costs {theme.format_percent(allocation.regret_pct.expected)} "
            "of loss"
        )
    st.caption(
        f"That pays for N = {theme.format_count(found[0])} and D = {theme.format_count(found[1])}."
    )
    return found


def _machine(
    mode: str, chosen: ChosenLaw, place: st.delta_generator.DeltaGenerator
) -> tuple[TokenCost, float]:
    """Return what a token costs on the machine that the runs were timed on, and the budget."""
    if chosen.runs is None:
        raise LawError("the runs of this law are not in the database, so no time of theirs is")
    try:
        step_time = fit_step_time(chosen.runs)
    except LawError as error:
        raise LawError(f"these runs do not tell what an hour buys: {error}") from error
    batch = float(chosen.runs[BATCH_TOKENS].median())
    cost = step_time.token_cost(batch)
    amount = place.number_input(
        "Hours" if mode == HOURS else "Money", 0.0, None, 24.0 if mode == HOURS else 1000.0,
        key="amount", bind="query-params",
    )  # fmt: skip
    st.caption(
        f"Hours are those of the machine that trained these {step_time.n_runs} runs, whose steps "
        f"are timed to {theme.format_percent(step_time.error_pct)}; for a batch of "
        f"{theme.format_batch(batch)} tokens, their median."
    )
    if mode == HOURS:
        return cost, amount * SECONDS_PER_HOUR
    price = place.number_input(
        "Price of an hour of it", 0.0, None, 2.0, key="price", bind="query-params"
    )
    return cost.priced(price, "money"), amount


def _shape(law: Law) -> dict[str, float]:
    """Ask for width and depth where the law stands on them."""
    if not law.shape_axes:
        return {}
    shape = {}
    for place, axis in zip(st.columns(len(law.shape_axes)), law.shape_axes, strict=True):
        what = "Width" if axis == WIDTH else "Depth, blocks"
        largest = float(law.scales[axis].max())
        first = largest * (2 if axis == WIDTH else 1)
        text = place.text_input(what, f"{first:g}", key=axis, bind="query-params")
        shape[axis] = theme.parse_count(text, axis, "2048" if axis == WIDTH else "24")
    return shape


def _between(low: float, high: float) -> str:
    return f"{theme.format_count(low)} – {theme.format_count(high)}"
