"""A training script from the command line: its starter, and sweeps that follow from its runs."""

import sys
from pathlib import Path

import pytest

from hpo.spec import load_spec, parse_spec
from hyperlaw.recipe import recipe_of
from tests.hyperlaw.conftest import Invoke


def test_the_starter_of_a_script(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert invoke("init", "sweep.yaml", "--trainer", "command", "--name", "mine").code == 0
    refused = invoke("sweep", "launch", "sweep.yaml")
    assert refused.code == 2
    assert "trainer.command: no file 'train.py' in " in refused.err
    (tmp_path / "train.py").write_text("")
    spec = load_spec(tmp_path / "sweep.yaml")
    assert spec.name == "mine"
    assert str(spec.trainer).startswith("python train.py --lr {lr} ")


def test_a_sweep_that_follows_has_the_same_command(tmp_path: Path) -> None:
    text = """\
name: first
trainer: {command: "env LR={lr} {width} {tokens}", loss: val, timeout_minutes: 2}
scales: {width: [8, 16], depth: 1, tokens: [100, 400]}
search: {method: grid}
space: {lr: {choices: [1, 2]}}
fixed: {batch_tokens: 10}
"""
    recipe = recipe_of(parse_spec(text))
    parts = {
        "scales": {"width": [8, 16], "depth": 1, "tokens": [800]},
        "search": {"method": "grid"},
        "space": {"lr": {"choices": [1, 3]}},
    }
    following = parse_spec(recipe.file("second", parts))
    assert following.trainer == parse_spec(text).trainer
    assert "cwd" not in recipe.file("second", parts)
