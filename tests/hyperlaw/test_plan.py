"""`hyperlaw plan`: the next runs, what they promise, and the sweep file of them."""

import csv
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hyperlaw as hl
from hpo.ladder import resolve_ladder
from hpo.planned import plan_points
from hpo.spec import load_spec, parse_spec
from hyperlaw.derived_sweeps import next_name
from hyperlaw.recipe import common_recipe, recipe_of
from storage.runs_table import check_runs
from storage.store import Store
from tests.hyperlaw.conftest import Invoke
from trainers.simulated import SimulatedLaw

TARGET = ("--params", 1e7, "--tokens", 2e8)
LADDER = """\
name: ladder
trainer: simulated
parametrization: mup
scales: {width: [32, 64, 128], depth: 2, tokens_per_param: [5, 20]}
search: {method: random}
space:
  lr: {log: [1e-2, 1e0]}
  batch_tokens: {choices: [512, 1024, 2048, 4096]}
runs: 60
reports: 3
resources: {cpus: 0.5}
"""
OWN_SEED = 7


def runs_of(text: str, law: SimulatedLaw) -> pd.DataFrame:
    """Return a sweep's runs without Ray: on the law's surface, with noise."""
    spec = parse_spec(text)
    rows = [
        {
            "run_id": point.run_id,
            "sweep": spec.name,
            "params": point.scale.params,
            "tokens": point.scale.tokens,
            **point.setting,
            **point.scale.shape,
            "model": spec.trainer,
            "parametrization": spec.parametrization,
        }
        for point in plan_points(spec, resolve_ladder(spec))
    ]
    runs = pd.DataFrame(rows)
    columns = [runs[name] for name in ("params", "tokens", "lr", "batch_tokens")]
    noise = np.random.default_rng(5).normal(0, law.noise, size=len(runs))
    return check_runs(runs.assign(loss=law.loss(*columns) * np.exp(noise)))


@pytest.fixture(scope="session")
def ladder_runs(known_law: SimulatedLaw) -> pd.DataFrame:
    return runs_of(LADDER, known_law)


@pytest.fixture
def ladder_database(ladder_runs: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "hyperlaw.db"
    with Store.open(path) as store:
        store.add_sweep("ladder", spec_text=LADDER)
        store.add_runs(ladder_runs)
    return path


@pytest.fixture
def few_runs(known_runs: pd.DataFrame, tmp_path: Path) -> pd.DataFrame:
    """Six runs a scale, so that more of them help; also as few.csv."""
    few = known_runs.groupby(["params", "tokens"]).head(6)
    few.to_csv(tmp_path / "few.csv", index=False)
    return few


def test_a_plan_lowers_the_expected_regret_run_by_run(
    invoke: Invoke, few_runs: pd.DataFrame
) -> None:
    ran = invoke("plan", "--runs", "few.csv", "--params", 1e8, "--tokens", 2e9, "--json")
    assert ran.code == 0
    plan = json.loads(ran.out)
    assert plan["schema_version"] == 1
    assert plan["target"] == {"params": 1e8, "tokens": 2e9}
    regret = plan["expected_regret_pct"]
    after = [regret["now"], *(run["expected_regret_pct"] for run in plan["runs"])]
    assert after == sorted(after, reverse=True)
    assert after[-1] == regret["after"] < regret["now"]
    assert regret["floor"] < regret["after"]
    assert plan["flops"] == pytest.approx(sum(run["flops"] for run in plan["runs"]))
    assert {run["params"] for run in plan["runs"]} <= {1e6, 4e6, 16e6}


def test_the_same_plan_from_python(invoke: Invoke, few_runs: pd.DataFrame) -> None:
    printed = invoke("plan", "--runs", "few.csv", *TARGET, "--n", 3, "--csv").out
    plan = hl.plan(few_runs, params=1e7, tokens=2e8, n_runs=3)
    assert len(plan) == 3
    assert [float(row["lr"]) for row in csv.DictReader(StringIO(printed))] == list(plan["lr"])
    assert plan.attrs["floor_pct"] < plan.attrs["expected_regret_pct"]
    offer = plan[["params", "tokens", "lr", "batch_tokens"]]
    chosen = hl.plan(few_runs, params=1e7, tokens=2e8, n_runs=9, candidates=offer)
    assert set(chosen["lr"]) == set(plan["lr"])


def test_where_more_runs_hardly_help_it_says_so(
    invoke: Invoke, known_law: SimulatedLaw, tmp_path: Path, known_runs: pd.DataFrame
) -> None:
    rng = np.random.default_rng(0)
    many = pd.concat([known_runs] * 12, ignore_index=True)
    many["lr"] *= np.exp(rng.normal(0, 0.2, size=len(many)))
    columns = [many[name] for name in ("params", "tokens", "lr", "batch_tokens")]
    many["loss"] = known_law.loss(*columns) * np.exp(rng.normal(0, 1e-3, size=len(many)))
    many.to_csv(tmp_path / "many.csv", index=False)
    ran = invoke("plan", "--runs", "many.csv", *TARGET, "--out", "next.yaml")
    assert ran.code == 0
    assert "no run is recommended: more small runs would hardly help" in ran.out
    assert "next.yaml is not written" in ran.err
    assert not (tmp_path / "next.yaml").exists()
    answer = json.loads(invoke("plan", "--runs", "many.csv", *TARGET, "--json").out)
    assert (answer["runs"], answer["is_enough"]) == ([], True)


def test_the_sweep_file_carries_the_ladder_over(
    invoke: Invoke, ladder_database: Path, tmp_path: Path
) -> None:
    ran = invoke("plan", "--sweep", "ladder", *TARGET, "--n", 5, "--out", "next.yaml", "--json")
    assert ran.code == 0
    assert "hyperlaw sweep launch next.yaml" in ran.err
    assert "law fit --sweep ladder --sweep ladder-next-1" in ran.err
    spec, planned = load_spec(tmp_path / "next.yaml"), json.loads(ran.out)["runs"]
    assert (spec.name, spec.search.method) == ("ladder-next-1", "listed")
    assert (spec.trainer, spec.parametrization, spec.reports) == ("simulated", "mup", 3)
    assert spec.base == {"width": 32, "depth": 2}
    assert spec.resources.cpus == 0.5
    points = plan_points(spec, resolve_ladder(spec))
    assert [(point.scale.params, point.scale.tokens, point.setting) for point in points] == [
        (run["params"], run["tokens"], {name: run[name] for name in ("lr", "batch_tokens")})
        for run in planned
    ]


def test_what_the_law_does_not_place_is_fixed_or_as_in_the_best_run(
    invoke: Invoke, known_law: SimulatedLaw, tmp_path: Path
) -> None:
    text = LADDER.replace("simulated", "gpt").replace("0.5}", "1}\nfixed: {beta2: 0.99}")
    text = text.replace("space:", "space:\n  weight_decay: {choices: [0.1, 0.2]}")
    runs = runs_of(text, known_law)
    runs["loss"] *= 1 + (runs["weight_decay"] - 0.1)
    with Store.open(tmp_path / "hyperlaw.db") as store:
        store.add_sweep("ladder", spec_text=text)
        store.add_runs(runs)
    assert invoke("plan", *TARGET, "--n", 6, "--out", "next.yaml").code == 0
    spec = load_spec(tmp_path / "next.yaml")
    assert spec.fixed == {"beta2": 0.99}
    assert spec.points
    for point in spec.points:
        assert int(point.setting["batch_tokens"]) % 64 == 0
        assert point.setting["weight_decay"] == 0.1


@pytest.mark.ray
@pytest.mark.slow
def test_the_planned_sweep_is_launched_and_planned_from(
    invoke: Invoke, ladder_database: Path, tmp_path: Path
) -> None:
    invoke("plan", "--sweep", "ladder", *TARGET, "--n", 2, "--out", "next.yaml")
    launched = invoke("sweep", "launch", "next.yaml", "--json")
    assert launched.code == 0
    assert json.loads(launched.out)["planned"] == 2
    both = ("--sweep", "ladder", "--sweep", "ladder-next-1")
    assert invoke("plan", *both, *TARGET, "--out", "then.yaml").code == 0
    if (tmp_path / "then.yaml").exists():
        assert load_spec(tmp_path / "then.yaml").name == "ladder-next-2"


def test_a_law_plans_from_its_own_runs(invoke: Invoke, ladder_database: Path) -> None:
    assert invoke("law", "fit", "--sweep", "ladder", "--name", "mine").code == 0
    ask = (*TARGET, "--n", 2, "--json")
    assert invoke("plan", "--law", "mine", *ask).out == invoke("plan", *ask).out


def test_exported_runs_tell_their_trainer_and_shape(
    invoke: Invoke, ladder_runs: pd.DataFrame, tmp_path: Path
) -> None:
    ladder_runs.to_csv(tmp_path / "mine.csv", index=False)
    ran = invoke("plan", "--runs", "mine.csv", *TARGET, "--n", 2, "--out", "next.yaml")
    assert ran.code == 0
    spec = load_spec(tmp_path / "next.yaml")
    assert (spec.name, spec.trainer, spec.parametrization) == ("mine-next-1", "simulated", "mup")
    assert all(point.scale.shape.keys() == {"width", "depth"} for point in spec.points or ())


Mend = Callable[[pd.DataFrame], pd.DataFrame]
REFUSED: dict[str, tuple[Mend, list[str]]] = {
    "no shape": (
        lambda runs: runs.drop(columns=["width", "model"]),
        ["mine.csv", "width and depth", "--sweep"],
    ),
    "another N": (lambda runs: runs.assign(depth=3), ["'simulated'", "width 32, depth 3", "model"]),
    "no trainer": (lambda runs: runs.assign(model="llama"), ["'model'", "'llama'", "gpt"]),
    "two schemes": (
        lambda runs: runs.assign(parametrization=["sp", "mup"] * (len(runs) // 2)),
        ["one parametrization", "mup, sp"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_makes_no_sweep_still_gets_its_plan(
    invoke: Invoke, ladder_runs: pd.DataFrame, tmp_path: Path, case: str
) -> None:
    mend, named = REFUSED[case]
    mend(ladder_runs).to_csv(tmp_path / "mine.csv", index=False)
    ran = invoke("plan", "--runs", "mine.csv", *TARGET, "--n", 2, "--out", "next.yaml")
    assert ran.code == 2
    assert "expected regret at N = 10M" in ran.out
    for word in ("no sweep file can be written", *named):
        assert word in ran.err
    assert not (tmp_path / "next.yaml").exists()


HEADER = "params,tokens,lr,batch_tokens\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("params,tokens,lr\n1e6,2e7,1e-3\n", ["no column 'batch_tokens'"]),
        (HEADER, ["no candidates"]),
        ("", ["not CSV"]),
        (f"{HEADER}1e6,2e7,1e-3,512\n1e6,2e7,high,512\n", ["row 2, column 'lr'", "high"]),
        (f"{HEADER}1e6,-2e7,1e-3,512\n", ["row 1, column 'tokens'", "above 0"]),
    ],
)
def test_candidates_are_checked(
    invoke: Invoke, runs_file: Path, tmp_path: Path, text: str, named: list[str]
) -> None:
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
    ran = invoke("plan", "--runs", runs_file, *TARGET, "--candidates", "mine.csv")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("hyperlaw: error: mine.csv: ")
    for word in named:
        assert word in ran.err


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--out", "runs.csv"], ["runs.csv", "it exists"]),
        (["--candidates", "no.csv"], ["no.csv", "no such file"]),
        (["--n", 0], ["--n", "1"]),
        (["--params", 0], ["params", "positive"]),
    ],
)
def test_a_plan_that_cannot_be_made(
    invoke: Invoke, runs_file: Path, args: list[object], named: list[str]
) -> None:
    ran = invoke("plan", "--runs", runs_file, *TARGET, *args)
    assert (ran.code, ran.out) == (2, "")
    for word in named:
        assert word in ran.err


def test_candidates_of_an_unmeasured_size_make_no_sweep_file(
    invoke: Invoke, ladder_database: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text(f"{HEADER}1e6,2e7,0.04,8192\n", encoding="utf-8")
    args = ("--candidates", "mine.csv", "--out", "next.yaml")
    ran = invoke("plan", "--sweep", "ladder", *TARGET, *args)
    assert ran.code == 2
    assert "no run tells which shape has N = 1,000,000" in ran.err


def test_a_run_that_was_done_gets_a_new_seed(
    invoke: Invoke, ladder_runs: pd.DataFrame, tmp_path: Path
) -> None:
    again = ladder_runs.assign(lr=ladder_runs["lr"].map(lambda lr: float(f"{lr:.3g}")))
    again.assign(seed=OWN_SEED).to_csv(tmp_path / "mine.csv", index=False)
    again.to_csv(tmp_path / "offer.csv", index=False)
    args = ("--candidates", "offer.csv", "--out", "next.yaml", "--n", 2)
    assert invoke("plan", "--runs", "mine.csv", *TARGET, *args).code == 0
    spec = load_spec(tmp_path / "next.yaml")
    assert all(point.seed != OWN_SEED for point in spec.points or ())


def test_a_batch_is_what_the_trainer_takes() -> None:
    recipe = recipe_of(parse_spec(LADDER.replace("simulated", "gpt")))
    assert recipe.buildable("batch_tokens", 700) == 704
    assert recipe.buildable("batch_tokens", 3) == 64
    assert recipe.buildable("lr", 0.0123456) == 0.0123


def test_sweeps_that_train_different_things_have_no_common_recipe() -> None:
    ladder = recipe_of(parse_spec(LADDER))
    wide = recipe_of(parse_spec(LADDER.replace("[32, 64, 128]", "[64, 256]")))
    with pytest.raises(ValueError, match="'ladder' and 'wide' differ in base"):
        common_recipe({"ladder": ladder, "wide": wide})
    based = LADDER.replace("[32, 64, 128]", "[64, 256]") + "base: {width: 32}\n"
    both = common_recipe({"ladder": ladder, "wide": recipe_of(parse_spec(based))})
    assert sorted(shape["width"] for shape in both.shapes.values()) == [32, 64, 128, 256]


def test_a_new_sweep_has_a_new_name() -> None:
    assert next_name("ladder", []) == "ladder-next-1"
    assert next_name("ladder-next-1", ["ladder-next-1"]) == "ladder-next-2"
    assert len(next_name("x" * 64, [])) <= 64
