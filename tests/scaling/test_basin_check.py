"""Basins of known place and shape: drift, regret, edges and divergence come out as drawn."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from scaling.basin_check import BasinCheck, check_basins, worst
from scaling.errors import InsufficientDataError
from storage.runs_table import check_runs

WIDTHS = (64, 128, 256)
RATES = tuple(2.0**power for power in range(-10, -3))


def runs(
    octaves: float,
    *,
    curvature: float = 0.02,
    best: float = -7.0,
    n_seeds: int = 3,
    noise: float = 0.0,
    **columns: object,
) -> pd.DataFrame:
    """Draw a grid whose best log2 rate moves by so many octaves a doubling of width."""
    rng = np.random.default_rng(0)
    rows = []
    for doublings, width in enumerate(WIDTHS):
        for lr in RATES:
            for seed in range(n_seeds):
                off = math.log2(lr) - best - octaves * doublings
                loss = 3.0 - 0.1 * doublings + curvature * off**2 + noise * rng.normal()
                scale = {"params": 24.0 * width**2, "width": width, "tokens": 1e6}
                rows.append(scale | {"lr": lr, "batch_tokens": 512, "seed": seed, "loss": loss})
    return check_runs(pd.DataFrame(rows).assign(**columns))


@pytest.mark.parametrize("octaves", [0.0, -0.3, 0.6])
def test_drift_and_regret_of_parabolas_are_exact(octaves):
    (check,) = check_basins(runs(octaves))
    assert check.axis == "width"
    assert check.octaves.value == pytest.approx(octaves)
    assert [math.log2(basin.lr) for basin in check.basins] == pytest.approx(
        [-7 + octaves * i for i in range(3)]
    )
    # Between rates with losses the interpolation beyond the parabola is a chord, never below the
    # basin itself; beyond the last of them nothing is interpolated, see the tests of divergence.
    paid = 100 * 0.02 * (2 * octaves) ** 2 / 2.8
    assert check.regret_pct.value >= paid - 1e-9
    assert check.regret_pct.value == pytest.approx(paid, abs=0.2)
    assert check.holds is (check.regret_pct.value <= 0.5)


def test_the_tolerance_decides():
    table = runs(-0.4)
    (strict,), (lax,) = (check_basins(table, tolerance_pct=pct) for pct in (0.1, 5))
    assert (strict.holds, lax.holds) == (False, True)
    assert strict.regret_pct == lax.regret_pct


def test_seeds_give_intervals_and_one_seed_none():
    (check,) = check_basins(runs(-0.3, noise=0.003))
    assert check.octaves.low < -0.3 < check.octaves.high
    assert 0 <= check.regret_pct.low <= check.regret_pct.value <= check.regret_pct.high
    (alone,) = check_basins(runs(-0.3, n_seeds=1))
    assert alone.octaves.value == pytest.approx(-0.3)
    assert math.isnan(alone.octaves.low)
    assert math.isnan(alone.regret_pct.high)


def test_an_optimum_at_the_edge_of_the_rates_cannot_pass():
    (check,) = check_basins(runs(0.0, best=-3.0))
    assert check.edges == WIDTHS
    assert check.holds is None
    (at_the_largest_only,) = check_basins(runs(-1.5))
    assert at_the_largest_only.edges == (256,)
    assert at_the_largest_only.holds is False, "what is paid at least is too much already"


def diverge(table: pd.DataFrame, gone: pd.Series) -> pd.DataFrame:
    """Return the runs of a grid of which some have diverged."""
    return table.assign(
        loss=table["loss"].mask(gone), status=table["status"].mask(gone, "diverged")
    )


def cliff(
    lowest: float, *, best: float = -7.0, octaves: float = 0.0, seed: int | None = None
) -> BasinCheck:
    """Check a grid whose largest size, or one seed of it, diverges from a log2 rate on.

    The basins are so flat that what the smallest size's rate costs would pass everywhere.
    """
    table = runs(octaves, best=best, curvature=1e-4)
    gone = (table["width"] == WIDTHS[-1]) & (table["lr"] >= 2.0**lowest)
    if seed is not None:
        gone &= table["seed"] == seed
    (check,) = check_basins(diverge(table, gone))
    return check


def test_a_rate_at_which_a_seed_diverged_has_no_loss():
    table = runs(0.0)
    (check,) = check_basins(diverge(table, (table["lr"] == RATES[-1]) & (table["seed"] == 1)))
    assert check.basins[0].lrs == RATES[:-1]
    assert check.basins[0].diverged == RATES[-1:]
    assert check.octaves.value == pytest.approx(0.0, abs=1e-9)
    assert check.holds is True


@pytest.mark.parametrize(
    ("lowest", "best", "octaves", "holds"),
    [
        (-5, -5.0, -1.0, False),  # the smallest size's best rate diverged itself
        (-6, -5.0, -1.0, False),  # and so did one an octave lower, beside the largest's own best
        (-6, -4.7, -1.0, False),  # between two that diverged
        (-5, -5.2, -1.0, None),  # between the highest rate with a loss and the lowest without
        (-5, -6.2, -0.5, True),  # rates with losses on both sides
        (-5, -4.0, -1.0, False),  # the smallest size's best is the highest rate: it is no lower
        (-9, -5.0, 0.0, False),  # one rate has a loss
        (-10, -5.0, 0.0, False),  # no rate has
    ],
)
def test_a_rate_at_which_the_largest_size_diverges_does_not_serve(lowest, best, octaves, holds):
    check = cliff(lowest, best=best, octaves=octaves)
    assert check.holds is holds
    assert math.isinf(check.regret_pct.value) is (holds is False)


def test_one_diverged_seed_of_three_is_enough():
    assert cliff(-5, best=-5.0, octaves=-1.0, seed=1).holds is False


def test_between_a_loss_and_a_divergence_what_is_paid_at_least_can_be_too_much():
    def paid(curvature: float) -> BasinCheck:
        table = runs(-1.0, best=-5.2, curvature=curvature)
        gone = (table["width"] == WIDTHS[-1]) & (table["lr"] >= 2.0**-5)
        (check,) = check_basins(diverge(table, gone))
        assert check.at_least
        assert check.regret_pct.value == pytest.approx(100 * curvature * 1.2**2 / 2.8)
        return check

    assert paid(0.005).holds is None
    assert paid(0.02).holds is False


def test_beyond_the_rates_of_the_largest_size_nothing_passes():
    table = runs(-1.0, best=-5.0, curvature=1e-4)
    (check,) = check_basins(table[(table["width"] < WIDTHS[-1]) | (table["lr"] <= 2.0**-6)])
    assert not check.basins[-1].at_edge
    assert check.basins[0].lr > check.basins[-1].lrs[-1]
    assert check.holds is None


def test_a_seed_that_diverged_below_the_best_rate_speaks_of_that_rate_alone():
    table = runs(0.0)
    unlucky = (table["width"] == WIDTHS[-1]) & (table["lr"] == RATES[0]) & (table["seed"] == 2)
    (check,) = check_basins(diverge(table, unlucky))
    assert check.holds is True
    largest = check.basins[-1]
    assert largest.ceiling == math.inf
    assert largest.loss_at(RATES[0]) == math.inf
    assert not largest.surrounds(2.0**-9.5)


def test_an_optimum_beside_a_divergence_is_not_at_the_edge_of_the_rates():
    check = cliff(-6, best=-6.5)
    assert check.basins[-1].at_edge
    assert check.edges == ()
    assert check.holds is None


def test_a_size_that_diverged_throughout_counts_as_the_largest_only():
    table = runs(0.0)
    (check,) = check_basins(diverge(table, table["width"] == WIDTHS[0]))
    assert [basin.size for basin in check.basins] == [128, 256]
    (check,) = check_basins(diverge(table, table["width"] > WIDTHS[0]))
    assert check.holds is False
    assert math.isnan(check.octaves.value)
    with pytest.raises(InsufficientDataError, match="losses at the smaller"):
        check_basins(diverge(table, table["width"] > 0))


def test_seeds_that_diverge_at_their_own_best_rates_leave_no_interval():
    table = runs(0.0, best=-5.6, curvature=1e-4)
    own = (table["width"] == WIDTHS[0]) & (table["seed"] == 1)
    off = np.log2(table["lr"]) + 5.0
    table = table.assign(loss=table["loss"].mask(own, 3 + 1e-4 * off**2))
    gone = (table["width"] == WIDTHS[-1]) & (table["lr"] >= 2.0**-5)
    (check,) = check_basins(diverge(table, gone))
    assert math.isfinite(check.regret_pct.value)
    assert math.isnan(check.regret_pct.high)


def test_failed_runs_do_not_count():
    table = runs(0.0, n_seeds=1)
    failed = table.assign(status="failed", loss=np.nan, seed=9, run_id=table["run_id"] + "-again")
    assert check_basins(pd.concat([table, failed]))[0].basins == check_basins(table)[0].basins


def test_each_batch_and_parametrization_is_checked_by_itself():
    table = pd.concat(
        [
            runs(0.0, batch_tokens=512, parametrization="mup"),
            runs(-0.5, batch_tokens=2048, parametrization="mup"),
            runs(-1.0, best=-5, batch_tokens=512, parametrization="sp"),
        ]
    )
    checks = check_basins(table)
    found = {(c.held["batch_tokens"], c.held["parametrization"]): c.octaves.value for c in checks}
    assert found == pytest.approx({(512, "mup"): 0, (2048, "mup"): -0.5, (512, "sp"): -1}, abs=1e-9)
    assert worst(checks).held == {"batch_tokens": 512, "parametrization": "sp"}


def test_budgets_are_equal_by_tokens_a_parameter_where_tokens_differ():
    table = runs(0.0)
    both = pd.concat([table.assign(tokens=ratio * table["params"]) for ratio in (5, 20)])
    checks = check_basins(both)
    assert [check.held for check in checks] == [{"tokens_per_param": 5}, {"tokens_per_param": 20}]


def test_depth_is_an_axis_of_its_own():
    table = runs(0.25).assign(depth=2)
    deep = runs(0.25).assign(depth=4)
    checks = check_basins(pd.concat([table, deep]))
    assert [(c.axis, dict(c.held)) for c in checks] == [
        ("width", {"depth": 2}),
        ("width", {"depth": 4}),
        ("depth", {"width": 64}),
        ("depth", {"width": 128}),
        ("depth", {"width": 256}),
    ]
    assert checks[-1].octaves.value == pytest.approx(0, abs=1e-9)


def test_random_rates_that_no_two_sizes_share_enough_of_are_refused():
    table = runs(0.0, n_seeds=1)
    with pytest.raises(InsufficientDataError, match="3 learning rates at each of two sizes"):
        check_basins(table[table["width"] == 64])
    scattered = table.assign(batch_tokens=np.arange(len(table)) + 1)
    with pytest.raises(InsufficientDataError, match="all else equal"):
        check_basins(scattered)


@pytest.mark.parametrize(
    "check",
    [*check_basins(runs(-0.3, n_seeds=1)), cliff(-5, best=-5.0), cliff(-10), cliff(-6)],
    ids=["one seed", "diverges", "diverges throughout", "in part"],
)
def test_a_check_survives_being_kept(check):
    document = json.loads(json.dumps(check.to_dict(), allow_nan=False))
    again = BasinCheck.from_dict(document)
    assert again.to_dict() == check.to_dict()
    assert repr(again) == repr(check), "NaN and infinity included"
    assert again.holds is check.holds


def test_a_check_of_before_does_not_pass_a_rate_of_which_it_knows_nothing():
    document = cliff(-5, best=-5.0, octaves=-1.0).to_dict()
    for basin in document["basins"]:
        del basin["diverged"]
    document["regret_pct"] = [0.01, None, None]
    assert BasinCheck.from_dict(document).holds is None
