"""Rows of a runs table as figures need them: split by a value, and told in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

import numpy as np
import pandas as pd

from dashboards.theme import format_batch, format_count, format_rate
from scaling.law import Law
from storage.columns import BATCH_TOKENS, LOSS, LR, PARAMS, RUN_ID, TOKENS


def by_value(frame: pd.DataFrame, column: str) -> Iterator[tuple[float, pd.DataFrame]]:
    """Split a table by the values of a column, least first."""
    values = frame[column].to_numpy(dtype=float)
    for value in np.unique(values):
        yield float(value), frame[values == value]


def by_scale(frame: pd.DataFrame) -> Iterator[tuple[float, float, pd.DataFrame]]:
    """Split a table into scales: params, tokens and the rows of that scale."""
    for params, same_size in by_value(frame, PARAMS):
        for tokens, rows in by_value(same_size, TOKENS):
            yield params, tokens, rows


def by_scale_of(frame: pd.DataFrame, law: Law) -> Iterator[tuple[dict[str, float], pd.DataFrame]]:
    """Split a table into the scales of a law: params, tokens, width and depth, and the rows."""
    keys = [PARAMS, TOKENS, *law.shape_axes]
    for _, rows in frame.groupby(keys, sort=True):
        yield {key: float(rows[key].iloc[0]) for key in keys}, rows


def describe(runs: pd.DataFrame) -> list[str]:
    """Say in a few lines what each run was, for the box that shows when one points at it."""
    return [
        f"<b>{escape(str(run[RUN_ID]))}</b><br>"
        f"N {format_count(run[PARAMS])}, D {format_count(run[TOKENS])}<br>"
        f"lr {format_rate(run[LR])}, batch {format_batch(run[BATCH_TOKENS])}<br>"
        + (f"loss {run[LOSS]:.4f}" if math.isfinite(run[LOSS]) else "diverged")
        for run in runs.to_dict(orient="records")
    ]
