"""A band between two lines, as of an interval along a curve.

drawn.add_trace(band(along, low, high, "90% interval"))
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards import theme

Array = NDArray[np.float64]


def band(
    along: Array,
    low: Array,
    high: Array,
    name: str,
    *,
    colour: str = theme.ACCENT,
    opacity: float = 0.16,
) -> go.Scatter:
    """Return the trace of the band from `low` to `high`, each (n_points,) as `along` is."""
    return go.Scatter(
        x=np.concatenate([along, along[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=theme.faded(colour, opacity),
        line={"width": 0},
        hoverinfo="skip",
        name=name,
    )
