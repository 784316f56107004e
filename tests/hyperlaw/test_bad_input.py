"""What is wrong is said in one line that names the place, and nothing is written."""

from pathlib import Path

import pandas as pd
import pytest

from storage.store import Store
from tests.hyperlaw.conftest import Invoke
from tests.storage.conftest import open_folder as open_folder
from tests.storage.conftest import unwritable

HEADER = "params,tokens,lr,batch_tokens,loss\n"
ROW = "1e6,2e7,1e-3,4096,3.2\n"


def refused(invoke: Invoke, args: list[str], code: int) -> str:
    """Run a command that must be refused; return its one line, with nothing written."""
    before = sorted(path.name for path in Path.cwd().iterdir())
    ran = invoke(*args)
    assert ran.code == code
    assert ran.out == ""
    line = ran.err.removesuffix("\n")
    assert line.startswith("hyperlaw: error: ")
    assert "\n" not in line
    assert sorted(path.name for path in Path.cwd().iterdir()) == before
    return line


TABLES = {
    "missing column": (
        "params,tokens,learning_rate,batch_tokens,loss\n" + ROW,
        ["bad.csv", "'lr'", "learning_rate", "--map lr=learning_rate"],
    ),
    "negative rate": (
        HEADER + ROW + ROW.replace("1e-3", "-1e-3"),
        ["bad.csv", "row 2", "'lr'", "-1e-3", "above 0"],
    ),
    "text in a number": (
        HEADER + ROW + ROW + ROW.replace("4096", "big"),
        ["bad.csv", "row 3", "'batch_tokens'", "'big'", "not a number"],
    ),
    "a time that is none": (
        HEADER.replace("loss", "loss,created") + ROW.replace("3.2", "3.2,yesterday"),
        ["bad.csv", "row 1", "'created'", "'yesterday'", "UTC"],
    ),
    "a batch in sequences": (
        HEADER.replace("batch_tokens", "global_batch_size") + ROW,
        ["bad.csv", "'global_batch_size'", "if it counts sequences", "sequence length"],
    ),
    "empty": ("", ["bad.csv", "empty", "params,tokens"]),
    "no run": (HEADER, ["bad.csv", "no run"]),
}
USES = {
    "predict": ["predict", "--runs", "bad.csv", "--params", "1e9", "--tokens", "2e10"],
    "import": ["import", "csv", "bad.csv", "--sweep", "theirs"],
    "fit": ["law", "fit", "--runs", "bad.csv"],
    "compare": ["law", "compare", "--runs", "bad.csv"],
    "report": ["report", "--runs", "bad.csv"],
    "plan": ["plan", "--runs", "bad.csv", "--params", "1e9", "--tokens", "2e10"],
    "backtest": ["law", "backtest", "--runs", "bad.csv"],
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_wrong(invoke: Invoke, tmp_path: Path, table: str, use: str) -> None:
    text, named = TABLES[table]
    (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
    line = refused(invoke, USES[use], 2)
    for word in named:
        assert word in line


def scale(params: float, n_runs: int) -> str:
    return "".join(
        f"{params},{20 * params},{1e-3 * 2**i},{4096 * (i % 3 + 1)},{3 + 0.1 * i}\n"
        for i in range(n_runs)
    )


FEW = {
    "one scale": (HEADER + scale(1e6, 12), ["one scale", "12 runs", "add runs"]),
    "two runs": (HEADER + scale(1e6, 1) + scale(4e6, 1), ["2 completed runs", "at least 8"]),
    "one rate": (HEADER + ROW * 6 + ROW.replace("1e6", "4e6") * 6, ["learning rate", "one value"]),
}


@pytest.mark.parametrize("use", ["predict", "fit", "compare", "plan"])
@pytest.mark.parametrize("table", FEW)
def test_runs_that_cannot_answer(invoke: Invoke, tmp_path: Path, table: str, use: str) -> None:
    text, named = FEW[table]
    (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
    line = refused(invoke, USES[use], 4)
    for word in named:
        assert word in line


@pytest.mark.parametrize("table", FEW)
def test_a_report_of_them_says_why_there_is_no_law(
    invoke: Invoke, tmp_path: Path, table: str
) -> None:
    text, named = FEW[table]
    (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
    ran = invoke(*USES["report"])
    assert (ran.code, (tmp_path / "report.html").is_file()) == (0, True)
    for word in named:
        assert word in ran.err


GOOD_SWEEP = """\
name: ladder
trainer: gpt
scales: {width: [32, 64], depth: 2, tokens: [100000, 200000]}
search: {method: transfer}
space:
  lr: {log: [1e-3, 6e-2]}
  batch_tokens: {choices: [512, 1024]}
runs: 8
"""
SWEEPS = {
    "unknown key": ("runs: 8", "rns: 8", ["bad.yaml:8", "rns", "unknown key", "'runs'"]),
    "unknown setting": ("  lr:", "  rl:", ["bad.yaml:6", "rl", "lr"]),
    "impossible width": ("[32, 64]", "[32, 50]", ["bad.yaml:3", "width", "50", "48 and 64"]),
    "unknown trainer": ("gpt", "gtp", ["bad.yaml:2", "gtp", "'gpt'", "simulated"]),
    "rate below zero": ("1e-3", "-1e-3", ["bad.yaml:6", "space.lr", "above 0"]),
    "no such machine": ("runs: 8", "runs: 8\nresources: {cpus: 9999}", ["resources.cpus", "9999"]),
    "not YAML": ("name: ladder", "name: [ladder", ["bad.yaml", "not YAML"]),
}


@pytest.mark.parametrize("case", SWEEPS)
def test_a_sweep_file_that_is_wrong(invoke: Invoke, tmp_path: Path, case: str) -> None:
    good, bad, named = SWEEPS[case]
    (tmp_path / "bad.yaml").write_text(GOOD_SWEEP.replace(good, bad, 1), encoding="utf-8")
    line = refused(invoke, ["sweep", "launch", "bad.yaml"], 2)
    for word in named:
        assert word in line


@pytest.mark.parametrize(
    ("args", "code", "named"),
    [
        (["predct"], 2, ["predct", "predict", "hyperlaw --help"]),
        (["predict", "--params", "1e9"], 2, ["--tokens", "hyperlaw predict --help"]),
        (["predict", "--params", "big", "--tokens", "1"], 2, ["--params", "number"]),
        (["predict", "--params", "1e9", "--tokens", "1", "--runs", "no.csv"], 2, ["no.csv"]),
        (["predict", "--params", "1e9", "--tokens", "1"], 3, ["no database", "hyperlaw.db"]),
        (["predict", "--params", "1", "--tokens", "1", "--map", "lr=x"], 2, ["--map", "--runs"]),
        (["sweep", "launch", "no.yaml"], 2, ["no.yaml", "no such file"]),
        (["sweep", "resume", "x"], 3, ["no database"]),
        (["sweep", "list"], 3, ["no database"]),
        (["runs", "list", "--json", "--csv"], 2, ["--json", "--csv"]),
        (["runs", "export", "--format", "parquet"], 2, ["Parquet", "--out"]),
        (["law", "show", "x"], 3, ["no database"]),
        (["report", "--params", "1e9"], 2, ["--params", "--tokens"]),
        (["init", "--trainer", "gtp"], 2, ["gtp", "'gpt'"]),
        (["init", "no/sweep.yaml"], 2, ["no/sweep.yaml", "no such file"]),
    ],
)
def test_a_command_that_is_wrong(
    invoke: Invoke, args: list[str], code: int, named: list[str]
) -> None:
    line = refused(invoke, args, code)
    for word in named:
        assert word in line


@pytest.mark.parametrize(
    ("args", "code", "named"),
    [
        (["--sweep", "lader"], 3, ["'lader'", "did you mean 'ladder'"]),
        (["--law", "x"], 3, ["no law named 'x'"]),
        (["--sweep", "ladder", "--law", "x"], 2, ["--sweep", "--law"]),
        (["--sweep", "ladder", "--level", "90"], 2, ["level", "0.9"]),
        (["--sweep", "ladder", "--params", "-1"], 2, ["params", "-1", "positive"]),
    ],
)
def test_a_prediction_that_cannot_be_asked_for(
    invoke: Invoke, database: Path, args: list[str], code: int, named: list[str]
) -> None:
    line = refused(invoke, ["predict", "--params", "1e8", "--tokens", "2e9", *args], code)
    for word in named:
        assert word in line


def test_several_sweeps_must_be_told_apart(
    invoke: Invoke, database: Path, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    known_runs.to_csv(tmp_path / "more.csv", index=False)
    assert invoke("import", "csv", "more.csv", "--sweep", "wide").code == 0
    line = refused(invoke, ["predict", "--params", "1e8", "--tokens", "2e9"], 2)
    assert "2 sweeps" in line
    assert "ladder, wide" in line


def test_a_file_that_is_no_database(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be one")
    line = refused(invoke, ["sweep", "list", "--db", "notes.txt"], 2)
    assert "notes.txt" in line
    assert "not a database" in line


def test_a_run_twice_is_refused_whole(invoke: Invoke, database: Path, runs_file: Path) -> None:
    line = refused(invoke, ["import", "csv", "runs.csv", "--sweep", "ladder"], 2)
    assert "96 rows" in line
    assert "'ladder-000001'" in line
    assert len(invoke("runs", "export", "--sweep", "ladder").out.splitlines()) == 97


def test_runs_of_elsewhere_do_not_join_a_sweep_that_was_launched_here(
    invoke: Invoke, runs_file: Path, tmp_path: Path
) -> None:
    with Store.open(tmp_path / "hyperlaw.db") as store:
        store.add_sweep("ladder", spec_text=GOOD_SWEEP)
    line = refused(invoke, ["import", "csv", "runs.csv", "--sweep", "ladder"], 2)
    assert "launched here" in line
    assert "name another sweep" in line
    with Store.open(tmp_path / "hyperlaw.db") as store:
        assert store.runs().empty


@pytest.mark.parametrize("args", [["law", "fit", "--name"], ["import", "csv", "--sweep"]])
def test_a_name_that_is_none_makes_no_database(
    invoke: Invoke, runs_file: Path, args: list[str]
) -> None:
    source = ["runs.csv"] if args[0] == "import" else ["--runs", "runs.csv"]
    line = refused(invoke, [*args, "no name", *source], 2)
    assert "no name" in line


READING = {
    "sweep list": ["sweep", "list"],
    "db check": ["db", "check"],
    "predict": ["predict", "--sweep", "ladder", "--params", "1e8", "--tokens", "2e9"],
    "runs export": ["runs", "export", "--sweep", "ladder"],
}
WRITING = {
    "import": ["import", "csv", "more.csv", "--sweep", "more"],
    "law fit": ["law", "fit", "--sweep", "ladder"],
}


@pytest.mark.parametrize("use", READING | WRITING)
def test_a_database_that_may_not_be_written(
    invoke: Invoke, known_runs: pd.DataFrame, open_folder: Path, monkeypatch: pytest.MonkeyPatch,
    use: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(open_folder)
    known_runs.to_csv("runs.csv", index=False)
    known_runs.assign(loss=known_runs["loss"] + 1).to_csv("more.csv", index=False)
    assert invoke("import", "csv", "runs.csv", "--sweep", "ladder").code == 0
    args = (READING | WRITING)[use]
    said = invoke(*args, "--db", "copy.db" if use == "import" else "hyperlaw.db")
    assert said.code == 0
    with unwritable(open_folder):
        if use in READING:
            assert invoke(*args) == said
        else:
            assert "hyperlaw.db cannot be written: its folder" in refused(invoke, args, 2)
