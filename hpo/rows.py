"""From a run's reports to what the store keeps: a row of the runs table, and a curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.points import Point
from storage import columns
from storage.cells import one_cell, parse
from storage.curves import Curve
from storage.errors import RunsTableError
from storage.runs_table import check_row
from trainers.config import RunConfig
from trainers.protocol import Report
from trainers.registry import kind

Row = dict[str, object]

NOISE_SCALE = "noise_scale"
"""Column of the critical batch that a run measured itself, tokens; see `trainers.noise_scale`."""
PIECEWISE = "piecewise"
"""The schedule of a run whose lr follows a table; its column lr is what it begins with."""
WARMUP_FRACTION = "warmup_fraction"
"""The setting that a row also has as `warmup_tokens`."""

_RULES = {column.name: column for column in columns.COLUMNS}


def run_row(sweep: str, point: Point, config: RunConfig, report: Report) -> Row:
    """The row of a run that ended with `report`, completed or, where its loss is none, diverged.

    Where the runs table refuses what was reported, as a trainer of a user's own may report what no
    run can have, it is the row of a run that failed by that.
    """
    completed = report.status == columns.COMPLETED and math.isfinite(report.loss)
    end = (
        _End(columns.COMPLETED, report.loss, report)
        if completed
        else _End(columns.DIVERGED, math.nan, report)
    )
    return _accepted(sweep, point, config, end)


def stopped_row(sweep: str, point: Point, config: RunConfig, report: Report) -> Row:
    """The row of a run that was stopped before its end: its loss and compute so far.

    As of one that diverged, `tokens` is the budget that it had: they are runs of one scale. What
    the runs table refuses is a run that failed, as with `run_row`.
    """
    return _accepted(sweep, point, config, _End(columns.STOPPED, report.loss, report))


def failed_row(sweep: str, point: Point, config: RunConfig, reason: str) -> Row:
    """The row of a run that raised, or whose process died; `reason` is one line.

    A cell that the runs table refuses is left out: that the run failed is always told.
    """
    row = _row(sweep, point, config, _End(columns.FAILED, math.nan, reason=reason))
    return {name: value for name, value in row.items() if not _is_refused(name, value)}


def own_columns(point: Point, config: RunConfig) -> frozenset[str]:
    """The columns in which a run's row has no setting but what the sweep and the store say of it.

    A setting of one of these names would be overwritten.
    """
    return frozenset((*_own("", point, config, _End(columns.FAILED, math.nan)), columns.CREATED))


def curve(reports: Sequence[Report]) -> Curve:
    """The learning curve of a run so far."""

    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([getattr(report, name) for report in reports], dtype=np.float64)

    measured = any(report.noise_scale is not None for report in reports)

    return Curve(
        step=np.array([report.step for report in reports], dtype=np.int64),
        tokens=column("tokens"),
        flops=column("flops"),
        loss=column("loss"),
        train_loss=column("train_loss"),
        lr=column("lr"),
        seconds=column("seconds"),
        noise_scale=column(NOISE_SCALE) if measured else None,
    )


@dataclass(frozen=True)
class _End:
    """How a run ended: its status and loss, its last report if it made one, why it failed."""

    status: str
    loss: float
    report: Report | None = None
    reason: str | None = None


def _accepted(sweep: str, point: Point, config: RunConfig, end: _End) -> Row:
    row = _row(sweep, point, config, end)
    try:
        check_row(row, source=f"run '{point.run_id}'")
    except RunsTableError as error:
        return failed_row(sweep, point, config, str(error))
    return row


def _is_refused(name: str, value: object) -> bool:
    column = _RULES.get(name)
    return column is not None and bool(parse(column, one_cell(value)).wrong.any())


def _row(sweep: str, point: Point, config: RunConfig, end: _End) -> Row:
    setting = kind(config.trainer).complete(config.setting)
    row: Row = {}
    if WARMUP_FRACTION in setting:
        row[columns.WARMUP_TOKENS] = float(setting[WARMUP_FRACTION]) * point.scale.tokens
    row |= setting
    if any(columns.LR in change.setting for change in config.changes):
        row[columns.SCHEDULE] = PIECEWISE
    return {**row, **point.scale.shape, **_own(sweep, point, config, end)}


def _own(sweep: str, point: Point, config: RunConfig, end: _End) -> Row:
    """What a row says of a run beside its setting and its shape; None where there is nothing."""
    report = end.report
    return {
        columns.RUN_ID: point.run_id,
        columns.SWEEP: sweep,
        columns.PARAMS: point.scale.params,
        columns.PARAMS_TOTAL: point.scale.params_total,
        columns.TOKENS: point.scale.tokens,
        columns.SEED: point.seed,
        columns.PARAMETRIZATION: config.parametrization,
        columns.MODEL: kind(config.trainer).name,
        columns.DATA: config.data or None,
        columns.STATUS: end.status,
        columns.REASON: end.reason,
        columns.LOSS: end.loss,
        columns.FLOPS: None if report is None else report.flops,
        columns.STEPS: None if report is None else report.step,
        columns.SECONDS: None if report is None else report.seconds,
        NOISE_SCALE: None if report is None else report.noise_scale,
    }
