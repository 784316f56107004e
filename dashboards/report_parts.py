"""What a report's sections are made of: figures as JSON for its page, tables, and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.io.json import to_json_plotly


class Panel(NamedTuple):
    """One figure on the page: its heading, how to read it, its height (px) and its JSON."""

    heading: str
    caption: str
    height: int
    json: Markup


class Table(NamedTuple):
    """A table; columns in `text_columns` are texts, the others numbers."""

    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: Sequence[int] = ()


class Section(NamedTuple):
    """A section that is there only where the data support it.

    Attributes
    ----------
    title : its heading.
    text : sentences, a paragraph each.
    panels : figures.
    table : numbers behind them.
    note : small print.
    """

    title: str
    text: tuple[str, ...]
    panels: tuple[Panel, ...] = ()
    table: Table | None = None
    note: str = ""


def panel(drawn: go.Figure, heading: str, caption: str) -> Panel:
    """Take a figure apart for the page, which adds the template of its own colour scheme."""
    drawn.layout.template = None
    return Panel(heading, caption, int(drawn.layout.height), as_json(drawn.to_plotly_json()))


def as_json(data: Mapping[str, Any]) -> Markup:
    """Write plain data as JSON that no text in it can break out of a script element."""
    text = to_json_plotly(data)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
