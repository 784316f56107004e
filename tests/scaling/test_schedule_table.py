"""Loss curves out of tables, their warm-up, and the errors on curves left out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling.errors import InsufficientDataError, LawError
from scaling.schedule_curves import Schedule
from scaling.schedule_law import ScheduleLaw
from scaling.schedule_table import left_out_errors, loss_curves, recorded_warmup

KNOWN = ScheduleLaw(3.0, 0.5, 0.5, 360.0, 2.0, 0.58, 0.64)
WARMUP, STEPS = 200, 4000


def rates(shape: str) -> np.ndarray:
    """Rates of every step: a linear warm-up, then held, decayed linearly, or dropped once."""
    step = np.arange(STEPS)
    after = {
        "constant": np.ones(STEPS),
        "linear": 1 - 0.9 * np.maximum(step - WARMUP, 0) / (STEPS - WARMUP),
        "dropped": np.where(step < 2500, 1.0, 0.3),
        "late": np.clip((STEPS - step) / 1000, 0.05, 1.0),
    }[shape]
    return 3e-4 * np.minimum((step + 1) / WARMUP, 1.0) * after


def table_of(*shapes: str, every: int = 50) -> pd.DataFrame:
    """Curves of the known law, a report every so many steps from the start of the warm-up."""
    tables = []
    for shape in shapes:
        schedule = Schedule(rates(shape), WARMUP)
        step = np.arange(every, STEPS + 1, every)
        loss = np.full(len(step), np.nan)
        loss[step > WARMUP] = KNOWN.loss(schedule, step[step > WARMUP])
        lr = schedule.lr[step - 1]
        tables.append(pd.DataFrame({"run_id": shape, "step": step, "lr": lr, "loss": loss}))
    return pd.concat(tables, ignore_index=True)


def test_curves_of_a_table_carry_the_law_that_made_them() -> None:
    curves, warnings = loss_curves(table_of("constant", "linear", "dropped", "late"))
    assert warnings == ()
    assert [curve.schedule.warmup_steps for curve in curves.values()] == [WARMUP] * 4
    errors = left_out_errors(curves).set_index("run_id")
    assert list(errors.index) == ["constant", "dropped", "late", "linear"]
    assert (errors["error_nats"] < 5e-3).all()
    assert (errors["steps"] == STEPS).all()


def test_what_the_others_cannot_carry_has_no_error() -> None:
    curves, _ = loss_curves(table_of("constant", "linear"))
    errors = left_out_errors(curves).set_index("run_id")["error_nats"]
    assert np.isnan(errors["linear"])
    assert np.isfinite(errors["constant"])


def test_the_warm_up_is_given_told_or_seen() -> None:
    table = table_of("linear")
    assert loss_curves(table, warmup_steps=300)[0]["linear"].schedule.warmup_steps == 300
    told = loss_curves(table.assign(warmup_steps=250.0))[0]
    assert told["linear"].schedule.warmup_steps == 250
    assert recorded_warmup(np.array([0.0, 10, 20, 30]), np.array([0.1, 0.2, 0.3, 0.3])) == 20
    assert recorded_warmup(np.array([10.0, 20]), np.array([0.3, 0.3])) == 0


def test_a_curve_that_begins_late_is_told() -> None:
    table = table_of("linear", "constant")
    _, warnings = loss_curves(table[table["step"] > 2 * WARMUP])
    assert "2 curves begin late and at full rate, 'constant' at step 450" in warnings[0]


def test_diverged_runs_do_not_count() -> None:
    table = table_of("constant", "linear")
    status = np.where(table["run_id"] == "linear", "completed", "diverged")
    assert list(loss_curves(table.assign(status=status))[0]) == ["linear"]


def test_curves_that_no_law_holds_for_are_refused() -> None:
    table = table_of("constant", "linear")
    params = np.where(table["run_id"] == "linear", 1e6, 2e6)
    with pytest.raises(LawError, match=r"2 values of params .* --only params=1000000"):
        loss_curves(table.assign(params=params))
    with pytest.raises(InsufficientDataError, match="no run has a loss after its warm-up"):
        loss_curves(table, warmup_steps=STEPS)


def test_published_curves_are_predicted_without_being_seen(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "loss_curves_by_schedule.csv")
    table = table[(table["params_millions"] == 25) & table["schedule"].str.contains("24000|wsdcon")]
    curves, _ = loss_curves(table.rename(columns={"schedule": "run_id"}), warmup_steps=2160)
    assert len(curves) == 7
    assert left_out_errors(curves)["error_nats"].mean() < 0.006
