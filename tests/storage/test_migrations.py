"""A database of an older revision opens with everything that it held."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from storage import migrations
from storage.health import examine, upgrade
from storage.store import Store
from tests.storage.conftest import make_first_revision

FIRST_RUN = (
    "INSERT INTO runs (run_id, sweep, params, tokens, lr, batch_tokens, loss, status, seed, flops,"
    " width, extra) VALUES (?, 'old', 1e6, 2e7, 1e-3, 512, ?, ?, 0, 1.2e14, ?, ?)"
)


@pytest.fixture
def first_revision(database: Path) -> Path:
    """A database as the first release wrote it, with a sweep of four runs."""
    make_first_revision(database)
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sweeps VALUES ('old', 'done', 'name: old', '2025-01-01', '2025-01-02')"
        )
        for run in (
            ("a", 3.25, "completed", 64, None),
            ("b", None, "diverged", None, json.dumps({"note": "unique_tokens unknown"})),
            ("c", 3.5, "completed", 64, json.dumps({"unique_tokens": 5e6, "probe": 0.5})),
            ("d", 3.75, "completed", 64, json.dumps({"unique_tokens": "lots"})),
        ):
            connection.exec_driver_sql(FIRST_RUN, run)
    engine.dispose()
    return database


def test_runs_of_the_first_revision_come_through_whole(first_revision: Path) -> None:
    with Store.open(first_revision, create=False) as store:
        runs = store.runs("old").set_index("run_id")
        assert store.sweep("old").spec_text == "name: old"
    assert runs["status"].tolist() == ["completed", "diverged", "completed", "completed"]
    assert runs["loss"].dropna().tolist() == [3.25, 3.5, 3.75]
    assert runs["width"].dropna().tolist() == [64, 64, 64]
    assert set(runs["flops"]) == {1.2e14}
    assert runs.loc["b", "note"] == "unique_tokens unknown"
    assert runs.loc["c", "probe"] == 0.5


def test_what_was_imported_as_unique_tokens_moves_into_the_column(first_revision: Path) -> None:
    with Store.open(first_revision) as store:
        runs = store.runs("old").set_index("run_id")
    assert list(runs.columns).count("unique_tokens") == 1
    assert runs["unique_tokens"].dropna().to_dict() == {"c": 5e6}
    assert runs.loc["d", "unique_tokens_as_imported"] == "lots"


def test_an_old_database_is_looked_at_without_being_changed(first_revision: Path) -> None:
    before = first_revision.read_bytes()
    health = examine(first_revision)
    assert (health.revision, health.is_newest, health.problems) == ("0001", False, ())
    assert health.counts == {"sweeps": 1, "runs": 4, "curves": 0, "laws": 0}
    assert first_revision.read_bytes() == before
    assert upgrade(first_revision) == ("0001", migrations.HEAD)
    assert upgrade(first_revision) == (migrations.HEAD, migrations.HEAD)
    assert examine(first_revision).is_newest
