"""A database is looked at: whole, or what is wrong with it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from storage.curves import Curve
from storage.health import examine
from storage.store import NotFoundError, Store


@pytest.fixture
def filled(
    database: Path, make_row: Callable[..., dict[str, object]], make_curve: Callable[..., Curve]
) -> Path:
    with Store.open(database) as store:
        store.add_sweep("ladder", spec_text="")
        store.record_run(make_row("a", unique_tokens=1e9), make_curve(3))
        store.record_run(make_row("b"), make_curve(3))
    return database


def test_a_whole_database(filled: Path) -> None:
    health = examine(filled)
    assert health.is_newest
    assert health.problems == ()
    assert health.counts == {"sweeps": 1, "runs": 2, "curves": 2, "laws": 0}


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("UPDATE curves SET curve = x'00' WHERE run_id = 'b'", "the curve of run 'b' cannot be"),
        ("ALTER TABLE runs DROP COLUMN unique_tokens", "column unique_tokens of table runs is not"),
        ("DROP TABLE laws", "table laws is not there"),
        ("DELETE FROM sweeps", "2 rows of table runs point at a sweeps row that is not there"),
    ],
)
def test_what_is_wrong_is_told(filled: Path, damage: str, problem: str) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute(damage)
        connection.commit()
    assert any(text.startswith(problem) for text in examine(filled).problems)


def test_no_database_is_made_by_looking(database: Path) -> None:
    with pytest.raises(NotFoundError, match="no database at"):
        examine(database)
    assert not database.exists()
