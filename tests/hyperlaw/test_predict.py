"""`hyperlaw predict`: where the law comes from, and what is printed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.hyperlaw.conftest import Invoke
from trainers.simulated import SimulatedLaw

TARGET = ("--params", 1e8, "--tokens", 2e9)


def test_json_has_the_schema_and_holds_the_known_optimum(
    invoke: Invoke, runs_file: Path, known_law: SimulatedLaw
) -> None:
    ran = invoke("predict", "--runs", runs_file, *TARGET, "--json")
    assert ran.code == 0
    answer = json.loads(ran.out)
    assert list(answer) == [
        "schema_version", "target", "optimum", "loss", "regret_pct", "extrapolation", "law",
        "warnings", "notes", "rules",
    ]  # fmt: skip
    assert answer["schema_version"] == 1
    assert answer["target"] == {"params": 1e8, "tokens": 2e9, "flops": pytest.approx(1.2e18)}
    assert answer["law"] == {"name": "runs", "runs": 96, "scales": 6}
    best = known_law.optimum(1e8, 2e9)
    for name, truth in (("lr", best.lr), ("batch_tokens", best.batch_tokens)):
        found = answer["optimum"][name]
        assert found["low"] <= found["value"] <= found["high"]
        assert found["low"] / 1.1 < truth < found["high"] * 1.1
    assert answer["loss"]["value"] == pytest.approx(float(best.loss), rel=0.02)
    assert 0 <= answer["regret_pct"]["expected"] <= answer["regret_pct"]["p90"]


def test_table_stands_beside_the_published_laws(invoke: Invoke, runs_file: Path) -> None:
    ran = invoke("predict", "--runs", runs_file, *TARGET)
    assert ran.code == 0
    for word in ("Optimum at N = 1e+08", "90% interval", "Step Law", "DeepSeek", "96 runs"):
        assert word in ran.out
    assert "…" not in ran.out


def test_published_laws_that_say_nothing_say_why(
    invoke: Invoke, runs_file: Path, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    ran = invoke("predict", "--runs", runs_file, *TARGET)
    assert "Joint MoE says nothing here: it needs the number of experts" in ran.out
    dense = tmp_path / "dense.csv"
    known_runs.assign(experts=1).to_csv(dense, index=False)
    assert "Joint MoE says nothing" not in invoke("predict", "--runs", dense, *TARGET).out


def test_the_batch_is_set_beside_the_critical_one(
    invoke: Invoke, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    """Of the largest scale that has one; those of the smaller scales are not asked."""
    scale = known_runs["params"] * known_runs["tokens"]
    critical = np.where(scale == scale.max(), 20_000.0, np.where(scale == scale.min(), 1.0, np.nan))
    measured = tmp_path / "measured.csv"
    known_runs.assign(critical_batch_tokens=critical).to_csv(measured, index=False)
    answer = json.loads(invoke("predict", "--runs", measured, *TARGET, "--json").out)
    times = answer["optimum"]["batch_tokens"]["value"] / 20_000
    (note,) = answer["notes"]
    assert f"the predicted batch is {times:.2g} times the critical batch" in note
    given = invoke("predict", "--runs", measured, *TARGET, "--batch-tokens", 40_000)
    assert "the given batch is 2 times the critical batch" in given.out
    known_runs.assign(critical_batch_tokens=0.0).to_csv(measured, index=False)
    ran = invoke("predict", "--runs", measured, *TARGET)
    assert (ran.code, ran.out) == (2, "")
    assert "critical_batch_tokens" in ran.err


def test_far_targets_are_warned_of(invoke: Invoke, runs_file: Path) -> None:
    ran = invoke("predict", "--runs", runs_file, "--params", 7e10, "--tokens", 1.4e12)
    assert "warning: the target takes" in ran.out


def test_a_wider_level_gives_wider_intervals(invoke: Invoke, runs_file: Path) -> None:
    def width(level: float) -> float:
        ran = invoke("predict", "--runs", runs_file, *TARGET, "--level", level, "--json")
        rate: dict[str, float] = json.loads(ran.out)["optimum"]["lr"]
        return rate["high"] / rate["low"]

    assert width(0.5) < width(0.9) < width(0.98)


def test_every_source_of_the_same_runs_gives_the_same_answer(
    invoke: Invoke, database: Path, runs_file: Path, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    renamed = {"lr": "learning_rate", "loss": "eval/loss"}
    known_runs.rename(columns=renamed).to_csv(tmp_path / "theirs.csv", index=False)
    mapping = [flag for pair in renamed.items() for flag in ("--map", "=".join(pair))]
    assert invoke("law", "fit", "--sweep", "ladder", "--name", "kept").code == 0
    answers = [
        json.loads(invoke("predict", *TARGET, *source, "--json").out)
        for source in (
            ["--runs", runs_file],
            ["--runs", "theirs.csv", *mapping],
            ["--sweep", "ladder"],
            ["--law", "kept"],
            [],
        )
    ]
    assert answers[-1]["law"]["name"] == "kept"
    for answer in answers[1:]:
        assert answer["optimum"] == answers[0]["optimum"]
        assert answer["loss"] == answers[0]["loss"]


def test_the_only_sweep_answers_where_there_is_no_law(invoke: Invoke, database: Path) -> None:
    ran = invoke("predict", *TARGET, "--json")
    assert json.loads(ran.out)["law"] == {"name": "ladder", "runs": 96, "scales": 6}


def test_two_sweeps_make_one_law(
    invoke: Invoke, database: Path, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    more = known_runs.assign(loss=known_runs["loss"] * 1.0001)
    more.to_csv(tmp_path / "more.csv", index=False)
    invoke("import", "csv", "more.csv", "--sweep", "wide")
    both = ("--sweep", "ladder", "--sweep", "wide")
    answer = json.loads(invoke("predict", *TARGET, *both, "--json").out)
    assert answer["law"] == {"name": "ladder-wide", "runs": 192, "scales": 6}


def test_the_variable_names_the_database(
    invoke: Invoke, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = database.rename(tmp_path / "elsewhere.db")
    assert invoke("predict", *TARGET).code == 3
    monkeypatch.setenv("HYPERLAW_DB", str(elsewhere))
    assert invoke("predict", *TARGET).code == 0
    assert not database.exists()


def test_published_grids(invoke: Invoke, steplaw_file: Path) -> None:
    args = ("--params", 1.07e9, "--tokens", 2e10, "--json")
    answer = json.loads(invoke("predict", "--runs", steplaw_file, *args).out)
    assert answer["law"] == {"name": "steplaw_small", "runs": 939, "scales": 8}
    assert 5e-4 < answer["optimum"]["lr"]["value"] < 1.5e-3
    assert 2e5 < answer["optimum"]["batch_tokens"]["value"] < 7e5


def one_batch(runs: pd.DataFrame, law: SimulatedLaw, batch: int) -> pd.DataFrame:
    """Return the known runs as they would be with one batch, and AdamW's usual constants."""
    loss = law.loss(runs["params"], runs["tokens"], runs["lr"], batch)
    adamw = {"weight_decay": 0.1, "beta1": 0.9, "beta2": 0.95}
    return runs.assign(batch_tokens=batch, loss=loss, **adamw)


def test_a_fixed_batch_is_answered_by_the_law_that_knows_batches(
    invoke: Invoke, runs_file: Path
) -> None:
    ran = invoke("predict", "--runs", runs_file, *TARGET, "--batch-tokens", 65536, "--json")
    answer = json.loads(ran.out)
    assert list(answer["optimum"]) == ["lr"]
    (note,) = answer["notes"]
    assert "batch size fixed at 65,536" in note
    assert answer["rules"] == []
    assert "note: batch size" in invoke(
        "predict", "--runs", runs_file, *TARGET, "--batch-tokens", 65536
    ).out  # fmt: skip


def test_runs_of_one_batch_move_by_the_square_root_rule(
    invoke: Invoke, known_runs: pd.DataFrame, known_law: SimulatedLaw, tmp_path: Path
) -> None:
    one_batch(known_runs, known_law, 32768).to_csv(tmp_path / "one.csv", index=False)
    ask = ("predict", "--runs", "one.csv", *TARGET, "--json")
    tuned = json.loads(invoke(*ask).out)
    moved = json.loads(invoke(*ask, "--batch-tokens", 4 * 32768).out)
    for end in ("value", "low", "high"):
        assert moved["optimum"]["lr"][end] == pytest.approx(2 * tuned["optimum"]["lr"][end])
    assert moved["loss"] == tuned["loss"]
    rule = moved["rules"][0]
    assert rule["name"] == "square-root batch rule, batch × 4"
    assert "2205.10287" in rule["source"]
    assert rule["values"]["beta1"] == pytest.approx(0.6)
    assert "one batch of 32,768 tokens" in moved["notes"][0]


def test_the_decay_holds_the_timescale_of_the_largest_scale(
    invoke: Invoke, known_runs: pd.DataFrame, known_law: SimulatedLaw, tmp_path: Path
) -> None:
    one_batch(known_runs, known_law, 32768).to_csv(tmp_path / "one.csv", index=False)
    ask = ("predict", "--runs", "one.csv", "--json")
    at_largest = json.loads(invoke(*ask, "--params", 16e6, "--tokens", 1280e6).out)
    (rule,) = at_largest["rules"]
    assert rule["values"] == {"weight_decay": pytest.approx(0.1)}
    assert "2405.13698" in rule["source"]
    (far,) = json.loads(invoke(*ask, *TARGET, "--decay", 0.2).out)["rules"]
    rate = json.loads(invoke(*ask, *TARGET).out)["optimum"]["lr"]["value"]
    before = 0.2 * at_largest["optimum"]["lr"]["value"] * 1280e6
    assert far["values"]["weight_decay"] * rate * 2e9 == pytest.approx(before)
    assert "rule: weight_decay" in invoke("predict", "--runs", "one.csv", *TARGET).out


def test_a_decay_is_held_where_the_law_knows_batches(invoke: Invoke, runs_file: Path) -> None:
    ask = ("predict", "--runs", runs_file, "--decay", 0.1, "--json")
    answer = json.loads(invoke(*ask, "--params", 16e6, "--tokens", 1280e6).out)
    assert answer["rules"][0]["values"] == {"weight_decay": pytest.approx(0.1)}
    assert json.loads(invoke(*ask[:3], "--json", *TARGET).out)["rules"] == []


def test_rules_that_these_runs_do_not_carry_are_refused(
    invoke: Invoke, known_runs: pd.DataFrame, known_law: SimulatedLaw, tmp_path: Path
) -> None:
    one = one_batch(known_runs, known_law, 32768)
    one.to_csv(tmp_path / "one.csv", index=False)
    two = one.assign(batch_tokens=[32768, 65536] * (len(one) // 2))
    two.to_csv(tmp_path / "two.csv", index=False)
    assert invoke("law", "fit", "--runs", "one.csv", "--name", "one").code == 0
    for source, flags, code, named in (
        (("--runs", "two.csv"), ("--batch-tokens", 65536), 2, "too few to fit"),
        (("--runs", "two.csv"), ("--decay", 0.1), 2, "one batch"),
        (("--law", "one"), ("--batch-tokens", 65536), 3, "give them with --runs"),
        (("--runs", "one.csv"), ("--batch-tokens", -1), 2, "batch_tokens is -1"),
        (("--runs", "one.csv"), ("--batch-tokens", 3e9), 2, "of the whole training"),
        (("--runs", "one.csv"), ("--decay", -1), 2, "weight_decay"),
    ):
        ran = invoke("predict", *source, *TARGET, *flags)
        assert (ran.code, ran.out) == (code, "")
        assert named in ran.err
