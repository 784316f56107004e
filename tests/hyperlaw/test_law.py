"""`hyperlaw law`: fitted, kept, shown and compared."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest

from tests.hyperlaw.conftest import Invoke
from trainers.simulated import SimulatedLaw


def test_a_law_is_kept_under_its_sweep_or_its_name(invoke: Invoke, database: Path) -> None:
    assert invoke("law", "fit", "--sweep", "ladder").code == 0
    ran = invoke("law", "fit", "--runs", "runs.csv", "--name", "mine")
    assert ran.code == 0
    assert "predict --law mine" in ran.err
    laws = json.loads(invoke("law", "list", "--json").out)["laws"]
    assert [(law["name"], law["sweep"], law["runs"], law["scales"]) for law in laws] == [
        ("ladder", "ladder", 96, 6),
        ("mine", None, 96, 6),
    ]


def test_show_tells_what_fit_told(invoke: Invoke, database: Path, known_law: SimulatedLaw) -> None:
    fitted = invoke("law", "fit", "--sweep", "ladder", "--json")
    shown = invoke("law", "show", "ladder", "--json")
    assert shown.out == fitted.out
    law = json.loads(shown.out)
    assert law["settings"] == ["lr", "batch_tokens"]
    assert set(law["formulas"]) == {"lr", "batch_tokens"}
    assert 0.1 < law["noise_pct"] < 0.4
    terms = {term["term"]: term for term in law["terms"]}
    exponent = terms["lr: exponent of N"]
    assert exponent["low"] < known_law.lr_params_exponent < exponent["high"]
    assert len(law["scales"]) == 6
    assert [form["axes"] for form in law["forms"] if form["chosen"]] == [["params", "tokens"]]


def test_the_table_names_formulas_terms_and_scales(invoke: Invoke, database: Path) -> None:
    ran = invoke("law", "fit", "--sweep", "ladder")
    for word in (
        "scale by params and tokens: ",
        ", chosen",
        "best lr = ",
        "best batch_tokens = ",
        "noise",
        "exponent of N",
        "1.28B",
    ):
        assert word in ran.out


def test_compare_sets_the_law_beside_the_published(invoke: Invoke, database: Path) -> None:
    ran = invoke("law", "compare", "--sweep", "ladder", "--csv")
    rows = list(csv.DictReader(StringIO(ran.out)))
    gaps = {row["law"]: float(row["nearest_gap_pct"]) for row in rows}
    assert {"ladder", "best constant", "Step Law", "Kaplan et al."} <= set(gaps)
    assert list(gaps.values()) == sorted(gaps.values())
    assert gaps["ladder"] < gaps["best constant"]
    assert {row["scales"] for row in rows} == {"6"}


def test_compare_says_which_laws_it_leaves_out(invoke: Invoke, database: Path) -> None:
    ran = invoke("law", "compare", "--sweep", "ladder")
    for word in ("MiniCPM", "second-hand", "in its range", "Power scheduler is not scored: "):
        assert word in ran.out
    assert "silent on a setting" in ran.err
    answer = json.loads(invoke("law", "compare", "--sweep", "ladder", "--json").out)
    assert {law["law"] for law in answer["not_scored"]} == {"Joint MoE", "Power scheduler"}
    rows = {law["law"]: law for law in answer["laws"]}
    assert (rows["Step Law"]["in_range"], rows["DeepSeek LLM"]["in_range"]) == (0, None)
    assert rows["MiniCPM"]["second_hand"] is True


def test_a_law_is_compared_on_the_runs_that_it_came_from(invoke: Invoke, database: Path) -> None:
    invoke("law", "fit", "--sweep", "ladder", "--name", "mine")
    assert invoke("law", "compare", "--law", "mine", "--json").out == invoke(
        "law", "compare", "--sweep", "ladder", "--json"
    ).out.replace('"ladder"', '"mine"')


def test_a_law_from_a_file_needs_the_file_to_be_compared(invoke: Invoke, database: Path) -> None:
    invoke("law", "fit", "--runs", "runs.csv", "--name", "mine")
    ran = invoke("law", "compare", "--law", "mine")
    assert ran.code == 3
    assert "runs.csv" in ran.err
    assert invoke("law", "compare", "--law", "mine", "--runs", "runs.csv").code == 0


@pytest.mark.parametrize("name", ["no spaces", "", "a/b"])
def test_a_name_that_is_none_keeps_nothing(invoke: Invoke, database: Path, name: str) -> None:
    ran = invoke("law", "fit", "--sweep", "ladder", "--name", name)
    assert ran.code == 2
    assert json.loads(invoke("law", "list", "--json").out)["laws"] == []


def test_backtest_scores_laws_where_they_did_not_look(invoke: Invoke, database: Path) -> None:
    ran = invoke("law", "backtest", "--sweep", "ladder", "--hold-out", 2, "--json")
    answer = json.loads(ran.out)
    assert answer["hold_out"] == 2
    assert {(row["params"], row["tokens"]) for row in answer["scores"]} == {
        (16e6, 320e6),
        (16e6, 1280e6),
    }
    gaps = {row["law"]: row["nearest_gap_pct"] for row in answer["laws"]}
    assert gaps["loss-surface"] < gaps["best constant"]
    for name, gap in gaps.items():
        rows = [row["nearest_gap_pct"] for row in answer["scores"] if row["law"] == name]
        assert gap == pytest.approx(sum(rows) / 2)


def test_backtest_as_tables_and_rows(invoke: Invoke, database: Path) -> None:
    ran = invoke("law", "backtest")
    for word in ("Mean gap", "At each of them", "Step Law", "1.28B"):
        assert word in ran.out
    rows = list(csv.DictReader(StringIO(invoke("law", "backtest", "--csv").out)))
    assert {row["tokens"] for row in rows} == {"1280000000.0"}
    assert len(rows) == len({row["law"] for row in rows})


def test_backtest_needs_scales_to_fit_to(invoke: Invoke, database: Path) -> None:
    ran = invoke("law", "backtest", "--hold-out", 5)
    assert (ran.code, ran.out) == (4, "")
    assert "hold out 5 of 6 scales" in ran.err
