"""The shell: which database is opened, and what is said where there is none."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import dashboards
from storage.store import Store

APP = Path(dashboards.__file__).with_name("app.py")


@pytest.fixture
def database(tmp_path, monkeypatch):
    path = tmp_path / "hyperlaw.db"
    monkeypatch.setenv("HYPERLAW_DB", str(path))
    monkeypatch.setattr("sys.argv", ["app.py"])
    return path


def show() -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception
    return app


def test_without_a_database_it_says_what_to_type(database):
    app = show()
    assert "hyperlaw.db" in app.info[0].value
    assert "hyperlaw sweep launch" in app.code[0].value
    assert not database.exists()


def test_a_database_without_sweeps_says_what_to_type(database):
    Store.open(database).close()
    app = show()
    assert "no sweep yet" in app.info[0].value
    assert "hyperlaw demo" in app.code[-1].value


def test_a_file_that_is_no_database_is_an_error_in_one_line(database):
    database.write_text("params,tokens\n")
    app = show()
    assert len(app.error) == 1
    assert "\n" not in app.error[0].value


def test_the_argument_names_the_database_before_the_environment(database, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["app.py", "--db", str(tmp_path / "other.db")])
    assert "other.db" in show().info[0].value
