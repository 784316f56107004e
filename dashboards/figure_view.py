"""Figures in the browser: drawn by plotly.js as parts of the page, and drawn anew in place.

`st.plotly_chart` makes another chart of changed data, and what the reader zoomed to is lost. Here a
figure is what its key says, and plotly keeps what the reader did with it for as long as its axes
mean the same. It follows the page from light to dark.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, get_args

import plotly.graph_objects as go
import streamlit as st

from dashboards import theme

HERE: Final = Path(__file__).parent
SCRIPTS: Final = (HERE / "templates" / "narrow.js", HERE / "figure_view.js")
TEMPLATES: Final = {
    scheme: theme.template(scheme).to_plotly_json() for scheme in get_args(theme.Scheme)
}
_mount = st.components.v2.component(
    "hyperlaw.figure",
    js="\n".join(script.read_text(encoding="utf-8") for script in SCRIPTS),
    isolate_styles=False,
)


def show(drawn: go.Figure, key: str) -> None:
    """Show a figure.

    Parameters
    ----------
    key : of the element, unique on the page; also what a screen reader reads, and the name of the
        picture that is downloaded.
    """
    drawn.update_layout(template=None, uirevision=key)
    drawn.update_layout(paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
    drawn.for_each_xaxis(_keep_zoom)
    drawn.for_each_yaxis(_keep_zoom)
    config = theme.PLOTLY_CONFIG | {"toImageButtonOptions": {"format": "svg", "filename": key}}
    rest = json.dumps({"config": config, "label": key.replace("-", " "), "templates": TEMPLATES})
    text = f'{{"figure": {drawn.to_json(validate=False)}, {rest[1:]}'
    _mount(key=key, data=text.encode())


def _keep_zoom(axis: Any) -> None:
    """Let a zoom last while the axis means the same, whatever range the new data would have."""
    axis.uirevision = str(axis.title.text)
