"""Which settings of a runs table vary, and on what kind of axis each belongs.

A setting varies where runs of one scale differ in it: a warm-up of a tenth of all tokens differs
between scales, and is no choice that was tried. Its axis is logarithmic where the sweep file says
so, or where its values are positive and span more than a decade.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from dashboards import theme
from scaling.scales import scale_numbers
from storage.columns import (
    BATCH_TOKENS,
    COLUMNS,
    CREATED,
    DEPTH,
    FLOPS,
    LOSS,
    LR,
    PARAMS,
    PARAMS_TOTAL,
    REASON,
    RUN_ID,
    SECONDS,
    SEED,
    STATUS,
    STEPS,
    SWEEP,
    TOKENS,
    UNIQUE_TOKENS,
    WIDTH,
)

Array = NDArray[np.float64]
AxisKind = Literal["log", "linear", "category"]

OUTCOMES = (RUN_ID, SWEEP, LOSS, STATUS, FLOPS, SECONDS, CREATED, REASON)
SCALE = (PARAMS, TOKENS, WIDTH, DEPTH, PARAMS_TOTAL, UNIQUE_TOKENS, STEPS)
NO_SETTINGS = frozenset((*OUTCOMES, *SCALE, SEED))

MAX_VALUES = 12  # of a setting that is filtered value by value; more are filtered by a range
MAX_CATEGORIES = 50  # a text with more different values, as a comment, is no setting
DECADE = 10.0
TITLES = {LR: "learning rate", BATCH_TOKENS: "batch, tokens"}


@dataclass(frozen=True)
class Setting:
    """One setting that varies.

    Attributes
    ----------
    name : its column.
    kind : of its axis; a category's values stand evenly spaced, in order.
    choices : all of its values in order where they are few, or a category's; else empty.
    low, high : of a number, its least and greatest; NaN for a category.
    """

    name: str
    kind: AxisKind
    choices: tuple[float | str, ...]
    low: float
    high: float

    @property
    def title(self) -> str:
        """What it is called on an axis."""
        return TITLES.get(self.name, self.name.replace("_", " "))

    def text(self, value: float | str) -> str:
        """Write one of its values."""
        return value if isinstance(value, str) else theme.format_setting(self.name, value)

    def plotted(self, column: pd.Series) -> Array:
        """Return where values stand on the axis: themselves, or the places of categories.

        Missing values, and categories that are not among `choices`, are NaN.
        """
        if self.kind != "category":
            return column.to_numpy(dtype=float)
        places = {value: float(place) for place, value in enumerate(self.choices)}
        return np.asarray(plain(column).map(places), dtype=np.float64)

    def coordinates(self, column: pd.Series) -> Array:
        """Return `plotted` as distances count: the log10 of a setting on a log axis."""
        plotted = self.plotted(column)
        return np.asarray(np.log10(plotted) if self.kind == "log" else plotted, dtype=float)

    def axis(self, also: Iterable[float] = ()) -> dict[str, Any]:
        """Describe its plotly axis, for values as `plotted` returns them and `also` for others."""
        if self.kind == "category":
            return {
                "title_text": self.title,
                "tickvals": list(range(len(self.choices))),
                "ticktext": [self.text(value) for value in self.choices],
                "range": [-0.5, len(self.choices) - 0.5],
            }
        if self.kind == "linear":
            return {"title_text": self.title}
        kind: theme.Kind = "count" if self.name.endswith("tokens") else "rate"
        return theme.log_axis(self.title, (self.low, self.high, *also), kind)


def plain(column: pd.Series) -> pd.Series:
    """Return a column of categories as it is compared: numbers, or text; missing stays missing."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column
    return column.where(column.isna(), column.astype(str)).astype(object)


def round_numbers(low: float, high: float, most: int) -> tuple[float, ...]:
    """Return at most about `most` round numbers, evenly spaced, the first and last just outside.

    >>> round_numbers(0.0003, 0.299, 5)
    (0.0, 0.1, 0.2, 0.3)
    """
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    width = next(m * power for m in (1, 2, 5, 10) if (high - low) / (m * power) <= most)
    first, last = math.floor(low / width), math.ceil(high / width)
    return tuple(float(f"{k * width:.12g}") for k in range(first, last + 1))


def varies(column: pd.Series) -> bool:
    """Say whether a column holds more than one value, missing ones left aside."""
    known = column[column.notna()].to_numpy()
    return len(known) > 0 and bool((known != known[0]).any())


def varying_settings(runs: pd.DataFrame, spec_texts: Iterable[str] = ()) -> tuple[Setting, ...]:
    """Return the settings that vary within some scale: lr and batch first, then as they stand.

    Parameters
    ----------
    runs : a checked runs table.
    spec_texts : the sweep files of these runs, as far as they have any.
    """
    kinds = _stated_kinds(spec_texts)
    scale = scale_numbers(runs)
    order = {column.name: place for place, column in enumerate(COLUMNS)}
    names = sorted(
        (name for name in runs.columns if name not in NO_SETTINGS),
        key=lambda name: order.get(name, len(order)),
    )
    found = (_setting(name, runs[name], scale, kinds.get(name)) for name in names)
    return tuple(setting for setting in found if setting is not None)


def _setting(
    name: str, column: pd.Series, scale: NDArray[np.integer[Any]], stated: AxisKind | None
) -> Setting | None:
    values = plain(column)
    number = values.dtype != object
    codes, distinct = (values.to_numpy(dtype=float), None) if number else pd.factorize(values)
    if distinct is not None and len(distinct) > MAX_CATEGORIES:
        return None
    known = ~np.isnan(codes) if distinct is None else codes >= 0
    bounds = pd.Series(codes[known]).groupby(scale[known]).agg(["min", "max"])
    if not (bounds["max"] > bounds["min"]).any():
        return None
    if distinct is not None:
        return Setting(name, "category", tuple(sorted(map(str, distinct))), np.nan, np.nan)
    unique = np.unique(codes[known])
    few = tuple(unique.tolist()) if len(unique) <= MAX_VALUES else ()
    return Setting(name, _kind(unique, stated), few, float(unique[0]), float(unique[-1]))


def _kind(values: Array, stated: AxisKind | None) -> AxisKind:
    positive = values[values > 0]
    if len(positive) == len(values):
        wide = values[-1] > DECADE * values[0]
        return stated or ("log" if wide else "linear")
    # Few values with a zero among decades, as weight decay 0, 0.01, 0.1: no axis keeps them apart.
    spread = len(positive) > 1 and positive[-1] >= DECADE * positive[0]
    return "category" if spread and len(values) <= MAX_VALUES else "linear"


def _stated_kinds(spec_texts: Iterable[str]) -> dict[str, AxisKind]:
    """Read from sweep files which settings were searched on a log axis, and which on a linear."""
    kinds: dict[str, AxisKind] = {}
    for text in spec_texts:
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError:
            continue  # an imported sweep may keep another text; its axes are chosen by the values
        space = document.get("space") if isinstance(document, Mapping) else None
        for name, dimension in (space if isinstance(space, Mapping) else {}).items():
            if isinstance(dimension, Mapping) and "log" in dimension:
                kinds[str(name)] = "log"
            elif isinstance(dimension, Mapping) and "uniform" in dimension:
                kinds.setdefault(str(name), "linear")
    return kinds
