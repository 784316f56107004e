"""`hyperlaw init` and `hyperlaw doctor`: before the first sweep."""

import json
from pathlib import Path

import pytest

from hpo.spec import load_spec, parse_spec
from hyperlaw.starters import BUILT_IN, SEARCHES, template
from tests.hyperlaw.conftest import Invoke


@pytest.mark.parametrize("trainer", BUILT_IN)
def test_a_starter_can_be_launched_as_it_is(invoke: Invoke, trainer: str, tmp_path: Path) -> None:
    ran = invoke("init", "wide.yaml", "--trainer", trainer)
    assert (ran.code, ran.out) == (0, "wide.yaml\n")
    spec = load_spec(tmp_path / "wide.yaml")
    assert (spec.name, spec.trainer) == ("wide", trainer)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_starter_of_a_search(invoke: Invoke, search: str, tmp_path: Path) -> None:
    assert invoke("init", "wide.yaml", "--search", search).code == 0
    assert load_spec(tmp_path / "wide.yaml").search.method == search


@pytest.mark.parametrize(
    ("args", "right"),
    [
        (("--search", "baysian"), "'bayesian'"),
        (("--search", "bayesian", "--trainer", "simulated"), "leave --trainer out"),
    ],
)
def test_a_search_without_a_starter(invoke: Invoke, args: tuple[str, ...], right: str) -> None:
    ran = invoke("init", "wide.yaml", *args)
    assert ran.code == 2
    assert right in ran.err


def test_a_starter_for_a_class_of_ones_own(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_training.py").write_text(
        "class Training:\n"
        "    def __init__(self, config): ...\n"
        "    def step(self): ...\n"
        "    def state_dict(self): ...\n"
        "    def load_state_dict(self, state): ...\n"
        "    @classmethod\n"
        "    def sizes(cls, shape, model):\n"
        "        n = 12 * shape['depth'] * shape['width'] ** 2\n"
        "        return n, n\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    args = ("--trainer", "own_training:Training", "--name", "mine")
    assert invoke("init", "sweep.yaml", *args).code == 0
    spec = load_spec(tmp_path / "sweep.yaml")
    assert (spec.name, spec.trainer) == ("mine", "own_training:Training")


def test_a_file_that_is_there_is_kept_unless_forced(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("mine", encoding="utf-8")
    ran = invoke("init")
    assert ran.code == 2
    assert "--force" in ran.err
    assert path.read_text(encoding="utf-8") == "mine"
    assert invoke("init", "--force").code == 0
    assert load_spec(path).name == "sweep"


def test_the_demo_s_ladder_is_a_sweep() -> None:
    spec = parse_spec(template("ladder"))
    assert spec.runs is not None
    assert spec.runs >= 90


def test_doctor_finds_a_machine_that_runs_these_tests_fit(invoke: Invoke, tmp_path: Path) -> None:
    ran = invoke("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(ran.out)["findings"]}
    assert ran.code == 0
    assert {"Python", "torch", "ray", "cores", "memory", "free disk", "database"} <= set(findings)
    assert "not there yet" in findings["database"]["found"]
    assert list(tmp_path.iterdir()) == []


def test_doctor_fails_on_a_database_that_is_none(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database at all, but a page of notes")
    ran = invoke("doctor", "--db", "notes.txt", "--json")
    assert ran.code == 5
    findings = {finding["what"]: finding for finding in json.loads(ran.out)["findings"]}
    assert findings["database"]["verdict"] == "fail"
    assert "not a database" in findings["database"]["advice"]
