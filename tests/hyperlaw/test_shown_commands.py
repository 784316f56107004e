"""Commands that the dashboard and the report show to be typed: each is one that the program takes.

Those of the dashboard are parsed and not run; those of the report, which only read, are run.
"""

import ast
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from streamlit.testing.v1 import AppTest

import dashboards
from hyperlaw.answers import Question
from hyperlaw.assemble import report_content
from hyperlaw.cli.app import app
from hyperlaw.hints import command
from hyperlaw.sources import Asked, RunSource, find_runs, fit, keep_law, runs_of_sweeps
from storage.curves import Curve
from storage.drivers import Driver
from storage.legs import LegRecord
from storage.store import Store
from tests.hyperlaw.conftest import Invoke
from tests.hyperlaw.test_plan import LADDER, runs_of
from trainers.simulated import SimulatedLaw

PAGES = ("overview", "sweep", "explore", "transfer", "population", "laws", "predict", "plan")
OF_NO_DATABASE = {"init", "demo"}
DEMO_DATABASE = "demo/hyperlaw.db"
TARGET = Question(1e8, 2e9)
SHAPED = LADDER.replace("depth: 2", "depth: [2, 3]")
"""A ladder whose depth varies beside its width: a law on either is another form."""


def words_of(line: str) -> list[str]:
    """Return the words behind the program of a command line, however the program is called."""
    words = shlex.split(line, comments=True)
    program = next(place for place, word in enumerate(words) if Path(word).name == "hyperlaw")
    return words[program + 1 :]


def parsed(line: str) -> tuple[str, dict[str, object]]:
    """Return a command's name and its parameters; typer.TyperException where it is refused."""
    words, names = words_of(line), []
    command = typer.main.get_command(app)
    while (commands := getattr(command, "commands", None)) is not None:
        names.append(words.pop(0))
        command = commands[names[-1]]
    return " ".join(names), command.make_context(names[-1], words).params


def shown(page: AppTest) -> Iterator[str]:
    """Give the command lines of a page: in boxes to copy, and in cells of tables."""
    cells = [cell for table in page.dataframe for cell in table.value.to_numpy().ravel()]
    for text in (*(str(box.value) for box in page.code), *cells):
        if isinstance(text, str):
            yield from (line for line in text.splitlines() if line.startswith("hyperlaw "))


def opened(name: str, **query: str) -> AppTest:
    """Open a page as `hyperlaw dashboard` serves it."""

    def script(name: str) -> None:
        import importlib

        from dashboards import session
        from hyperlaw.dashboard import NextSweeps

        show = importlib.import_module(f"dashboards.pages.{name}").show
        show(*([NextSweeps(session.options().database)] if name == "plan" else []))

    page = AppTest.from_function(script, kwargs={"name": name}, default_timeout=60)
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception
    return page


def check_lines(lines: Iterable[str], database: Path) -> set[str]:
    """Check that each line is taken, and asks the database; return the names of the commands."""
    names = set()
    for line in lines:
        name, params = parsed(line)
        if name not in OF_NO_DATABASE:
            assert params["db"] == (DEMO_DATABASE if name == "dashboard" else str(database)), line
        names.add(name)
    return names


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database that is not the one that commands ask by themselves, in a folder with a space."""
    path = tmp_path / "other runs" / "big.db"
    path.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("HYPERLAW_DB", "HYPERLAW_ALLOW_CONTROL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.argv", ["dashboard.py", "--db", str(path)])
    return path


@pytest.fixture(scope="session")
def ladder(known_law: SimulatedLaw) -> pd.DataFrame:
    """The runs of `SHAPED`."""
    return runs_of(SHAPED, known_law)


def as_sweep(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    return runs.assign(sweep=name, run_id=[f"{name}-{k}" for k in range(len(runs))])


def add_population(store: Store) -> None:
    store.add_sweep("pop", spec_text="search: {method: population}\nruns: 2\nreports: 2\n")
    scale = {"params": 24_576, "params_total": 24_576, "tokens": 122_880, "shape": {}}
    legs = [("a", 1, None), ("b", 1, None), ("a", 2, "a"), ("b", 2, "a")]
    for number, (run_id, reports, origin) in enumerate(legs):
        at = None if origin is None else 1
        setting = {"lr": 0.01 * (number + 1), "batch_tokens": 2048}
        store.begin_leg(
            "pop", LegRecord(number, run_id, reports, origin, at, scale, setting, seed=0)
        )
        steps = np.arange(1, reports + 1)
        loss = 4.0 - 0.1 * number - 0.5 * steps
        store.record_report(
            run_id, "pop", Curve(steps, steps * 1e2, steps * 1e6, loss, loss, loss, steps * 2.0)
        )
        store.end_leg("pop", number, reached=reports)


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_database_is_filled_by_what_its_pages_show(elsewhere: Path, name: str) -> None:
    names = check_lines(shown(opened(name)), elsewhere)
    assert names == {"init", "sweep launch", "import csv", "demo", "dashboard"}


def test_the_pages_of_sweeps_show_commands_on_their_own_database(
    elsewhere: Path, ladder: pd.DataFrame
) -> None:
    with Store.open(elsewhere) as store:
        store.add_sweep("ladder", spec_text=SHAPED)
        store.add_runs(ladder.assign(sweep="ladder"))
        source = runs_of_sweeps(store, ["ladder"])
        store.add_runs(as_sweep(ladder.head(3), "few"))
        for name in ("running", "held", "killed", "failed"):
            store.add_sweep(name, spec_text=SHAPED.replace("ladder", name))
        for name in ("running", "held"):
            store.claim_sweep(name, Driver.this_process())
        store.set_sweep_state("held", "paused")
        store.set_sweep_state("killed", "interrupted")
        failed = as_sweep(ladder, "failed").head(4)
        store.add_runs(failed.assign(status=["failed", *["completed"] * 3]))
        store.set_sweep_state("failed", "done")
        add_population(store)
        store.set_sweep_state("pop", "done")
    keep_law(str(elsewhere), fit(source, "shaped", try_shapes=True), source)
    names: set[str] = set()
    for sweep in ("running", "held", "killed", "failed"):
        names |= check_lines(shown(opened("sweep", sweep=sweep)), elsewhere)
    for page, query in (
        ("overview", {}),
        ("population", {"sweep": "pop"}),
        ("transfer", {"part": "Checks of models"}),
        ("laws", {"sweep": "few"}),
        ("laws", {"sweep": "ladder", "law": "shaped", "view": "constants"}),
        ("plan", {"sweep": "ladder", "n": "2", "params": "10M", "tokens": "200M"}),
    ):
        found = check_lines(shown(opened(page, **query)), elsewhere)
        assert found, (page, query)
        names |= found
    steering = {f"sweep {name}" for name in ("launch", "pause", "stop", "cancel", "resume")}
    assert names == {
        *steering,
        "init",
        "sweep retry",
        "sweep schedule",
        "transfer check",
        "law fit",
    }


def test_no_page_writes_a_command_that_could_ask_another_database() -> None:
    own = OF_NO_DATABASE | {"dashboard"}
    for path in Path(dashboards.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                by_hand = set(re.findall(r"\bhyperlaw ([a-z]+)", node.value))
                assert id(node) in prose or by_hand <= own, f"{path}: {node.value}"


def test_a_url_is_named_and_its_password_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboards import session

    monkeypatch.setattr("sys.argv", ["dashboard.py"])
    for url, named in (
        ("postgresql://me@host/runs", "--db postgresql://me@host/runs"),
        ("postgresql://me:secret@host/runs", '--db "$HYPERLAW_DB"'),
        ("postgresql://me@host/runs?password=secret", '--db "$HYPERLAW_DB"'),
        ("hyperlaw.db", ""),
    ):
        monkeypatch.setenv("HYPERLAW_DB", url)
        assert session.command("law fit").removeprefix("hyperlaw law fit").strip() == named
        # A report, with its suggestions, may be sent to others.
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("HYPERLAW_DB", "other.db")
            assert command("law fit", url).endswith(f"law fit {named or '--db hyperlaw.db'}")


def next_lines(source: RunSource, db: str) -> list[str]:
    content = report_content(source, fit(source), db=db, target=TARGET)
    assert [parsed(line)[0] for line in content.next_commands] == ["predict", "plan", "law compare"]
    return list(content.next_commands)


def test_a_report_of_a_file_says_what_the_file_calls_our_columns(
    invoke: Invoke, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    mapping = {"params": "n params", "loss": "eval/loss"}
    known_runs.rename(columns=mapping).to_csv(tmp_path / "from wandb.csv", index=False)
    lines = next_lines(find_runs(Asked("hyperlaw.db", Path("from wandb.csv"), mapping)), "other.db")
    for line in lines:
        params = parsed(line)[1]
        assert params["runs"] == Path("from wandb.csv")
        assert params["mapping"] == ["params=n params", "loss=eval/loss"]
        assert invoke(*words_of(line)).code == 0, line
    assert "--out" not in lines[1], "five columns do not tell how the runs are trained"
    assert not any("--db" in line for line in lines)


def test_a_report_asks_for_a_sweep_file_where_one_can_be_written(
    invoke: Invoke, ladder: pd.DataFrame, tmp_path: Path
) -> None:
    ladder.to_csv(tmp_path / "mine.csv", index=False)
    with Store.open(tmp_path / "other.db") as store:
        store.add_sweep("ladder", spec_text=SHAPED)
        store.add_runs(ladder.assign(sweep="ladder"))
        source = runs_of_sweeps(store, ["ladder"])
    for found in (source, find_runs(Asked("other.db", Path("mine.csv")))):
        lines = next_lines(found, "other.db")
        params = parsed(lines[1])[1]
        assert (params["out"], params["db"]) == (Path("next.yaml"), "other.db")
        for line in lines:
            assert invoke(*words_of(line)).code == 0, line
        Path("next.yaml").unlink()
    without = replace(source, runs=source.runs.drop(columns="lr"))
    content = report_content(without, None, db="other.db")
    assert [parsed(line)[0] for line in content.next_commands] == [
        "init",
        "sweep launch",
        "law fit",
    ]
