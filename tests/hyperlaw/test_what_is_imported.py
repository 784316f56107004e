"""Cheap commands stay cheap: what they import, seen from a fresh process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "ray", "streamlit", "optuna", "sqlalchemy", "alembic", "plotly", "sklearn"}
PROBE = """
import json, sys
{code}
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})), file=sys.stderr)
"""


def imported_by(code: str, folder: Path) -> set[str]:
    """Return the top-level packages that a process has imported after running `code`."""
    process = subprocess.run(
        [sys.executable, "-c", PROBE.format(code=code)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(process.stderr.splitlines()[-1]))


def command(*args: object) -> str:
    return f"from hyperlaw.__main__ import main; assert main({[str(arg) for arg in args]!r}) == 0"


def test_importing_the_package_loads_nothing(tmp_path: Path) -> None:
    loaded = imported_by("import hyperlaw", tmp_path)
    rooms = {"scaling", "storage", "trainers", "hpo", "dashboards"}
    assert not loaded & (HEAVY | rooms | {"pandas", "numpy", "typer", "rich"})


@pytest.mark.parametrize(
    "group",
    [
        [],
        ["sweep"],
        ["law"],
        ["loss"],
        ["schedule"],
        ["transfer"],
        ["runs"],
        ["db"],
        ["predict"],
        ["plan"],
        ["emit"],
        ["dashboard"],
        ["demo"],
    ],
)
def test_help_loads_no_room(group: list[str], tmp_path: Path) -> None:
    loaded = imported_by(command(*group, "--help"), tmp_path)
    # Of storage only what the database is called: its libraries are not there.
    rooms = {"scaling", "trainers", "hpo", "dashboards"}
    assert not loaded & (HEAVY | rooms | {"pandas", "numpy", "scipy"})


@pytest.mark.parametrize("answer", ["predict", "plan", "emit --framework pytorch"])
def test_an_answer_from_a_file_loads_neither_database_nor_training(
    runs_file: Path, tmp_path: Path, answer: str
) -> None:
    args = (*answer.split(), "--runs", runs_file, "--params", 1e8, "--tokens", 2e9)
    loaded = imported_by(command(*args), tmp_path)
    assert not loaded & HEAVY
    assert not loaded & {"trainers", "hpo", "dashboards"}


def test_law_commands_load_no_training(database: Path, tmp_path: Path) -> None:
    loaded = imported_by(command("law", "fit", "--sweep", "ladder"), tmp_path)
    assert not loaded & {"torch", "ray", "streamlit", "optuna", "plotly", "trainers", "hpo"}


def test_refusing_a_sweep_file_loads_neither_torch_nor_ray(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text("name: x\ntrainer: gtp\n", encoding="utf-8")
    code = "from hyperlaw.__main__ import main; assert main(['sweep', 'launch', 'sweep.yaml']) == 2"
    assert not imported_by(code, tmp_path) & {"torch", "ray"}
