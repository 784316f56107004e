import doctest
import itertools
import math

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.colors import unlabel_rgb

from dashboards import report_text, theme
from dashboards.theme import format_count, format_percent, format_rate, parse_count


@pytest.mark.parametrize("module", [theme, report_text])
def test_examples_in_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1, "1"),
        (999.4, "999"),
        (999.6, "1k"),
        (999_600, "1M"),
        (12_582_912, "12.6M"),
        (3.7e12, "3.7T"),
        (math.nan, "–"),
    ],
)
def test_counts_change_their_unit_where_rounding_does(value, text):
    assert format_count(value) == text


@pytest.mark.parametrize("value", [98_300.0, 1.07e9, 2e10, 512.0, 3.7e12])
def test_a_written_count_is_read_back(value):
    assert parse_count(format_count(value)) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "seven", "-7B", "0", "nan", "inf", "7BB7", "7 e"])
def test_a_count_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write 7B, 350M or 7e9"):
        parse_count(text)


def test_small_percentages_are_not_written_as_zero():
    assert format_percent(0.0004) == "0.0004 %"
    assert format_rate(4.41e-4) == "4.41e-4"


def test_the_same_sizes_have_the_same_colours_in_any_order():
    assert theme.size_colours([3e8, 1e8, 2e8, 1e8]) == theme.size_colours([1e8, 2e8, 3e8])


def _linear(colour: str) -> np.ndarray:
    rgb = (
        unlabel_rgb(colour)
        if colour.startswith("rgb")
        else [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    )
    share = np.array(rgb) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
# Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color
# Vision Deficiency", severity 1.
SEEN_BY = {
    "all": np.eye(3),
    "red-blind": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "green-blind": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def _lab(linear: np.ndarray) -> np.ndarray:
    x, y, z = np.cbrt(TO_XYZ @ np.clip(linear, 0, 1) / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _luminance(colour: str) -> float:
    return float(TO_XYZ[1] @ _linear(colour))


@pytest.mark.parametrize("eye", SEEN_BY)
def test_colours_stay_apart_for_the_colour_blind(eye):
    colours = [*theme.size_colours(range(5)).values(), theme.ACCENT]
    seen = [_lab(SEEN_BY[eye] @ _linear(colour)) for colour in colours]
    for first, second in itertools.combinations(seen, 2):
        assert np.linalg.norm(first - second) >= 20


def test_colours_stand_out_on_white_and_on_dark():
    colours = [*theme.size_colours(range(1, 8)).values(), theme.ACCENT, theme.NEUTRAL]
    for scheme in ("light", "dark"):
        paper = _luminance(theme.template(scheme).layout.paper_bgcolor)
        for colour in colours:
            bright, dim = sorted([paper, _luminance(colour)], reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 2.5, (scheme, colour)


def test_larger_sizes_are_lighter():
    luminance = [_luminance(colour) for colour in theme.size_colours(range(1, 8)).values()]
    assert luminance == sorted(luminance)


def test_a_log_axis_passes_over_what_has_no_logarithm():
    axis = theme.log_axis("tokens", [0.0, -1.0, math.nan, 1e6, 1e9], "count")
    low, high = axis["range"]
    assert 5.5 < low < 6
    assert 9 < high < 9.5


def _labels(axis: dict) -> list[float]:
    """Return the values at which plotly writes a label of a short axis."""
    low, high = (10**end for end in axis["range"])
    step = str(axis["dtick"])
    if step.startswith("L"):
        width = float(step[1:])
        return [n * width for n in range(math.ceil(low / width), math.floor(high / width) + 1)]
    shown = {"D1": range(1, 10), "D2": (1, 2, 5), "1": (1,)}[step]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in shown]
    return [value for value in values if low <= value <= high]


@pytest.mark.parametrize("kind", ["loss", "rate", "count"])
@pytest.mark.parametrize(
    ("low", "high"),
    [(1.1, 1.9), (1.2, 1.8), (3.41, 3.42), (0.0012, 0.0018), (2.1, 2.9), (7.0, 1e4)],
)
def test_a_log_axis_has_two_labels_at_least_and_not_too_many(low, high, kind):
    labels = _labels(theme.log_axis("loss", [low, high], kind))
    assert 2 <= len(labels) <= 12


def test_a_log_axis_of_digits_stays_one():
    assert theme.log_axis("loss", [1.5, 4.2], "loss")["dtick"] == "D1"
    assert theme.log_axis("lr", [1e-3, 1e-1], "rate")["dtick"] == "D2"
    assert theme.log_axis("D", [1e6, 1e11], "count")["dtick"] == 1


def test_a_title_that_was_taken_leaves_its_room_too():
    drawn = theme.figure(title="regret 0.1 %")
    assert theme.take_title(drawn) == "regret 0.1 %"
    assert drawn.layout.title.text is None
    assert drawn.layout.margin.t is None


def test_many_points_are_drawn_by_webgl():
    assert theme.scatter(10_000) is go.Scatter
    assert theme.scatter(60_000) is go.Scattergl


def test_the_legend_names_the_ends_of_a_long_scale():
    named = theme.named_in_legend(range(40))
    assert {0, 39} <= named
    assert len(named) == theme.MAX_NAMED
