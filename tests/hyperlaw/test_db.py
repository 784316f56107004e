"""`hyperlaw db`: whether the database is whole and new, and how it becomes so."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from storage import migrations
from tests.hyperlaw.conftest import Invoke
from tests.storage.conftest import make_first_revision


def test_a_database_is_checked(invoke: Invoke, database: Path) -> None:
    ran = invoke("db", "check")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"hyperlaw.db: schema {migrations.HEAD}; sweeps 1, runs 96, curves 0, laws 0",
        "it is whole, and its schema is the newest",
    ]
    assert f"schema {migrations.HEAD} is the newest already" in invoke("db", "upgrade").out


def test_what_is_wrong_fails_the_check(invoke: Invoke, database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DROP TABLE laws")
        connection.commit()
    ran = invoke("db", "check")
    assert ran.code == 5
    assert "problem: table laws is not there" in ran.out
    document = json.loads(invoke("db", "check", "--json").out)
    assert document["problems"] == ["table laws is not there"]
    assert document["is_newest"]


def test_an_older_database_is_told_and_upgraded(invoke: Invoke, tmp_path: Path) -> None:
    make_first_revision(tmp_path / "hyperlaw.db")
    ran = invoke("db", "check")
    assert ran.code == 5
    assert f"its schema is older than this hyperlaw's, {migrations.HEAD}" in ran.out
    assert "db upgrade" in ran.out
    upgraded = json.loads(invoke("db", "upgrade", "--json").out)
    assert (upgraded["before"], upgraded["after"]) == ("0001", migrations.HEAD)
    assert invoke("db", "check").code == 0


def test_no_database_is_not_found(invoke: Invoke) -> None:
    for command in ("check", "upgrade"):
        ran = invoke("db", command)
        assert ran.code == 3
        assert "no database at hyperlaw.db" in ran.err
