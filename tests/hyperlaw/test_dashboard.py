"""What the dashboard's front door adds to it: sweep files of planned runs."""

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from hpo.spec import parse_spec
from hyperlaw.dashboard import NextSweeps
from storage.store import Store
from tests.hyperlaw.conftest import Invoke
from tests.hyperlaw.test_plan import LADDER, runs_of
from trainers.simulated import SimulatedLaw


@pytest.fixture
def ladder(tmp_path: Path, known_law: SimulatedLaw) -> Path:
    """A database with the runs of a small ladder and its sweep file."""
    path = tmp_path / "hyperlaw.db"
    with Store.open(path) as store:
        store.add_sweep("ladder", spec_text=LADDER)
        for row in runs_of(LADDER, known_law).to_dict(orient="records"):
            store.record_run({str(name): value for name, value in row.items()}, None)
    return path


def test_planned_runs_are_rounded_to_what_can_be_trained_and_written(ladder: Path) -> None:
    maker = NextSweeps(str(ladder))
    with Store.open(ladder) as store:
        runs = store.runs("ladder")
    row = runs.iloc[:1][["params", "tokens"]].assign(lr=0.0123456, batch_tokens=700.3)
    rounded = maker.buildable(["ladder"], pd.concat([row, row]), ("lr", "batch_tokens"))
    assert rounded[["lr", "batch_tokens"]].to_numpy().tolist() == [[0.0123, 700]]
    name, text = maker.sweep_file(["ladder"], rounded)
    assert name == "ladder-next-1"
    spec = parse_spec(text)
    assert [point.setting["lr"] for point in spec.points or ()] == [0.0123]


def test_runs_that_no_trainer_knows_are_refused_in_one_line(
    tmp_path: Path, known_runs: pd.DataFrame
) -> None:
    path = tmp_path / "hyperlaw.db"
    with Store.open(path) as store:
        store.add_runs(known_runs.assign(sweep="imported", run_id=known_runs.index.astype(str)))
    with pytest.raises(ValueError, match="without the columns width and depth") as refused:
        NextSweeps(str(path)).buildable(["imported"], known_runs, ("lr",))
    assert "\n" not in str(refused.value)


def test_the_plan_page_offers_the_sweep_file(
    ladder: Path, monkeypatch: pytest.MonkeyPatch, known_law: SimulatedLaw
) -> None:
    monkeypatch.setenv("HYPERLAW_DB", str(ladder))
    monkeypatch.setattr("sys.argv", ["dashboard.py"])

    def page() -> None:
        from dashboards import session
        from dashboards.pages import plan
        from hyperlaw.dashboard import NextSweeps

        plan.show(NextSweeps(session.options().database))

    app = AppTest.from_function(page, default_timeout=60)
    app.query_params["n"] = "3"
    app.run()
    assert not app.exception
    planned = app.dataframe[0].value
    spec = parse_spec(app.code[-1].value)
    assert [point.setting["lr"] for point in spec.points or ()] == planned["lr"].tolist()
    assert "hyperlaw sweep launch ladder-next-1.yaml" in app.code[0].value


def test_the_script_that_is_served_is_there(
    invoke: Invoke, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: dict[str, object] = {}

    def serve(db: str, **options: object) -> int:
        served.update(options, db=db)
        return 0

    monkeypatch.setattr("dashboards.launch.serve", serve)
    assert invoke("dashboard", "--no-browser", "--port", 8599).code == 0
    script = served["script"]
    assert isinstance(script, Path)
    assert script.is_file()
    assert not (script.parent / "pages").exists()
