"""`hyperlaw schedule`: laws of whole curves, tuned rates carried over, refined schedules."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hyperlaw as hl
from scaling.schedule_curves import Schedule
from scaling.schedule_law import ScheduleLaw
from scaling.schedule_transfer import refined_schedule, transfer_factor
from storage.curves import Curve
from storage.store import Store
from tests.hyperlaw.conftest import Invoke
from trainers.schedules import lr_fraction

TRUTH = ScheduleLaw(3.0, 0.5, 0.5, 360.0, 2.0, 0.58, 0.64)
PEAK, STEPS, WARMUP = 3e-4, 4000, 200


def rates(shape: str, steps: int = STEPS) -> np.ndarray:
    if shape == "constant":
        return PEAK * np.minimum((np.arange(steps) + 1) / WARMUP, 1.0)
    return PEAK * np.array([lr_fraction(shape, step, steps, WARMUP) for step in range(steps)])


def reports(shape: str, every: int = 20) -> pd.DataFrame:
    """What a run of the known law reports, from the start of its warm-up."""
    schedule = Schedule(rates(shape), WARMUP)
    step = np.arange(every, STEPS + 1, every)
    loss = TRUTH.loss(schedule, np.maximum(step, WARMUP))
    return pd.DataFrame({"run_id": shape, "step": step, "lr": schedule.lr[step - 1], "loss": loss})


@pytest.fixture
def curves_file(tmp_path: Path) -> Path:
    path = tmp_path / "curves.csv"
    shapes = ("constant", "cosine", "linear")
    pd.concat([reports(shape) for shape in shapes]).to_csv(path, index=False)
    return path


@pytest.fixture
def sweep_of_curves(tmp_path: Path) -> Path:
    """A database with the same curves of one model, and one of another model."""
    path = tmp_path / "hyperlaw.db"
    with Store.open(path) as store:
        store.add_sweep("shapes", spec_text="")
        for run_id, shape, params in (
            ("a", "constant", 1e6),
            ("b", "cosine", 1e6),
            ("c", "linear", 1e6),
            ("d", "linear", 2e6),
        ):
            table = reports(shape)
            step, loss = table["step"].to_numpy(), table["loss"].to_numpy()
            tokens = step * 512.0
            lr = table["lr"].to_numpy()
            curve = Curve(step, tokens, 6 * params * tokens, loss, loss, lr, 0.1 * step)
            run = {"run_id": run_id, "sweep": "shapes", "params": params, "lr": PEAK}
            run |= {"tokens": STEPS * 512.0, "batch_tokens": 512, "loss": loss[-1]}
            store.record_run(run | {"warmup_tokens": WARMUP * 512.0, "schedule": shape}, curve)
    return path


def test_fit_tells_how_each_curve_is_predicted(invoke: Invoke, curves_file: Path) -> None:
    document = json.loads(invoke("schedule", "fit", "--curves", curves_file, "--json").out)
    assert document["curves"] == 3
    assert set(document["law"]) == {"L0", "A", "alpha", "B", "C", "beta", "gamma"}
    assert [row["run_id"] for row in document["left_out"]] == ["constant", "cosine", "linear"]
    assert all(row["error_nats"] < 0.01 for row in document["left_out"])
    table = invoke("schedule", "fit", "--curves", curves_file).out
    assert "Multi-Power Law of 3 curves" in table
    assert "Each curve, predicted without it, in nats" in table


def test_predict_finds_the_loss_of_a_schedule_that_was_not_run(
    invoke: Invoke, curves_file: Path, tmp_path: Path
) -> None:
    planned = rates("wsd", 5000)
    pd.DataFrame({"step": np.arange(5000), "lr": planned}).to_csv(
        tmp_path / "plan.csv", index=False
    )
    args = ("--to", "wsd:5000", "--to", "plan.csv", "--json")
    document = json.loads(invoke("schedule", "predict", "--curves", curves_file, *args).out)
    truth = float(TRUTH.loss(Schedule(planned, WARMUP), [5000])[0])
    by_name, by_file = document["schedules"]
    assert by_name["loss"] == pytest.approx(truth, abs=0.01)
    assert by_file["loss"] == pytest.approx(by_name["loss"], abs=2e-3)
    assert (by_name["peak_lr"], by_name["warmup_steps"]) == (pytest.approx(PEAK), WARMUP)
    assert not any("wsd" in text or "plan" in text for text in document["warnings"])


def test_predict_warns_of_what_the_curves_do_not_show(invoke: Invoke, curves_file: Path) -> None:
    args = ("--curves", curves_file, "--to", "wsd:40000", "--lr", 1e-3)
    ran = invoke("schedule", "predict", *args)
    assert "warning: wsd:40000: 10 times as long as the longest curve" in ran.out
    assert "its peak rate 0.001 is not among those of the curves" in ran.out


def test_the_curves_of_a_sweep_answer(invoke: Invoke, sweep_of_curves: Path) -> None:
    ran = invoke("schedule", "fit", "--sweep", "shapes")
    assert ran.code == 2
    assert "2 values of params (1000000, 2000000)" in ran.err
    ran = invoke("schedule", "fit", "--only", "params=1e6", "--json")
    assert json.loads(ran.out)["curves"] == 3
    ran = invoke("schedule", "predict", "--only", "params=1000000", "--to", "wsd:4000", "--json")
    assert json.loads(ran.out)["schedules"][0]["warmup_steps"] == WARMUP


def test_transfer_is_the_bound_s_factor(invoke: Invoke) -> None:
    args = ("--from", "cosine:1000", "--to", "cosine:1000", "--to", "linear:4e3", "--lr", 2e-3)
    same, longer = json.loads(invoke("schedule", "transfer", *args, "--json").out)["schedules"]
    assert (same["factor"], same["lr"]) == (1, 2e-3)
    expected = transfer_factor(
        [lr_fraction("cosine", step, 1000, 0) for step in range(1000)],
        [lr_fraction("linear", step, 4000, 0) for step in range(4000)],
    )
    assert longer["factor"] == pytest.approx(expected)
    assert longer["lr"] == pytest.approx(2e-3 * expected)
    assert longer["bound"] < 1


def test_a_refined_schedule_can_be_planned_with(invoke: Invoke, tmp_path: Path) -> None:
    norms = pd.DataFrame({"iteration": np.arange(1, 1001), "grad_norm": np.linspace(2, 1, 1000)})
    norms.to_csv(tmp_path / "norms.csv", index=False)
    read = ("--norms", "norms.csv", "--map", "step=iteration")
    ran = invoke("schedule", "refine", *read, "--lr", 3e-3, "--out", "refined.csv")
    assert ran.code == 0
    written = pd.read_csv(tmp_path / "refined.csv")
    assert written["lr"].to_numpy() == pytest.approx(3e-3 * refined_schedule(norms["grad_norm"]))
    ran = invoke("schedule", "transfer", "--from", "linear:1000", "--to", "refined.csv", "--json")
    assert 0.3 < json.loads(ran.out)["schedules"][0]["factor"] < 1.2
    as_csv = invoke("schedule", "refine", *read, "--csv").out.splitlines()
    assert as_csv[0] == "step,lr"
    assert len(as_csv) == 1001


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("fit", "--curves", "curves.csv", "--sweep", "x"), 2, "--curves and --sweep are given"),
        (("fit", "--map", "lr=rate"), 2, "--map says what a file calls our columns"),
        (("fit", "--curves", "no.csv"), 2, "no.csv: no such file"),
        (("fit", "--curves", "curves.csv", "--map", "lr=rate"), 2, "the file has no column 'rate'"),
        (("fit", "--curves", "curves.csv", "--only", "run_id=constant"), 4, "no curve changes its"),
        (("fit",), 3, "no database at hyperlaw.db"),
        (("predict", "--curves", "curves.csv", "--to", "cosin:9"), 2, "did you mean 'cosine'?"),
        (("predict", "--curves", "curves.csv", "--to", "cosine"), 2, "write the number of steps"),
        (("predict", "--curves", "curves.csv", "--to", "cosine:inf"), 2, "write the number of"),
        (("predict", "--curves", "curves.csv", "--to", "wsd:100"), 2, "a warm-up of 200 steps"),
        (
            ("predict", "--curves", "curves.csv", "--to", "wsd:900", "--lr", -1),
            2,
            "--lr -1: a peak",
        ),
        (("predict", "--curves", "curves.csv", "--to", "curves.csv"), 2, "schedules of 3 runs"),
        (("transfer", "--from", "cosine:9", "--to", "cosine:9", "--lr", 0), 2, "--lr 0: a peak"),
        (("refine", "--norms", "curves.csv"), 2, "no column 'grad_norm'"),
        (("refine", "--norms", "curves.csv", "--map", "grad_norm=lr"), 2, "norms are of 3 runs"),
        (("refine", "--norms", "curves.csv", "--out", "curves.csv"), 2, "name a new file"),
    ],
)
def test_what_cannot_be_answered_is_one_line(
    invoke: Invoke, curves_file: Path, args: tuple[object, ...], code: int, message: str
) -> None:
    ran = invoke("schedule", *args)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_the_facade_fits_the_same_law(curves_file: Path) -> None:
    law = hl.fit_schedule(curves_file)
    assert hl.fit_schedule(pd.read_csv(curves_file)) == law
    ends = [
        float(law.loss(Schedule(rates("wsd"), WARMUP), [step])[0]) for step in (STEPS - 1, STEPS)
    ]
    truth = TRUTH.loss(Schedule(rates("wsd"), WARMUP), [STEPS - 1, STEPS])
    assert ends == pytest.approx(truth, abs=0.01)
