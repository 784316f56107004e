"""From a run's reports to what the store keeps: a row of the runs table, and a curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hpo.points import Point
from storage import columns
from storage.curves import Curve
from trainers.config import RunConfig
from trainers.protocol import Report
from trainers.registry import kind

Row = dict[str, object]

NOISE_SCALE = "noise_scale"
"""Column of the critical batch that a run measured itself, tokens; see `trainers.noise_scale`."""
PIECEWISE = "piecewise"
"""The schedule of a run whose lr follows a table; its column lr is what it begins with."""


def run_row(sweep: str, point: Point, config: RunConfig, report: Report) -> Row:
    """The row of a run that ended with `report`, completed or, where its loss is none, diverged."""
    completed = report.status == columns.COMPLETED and math.isfinite(report.loss)
    return {
        **_common(sweep, point, config),
        columns.LOSS: report.loss if completed else math.nan,
        columns.STATUS: columns.COMPLETED if completed else columns.DIVERGED,
        columns.FLOPS: report.flops,
        columns.STEPS: report.step,
        columns.SECONDS: report.seconds,
        NOISE_SCALE: report.noise_scale,
    }


def stopped_row(sweep: str, point: Point, config: RunConfig, report: Report) -> Row:
    """The row of a run that was stopped before its end: its loss and compute so far.

    As of one that diverged, `tokens` is the budget that it had: they are runs of one scale.
    """
    return {
        **run_row(sweep, point, config, report),
        columns.LOSS: report.loss,
        columns.STATUS: columns.STOPPED,
    }


def failed_row(sweep: str, point: Point, config: RunConfig, reason: str) -> Row:
    """The row of a run that raised, or whose process died; `reason` is one line."""
    return {
        **_common(sweep, point, config),
        columns.LOSS: math.nan,
        columns.STATUS: columns.FAILED,
        columns.REASON: reason,
    }


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


def _common(sweep: str, point: Point, config: RunConfig) -> Row:
    trainer = kind(config.trainer)
    setting = trainer.complete(config.setting)
    row: Row = {
        columns.RUN_ID: point.run_id,
        columns.SWEEP: sweep,
        columns.TOKENS: point.scale.tokens,
        **setting,
        columns.SEED: point.seed,
        **point.scale.shape,
        columns.PARAMS: point.scale.params,
        columns.PARAMS_TOTAL: point.scale.params_total,
        columns.PARAMETRIZATION: config.parametrization,
        columns.MODEL: trainer.name,
    }
    if config.data:
        row[columns.DATA] = config.data
    if any(columns.LR in change.setting for change in config.changes):
        row[columns.SCHEDULE] = PIECEWISE
    if "warmup_fraction" in setting:
        row[columns.WARMUP_TOKENS] = float(setting["warmup_fraction"]) * point.scale.tokens
    return row
