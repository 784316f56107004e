"""Settings as points: there and back, choices in cells, and what lies outside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.encoding import features, from_cube, snap, to_cube
from hpo.space import Dimension

SPACE = {
    "lr": Dimension(log=(1e-4, 1.0)),
    "momentum": Dimension(uniform=(-1.0, 1.0)),
    "batch": Dimension(choices=(16, 32, 64)),
    "optimizer": Dimension(choices=("adam", "sgd", "lion")),
}


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_a_point_gives_its_setting_back(point):
    snapped = snap(SPACE, np.array([point]))[0]
    setting = from_cube(SPACE, np.array(point))
    assert to_cube(SPACE, setting) == pytest.approx(snapped, abs=1e-9)
    assert from_cube(SPACE, snapped) == setting


def test_log_ranges_are_even_in_the_logarithm():
    setting = {"lr": 1e-2, "momentum": 0.0, "batch": 32, "optimizer": "adam"}
    assert to_cube(SPACE, setting) == pytest.approx([0.5, 0.5, 0.5, 1 / 6])


def test_numbers_to_choose_from_are_in_order_and_names_equally_far_apart():
    settings = [
        {"lr": 1e-2, "momentum": 0.0, "batch": batch, "optimizer": name}
        for batch, name in [(16, "adam"), (32, "adam"), (64, "adam"), (16, "sgd"), (16, "lion")]
    ]
    encoded = features(SPACE, np.array([to_cube(SPACE, setting) for setting in settings]))
    away = np.linalg.norm(encoded - encoded[0], axis=1)
    assert away == pytest.approx([0.0, 0.5, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lr": 2.0}, "lr is 2.0; it lies from 0.0001 to 1"),
        ({"momentum": "much"}, "momentum is 'much'; it lies from -1 to 1"),
        ({"batch": 48}, "batch is 48; it is one of 16, 32, 64"),
        ({"decay": 0.1}, "the space is lr, momentum, batch, optimizer"),
    ],
)
def test_a_setting_outside_the_space_is_refused(change, said):
    setting = {"lr": 1e-2, "momentum": 0.0, "batch": 32, "optimizer": "adam"} | change
    with pytest.raises(ValueError, match=said):
        to_cube(SPACE, setting)
