"""Slopes of log RMS on log size: known ones are found, judged, and their doubt is told."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress

from scaling.coordinate_slopes import CHANGES, coordinate_slopes, step_means, worst
from scaling.errors import InsufficientDataError

WIDTHS = (64, 128, 256, 512)


def changes(
    powers: dict[str, float],
    *,
    axis: str = "width",
    sizes: tuple[int, ...] = WIDTHS,
    n_seeds: int = 3,
    noise: float = 0.0,
    inside: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Draw changes that grow as size to known powers, a step at a time, from seed to seed apart."""
    rng = np.random.default_rng(0)
    rows = [
        (axis, size, seed, layer, layer in inside, step, value + noise * rng.normal())
        for layer, power in powers.items()
        for seed in range(n_seeds)
        for size in sizes
        for step in range(1, 11)
        for value in [power * math.log(size) + 0.3 * math.log(step) + seed]
    ]
    return pd.DataFrame(rows, columns=list(CHANGES))


def test_known_powers_are_found_and_the_worst_comes_first():
    found = coordinate_slopes(changes({"flat": 0.01, "up": 0.5, "down": -0.9}), ["width"])
    assert [one.layer for one in found] == ["down", "up", "flat"]
    assert [one.slope.value for one in found] == pytest.approx([-0.9, 0.5, 0.01])
    assert [one.holds for one in found] == [False, False, True]
    assert worst(found) is found[0]


def test_the_slope_is_least_squares_within_seeds_and_steps():
    noisy = changes({"layer": 0.3}, noise=0.2, n_seeds=1)
    (one,) = coordinate_slopes(noisy, ["width"])
    assert one.slope.value == pytest.approx(linregress(np.log(noisy["size"]), noisy["log_rms"])[0])


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    table = changes({"layer": 0.1})
    covered = 0
    for _ in range(300):
        # Noise of a seed's run at a size, shared by all its steps, as training makes it.
        jitter = pd.Series(rng.normal(size=12) * 0.1)
        number = table["seed"] * 4 + table["size"].map(WIDTHS.index)
        noisy = table.assign(log_rms=table["log_rms"] + number.map(jitter))
        (one,) = coordinate_slopes(noisy, ["width"])
        covered += one.slope.low <= 0.1 <= one.slope.high
    assert 0.85 <= covered / 300 <= 0.95


def test_one_seed_gives_a_slope_without_an_interval():
    (one,) = coordinate_slopes(changes({"layer": 0.1}, n_seeds=1), ["width"])
    assert one.slope.value == pytest.approx(0.1)
    assert math.isnan(one.slope.low)
    assert one.holds


def test_a_step_at_which_a_layer_stands_still_somewhere_is_left_out():
    table = changes({"layer": 0.1})
    still = (table["step"] <= 2) & (table["size"] == 128)
    (one,) = coordinate_slopes(table[~still], ["width"])
    assert one.steps == 8
    assert one.slope.value == pytest.approx(0.1)


def test_an_activation_that_is_not_finite_fails():
    table = changes({"layer": 0.1, "other": 0.0})
    blown = (table["layer"] == "layer") & (table["size"] == 512) & (table["step"] == 9)
    found = coordinate_slopes(table.assign(log_rms=table["log_rms"].mask(blown)), ["width"])
    assert (found[0].layer, found[0].holds) == ("layer", False)
    assert math.isnan(found[0].slope.value)
    assert found[1].holds


def test_over_depth_only_what_lies_outside_of_the_blocks_is_judged():
    powers = {"stream": 0.05, "blocks[last].mlp": -0.5}
    deep = changes(powers, axis="depth", sizes=(2, 4, 8), inside=("blocks[last].mlp",))
    found = coordinate_slopes(deep, ["width", "depth"])
    assert [(one.layer, one.holds) for one in found] == [
        ("stream", True),
        ("blocks[last].mlp", None),
    ]
    assert worst(coordinate_slopes(deep, ["width"])) is None


def test_one_size_has_no_slope():
    with pytest.raises(InsufficientDataError, match="two sizes at least; there is 64 only"):
        coordinate_slopes(changes({"layer": 0.0}, sizes=(64,)), ["width"])


def test_means_are_over_seeds():
    table = step_means(changes({"layer": 0.0}))
    at = table[(table["step"] == 1) & (table["size"] == 64)]
    assert at["log_rms"].tolist() == pytest.approx([1.0])
    assert len(table) == 40
