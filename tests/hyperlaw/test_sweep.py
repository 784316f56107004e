"""`hyperlaw sweep`: launched on Ray, watched, interrupted and resumed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import hyperlaw as hl
from hyperlaw.sweeps import planned_runs
from tests.hyperlaw.conftest import Invoke

SWEEP = """\
name: tiny
trainer: simulated
scales: {params: [1000000, 4000000], tokens_per_param: 20}
search: {method: transfer}
space:
  lr: {log: [3e-3, 6e-2]}
  batch_tokens: {choices: [8192, 16384, 32768]}
runs: 12
"""
REAL_SCALES = "width: [16, 32], depth: 1, tokens: 40000"


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SWEEP, encoding="utf-8")
    return path


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_from_launch_to_law(invoke: Invoke, sweep_file: Path) -> None:
    ran = invoke("sweep", "launch", sweep_file, "--json")
    assert ran.code == 0
    summary = json.loads(ran.out)
    assert (summary["planned"], summary["completed"], summary["failed"]) == (12, 12, 0)
    assert [scale["completed"] for scale in summary["scales"]] == [6, 6]
    assert "trainer simulated (" in ran.err
    assert "): 12 runs, about " in ran.err

    again = invoke("sweep", "launch", sweep_file)
    assert again.code == 0
    assert "12 of them done before" in again.err
    assert "hyperlaw law fit --sweep tiny" in again.err

    status = json.loads(invoke("sweep", "status", "tiny", "--json").out)
    assert (status["state"], status["planned"], status["runs"]) == ("done", 12, 12)
    assert "12 of 12 runs ended" in invoke("sweep", "status", "tiny").out
    assert invoke("sweep", "resume", "tiny").code == 0
    assert invoke("law", "fit", "--sweep", "tiny").code == 0

    sweep_file.write_text(SWEEP.replace("tiny", "one-scale").replace(", 4000000]", "]"))
    alone = invoke("sweep", "launch", sweep_file)
    assert "hyperlaw runs list --sweep one-scale" in alone.err
    assert "law fit" not in alone.err
    sweep_file.write_text(SWEEP)

    runs = hl.sweep(sweep_file)
    assert set(runs["sweep"]) == {"tiny"}
    assert hl.fit(runs).n_runs == 12

    sweep_file.write_text(SWEEP.replace("6e-2", "8e-2"), encoding="utf-8")
    other = invoke("sweep", "launch", sweep_file)
    assert other.code == 2
    assert "differs" in other.err


@pytest.mark.ray
@pytest.mark.slow
def test_ctrl_c_ends_a_sweep_that_can_be_resumed(tmp_path: Path) -> None:
    """Real models, so that the signal finds the sweep at work."""
    text = SWEEP.replace("trainer: simulated", "trainer: gpt")
    text = text.replace("params: [1000000, 4000000], tokens_per_param: 20", REAL_SCALES)
    text = text.replace("8192, 16384, 32768", "512, 1024, 2048").replace("runs: 12", "runs: 40")
    (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "hyperlaw", "sweep", "launch", "tiny.yaml", "--db", "tiny.db"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "/40 runs" in line:
                process.send_signal(signal.SIGINT)
                break
        lines += process.stderr.readlines()
    assert process.returncode == 130
    assert "sweep resume tiny --db tiny.db" in lines[-1]


def test_an_imported_sweep_has_nothing_to_run(invoke: Invoke, database: Path) -> None:
    ran = invoke("sweep", "resume", "ladder")
    assert ran.code == 2
    assert "imported" in ran.err
    status = json.loads(invoke("sweep", "status", "ladder", "--json").out)
    assert (status["planned"], status["runs"], len(status["scales"])) == (None, 96, 6)
    best = status["scales"][-1]
    assert best["params"] == 16e6
    assert best["completed"] == 16
    assert best["loss"] < status["scales"][0]["loss"]


def test_a_budget_of_trainings_is_no_number_of_runs() -> None:
    frozen = SWEEP.replace("transfer", "freeze-thaw")
    assert (planned_runs(SWEEP), planned_runs(frozen)) == (12, None)
