"""Laws on width and depth from the command line: `--axes`, `--width`, and what `law show` says."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hyperlaw as hl
from tests.hyperlaw.conftest import Invoke

TARGET = ("--params", 1e9, "--tokens", 2e10)


@pytest.fixture
def shaped_file(tmp_path: Path) -> Path:
    """Runs under muP of four widths and two depths, whose optimal rate stays where it is."""
    rng = np.random.default_rng(0)
    tables = []
    for width in (16, 32, 64, 128, 256, 512):
        for depth in (2, 6):
            params = 12.0 * depth * width**2
            for tokens in (10 * params, 40 * params):
                batch_at_best = 2e4 * (tokens / 1e8) ** 0.5
                lr = 3e-3 * np.exp(rng.uniform(-2, 2, 8))
                batch = batch_at_best * np.exp(rng.uniform(-2, 2, 8))
                height = 0.02 * np.log(lr / 3e-3) ** 2 + 0.01 * np.log(batch / batch_at_best) ** 2
                loss = 1.7 + (params / 1e6) ** -0.35 + (tokens / 1e8) ** -0.35
                measured = loss * np.exp(height + 0.001 * rng.normal(size=8))
                scale = {"params": params, "tokens": tokens, "width": width, "depth": depth}
                run = {"lr": lr, "batch_tokens": batch, "loss": measured, "parametrization": "mup"}
                tables.append(pd.DataFrame({**scale, **run}))
    path = tmp_path / "shaped.csv"
    pd.concat(tables).to_csv(path, index=False)
    return path


def test_law_fit_names_the_forms_that_may_be_asked_for(invoke: Invoke, shaped_file: Path) -> None:
    ran = invoke("law", "fit", "--runs", shaped_file, "--name", "usual")
    assert ran.code == 0
    assert "scale by params and tokens: " in ran.out
    assert "(law fit --axes width,depth,tokens)" in ran.out
    assert "a doubling of params (90 %: " in ran.out
    assert ": it holds" in ran.out
    assert "predict --law usual --params N --tokens D\n" in ran.err
    answer = json.loads(invoke("law", "show", "usual", "--json").out)
    assert answer["axes"] == ["params", "tokens"]
    assert answer["mu_parametrized"] is True
    assert [form["axes"] for form in answer["forms"] if form["chosen"]] == [["params", "tokens"]]
    assert len(answer["forms"]) == 5
    drift = {(row["setting"], row["axis"]): row for row in answer["drift"]}
    rate = drift["lr", "params"]
    assert rate["octaves"]["low"] < 0 < rate["octaves"]["high"]
    assert rate["holds"] is True
    assert drift["batch_tokens", "params"]["octaves"]["value"] == pytest.approx(0, abs=0.1)


def test_runs_that_are_not_under_mup_have_no_transfer_to_check(
    invoke: Invoke, database: Path
) -> None:
    ran = invoke("law", "fit", "--sweep", "ladder")
    assert "transfer" not in ran.out


def test_a_law_on_width_and_depth_is_kept_and_asked(invoke: Invoke, shaped_file: Path) -> None:
    axes = "tokens, width,depth"
    fitted = invoke("law", "fit", "--runs", shaped_file, "--axes", axes, "--name", "wide")
    assert fitted.code == 0
    assert "a doubling of width" in fitted.out
    assert "predict --law wide --params N --tokens D --width W --depth L" in fitted.err
    shape = ("--width", 2048, "--depth", 20)
    answer = json.loads(invoke("predict", "--law", "wide", *TARGET, *shape, "--json").out)
    assert (answer["target"]["width"], answer["target"]["depth"]) == (2048, 20)
    assert answer["extrapolation"]["width"] == 4
    assert answer["optimum"]["lr"]["value"] == pytest.approx(3e-3, rel=0.1)
    table = invoke("predict", "--law", "wide", *TARGET, *shape)
    assert "width 2048, depth 20" in table.out
    assert "Step Law" in table.out
    fresh = json.loads(invoke("predict", "--runs", shaped_file, *TARGET, *shape, "--json").out)
    assert fresh["optimum"] == answer["optimum"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("predict", "--law", "wide", *TARGET), "give the target's width (N = 1e+09 was not"),
        (("predict", "--law", "wide", *TARGET, "--width", 0), "width of the target is 0"),
        (("predict", "--law", "usual", *TARGET, "--width", 64), "it does not take the width"),
        (("law", "fit", "--runs", "shaped.csv", "--axes", "widht"), "did you mean 'width'?"),
        (("law", "fit", "--runs", "shaped.csv", "--axes", ""), "'' is none"),
        (("predict", "--runs", "runs.csv", *TARGET, "--depth", 3), "has no column 'depth'"),
    ],
)
def test_questions_that_a_law_cannot_take_are_refused(
    invoke: Invoke, shaped_file: Path, runs_file: Path, command: tuple[object, ...], message: str
) -> None:
    invoke("law", "fit", "--runs", shaped_file, "--name", "usual")
    invoke("law", "fit", "--runs", shaped_file, "--axes", "width,tokens", "--name", "wide")
    ran = invoke(*command)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_a_plan_on_width_and_depth_is_for_a_target_of_that_shape(
    invoke: Invoke, shaped_file: Path
) -> None:
    shape = ("--width", 2048, "--depth", 20)
    ask = ("plan", "--runs", shaped_file, *TARGET, "--n", 2, "--json")
    plan = json.loads(invoke(*ask, *shape).out)
    predicted = json.loads(invoke("predict", "--runs", shaped_file, *TARGET, *shape, "--json").out)
    assert plan["expected_regret_pct"]["now"] == predicted["regret_pct"]["expected"]
    for run in plan["runs"]:
        assert run["params"] == 12 * run["depth"] * run["width"] ** 2
    invoke("law", "fit", "--runs", shaped_file, "--axes", "width,tokens", "--name", "wide")
    refused = invoke(*ask, "--law", "wide")
    assert refused.code == 2
    assert "give the target's width" in refused.err


def test_from_python(shaped_file: Path) -> None:
    law = hl.fit(shaped_file, axes=("width", "depth", "tokens"), n_draws=20)
    prediction = law.predict(1e9, 2e10, width=2048, depth=20)
    assert prediction.optimum["lr"].value == pytest.approx(3e-3, rel=0.1)
    assert ("width", "depth", "tokens") in [form.axes for form in hl.fit(shaped_file).forms]
