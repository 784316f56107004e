"""Basins of known place and shape: drift, regret and edges come out as they were drawn."""

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
    # The interpolation beyond the parabola is a chord, never below the basin itself.
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


def test_a_rate_at_which_a_seed_diverged_is_left_out():
    table = runs(0.0)
    gone = (table["lr"] == RATES[-1]) & (table["seed"] == 1)
    table = table.assign(
        loss=table["loss"].mask(gone), status=table["status"].mask(gone, "diverged")
    )
    (check,) = check_basins(table)
    assert check.basins[0].lrs == RATES[:-1]
    assert check.octaves.value == pytest.approx(0.0, abs=1e-9)


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


def test_a_check_survives_being_kept():
    (check,) = check_basins(runs(-0.3, n_seeds=1))
    again = BasinCheck.from_dict(check.to_dict())
    assert again.basins == check.basins
    assert again.octaves.value == check.octaves.value
    assert math.isnan(again.octaves.low)
    assert again.to_dict() == check.to_dict()
