"""The report's sections on what was measured, where no law says more: best runs, and each setting.

Each returns None where the data do not support it, or where the report has a law.
"""

from __future__ import annotations

import pandas as pd

from dashboards import theme
from dashboards.figures.slices import get_slices_info, plot_slices
from dashboards.objective import LOSS_THEN, Objective, measure
from dashboards.report_content import ReportContent
from dashboards.report_parts import Section, Table, panel
from dashboards.settings import Setting, varying_settings
from scaling.scales import scale_numbers
from storage.columns import FLOPS, LOSS, PARAMS, RUN_ID, TOKENS

BEST_OF_ALL = 8
"""Best runs that are listed of all scales together, the same number of each."""


def best_runs(content: ReportContent) -> Section | None:
    """List the best runs of each scale, with the settings that varied."""
    if content.law is not None:
        return None
    measured = _measured(content)
    known = measured[measured[LOSS_THEN].notna()]
    if known.empty:
        return None
    settings = varying_settings(content.runs, content.sweep_texts.values())
    n_scales = int((content.scales["runs"] > 0).sum())
    best = (
        known.sort_values([FLOPS, PARAMS, TOKENS, LOSS], kind="stable")
        .pipe(lambda runs: runs.groupby(scale_numbers(runs), sort=False))
        .head(max(BEST_OF_ALL // n_scales, 1))
    )
    rows = [
        [
            str(run[RUN_ID]),
            theme.format_count(run[PARAMS]),
            theme.format_count(run[TOKENS]),
            *(_written(setting, run[setting.name]) for setting in settings),
            f"{run[LOSS]:.4f}",
        ]
        for run in best.to_dict(orient="records")
    ]
    return Section(
        "The best of these runs",
        ("Each is among the best measured at its own scale, and says nothing of another.",),
        table=Table(
            ["run", "N", "D", *(setting.title for setting in settings), "loss"], rows, (0,)
        ),
    )


def slices(content: ReportContent) -> Section | None:
    """Show what runs reached against each setting that varied."""
    if content.law is not None:
        return None
    settings = varying_settings(content.runs, content.sweep_texts.values())
    measured = _measured(content)
    if not settings or not measured[LOSS_THEN].notna().any():
        return None
    info = get_slices_info(measured, settings, _objective(content))
    caption = []
    if any(len(one.good) > 1 for one in info.slices):
        caption.append("The lines go through the best tenth of the runs about each value.")
    if info.n_settings > len(info.slices):
        caption.append(f"The first {len(info.slices)} of {info.n_settings} settings.")
    return Section(
        "Loss against each setting",
        (),
        (panel(plot_slices(info), "Every run, by what was varied", " ".join(caption)),),
    )


def _objective(content: ReportContent) -> Objective:
    """Return the loss of one scale as it is; losses of several compare by their scale's best."""
    return Objective(relative=int((content.scales["runs"] > 0).sum()) > 1)


def _measured(content: ReportContent) -> pd.DataFrame:
    return measure(content.runs, _objective(content))


def _written(setting: Setting, value: float | str | bool | None) -> str:
    if value is None or pd.isna(value):
        return "–"
    if isinstance(value, str | bool):
        return str(value)
    exact = setting.name.endswith("tokens")
    return theme.format_batch(value) if exact else setting.text(value)
