"""Truncation selection: the worst quantile takes over the best, whatever happened to the rest."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.population.truncation import truncation

LOSSES = [2.5, 2.1, 2.9, 2.2, 2.3, 2.8, 2.4, 2.0, 2.6, 2.7]


def draw(losses: list[float], quantile: float, seed: int = 0) -> dict[int, int]:
    return truncation(losses, quantile, np.random.default_rng(seed))


def test_of_ten_the_worst_fifth_takes_over_the_best_fifth() -> None:
    """With a quantile of 20 %, as in the paper: 2.9 and 2.8 take over 2.0 or 2.1."""
    draws = [draw(LOSSES, 0.2, seed) for seed in range(200)]
    assert {tuple(taken) for taken in draws} == {(2, 5)}
    donors = [donor for taken in draws for donor in taken.values()]
    assert set(donors) == {1, 7}
    assert donors.count(1) == pytest.approx(200, abs=45)  # 4.5 standard deviations


@pytest.mark.parametrize(
    ("members", "quantile", "takers"),
    [(10, 0.3, 3), (8, 0.25, 2), (4, 0.25, 1), (3, 0.25, 1), (3, 0.5, 1), (2, 0.5, 1), (5, 0, 0)],
)
def test_how_many_take_over(members: int, quantile: float, takers: int) -> None:
    assert len(draw(LOSSES[:members], quantile)) == takers


def test_a_diverged_member_takes_over_in_any_case() -> None:
    losses = [math.nan, 2.0, 2.2, math.inf, 2.1, 2.3, 2.4, 2.5]
    assert draw(losses, 0.0) == {0: 1, 3: 1}
    assert set(draw(losses, 0.25)) == {0, 3}
    assert set(draw(losses, 0.375)) == {0, 3, 7}


def test_where_nothing_is_left_nothing_is_taken_over() -> None:
    assert draw([math.nan, math.inf, math.nan], 0.25) == {}
    assert draw([math.nan, 2.0, math.nan], 0.25) == {0: 1, 2: 1}


@given(
    losses=st.lists(st.floats(1, 5) | st.just(math.nan), min_size=2, max_size=12),
    quantile=st.floats(0, 0.5),
    seed=st.integers(0, 9),
)
def test_no_one_gives_up_a_better_state(losses: list[float], quantile: float, seed: int) -> None:
    for taker, donor in draw(losses, quantile, seed).items():
        assert math.isfinite(losses[donor])
        assert not losses[taker] < losses[donor]
        assert donor not in draw(losses, quantile, seed)
