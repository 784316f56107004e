"""Laws as they are kept: documents (`scaling.law`) under names."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from sqlalchemy import Connection, delete, insert, select

from storage import rows, schema


def add(connection: Connection, name: str, sweep: str | None, document: Mapping[str, Any]) -> None:
    """Keep a law; one of the same name is replaced."""
    laws = schema.laws
    connection.execute(delete(laws).where(laws.c.name == name))
    row = {
        "name": name,
        "sweep": sweep,
        "created": rows.now(),
        "runs": document.get("runs"),
        "scales": len(document["scales"]) if "scales" in document else None,
        "document": document,
    }
    connection.execute(insert(laws), row)


def find(connection: Connection, name: str) -> dict[str, Any] | None:
    """Return the document of a law, or None."""
    query = select(schema.laws.c.document).where(schema.laws.c.name == name)
    document: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
    return document


def names(connection: Connection) -> list[str]:
    """Return the names of all laws, oldest first."""
    laws = schema.laws.c
    return list(connection.execute(select(laws.name).order_by(laws.created, laws.name)).scalars())


def frame(connection: Connection) -> pd.DataFrame:
    """Return a frame with a row a law, see `Store.laws`."""
    laws = schema.laws.c
    query = select(laws.name, laws.sweep, laws.created, laws.runs, laws.scales)
    result = connection.execute(query.order_by(laws.created, laws.name))
    found = pd.DataFrame(result.all(), columns=list(result.keys()))
    return found.astype({"runs": "Int64", "scales": "Int64"})
