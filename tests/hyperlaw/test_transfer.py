"""`hyperlaw transfer`: checks from measurement to verdict, kept, shown, and asked for at launch."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from hpo.spec import parse_spec
from hyperlaw.transfer import checks_of, plan_grid, unchecked
from hyperlaw.transfer_plan import AskedCheck, plan_check
from storage.store import Store
from tests.hyperlaw.conftest import Invoke

GPT = ("transfer", "check", "--trainer", "gpt", "--model", "context=32", "--widths", "32,64,128")
QUICK = ("--seeds", "1", "--steps", "3")
SWEEP = """name: ladder
trainer: gpt
parametrization: mup
model: {context: 32}
scales: {width: [32, 64], depth: 2, tokens: 4096}
search: {method: transfer}
space: {lr: {log: [1.e-3, 4.e-3]}}
fixed: {batch_tokens: 256}
runs: 2
"""


def test_mup_passes_and_is_kept(invoke: Invoke) -> None:
    ran = invoke(*GPT, "--steps", "3")
    assert ran.code == 0
    assert "layers move alike at every size" in ran.out
    assert ran.out.rstrip().endswith("transfer check: passed")
    assert "width 128: 12 layers measured" in ran.err
    listed = json.loads(invoke("transfer", "list", "--json").out)["checks"]
    assert [(one["name"], one["passed"]) for one in listed] == [("gpt-mup", True)]
    assert invoke("transfer", "show", "gpt-mup").out == ran.out


def test_sp_fails_with_its_own_exit_code(invoke: Invoke) -> None:
    ran = invoke(*GPT, *QUICK, "--parametrization", "sp", "--json")
    assert ran.code == 5
    found = json.loads(ran.out)
    assert found["schema_version"] == 1
    assert found["passed"] is False
    assert found["coordinate"]["worst"]["slope"]["value"] > 0.5
    assert found["coordinate"]["sizes"] == {"width": [32, 64, 128]}
    assert found["subject"]["model"]["context"] == 32
    assert len(found["coordinate"]["slopes"]) == 12


def test_a_scheme_for_depth_is_checked_over_depth_too(invoke: Invoke) -> None:
    args = ("--parametrization", "complete-p", "--depths", "2,4", "--json")
    ran = invoke(*GPT, *QUICK, *args)
    axes = {one["axis"] for one in json.loads(ran.out)["coordinate"]["slopes"] if one["judged"]}
    assert axes == {"width", "depth"}


def test_a_check_of_something_else_keeps_its_name(invoke: Invoke) -> None:
    for options in ((), (), ("--model", "mlp=swiglu")):
        assert invoke(*GPT, *QUICK, *options).code in (0, 5)
    listed = json.loads(invoke("transfer", "list", "--json").out)["checks"]
    assert [one["name"] for one in listed] == ["gpt-mup", "gpt-mup-2"]


def test_a_class_of_ones_own_is_checked(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    own = "tests.trainers.test_coordinate_check:OwnTask"
    args = ("--trainer", own, "--widths", "32,64,128", *QUICK, "--lr", "1e-3", "--json")
    ran = invoke("transfer", "check", *args)
    assert ran.code == 0
    found = json.loads(ran.out)
    assert {one["layer"] for one in found["coordinate"]["slopes"]} == {"first", "middle", "out"}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "name what to check"),
        (("sweep.yaml", "--trainer", "gpt"), "a sweep file and --trainer are given"),
        (("--sweep", "x", "--parametrization", "mup"), "--sweep and --parametrization are given"),
        (("--trainer", "gtp"), "did you mean 'gpt'"),
        (("--trainer", "simulated"), "trains by itself"),
        (("--trainer", "gpt", "--parametrization", "mpu"), "did you mean 'mup'"),
        (("--trainer", "gpt", "--widths", "64,70"), "nearest that work: 64 and 80"),
        (("--trainer", "gpt", "--widths", "64"), "two sizes at least"),
        (("--trainer", "gpt", "--widths", "wide"), "write whole numbers"),
        (("--trainer", "gpt", "--widths", "0,64"), "at least 1"),
        (("--trainer", "random-features", "--depths", "2,4"), "has no depth"),
        (("--trainer", "gpt", "--model", "context"), "write NAME=VALUE"),
        (("--trainer", "gpt", "--model", "contxt=32"), "did you mean 'context'"),
        (("--trainer", "gpt", "--optimizer", "adam2"), "adam2"),
        (("--trainer", "gpt", "--name", "a/b"), "no name for a transfer check"),
        (("--trainer", "gpt", "--rates", "1e-3,1e-2"), "add --basin"),
        (("--trainer", "gpt", "--basin", "--rates", "1e-2,1e-3"), "lowest and the highest"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_made(
    invoke: Invoke, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    ran = invoke("transfer", "check", *args)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "hyperlaw.db").exists()


def test_what_is_not_there_is_told_apart(invoke: Invoke, database: Path) -> None:
    assert invoke("transfer", "show", "gpt-mup").code == 3
    assert invoke("transfer", "check", "--sweep", "ladr").code == 3


def test_a_sweep_is_checked_at_its_own_setting_and_sizes(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    plan = plan_check(AskedCheck(file=tmp_path / "sweep.yaml"), "unused.db")
    assert plan.stem == "ladder"
    assert plan.sizes == {"width": (32, 64, 128, 256)}, "continued by doubling"
    assert plan.config.setting["lr"] == pytest.approx(2e-3)
    assert plan.config.base == {"width": 32, "depth": 2}
    assert plan.rates == (1e-3, 4e-3)
    chosen = AskedCheck(file=tmp_path / "sweep.yaml", sizes={"depth": (2, 4)}, lr=1e-2)
    plan = plan_check(chosen, "unused.db")
    assert plan.sizes == {"depth": (2, 4)}
    assert plan.config.setting["lr"] == 1e-2


def test_a_transfer_sweep_warns_until_its_model_has_passed(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP, encoding="utf-8")
    spec, db = parse_spec(SWEEP), str(tmp_path / "hyperlaw.db")
    assert unchecked(spec, db) == "gpt under mup with adamw has not passed a transfer check"
    failed = invoke("transfer", "check", "sweep.yaml", *QUICK, "--lr", "1e30")
    assert failed.code == 5
    assert "did not pass its last transfer check, 'ladder'" in (unchecked(spec, db) or "")
    assert invoke("transfer", "check", "sweep.yaml", *QUICK).code == 0
    assert unchecked(spec, db) is None
    with Store.open(db) as store:
        assert [check.name for check in checks_of(store, spec)] == ["ladder"]
    other = SWEEP.replace("context: 32", "context: 32, mlp: swiglu")
    assert unchecked(parse_spec(other), db) is not None
    for silent in ("parametrization: sp", "search: {method: random}"):
        key = silent.partition(":")[0]
        changed = "\n".join(silent if one.startswith(key) else one for one in SWEEP.splitlines())
        assert unchecked(parse_spec(changed), db) is None


def test_launching_says_it_on_stderr(invoke: Invoke, tmp_path: Path) -> None:
    too_large = SWEEP + "resources: {cpus: 100000}\n"  # so that nothing is trained here
    (tmp_path / "sweep.yaml").write_text(too_large, encoding="utf-8")
    ran = invoke("sweep", "launch", "sweep.yaml", "--json")
    assert (ran.code, ran.out) == (2, "")
    warning, error = ran.err.splitlines()
    assert warning.startswith("warning: gpt under mup with adamw has not passed a transfer check")
    assert warning.endswith("transfer check sweep.yaml")
    assert "a run needs 100000" in error


def _grid(drift: float) -> pd.DataFrame:
    """Return runs of a grid whose best log2 rate moves by `drift` from one width to the next."""
    return pd.DataFrame(
        {
            "sweep": "ladder",
            "params": 24.0 * width**2,
            "width": width,
            "depth": 2,
            "tokens": 4096.0,
            "lr": 2.0**power,
            "batch_tokens": 256,
            "loss": 3 + 0.05 * (power + 9 - drift * number) ** 2,
            "parametrization": "mup",
        }
        for number, width in enumerate((32, 64))
        for power in range(-12, -5)
    )


@pytest.mark.parametrize(("drift", "code"), [(0.0, 0), (1.0, 5), (9.0, 4)])
def test_the_basins_of_a_sweeps_runs_are_part_of_its_check(
    invoke: Invoke, tmp_path: Path, drift: float, code: int
) -> None:
    with Store.open(tmp_path / "hyperlaw.db") as store:
        store.add_sweep("ladder", spec_text=SWEEP)
        runs = _grid(drift if code != 4 else 0.0)
        store.add_runs(runs if code != 4 else runs[runs["lr"] <= 2.0**-9])
    ran = invoke("transfer", "check", "--sweep", "ladder", *QUICK, "--json")
    assert ran.code == code
    (basin,) = json.loads(ran.out)["basins"]
    assert basin["axis"] == "width"
    assert basin["passed"] is {0: True, 5: False, 4: None}[code]


def test_runs_that_tell_nothing_of_basins_leave_them_out(invoke: Invoke, tmp_path: Path) -> None:
    with Store.open(tmp_path / "hyperlaw.db") as store:
        store.add_sweep("ladder", spec_text=SWEEP)
        store.add_runs(_grid(0.0).head(5))
    ran = invoke("transfer", "check", "--sweep", "ladder", *QUICK)
    assert ran.code == 0
    assert "no basin check" in ran.err


def test_a_grid_with_other_rates_is_a_sweep_of_its_own(tmp_path: Path) -> None:
    db = str(tmp_path / "hyperlaw.db")
    asked = AskedCheck(trainer="mlp", rules={"hidden_decay": "sqrt"}, rates=(1e-3, 4e-3))
    narrow, wide = (plan_check(one, db) for one in (asked, replace(asked, rates=(1e-3, 8e-3))))
    grid = plan_grid(narrow, "mlp-mup", seeds=1, db=db)
    assert grid.spec.name == "mlp-mup-basin"
    assert grid.spec.parametrization_options == {"hidden_decay": "sqrt"}
    with Store.open(Path(db)) as store:
        store.add_sweep(grid.spec.name, spec_text=grid.text)
    assert plan_grid(narrow, "mlp-mup", seeds=1, db=db) == grid
    assert plan_grid(wide, "mlp-mup", seeds=1, db=db).spec.name == "mlp-mup-basin-2"
    assert plan_grid(narrow, "mlp-mup", seeds=2, db=db).spec.name == "mlp-mup-basin-2"


@pytest.mark.ray
@pytest.mark.slow
def test_a_grid_is_trained_for_the_basins_and_kept_as_a_sweep(
    invoke: Invoke, tmp_path: Path
) -> None:
    grid = ("--basin", "--tokens", "2048", "--rates", "1e-3,1.6e-2", "--set", "batch_tokens=256")
    ran = invoke(*GPT, *QUICK, *grid, "--json")
    assert ran.code in (0, 4, 5)
    (basin,) = json.loads(ran.out)["basins"]
    assert [one["size"] for one in basin["optima"]] == [32, 64, 128]
    with Store.open(tmp_path / "hyperlaw.db") as store:
        assert len(store.runs("gpt-mup-basin")) == 3 * 5
