"""Checks of transfer: whether the best setting of a small model serves a large one.

A check is kept as a document (`scaling.transfer_check`) and found again by its name, or by its
subject: the trainer, parametrization, optimizer and model options that it is true of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from storage import rows, schema


@dataclass(frozen=True)
class TransferCheckRecord:
    """A check as the store knows it.

    Attributes
    ----------
    name : the check's.
    created : ISO 8601 in UTC.
    subject : what it is true of, as plain data.
    passed : None where the measurements cannot tell.
    document : the whole check; empty in a list of all.
    """

    name: str
    created: str
    subject: Mapping[str, Any]
    passed: bool | None
    document: Mapping[str, Any] = field(default_factory=dict)


def add(
    connection: Connection,
    name: str,
    subject: Mapping[str, Any],
    passed: bool | None,
    document: Mapping[str, Any],
) -> None:
    """Keep a check; one of the same name is replaced."""
    checks = schema.transfer_checks
    connection.execute(delete(checks).where(checks.c.name == name))
    row = {"name": name, "created": rows.now(), "subject": subject, "passed": passed}
    connection.execute(insert(checks), row | {"document": document})


def find(connection: Connection, name: str) -> TransferCheckRecord | None:
    """Return one check with its document, or None."""
    checks = schema.transfer_checks
    query = select(checks).where(checks.c.name == name)
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else TransferCheckRecord(**found)


def read(connection: Connection) -> list[TransferCheckRecord]:
    """Return all checks, oldest first, without their documents."""
    checks = schema.transfer_checks.c
    query = select(checks.name, checks.created, checks.subject, checks.passed)
    ordered = query.order_by(checks.created, checks.name)
    return [TransferCheckRecord(**row) for row in connection.execute(ordered).mappings()]
