"""Checks of transfer are kept by name, and found again with what they are true of."""

import math
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from storage.health import upgrade
from storage.store import NotFoundError, Store, StoreError
from tests.storage.conftest import make_first_revision

SUBJECT = {"trainer": "gpt", "parametrization": "mup", "model": {"context": 32, "tied": False}}


def test_a_check_comes_back_as_it_was_kept(store: Store) -> None:
    document = {"changes": {"size": [64, 128], "log_rms": [-1.5, None]}}
    store.save_transfer_check("gpt-mup", subject=SUBJECT, passed=True, document=document)
    found = store.transfer_check("gpt-mup")
    assert (found.name, found.passed, found.subject) == ("gpt-mup", True, SUBJECT)
    assert found.document == document
    assert found.created


def test_the_list_is_in_order_and_leaves_the_documents_in_the_database(store: Store) -> None:
    for name, passed in (("a", False), ("b", None), ("c", True)):
        store.save_transfer_check(name, subject=SUBJECT, passed=passed, document={"x": 1})
    records = store.transfer_checks()
    assert [(record.name, record.passed) for record in records] == [
        ("a", False),
        ("b", None),
        ("c", True),
    ]
    assert not any(record.document for record in records)


def test_a_check_of_the_same_name_is_replaced(store: Store) -> None:
    for passed in (False, True):
        store.save_transfer_check("gpt-mup", subject=SUBJECT, passed=passed, document={})
    assert [record.passed for record in store.transfer_checks()] == [True]


def test_what_is_not_there_or_cannot_be_kept_is_refused(store: Store) -> None:
    store.save_transfer_check("gpt-mup", subject=SUBJECT, passed=True, document={})
    with pytest.raises(NotFoundError, match=r"'gpt-mpu' in .* did you mean 'gpt-mup'"):
        store.transfer_check("gpt-mpu")
    with pytest.raises(StoreError, match="'a/b' is no name for a transfer check"):
        store.save_transfer_check("a/b", subject=SUBJECT, passed=True, document={})
    with pytest.raises(StoreError, match="no data that JSON can hold"):
        store.save_transfer_check("n", subject=SUBJECT, passed=True, document={"x": math.nan})


def test_an_older_database_gets_the_table(database: Path) -> None:
    make_first_revision(database)
    upgrade(database)
    engine = create_engine(f"sqlite:///{database}")
    assert "transfer_checks" in inspect(engine).get_table_names()
    engine.dispose()
    with Store.open(database) as store:
        assert store.transfer_checks() == []
