"""The report's figures, each with the sentence that tells how to read it, as JSON for its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.io.json import to_json_plotly

from dashboards import theme
from dashboards.figures.basins import get_basins_info, plot_basins
from dashboards.figures.curves import get_curves_info, plot_curves
from dashboards.figures.held_out import get_held_out_info, plot_held_out
from dashboards.figures.law import get_law_info, plot_law
from dashboards.figures.prediction import get_prediction_info, plot_prediction
from dashboards.figures.published import get_published_info, plot_published
from dashboards.figures.residuals import get_residuals_info, plot_residuals
from dashboards.report_text import setting_title
from scaling.backtest import HeldOut
from scaling.law import Law
from scaling.prediction import Prediction
from scaling.published_law import experts_of
from storage.columns import PARAMS
from storage.curves import Curve


class Panel(NamedTuple):
    """One figure on the page: its heading, how to read it, its height (px) and its JSON."""

    heading: str
    caption: str
    height: int
    json: Markup


class ReportFigures(NamedTuple):
    """The panels of each section; an empty section has no data."""

    prediction: tuple[Panel, ...]
    basins: tuple[Panel, ...]
    curves: tuple[Panel, ...]
    law: tuple[Panel, ...]
    residuals: tuple[Panel, ...]
    held_out: tuple[Panel, ...]
    published: tuple[Panel, ...]


def draw(
    law: Law,
    runs: pd.DataFrame,
    *,
    prediction: Prediction | None,
    curves: Mapping[str, Curve],
    held_out: Sequence[HeldOut],
    comparison: pd.DataFrame | None,
) -> ReportFigures:
    """Draw every figure that there is data for; a model size has one colour in all of them."""
    unseen = [check.params for check in held_out]
    sizes = tuple(sorted({float(size) for size in (*runs[PARAMS], *unseen)}))
    return ReportFigures(
        prediction=_prediction(prediction, law, runs) if prediction is not None else (),
        basins=_basins(law, runs, sizes),
        curves=_curves(runs, curves, sizes),
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
    panels = []
    for one in info.panels:
        drawn = plot_basins(info._replace(panels=(one._replace(title=""),)))
        panels.append(panel(drawn, one.title, ""))
    return tuple(panels)


def _curves(
    runs: pd.DataFrame, curves: Mapping[str, Curve], sizes: tuple[float, ...]
) -> tuple[Panel, ...]:
    info = get_curves_info(runs, curves)._replace(sizes=sizes)
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
