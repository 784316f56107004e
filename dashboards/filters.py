"""The filter bar as data: which runs are looked at, and the function that keeps just these.

shown = keep_top(keep(runs, filters, settings), filters.top_pct)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards import theme
from dashboards.objective import OBJECTIVE
from dashboards.settings import Setting, plain, round_numbers
from scaling.scales import on_common_scales, scale_numbers
from storage.columns import PARAMS, RUN_ID, STATUS, TOKENS

EVERYTHING_PCT = 100
RANGE_STEPS = 24  # of the slider of a setting on a linear axis, about
MANTISSAS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)  # of the steps of a slider on a log axis


@dataclass(frozen=True)
class Filters:
    """What is asked of a run; an empty part asks nothing.

    Attributes
    ----------
    statuses : ways to have ended.
    scales : labels of scales, see `scale_labels`.
    choices : setting -> its values that are wanted, as they are written.
    ranges : setting -> least and greatest value, both among the wanted.
    search : text in the run's name, upper and lower case alike.
    top_pct : this share of each scale's runs, the best of them; 100 keeps runs without a value too.
    """

    statuses: tuple[str, ...] = ()
    scales: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    search: str = ""
    top_pct: int = EVERYTHING_PCT


def scale_label(params: float, tokens: float) -> str:
    """Write a scale: model size and tokens.

    >>> scale_label(98304, 1966080)
    'N 98.3k, D 1.97M'
    """
    return f"N {theme.format_count(params)}, D {theme.format_count(tokens)}"


def scale_labels(runs: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return the scales of a runs table by label, smallest first."""
    scales = (
        on_common_scales(runs)[[PARAMS, TOKENS]].drop_duplicates().sort_values([PARAMS, TOKENS])
    )
    return {
        scale_label(params, tokens): (params, tokens)
        for params, tokens in scales.to_numpy(dtype=float).tolist()
    }


def keep(runs: pd.DataFrame, filters: Filters, settings: tuple[Setting, ...] = ()) -> pd.DataFrame:
    """Return the runs that meet all filters but `top_pct`; a run without a setting fails its own.

    Parameters
    ----------
    settings : those that `filters.choices` and `filters.ranges` name, as they are written.
    """
    kept = np.ones(len(runs), dtype=np.bool_)
    if filters.statuses:
        kept &= runs[STATUS].isin(filters.statuses).to_numpy()
    if filters.scales:
        kept &= _of_scales(runs, filters.scales)
    by_name = {setting.name: setting for setting in settings}
    for name, texts in filters.choices.items():
        wanted = [value for value in by_name[name].choices if by_name[name].text(value) in texts]
        kept &= plain(runs[name]).isin(wanted).to_numpy()
    for name, (low, high) in filters.ranges.items():
        kept &= runs[name].between(low, high).to_numpy()
    if text := filters.search.strip():
        kept &= runs[RUN_ID].str.contains(text, case=False, regex=False).to_numpy()
    return runs if kept.all() else runs[kept]


def _of_scales(runs: pd.DataFrame, labels: tuple[str, ...]) -> NDArray[np.bool_]:
    of_runs = on_common_scales(runs)
    params, tokens = (of_runs[name].to_numpy(dtype=float) for name in (PARAMS, TOKENS))
    known = scale_labels(runs)
    kept = np.zeros(len(runs), dtype=bool)
    for label in labels:
        if label in known:
            kept |= (params == known[label][0]) & (tokens == known[label][1])
    return kept


def keep_top(measured: pd.DataFrame, top_pct: int) -> pd.DataFrame:
    """Return the best `top_pct` % of each scale's runs that have a value, at least one of each.

    Parameters
    ----------
    measured : runs with the column `OBJECTIVE`.
    """
    if top_pct >= EVERYTHING_PCT:
        return measured
    by_scale = measured.groupby(scale_numbers(measured), sort=False)[OBJECTIVE]
    rank = by_scale.rank(method="first")
    wanted = np.ceil(by_scale.transform("count") * top_pct / EVERYTHING_PCT)
    best: NDArray[np.bool_] = (rank <= wanted).to_numpy(dtype=bool)
    return measured[best]


def steps(setting: Setting) -> tuple[float, ...]:
    """Return where a slider over a setting stops: round numbers that hold all its values.

    They do not depend on the runs but for their ends, so that a link stays right as runs come in.
    """
    if setting.kind == "log":
        first, last = math.floor(math.log10(setting.low)), math.ceil(math.log10(setting.high))
        every = [float(f"{m:g}e{k}") for k in range(first, last + 1) for m in MANTISSAS]
        below = max(i for i, step in enumerate(every) if step <= setting.low)
        above = min(i for i, step in enumerate(every) if step >= setting.high)
        return tuple(every[below : above + 1])
    return round_numbers(setting.low, setting.high, RANGE_STEPS)


def shown_sentence(n_shown: int, n_runs: int, n_scales: int, measured: str, n_without: int) -> str:
    """Say how many runs are shown, how they are compared, and how many cannot be."""
    text = (
        f"**{n_shown:,}** of {n_runs:,} runs at {n_scales} scale{'s' * (n_scales != 1)}, "
        f"compared by {measured}"
    )
    return text + (f"; {n_without:,} have none (diverged, failed or cut short)" * bool(n_without))
