"""Exploring near a good setting: factors, bounds, neighbours, and values drawn anew."""

from collections import Counter

import numpy as np
import pytest

from hpo.population.explore import perturb
from hpo.space import Dimension

SPACE = {
    "lr": Dimension(log=(1e-3, 1e0)),
    "beta2": Dimension(uniform=(0.9, 0.99)),
    "grad_clip": Dimension(choices=(0.1, 1.0, 10.0)),
}
GOOD = {"lr": 0.03, "beta2": 0.95, "grad_clip": 1.0, "batch_tokens": 512}
FACTORS = (0.8, 1.25)


def test_a_perturbed_value_is_one_of_the_two_factors_away() -> None:
    rng = np.random.default_rng(0)
    moved = [perturb(SPACE, GOOD, FACTORS, 0.0, rng) for _ in range(400)]
    rates = Counter(setting["lr"] for setting in moved)
    assert set(rates) == {0.03 * 0.8, 0.03 * 1.25}
    assert min(rates.values()) > 150
    assert {setting["beta2"] for setting in moved} == {0.9, 0.99}  # both factors leave the range
    assert {setting["grad_clip"] for setting in moved} == {0.1, 10.0}
    assert {setting["batch_tokens"] for setting in moved} == {512}


def test_a_value_at_the_edge_stays_within() -> None:
    rng = np.random.default_rng(0)
    edge = GOOD | {"lr": 1.0, "grad_clip": 10.0}
    moved = [perturb(SPACE, edge, FACTORS, 0.0, rng) for _ in range(50)]
    assert {setting["lr"] for setting in moved} == {0.8, 1.0}
    assert {setting["grad_clip"] for setting in moved} == {1.0, 10.0}


def test_a_value_drawn_anew_may_be_anything_in_the_space() -> None:
    rng = np.random.default_rng(0)
    moved = [perturb(SPACE, GOOD, FACTORS, 1.0, rng) for _ in range(400)]
    logs = np.log10([setting["lr"] for setting in moved])
    assert np.histogram(logs, bins=3, range=(-3, 0))[0].min() > 100
    assert {setting["grad_clip"] for setting in moved} == {0.1, 1.0, 10.0}


def test_a_part_is_drawn_anew() -> None:
    rng = np.random.default_rng(0)
    moved = [perturb(SPACE, GOOD, FACTORS, 0.25, rng) for _ in range(800)]
    near = {0.03 * 0.8, 0.03 * 1.25}
    assert np.mean([setting["lr"] not in near for setting in moved]) == pytest.approx(
        0.25, abs=0.06
    )
