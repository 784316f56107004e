"""The figures of the sections that every report has, each with how to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards import theme
from dashboards.figures.basins import get_basins_info, plot_basins
from dashboards.figures.curves import MAX_CURVES, get_curves_info, plot_curves
from dashboards.figures.held_out import get_held_out_info, plot_held_out
from dashboards.figures.law import get_law_info, plot_law
from dashboards.figures.prediction import get_prediction_info, plot_prediction
from dashboards.figures.published import get_published_info, plot_published
from dashboards.figures.residuals import get_residuals_info, plot_residuals
from dashboards.report_content import ReportContent
from dashboards.report_parts import Panel, panel
from dashboards.report_text import setting_title
from scaling.backtest import HeldOut
from scaling.law import Law
from scaling.prediction import Prediction
from scaling.published_law import experts_of
from storage.columns import FAILED, LOSS, PARAMS, STATUS, TOKENS
from storage.curves import Curve

MAX_POINTS = 1_500
"""Of a figure: of more runs some are drawn, evenly by loss, and the figure says so."""


class ReportFigures(NamedTuple):
    """The panels of each section; an empty one has no data. All but the curves need a law."""

    curves: tuple[Panel, ...]
    prediction: tuple[Panel, ...] = ()
    basins: tuple[Panel, ...] = ()
    law: tuple[Panel, ...] = ()
    residuals: tuple[Panel, ...] = ()
    held_out: tuple[Panel, ...] = ()
    published: tuple[Panel, ...] = ()


def draw(content: ReportContent) -> ReportFigures:
    """Draw every figure that there is data for; a model size has one colour in all of them."""
    law, runs, prediction = content.law, content.runs, content.prediction
    held_out, comparison, sizes = content.held_out, content.comparison, content.sizes
    curves = _curves(runs, content.curves, sizes)
    if law is None:
        return ReportFigures(curves)
    return ReportFigures(
        curves=curves,
        prediction=_prediction(prediction, law, runs) if prediction is not None else (),
        basins=_basins(law, runs, sizes),
        law=_law(law, runs, sizes, prediction, held_out),
        residuals=_residuals(law, runs, sizes),
        held_out=tuple(_held_out(check, law) for check in held_out),
        published=_published(comparison, law, sizes) if comparison is not None else (),
    )


def _prediction(prediction: Prediction, law: Law, runs: pd.DataFrame) -> tuple[Panel, ...]:
    drawn = plot_prediction(get_prediction_info(prediction, law, experts=experts_of(runs)))
    theme.take_title(drawn)
    caption = (
        f"The bar is the {prediction.level:.0%} interval of this law; "
        "the dots are what published laws would say of the same target."
    )
    return (panel(drawn, "Beside published laws", caption),)


def _basins(law: Law, runs: pd.DataFrame, sizes: tuple[float, ...]) -> tuple[Panel, ...]:
    info = get_basins_info(runs, law)._replace(sizes=sizes)
    room = MAX_POINTS // len(info.panels)
    panels = []
    for one in info.panels:
        kept = _evenly(one.points, room)
        shown = one._replace(title="", points=one.points.iloc[kept])
        drawn = plot_basins(info._replace(panels=(shown,)))
        panels.append(panel(drawn, one.title, _how_many(len(kept), len(one.points))))
    return tuple(panels)


def _curves(
    runs: pd.DataFrame, curves: Mapping[str, Curve], sizes: tuple[float, ...]
) -> tuple[Panel, ...]:
    n_curves = int((runs[STATUS] != FAILED).sum()) if len(runs) > MAX_CURVES else None
    info = get_curves_info(runs, curves, n_curves=n_curves)._replace(sizes=sizes)
    if not info.curves:
        return ()
    caption = "Strong lines are the best run of each scale; the others are faint."
    return (panel(plot_curves(info), "Held-out loss while training", caption),)


def _law(
    law: Law,
    runs: pd.DataFrame,
    sizes: tuple[float, ...],
    prediction: Prediction | None,
    held_out: Sequence[HeldOut],
) -> tuple[Panel, ...]:
    target = None if prediction is None else prediction.target
    level = 0.9 if prediction is None else prediction.level
    panels = []
    for setting in law.settings:
        info = get_law_info(
            law,
            runs,
            setting,
            held_out=[check.runs for check in held_out],
            target=target,
            level=level,
        )
        drawn = plot_law(info._replace(sizes=sizes))
        panels.append(panel(drawn, f"Best {setting_title(setting)}", ""))
    return tuple(panels)


def _residuals(law: Law, runs: pd.DataFrame, sizes: tuple[float, ...]) -> tuple[Panel, ...]:
    info = get_residuals_info(law, runs)._replace(sizes=sizes)
    caption = (
        f"Each run's loss against the law's, by how far the run is from its optimum. "
        f"{info.within:.0%} of the runs lie in the band that should hold 90 %. "
        "The law trusts runs near the optimum most."
    )
    kept = _evenly(info.points, MAX_POINTS)
    caption = " ".join(filter(None, [caption, _how_many(len(kept), len(info.points))]))
    info = info._replace(
        points=info.points.iloc[kept], height=info.height[kept], band=info.band[kept]
    )
    return (panel(plot_residuals(info), "What the law leaves unexplained", caption),)


def _held_out(check: HeldOut, law: Law) -> Panel:
    drawn = plot_held_out(get_held_out_info(check, law))
    heading = theme.take_title(drawn)
    caption = (
        "The runs of a size that the law did not see. The line is what the law said of it, "
        "at its own best batch."
    )
    return panel(drawn, heading, caption)


def _published(comparison: pd.DataFrame, law: Law, sizes: tuple[float, ...]) -> tuple[Panel, ...]:
    info = get_published_info(comparison, law.name)._replace(sizes=sizes)
    caption = (
        "A dot a scale, open where it lies outside the range that the law was fitted to; the bar "
        "is the mean. Further left is better."
    )
    return (panel(plot_published(info), "What each law's setting costs", caption),)


def _evenly(points: pd.DataFrame, limit: int) -> NDArray[np.intp]:
    """Choose places of at most about `limit` runs: the best of each scale, others evenly by loss.

    They are in the table's order.
    """
    if len(points) <= limit:
        return np.arange(len(points))
    by_loss = points.reset_index(drop=True).sort_values(LOSS, kind="stable")
    is_best = ~by_loss.duplicated([PARAMS, TOKENS])
    others = by_loss.index[~is_best]
    room = max(limit - int(is_best.sum()), 0)
    spread = np.linspace(0, len(others) - 1, room).round().astype(int)
    return np.sort(np.concatenate([by_loss.index[is_best], others[spread]]))


def _how_many(n_drawn: int, n_runs: int) -> str:
    return "" if n_drawn == n_runs else f"{n_drawn:,} of {n_runs:,} runs are drawn, evenly by loss."
