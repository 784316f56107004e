"""The HTML page in which Streamlit's application begins, with what a browser needs early.

text = served_page.html("explore")
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import streamlit as st

STATIC: Final = Path(st.__file__).with_name("static")
"""What Streamlit's page is made of."""
WHERE: Final = 'window.__streamlit = {BACKEND_BASE_URL: new URL(".", location).href}'
"""A page's path is one word, so the server is at the page's own folder, behind a proxy too."""
WITHOUT_FIGURES: Final = ("",)
"""Paths of pages without figures."""
ELEMENTS: Final = ("BidiComponent", "Selectbox")
"""Parts of Streamlit's application that every page with figures asks for at last."""


def html(path: str) -> str:
    """Return the page as it is served under a path.

    It says where the server is. On pages with figures the browser also reads what draws them while
    it has nothing else to do: Streamlit's application would ask for each part when it is shown.
    """
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    first, last = [f"<script>{WHERE}</script>"], []
    if path not in WITHOUT_FIGURES:
        first.append('<script async id="plotly-js" src="./plotly.js"></script>')
        last += [
            f'<link rel="modulepreload" crossorigin href="./{file}">'
            for file in _files(ELEMENTS)
            if file not in text
        ]
    text = text.replace("<head>", "\n".join(["<head>", *first]), 1)
    return text.replace("</head>", "\n".join([*last, "</head>"]), 1)


def _files(names: tuple[str, ...]) -> list[str]:
    """Return the files of parts of Streamlit's application, and of what these import."""
    manifest = json.loads((STATIC / "manifest.json").read_text(encoding="utf-8"))
    wanted = [key for key, part in manifest.items() if part.get("name") in names]
    return list(dict.fromkeys(file for key in wanted for file in _with_imports(manifest, key)))


def _with_imports(manifest: dict[str, Any], key: str) -> Iterator[str]:
    yield manifest[key]["file"]
    for imported in manifest[key].get("imports", ()):
        yield from _with_imports(manifest, imported)
