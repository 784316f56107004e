import math

import pytest

from trainers.divergence import DivergenceWatch

START = math.log(256)


def test_what_is_not_finite_is_gone_at_once():
    assert DivergenceWatch(100, 10, START).gone([5.0, math.nan])
    assert DivergenceWatch(100, 10, START).gone([math.inf])


def test_a_run_above_where_it_started_is_gone_after_some_patience():
    watch = DivergenceWatch(200, 20, START)
    assert not watch.gone([START + 2] * 39)
    assert watch.gone([START + 2])


@pytest.mark.parametrize(
    "losses",
    [
        [5.5 - 0.001 * i for i in range(100)],  # slow
        [9.0] * 10 + [5.0] * 90,  # wild in its warm-up
        ([9.0] * 9 + [4.0]) * 10,  # rough, but it comes back
        [6.5] * 100,  # no better than a guess, but not gone
    ],
)
def test_slow_and_rough_runs_are_spared(losses: list[float]):
    watch = DivergenceWatch(100, 10, START)
    assert not watch.gone(losses)


def test_how_the_losses_are_cut_up_does_not_matter():
    losses = [4.0] * 30 + [START + 2] * 15
    whole, pieces = DivergenceWatch(100, 10, START), DivergenceWatch(100, 10, START)
    assert whole.gone(losses)
    assert [pieces.gone([loss]) for loss in losses].index(True) == 39
