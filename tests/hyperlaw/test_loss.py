"""`hyperlaw loss`: laws of loss by scale, the best N and D of a budget, and where recipes cross."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hyperlaw as hl
from hyperlaw.cli.loss import LossForm
from scaling.loss_laws.approaches import parametric
from scaling.loss_laws.choice import FORM_NAMES
from scaling.loss_laws.law import LossLaw
from scaling.loss_laws.published import published_loss_law
from storage.curves import Curve
from storage.store import Store
from tests.hyperlaw.conftest import Invoke

TRUTH = published_loss_law("besiroglu-2024").law
BATCH = 2**17
SECONDS_PER_TOKEN = (1e-7, 3e-14)  # and per parameter


def measured(law: LossLaw, seed: int = 0, noise: float = 1e-3) -> pd.DataFrame:
    """Runs of six budgets, seven sizes each, and how long they took."""
    rng = np.random.default_rng(seed)
    flops, params = np.meshgrid(np.geomspace(1e18, 1e21, 6), np.geomspace(0.25, 4, 7))
    best = np.vectorize(best_params)(flops)
    runs = pd.DataFrame({"params": (params * best).ravel()})
    runs["tokens"] = flops.ravel() / (6 * runs["params"])
    loss = law.loss(runs["params"], runs["tokens"])
    fixed, per_param = SECONDS_PER_TOKEN
    seconds = runs["tokens"] * (fixed + per_param * runs["params"])
    return runs.assign(
        loss=loss * np.exp(rng.normal(0, noise, len(runs))), batch_tokens=BATCH, seconds=seconds
    )


def best_params(flops: float) -> float:
    return parametric(TRUTH).at(flops)[0].value


@pytest.fixture
def losses_file(tmp_path: Path) -> Path:
    path = tmp_path / "losses.csv"
    measured(TRUTH).to_csv(path, index=False)
    return path


def test_the_forms_of_the_command_are_those_of_the_laws() -> None:
    assert tuple(form.value for form in LossForm) == FORM_NAMES


def test_fit_finds_the_law_that_made_the_runs(invoke: Invoke, losses_file: Path) -> None:
    document = json.loads(
        invoke("loss", "fit", "--runs", losses_file, "--level", 0.99, "--json").out
    )
    assert (document["schema_version"], document["scales"]) == (1, 42)
    terms = {term["term"]: term for term in document["terms"]}
    for name, value in (("E", 1.8169), ("alpha", 0.3478), ("beta", 0.3659)):
        assert terms[name]["low"] < value < terms[name]["high"]
    fitted = [row for row in document["held_out"] if row["fitted"]]
    assert fitted[0]["law"] == "chinchilla"
    assert document["objective"] > 0


def test_fit_prints_constants_objective_and_held_out_scores(
    invoke: Invoke, losses_file: Path
) -> None:
    ran = invoke("loss", "fit", "--runs", losses_file)
    for words in (
        "law 'chinchilla': the best losses of 42 scales, of 42 runs",
        "L = E + A·params^-alpha + B·tokens^-beta",
        "(Huber, δ = 0.001, on log loss)",
        "Constants, with 90 % intervals",
        "Mean error on the 14 largest scales, left out",
        "no further gain",
    ):
        assert words in ran.out
    assert ran.err == ""


def test_optimal_lays_the_approaches_side_by_side(invoke: Invoke, losses_file: Path) -> None:
    args = (
        "loss",
        "optimal",
        "--runs",
        losses_file,
        "--flops",
        1e20,
        "--flops",
        1e22,
        "--level",
        0.99,
        "--json",
    )
    document = json.loads(invoke(*args).out)
    assert [budget["budget"] for budget in document["budgets"]] == [1e20, 1e22]
    for budget in document["budgets"]:
        law, parabolas = budget["answers"]
        expected = best_params(budget["budget"])
        assert law["params"]["low"] < expected < law["params"]["high"]
        assert parabolas["params"]["value"] == pytest.approx(expected, rel=0.25)
        ratio = law["tokens_per_param"]["value"]
        assert ratio == pytest.approx(law["tokens"]["value"] / law["params"]["value"])
    growth = {row["approach"]: row["params_exponent"]["value"] for row in document["growth"]}
    assert growth["parametric fit"] == pytest.approx(0.514, abs=0.03)
    assert growth["isoFLOP parabolas"] == pytest.approx(0.514, abs=0.05)
    assert "--curves" in document["no_answer"]["minimum over curves"]
    table = invoke("loss", "optimal", "--runs", losses_file, "--flops", 1e20).out
    assert "N grows as C^0.5" in table
    assert "note: no minimum over curves: it needs whole training curves" in table


def curve_of(params: float) -> pd.DataFrame:
    """The truth's loss along one run, as if its rate had decayed at every report."""
    tokens = params * np.geomspace(1, 200, 60)
    loss = TRUTH.loss(np.full(60, params), tokens)
    return pd.DataFrame({"run_id": f"{params:.3g}", "params": params, "tokens": tokens}).assign(
        loss=loss
    )


def test_curves_of_a_file_give_the_first_approach(
    invoke: Invoke, losses_file: Path, tmp_path: Path
) -> None:
    curves = pd.concat([curve_of(params) for params in np.geomspace(1e7, 3e9, 14)])
    curves.to_csv(tmp_path / "curves.csv", index=False)
    args = ("loss", "optimal", "--runs", losses_file, "--curves", "curves.csv", "--flops", 1e19)
    document = json.loads(invoke(*args, "--json").out)
    answers = {row["approach"]: row["params"]["value"] for row in document["budgets"][0]["answers"]}
    assert answers["minimum over curves"] == pytest.approx(best_params(1e19), rel=0.2)


def test_curves_of_a_sweep_give_the_first_approach(invoke: Invoke, tmp_path: Path) -> None:
    with Store.open(tmp_path / "hyperlaw.db") as store:
        store.add_sweep("ladder", spec_text="")
        for params in np.geomspace(1e7, 3e9, 14):
            reports = curve_of(params)
            tokens, loss = reports["tokens"].to_numpy(), reports["loss"].to_numpy()
            steps = np.arange(1, len(reports) + 1)
            lr = np.full(len(reports), 1e-3)
            curve = Curve(steps, tokens, 6 * params * tokens, loss, loss, lr, 0.1 * steps)
            for share, row in ((0.5, 30), (1.0, 59)):
                run = {"run_id": f"{params:.3g}-{share}", "sweep": "ladder", "params": params}
                run |= {"tokens": tokens[row], "lr": 1e-3, "batch_tokens": 512, "loss": loss[row]}
                store.record_run(run, curve if share == 1.0 else None)
    ran = invoke("loss", "optimal", "--flops", 1e19, "--json")
    growth = {row["approach"] for row in json.loads(ran.out)["growth"]}
    assert "minimum over curves" in growth


def test_time_and_money_buy_what_the_runs_took(invoke: Invoke, losses_file: Path) -> None:
    by_time = invoke("loss", "optimal", "--runs", losses_file, "--seconds", 3600e3, "--json")
    price = ("--money", 2500, "--price-per-hour", 2.5)
    by_money = invoke("loss", "optimal", "--runs", losses_file, *price, "--json")
    answers = [json.loads(ran.out)["budgets"][0]["answers"] for ran in (by_time, by_money)]
    assert [len(rows) for rows in answers] == [1, 1]
    assert answers[0][0]["params"] == answers[1][0]["params"]
    found = answers[0][0]
    fixed, per_param = SECONDS_PER_TOKEN
    spent = found["tokens"]["value"] * (fixed + per_param * found["params"]["value"])
    assert spent == pytest.approx(3600e3, rel=0.02)
    assert (
        "note: a step of 131,072 tokens is timed to"
        in invoke("loss", "optimal", "--runs", losses_file, "--seconds", 3600e3).out
    )


def test_two_recipes_cross_where_their_laws_do(invoke: Invoke, tmp_path: Path) -> None:
    steep = {"E": 1.65, "A": 700.0, "B": 3200.0, "alpha": 0.3478, "beta": 0.3659}
    steeper = LossLaw.published("steeper", TRUTH.form, steep)
    recipes = measured(TRUTH, noise=2e-4), measured(steeper, seed=1, noise=2e-4)
    for name, runs in zip(("plain", "steep"), recipes, strict=True):
        runs.assign(recipe=name).to_csv(tmp_path / f"{name}.csv", index=False)
    truth = hl.crossover(*recipes)
    assert truth.budget is not None
    args = ("loss", "crossover", "--runs", "plain.csv", "--against", "steep.csv")
    found = json.loads(invoke(*args, "--json").out)["crossovers"][0]
    assert (found["better_below"], found["better_above"]) == ("plain", "steep")
    assert found["budget"]["value"] == pytest.approx(truth.budget.value)
    pd.concat([pd.read_csv(tmp_path / f"{name}.csv") for name in ("plain", "steep")]).to_csv(
        tmp_path / "both.csv", index=False
    )
    by = invoke("loss", "crossover", "--runs", "both.csv", "--by", "recipe")
    assert by.out.startswith("plain and steep: plain is better below ")
    near = invoke(*args, "--from", 1e17, "--to", 1e18)
    assert "no crossing within 1e+17..1e+18 FLOPs: plain is better throughout" in near.out


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("fit", "--form", "sparse"), 2, "no column 'final_sparsity'"),
        (("fit", "--form", "repeated-data"), 2, "no column 'unique_tokens'"),
        (("fit", "--hold-out", 42), 4, "42 of 42 scales cannot be left out"),
        (("fit", "--only", "params=1"), 2, "no row has params=1; column 'params' has"),
        (("fit", "--only", "params"), 2, "--only params: write COLUMN=VALUE"),
        (("optimal",), 2, "no budget is given; give one of flops, seconds and money"),
        (("optimal", "--flops", 1, "--money", 1), 2, "budgets of flops and of money are given"),
        (("optimal", "--money", 1), 2, "a budget of money needs the price of an hour"),
        (("optimal", "--flops", -1), 2, "the budget is -1 FLOPs; it must be a positive number"),
        (("optimal", "--seconds", 1e6, "--batch-tokens", 512), 2, "all runs that were timed have"),
        (("optimal", "--flops", 1e20, "--form", "flops"), 2, "this law is over flops; a budget"),
        (("crossover",), 2, "name the other recipe with --against, or the column"),
        (("crossover", "--by", "recipe"), 2, "--by recipe: the runs have no such column"),
        (("crossover", "--by", "batch_tokens"), 2, "only '131072.0' is given; a crossover is of"),
        (("crossover", "--against", "losses.csv"), 2, "it is the same as what it is set against"),
        (("crossover", "--against", "x.csv", "--to", 1), 2, "--from and --to bound what is looked"),
    ],
)
def test_what_cannot_be_answered_is_one_line(
    invoke: Invoke, losses_file: Path, args: tuple[object, ...], code: int, message: str
) -> None:
    ran = invoke("loss", args[0], "--runs", losses_file.name, *args[1:])
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_too_few_scales_are_no_law(invoke: Invoke, losses_file: Path) -> None:
    pd.read_csv(losses_file).head(4).to_csv(losses_file, index=False)
    ran = invoke("loss", "fit", "--runs", losses_file)
    assert ran.code == 4
    assert "scales are too few" in ran.err or "at least 3 are needed" in ran.err
    ran = invoke("loss", "crossover", "--runs", losses_file, "--against", losses_file)
    assert ran.code == 2


def test_the_facade_answers_the_same(invoke: Invoke, losses_file: Path) -> None:
    law = hl.fit_loss(losses_file)
    frame = pd.read_csv(losses_file)
    assert hl.fit_loss(frame).terms().equals(law.terms())
    document = json.loads(invoke("loss", "fit", "--runs", losses_file, "--json").out)
    assert [term["value"] for term in document["terms"]] == law.terms()["value"].tolist()
    best = hl.optimal_allocation(frame, flops=1e21)
    assert law.predict(best.params.value, best.tokens.value).value == best.loss.value
    with pytest.raises(ValueError, match="give one of flops, seconds and money"):
        hl.optimal_allocation(frame)


def test_published_points_give_the_published_constants(shared_data: Path) -> None:
    points = pd.read_csv(shared_data / "chinchilla_points.csv")
    law = hl.fit_loss(points.nsmallest(len(points) - 5, "loss"))
    found = {name: float(values[0]) for name, values in law.constants().items()}
    expected = {"E": 1.817, "A": 482, "B": 2085, "alpha": 0.348, "beta": 0.366}
    assert found == pytest.approx(expected, rel=0.03)
