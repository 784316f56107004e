"""Figures in the browser: drawn by plotly.js as parts of the page, and drawn anew in place.

`st.plotly_chart` makes another chart of changed data, and what the reader zoomed to is lost. Here a
figure is what its key says, and plotly keeps what the reader did with it for as long as its axes
mean the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st

from dashboards import theme

SCRIPT: Final = Path(__file__).with_name("figure_view.js").read_text(encoding="utf-8")
_mount = st.components.v2.component("hyperlaw.figure", js=SCRIPT, isolate_styles=False)


def show(drawn: go.Figure, key: str) -> None:
    """Show a figure.

    Parameters
    ----------
    key : of the element, unique on the page; also what a screen reader reads, and the name of the
        picture that is downloaded.
    """
    drawn.update_layout(uirevision=key)
    drawn.for_each_xaxis(_keep_zoom)
    drawn.for_each_yaxis(_keep_zoom)
    config = theme.PLOTLY_CONFIG | {"toImageButtonOptions": {"format": "svg", "filename": key}}
    rest = json.dumps({"config": config, "label": key.replace("-", " ")})
    text = f'{{"figure": {drawn.to_json(validate=False)}, {rest[1:]}'
    _mount(key=key, data=text.encode())


def _keep_zoom(axis: Any) -> None:
    """Let a zoom last while the axis means the same, whatever range the new data would have."""
    axis.uirevision = str(axis.title.text)
