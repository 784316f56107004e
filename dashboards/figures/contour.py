"""The contour: loss over two settings at one scale, by the law or interpolated, and the runs on it.

plot_contour(get_contour_info(measured, x, y, scale, law=law)).show()
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.spatial import Delaunay, QhullError

from dashboards import theme
from dashboards.figures.measured import SVG_POINTS, left_out, note, thin
from dashboards.figures.run_rows import describe
from dashboards.objective import LOSS_THEN
from dashboards.settings import Setting
from scaling.law import Law
from storage.columns import PARAMS, TOKENS

Array = NDArray[np.float64]

GRID = 60  # points a side
MARGIN = 0.04  # of the decades of an axis beyond the runs, where the law is drawn
OUTSIDE = 1.0  # and up to its optimum, as far as this many decades
MIN_RUNS = 15  # to interpolate
MAX_RUNS = 400  # to interpolate from: a sample of more
FOLDS = 5
SMOOTHINGS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
LEVELS_PCT = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


class NoContourError(ValueError):
    """No surface can be drawn; the message says what is lacking."""


class ContourInfo(NamedTuple):
    """One scale over two settings.

    Attributes
    ----------
    grid_x, grid_y : (GRID,) each.
    above_pct : (GRID, GRID) in rows of y, the surface above `reference`, in %; NaN where no run
        is near.
    points : the scale's runs that are drawn, worst first, and their `above_pct`.
    best : the scale's best run.
    optimum : (x, y) of the law's; None where the surface is interpolated.
    reference : the loss, nats a token, that the surface and the runs are measured from: the law's
        least here, else that of the best run.
    n_runs : of this scale.
    """

    x: Setting
    y: Setting
    grid_x: Array
    grid_y: Array
    above_pct: Array
    points: pd.DataFrame
    point_above_pct: Array
    best: pd.Series
    optimum: tuple[float, float] | None
    reference: float
    n_runs: int


def placed_by(law: Law | None, x: Setting, y: Setting) -> bool:
    """Say whether a law has a surface over these two settings."""
    return law is not None and {x.name, y.name} <= set(law.settings)


def get_contour_info(
    measured: pd.DataFrame,
    x: Setting,
    y: Setting,
    scale: tuple[float, float],
    *,
    law: Law | None = None,
) -> ContourInfo:
    """Take the surface from the law where it has one over these settings, else interpolate it.

    Raises
    ------
    NoContourError : the scale has too few runs with a loss, or they do not span an area.
    """
    at_scale = (measured[PARAMS] == scale[0]) & (measured[TOKENS] == scale[1])
    runs = measured[(at_scale & measured[[x.name, y.name]].notna().all(axis=1)).to_numpy()]
    known = runs[runs[LOSS_THEN].notna().to_numpy()]
    if known.empty:
        raise NoContourError("no run of this scale has a loss")
    px, py = x.coordinates(known[x.name]), y.coordinates(known[y.name])
    if np.ptp(px) == 0 or np.ptp(py) == 0:
        same = x if np.ptp(px) == 0 else y
        raise NoContourError(f"all runs of this scale have one {same.title}; choose another")
    optimum = None
    if law is not None and placed_by(law, x, y):
        at = law.optimum(*scale)
        optimum = (float(at[x.name]), float(at[y.name]))
        grid_x, grid_y = (
            _around(setting, known[setting.name], best)
            for setting, best in zip((x, y), optimum, strict=True)
        )
        across, up = np.meshgrid(_values(x, grid_x), _values(y, grid_y))
        surface = law.loss(*scale, **{x.name: across, y.name: up})
        reference = float(law.loss(*scale))
    else:
        grid_x, grid_y = (np.linspace(places.min(), places.max(), GRID) for places in (px, py))
        surface = _interpolated(known, px, py, grid_x, grid_y)
        # Between the runs a spline may dip where nothing was measured; the best run was.
        reference = float(known[LOSS_THEN].min())
        surface = np.maximum(surface, reference)
    points = thin(runs, SVG_POINTS)
    return ContourInfo(
        x=x,
        y=y,
        grid_x=_values(x, grid_x),
        grid_y=_values(y, grid_y),
        above_pct=100 * (surface / reference - 1),
        points=points,
        point_above_pct=100 * (points[LOSS_THEN].to_numpy(dtype=float) / reference - 1),
        best=known.iloc[int(known[LOSS_THEN].to_numpy(dtype=float).argmin())],
        optimum=optimum,
        reference=reference,
        n_runs=len(runs),
    )


def _around(setting: Setting, tried: pd.Series, best: float) -> Array:
    """Return a grid, in a setting's coordinates, over the runs and an optimum not far outside.

    What is far is counted in decades on a linear axis too, which so ends above zero: there is no
    law at zero.
    """
    decades = np.log10(tried.to_numpy(dtype=float))
    optimum = math.log10(best)
    low = min(decades.min(), max(optimum, decades.min() - OUTSIDE))
    high = max(decades.max(), min(optimum, decades.max() + OUTSIDE))
    pad = MARGIN * (high - low)
    ends = setting.coordinates(pd.Series([10 ** (low - pad), 10 ** (high + pad)]))
    return np.linspace(ends[0], ends[1], GRID)


def _values(setting: Setting, coordinates: Array) -> Array:
    return np.asarray(10**coordinates if setting.kind == "log" else coordinates, dtype=float)


def _interpolated(known: pd.DataFrame, px: Array, py: Array, grid_x: Array, grid_y: Array) -> Array:
    """Return a smooth surface of loss between the runs; NaN outside their hull.

    A thin-plate spline through log loss, as smooth as predicts best what is left out.
    """
    if len(known) < MIN_RUNS:
        raise NoContourError(
            f"{len(known)} runs with a loss are too few for a surface; at least {MIN_RUNS} at one "
            "scale are needed"
        )
    units = np.column_stack(
        [(px - grid_x[0]) / (grid_x[-1] - grid_x[0]), (py - grid_y[0]) / (grid_y[-1] - grid_y[0])]
    )
    try:
        hull = Delaunay(units)
    except QhullError as error:
        raise NoContourError("these two settings always change together here") from error
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(units))[:MAX_RUNS]
    height = np.log(known[LOSS_THEN].to_numpy(dtype=float))
    spline = _spline(units[chosen], height[chosen])
    side = np.linspace(0, 1, GRID)
    grid = np.column_stack([axis.ravel() for axis in np.meshgrid(side, side)])
    surface = np.where(hull.find_simplex(grid, tol=1e-9) >= 0, np.exp(spline(grid)), np.nan)
    return surface.reshape(GRID, GRID)


def _spline(places: Array, height: Array) -> RBFInterpolator:
    fold = np.arange(len(places)) % FOLDS
    errors = []
    for smoothing in SMOOTHINGS:
        missed = 0.0
        for left_out_fold in range(FOLDS):
            away = fold == left_out_fold
            spline = RBFInterpolator(places[~away], height[~away], smoothing=smoothing)
            missed += float(np.abs(spline(places[away]) - height[away]).sum())
        errors.append(missed)
    return RBFInterpolator(places, height, smoothing=SMOOTHINGS[int(np.argmin(errors))])


def plot_contour(info: ContourInfo) -> go.Figure:
    """Draw the surface in steps of a log scale; runs have the colour of their own loss."""
    drawn = theme.figure(height=540)
    least, most = (math.log10(LEVELS_PCT[0]), math.log10(LEVELS_PCT[-1]))
    shown = np.log10(info.above_pct.clip(LEVELS_PCT[0], LEVELS_PCT[-1]))
    top = float(np.nanmax(shown))
    levels = [level for level in LEVELS_PCT if math.log10(level) <= max(top, least + 1)]
    most = math.log10(levels[-1])
    colours = {"colorscale": [[i / 3, c] for i, c in enumerate(theme.SIZE_SCALE)]}
    drawn.add_trace(
        go.Contour(
            x=info.grid_x,
            y=info.grid_y,
            z=shown,
            zmin=least,
            zmax=most,
            **colours,
            contours={"start": least, "end": most, "size": (most - least) / 12, "showlines": False},
            opacity=0.75,
            colorbar={
                "title": {"text": "above the best, %", "side": "right", "font": {"size": 12}},
                "tickfont": {"size": 11},
                "tickvals": [math.log10(level) for level in levels],
                "ticktext": [f"{level:g}" for level in levels],
                "thickness": 12,
                "outlinewidth": 0,
            },
            hovertemplate=(
                f"{info.x.title} %{{x:.3g}}, {info.y.title} %{{y:.3g}}: "
                "%{customdata:.2g} % above<extra></extra>"
            ),
            customdata=info.above_pct,
        )
    )
    above = info.point_above_pct
    for lost in (False, True):
        here = np.isnan(above) == lost
        runs = info.points[here]
        marker = (
            {"symbol": "x-thin-open", "size": 8, "color": theme.NEUTRAL, "line": {"width": 1.6}}
            if lost
            else {
                "size": 7,
                "color": np.log10(above[here].clip(LEVELS_PCT[0], LEVELS_PCT[-1])),
                "cmin": least,
                "cmax": most,
                **colours,
                "line": {"width": 1, "color": "#ffffff"},
            }
        )
        if len(runs):
            drawn.add_trace(
                go.Scatter(
                    x=runs[info.x.name],
                    y=runs[info.y.name],
                    mode="markers",
                    marker=marker,
                    text=describe(runs),
                    hovertemplate="%{text}<extra></extra>",
                    name="no loss" if lost else "runs",
                    cliponaxis=False,
                )
            )
    _mark(drawn, float(info.best[info.x.name]), float(info.best[info.y.name]), "best run", "star")
    if info.optimum is not None:
        _mark(drawn, *info.optimum, "the law's optimum", "diamond")
    drawn.update_xaxes(_axis(info.x, info.grid_x))
    drawn.update_yaxes(_axis(info.y, info.grid_y))
    note(drawn, left_out(len(info.points), info.n_runs))
    return drawn


def _axis(setting: Setting, grid: Array) -> dict[str, Any]:
    """Describe an axis over all runs and the surface, however far off the law's optimum is."""
    axis = setting.axis(grid)
    if setting.kind == "linear":
        axis["range"] = [min(setting.low, grid[0]), max(setting.high, grid[-1])]
    return axis


def _mark(drawn: go.Figure, x: float, y: float, name: str, symbol: str) -> None:
    drawn.add_trace(
        go.Scatter(
            x=[x],
            y=[y],
            mode="markers",
            marker={
                "symbol": symbol,
                "size": 14,
                "color": theme.ACCENT,
                "line": {"width": 1.5, "color": "#ffffff"},
            },
            name=name,
            hovertemplate=f"{name}<extra></extra>",
            cliponaxis=False,
        )
    )
