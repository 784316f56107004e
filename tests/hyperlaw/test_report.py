"""`hyperlaw report`: assembled from a file, from sweeps, and with a check on unseen scales."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hyperlaw.answers import Question
from hyperlaw.assemble import report_content
from hyperlaw.sources import Asked, find_runs, fit
from scaling.errors import LawError
from tests.hyperlaw.conftest import Invoke

TARGET = ("--params", 1e8, "--tokens", 2e9)


def test_a_report_from_a_file_needs_no_database(invoke: Invoke, runs_file: Path) -> None:
    ran = invoke("report", "--runs", "runs.csv", *TARGET, "--out", "r.html", "--title", "Mine")
    assert (ran.code, ran.out) == (0, "r.html\n")
    page = Path("r.html").read_text(encoding="utf-8")
    assert "<h1>Mine</h1>" in page
    assert "hyperlaw predict --runs runs.csv" in page
    assert not Path("hyperlaw.db").exists()


def test_a_report_of_a_sweep_or_a_law(invoke: Invoke, database: Path) -> None:
    assert invoke("report", "--sweep", "ladder").code == 0
    assert Path("report.html").stat().st_size > 1e6
    assert invoke("law", "fit", "--sweep", "ladder", "--name", "kept").code == 0
    assert invoke("report", "--law", "kept", "--out", "law.html").code == 0
    assert "<h1>kept</h1>" in Path("law.html").read_text(encoding="utf-8")


def test_held_out_sweeps_are_checked_scale_by_scale(
    invoke: Invoke, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    is_large = known_runs["params"] == known_runs["params"].max()
    for name, runs in (("small", known_runs[~is_large]), ("large", known_runs[is_large])):
        runs.to_csv(tmp_path / f"{name}.csv", index=False)
        assert invoke("import", "csv", f"{name}.csv", "--sweep", name).code == 0
    source = find_runs(Asked("hyperlaw.db", sweeps=("small",)))
    law = fit(source)
    target = Question(1e8, 2e9)
    content = report_content(source, law, db="hyperlaw.db", held_out=["large"], target=target)
    assert [check.tokens for check in content.held_out] == [320e6, 1280e6]
    assert all(check.nearest_gap_pct >= 0 for check in content.held_out)
    assert content.prediction is not None
    assert content.prediction.law.runs == 64
    ran = invoke("report", "--sweep", "small", "--held-out", "large")
    assert ran.code == 0

    with pytest.raises(LawError, match="was fitted to runs of"):
        report_content(source, law, db="hyperlaw.db", held_out=["small"])
    assert invoke("report", "--sweep", "small", "--held-out", "small").code == 2


def test_what_the_runs_support_is_put_together(
    known_runs: pd.DataFrame, database: Path, invoke: Invoke
) -> None:
    source = find_runs(Asked("hyperlaw.db", sweeps=("ladder",)))
    law = fit(source)
    content = report_content(source, law, db="hyperlaw.db", target=Question(1e8, 2e9))
    assert content.loss_law is not None
    assert content.plan is not None
    assert not content.by_parametrization
    assert not content.rounds
    assert not content.populations
    without = report_content(source, law, db="hyperlaw.db")
    assert without.plan is None
    kinds = ["sp", "mup"] * (len(known_runs) // 2)
    both = replace(source, runs=source.runs.assign(parametrization=kinds))
    assert list(report_content(both, law, db="hyperlaw.db").by_parametrization) == ["mup", "sp"]
    ran = invoke("report", "--sweep", "ladder", "--params", 1e8, "--tokens", 2e9)
    assert ran.code == 0
    page = Path("report.html").read_text(encoding="utf-8")
    assert "hyperlaw plan --sweep ladder --params 1e+08" in page
    assert page.count("<h2>How to split compute</h2>") == 1


def test_runs_of_one_scale_give_a_report_without_a_law(
    invoke: Invoke, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    is_small = known_runs["params"] == known_runs["params"].min()
    small = known_runs[is_small & (known_runs["tokens"] == known_runs["tokens"].min())]
    small.to_csv(tmp_path / "small.csv", index=False)
    assert invoke("import", "csv", "small.csv", "--sweep", "small").code == 0
    ran = invoke("report", "--sweep", "small", *TARGET)
    assert (ran.code, ran.out) == (0, "report.html\n")
    assert "there is no law of these runs: all 16 runs have one scale" in ran.err
    page = Path("report.html").read_text(encoding="utf-8")
    assert "<h1>small</h1>" in page
    assert "add runs of at least one more size or token budget." in page
    assert "law fit --sweep small --sweep ladder" in page
    assert invoke("report", "--runs", "small.csv").code == 0


def test_a_target_of_a_shape_is_answered_by_a_law_on_shape(
    invoke: Invoke, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    shaped = known_runs.assign(width=np.sqrt(known_runs["params"] / 24).round())
    shaped.to_csv(tmp_path / "shaped.csv", index=False)
    assert invoke("report", "--runs", "shaped.csv", *TARGET, "--width", 2048).code == 0
    page = Path("report.html").read_text(encoding="utf-8")
    assert "--params 1e+08 --tokens 2e+09 --width 2048" in page
    assert "·W^" in page or "W<sup>" in page

    refused = invoke("report", "--runs", "shaped.csv", "--width", 2048)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "give both --params and --tokens" in refused.err
    refused = invoke("report", "--runs", "shaped.csv", *TARGET, "--depth", 3)
    assert refused.code == 2
    assert "has no column 'depth'" in refused.err


def test_a_kept_law_on_width_is_told_a_target_of_some_width_next(
    invoke: Invoke, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    shaped = known_runs.assign(width=np.sqrt(known_runs["params"] / 24).round())
    shaped.to_csv(tmp_path / "shaped.csv", index=False)
    assert invoke("import", "csv", "shaped.csv", "--sweep", "shaped").code == 0
    fit_it = ("law", "fit", "--sweep", "shaped", "--axes", "width,tokens", "--name", "wide")
    assert invoke(*fit_it).code == 0
    assert invoke("report", "--law", "wide").code == 0
    assert "--width 2580" in Path("report.html").read_text(encoding="utf-8")


def test_a_folder_that_is_not_there(invoke: Invoke, runs_file: Path) -> None:
    ran = invoke("report", "--runs", "runs.csv", "--out", "no/report.html")
    assert ran.code == 2
    assert ran.err.startswith("hyperlaw: error: ")
    assert ran.err.count("\n") == 1
