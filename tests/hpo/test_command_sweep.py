"""Sweeps over a training script, and what the documentation of trainers shows."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpo.errors import SpecError
from hpo.runner import run_sweep
from hpo.spec import changed_keys, parse_spec
from storage.store import Store

DOCS = Path(__file__).parents[2] / "docs" / "trainers.md"

SWEEP = """\
name: scripts
trainer:
  command: python3 train.py {lr} {batch_tokens} {width} {tokens}
  cwd: CWD
scales: {width: [8, 16], depth: 1, tokens: [100, 400]}
search: {method: grid}
space:
  lr: {choices: [1, 2]}
  batch_tokens: {choices: [10, 20]}
"""


@pytest.fixture
def sweep(tmp_path: Path) -> str:
    (tmp_path / "train.py").write_text("")
    return SWEEP.replace("CWD", str(tmp_path))


def refused(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_command_is_checked_and_kept_as_it_is_written(sweep: str) -> None:
    spec = parse_spec(sweep)
    assert str(spec.trainer) == "python3 train.py {lr} {batch_tokens} {width} {tokens}"
    assert changed_keys(sweep, spec) == []
    later = parse_spec(sweep.replace("  cwd", "  loss: val\n  cwd"))
    assert changed_keys(sweep, later) == ["trainer.loss: loss, now val"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("python3 train", "pythn3 train", ":3: trainer.command: no program 'pythn3' on PATH; did"),
        ("train.py", "trian.py", ":3: trainer.command: no file 'trian.py' in "),
        ("cwd: ", "cwd: /no", ":4: trainer.cwd: no folder '/no"),
        ("{width}", "{widht}", "unknown value 'widht'; did you mean 'width'? (there are: lr, batc"),
        ("train.py", "'train.py", ":3: trainer.command: no closing quotation"),
        ("{lr}", "{lr", ":3: trainer.command: a brace of '{lr' lacks its other half"),
        ("{lr}", "1", ":8: space.lr: the command never takes lr; add {lr} to it"),
        ("{width}", "8", ":5: scales.width: the command never takes width"),
        ("{tokens}", "100", ":5: scales.tokens: the runs have several budgets, and the command"),
        (
            "python3 train.py {lr} {batch_tokens} {width} {tokens}",
            "' '",
            "command: ' ' is not text",
        ),
        (
            "  cwd",
            "  timeout: 3\n  cwd",
            ":4: trainer.timeout: unknown key; did you mean 'timeout_",
        ),
        ("  cwd", "  timeout_minutes: 0\n  cwd", ":4: trainer.timeout_minutes: 0 is not a number"),
        (
            "  cwd",
            "  block_params: -1\n  cwd",
            ":4: trainer.block_params: -1 is not a number above",
        ),
        ("  command: ", "  cmmand: ", ":3: trainer.cmmand: unknown key; did you mean 'command'"),
        ("scales:", "seeds: 2\nscales:", ":5: seeds: 2: the command never takes seed"),
        ("scales:", "data: text\nscales:", ":5: data: the command never takes data"),
        ("{lr}", "{lr} {data}", ":3: trainer.command: it asks for data, and no data is given"),
        ("scales:", "model: {heads: 2}\nscales:", ":5: model.heads: the command never takes heads"),
        (
            "depth: 1, ",
            "",
            ":5: scales.width[0]: the shape is width, which does not give N; add width and",
        ),
        ("grid", "population", ":6: search.method: a population copies weights from run to run"),
        ("grid", "freeze-thaw", ":6: search.method: freeze-thaw ends runs and begins them again"),
        ("grid", "grid, scheduler: hyperband", "search.scheduler: hyperband ends runs and begins"),
    ],
)
def test_mistakes_are_refused_with_their_key(sweep: str, old: str, new: str, says: str) -> None:
    assert old in sweep
    assert says in refused(sweep.replace(old, new))


def test_a_command_in_braces_wants_quotes() -> None:
    said = refused("name: a\ntrainer: {command: python train.py --lr {lr}}\n")
    assert said.endswith("; a command with places such as {lr} in it stands in quotes")


def test_what_is_there_in_some_runs_only_is_refused(sweep: str) -> None:
    conditional = "  beta: {choices: [0.1, 0.2], when: {lr: 2}}\n"
    said = refused(sweep.replace("{lr}", "{lr} {beta}") + conditional)
    assert ":10: space.beta.when: the command asks for beta in every run" in said


def test_a_name_that_the_runs_table_needs_is_refused(sweep: str) -> None:
    named = "  model: {choices: [wide, deep]}\n"
    said = refused(sweep.replace("{lr}", "{lr} {model}") + named)
    assert ":10: space.model: the runs table says something else under model" in said
    assert said.endswith("rename it, such as model_")
    parse_spec(sweep.replace("{lr}", "{lr} {model_}") + named.replace("model", "model_"))


def test_fixed_settings_may_be_notes(sweep: str) -> None:
    text = sweep.replace(" {batch_tokens}", "").replace(
        "  batch_tokens: {choices: [10, 20]}", "fixed: {batch_tokens: 10}"
    )
    assert parse_spec(text).fixed == {"batch_tokens": 10}


LISTED = """\
name: points
trainer: {command: "python3 train.py {lr} {params} {steps}", cwd: CWD}
search: {method: listed}
points:
  - {scale: {params: 100, tokens: 1000}, setting: {lr: 1}}
  - {scale: {params: 250, tokens: 3000}, setting: {lr: 2}, seed: 1}
fixed: {batch_tokens: 10}
"""


def test_listed_points_give_n_and_are_held_against_the_command(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    text = LISTED.replace("CWD", str(tmp_path))
    assert ":6: points[1].seed: the command never takes seed" in refused(text)
    text = text.replace(", seed: 1", "")
    parse_spec(text)
    assert ":5: points[0].setting.lr: the command never takes lr" in refused(
        text.replace("{lr}", "1")
    )
    assert ":4: points: the runs have several budgets" in refused(text.replace("{steps}", "1"))
    assert ":5: points[0].setting: no beta, which the command asks for" in refused(
        text.replace("{lr}", "{lr} {beta}").replace("{lr: 2}", "{lr: 2, beta: 1}")
    )


def block(language: str, beginning: str) -> str:
    """A block of code of the documentation, by how it begins."""
    found = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return next(code for code in found if code.startswith(beginning))


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
class TestOnRay:
    """Sweeps that run."""

    def test_the_documented_script(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "fit.py").write_text(block("python", "# fit.py"))
        text = block("yaml", "name: least-squares").replace("runs: 24", "runs: 6")
        text = text.replace("python fit", f"{sys.executable} fit")
        text = text.replace("  block_params", f"  cwd: {tmp_path}\n  block_params")
        summary = run_sweep(parse_spec(text), store, spec_text=text)
        runs = store.runs("least-squares")
        assert (summary.completed, summary.failed) == (6, 0), list(runs.get("reason", ()))
        assert set(runs["params"]) == {64, 256, 1024}
        assert set(runs["model"]) == {"fit.py"}
        assert (runs["loss"] > 0.5).all()
        assert (runs["loss"] < 2).all()
        assert (runs["flops"] == 6 * runs["params"] * runs["steps"] * runs["batch_tokens"]).all()
        assert runs.get("data", runs["loss"] * float("nan")).isna().all()
        for curve in store.curves(list(runs["run_id"])).values():
            assert 1 <= len(curve.step) <= 4
            assert (curve.step[1:] > curve.step[:-1]).all()

    def test_the_documented_class(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "fitting.py").write_text(block("python", "# fitting.py"))
        monkeypatch.syspath_prepend(str(tmp_path))
        text = block("yaml", "name: least-squares").replace("runs: 24", "runs: 6")
        text = re.sub(r"trainer:.*?scales:", 'trainer: "fitting:Fit"\nscales:', text, flags=re.S)
        assert run_sweep(parse_spec(text), store, spec_text=text).completed == 6
        assert store.runs("least-squares")["loss"].between(0.5, 2).all()

    def test_runs_that_a_scheduler_stops_are_ended(self, store: Store, tmp_path: Path) -> None:
        script = """\
import json, os, signal, sys, time
from pathlib import Path
lr, folder = float(sys.argv[1]), Path(sys.argv[2])
os.open("alive", os.O_WRONLY)
signal.signal(signal.SIGTERM, lambda *_: (folder / "terminated").touch() or sys.exit(1))
for step in range(1, 6):
    print(json.dumps({"step": 2 * step, "loss": lr}))
    time.sleep(0.1)
"""
        (tmp_path / "train.py").write_text(script)
        text = f"""\
name: stopped
trainer: {{command: "{sys.executable} train.py {{lr}} {{folder}}", cwd: {tmp_path}}}
scales: {{params: 100, tokens: 100}}
search: {{method: grid, scheduler: asha, reduction: 2}}
space: {{lr: {{choices: [1, 2, 3, 4, 5, 6, 7, 8]}}}}
fixed: {{batch_tokens: 10}}
reports: 5
"""
        with held_open(tmp_path / "alive") as alive:
            run_sweep(parse_spec(text), store, spec_text=text)
            assert os.read(alive, 1) == b""
        runs = store.runs("stopped").set_index("run_id")
        assert set(runs["status"]) == {"completed", "stopped"}
        for run_id, status in runs["status"].items():
            folder = tmp_path / "runs.db.runs" / "stopped" / str(run_id)
            assert (folder / "terminated").exists() == (status == "stopped")

    def test_a_run_that_fails_says_why_and_where_its_log_is(
        self, store: Store, tmp_path: Path
    ) -> None:
        (tmp_path / "train.py").write_text("import sys; print('so far'); sys.exit('lr is too odd')")
        text = f"""\
name: failing
trainer: {{command: "{sys.executable} train.py {{lr}}", cwd: {tmp_path}}}
scales: {{params: 100, tokens: 100}}
search: {{method: grid}}
space: {{lr: {{choices: [1]}}}}
fixed: {{batch_tokens: 10}}
"""
        assert run_sweep(parse_spec(text), store, spec_text=text).failed == 1
        log = tmp_path / "runs.db.runs" / "failing" / "failing-00000" / "output.log"
        reason = store.runs("failing")["reason"].item()
        assert reason == f"ended with exit code 1: lr is too odd; log: {log}"
        assert "so far" in log.read_text()


@contextmanager
def held_open(pipe: Path) -> Iterator[int]:
    """Make a pipe with a name; reading from it blocks for as long as a process holds it open."""
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    yield reader
    os.close(reader)
