"""Importance: how much of the difference between runs of one scale each setting explains.

Random forests learn the log loss, relative to the scale's median, from the settings and the scale.
On runs left out of each forest, one setting at a time is shuffled among the runs of the same scale;
its importance is by how much of the variance the forest then errs more (permutation importance,
Breiman 2001, Random Forests, section 10). A setting that is made of random numbers shows what a
meaningless one would get.

plot_importance(get_importance_info(measured, settings)).show()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from dashboards import theme
from dashboards.figures.measured import ceiling
from dashboards.objective import LOSS_THEN
from dashboards.settings import Setting
from scaling.scales import scale_numbers
from storage.columns import DIVERGED, PARAMS, STATUS, TOKENS

Array = NDArray[np.float64]

MIN_RUNS = 24
MAX_RUNS = 2_000  # the forests learn from a sample of more
SPLITS = 10
TREES = 40
LEAST_LEAF = 2
TEST_SHARE = 0.25
SHUFFLES = 3
LEVEL = 0.9
WEAK = 0.3  # of the variance explained; with less, the importances say little


class Importance(NamedTuple):
    """One setting's share of the variance, in %, and where 9 of 10 forests put it."""

    title: str
    value: float
    low: float
    high: float


class ImportanceInfo(NamedTuple):
    """All settings, the most important first.

    Attributes
    ----------
    chance : what a setting of random numbers got, in %: its upper end.
    explained : share of the variance that the forests explain on runs left out, in %.
    n_runs, n_diverged : runs that were learned from; diverged ones count as the highest loss.
    n_all : runs that there were.
    """

    settings: tuple[Importance, ...]
    chance: float
    explained: float
    n_runs: int
    n_diverged: int
    n_all: int


class TooFewRunsError(ValueError):
    """The runs cannot tell how important their settings are; the message says what is lacking."""


def get_importance_info(
    measured: pd.DataFrame, settings: Sequence[Setting], *, seed: int = 0
) -> ImportanceInfo:
    """Learn from the runs with a loss and from those that diverged.

    Raises
    ------
    TooFewRunsError : there are fewer than `MIN_RUNS`, they are all alike, or nothing varies.
    """
    usable = (measured[LOSS_THEN].notna() | (measured[STATUS] == DIVERGED)).to_numpy()
    n_all = int(usable.sum())
    if n_all < MIN_RUNS:
        raise TooFewRunsError(
            f"{n_all} runs with a known end are too few to tell which settings matter; "
            f"at least {MIN_RUNS} are needed"
        )
    if not settings:
        raise TooFewRunsError("no setting varies among runs of one scale")
    rng = np.random.default_rng(seed)
    runs = measured[usable]
    if n_all > MAX_RUNS:
        runs = runs.iloc[np.sort(rng.choice(n_all, MAX_RUNS, replace=False))]
    scale = scale_numbers(runs)
    height = _height(runs, scale)
    if np.ptp(height) == 0:
        raise TooFewRunsError("all of these runs have the same loss")
    found, explained = _permuted(runs, settings, scale, height, rng)
    chance = float(np.quantile(found[:, -1], LEVEL))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(found, [tail, 1 - tail], axis=0)
    rows = [
        Importance(setting.title, float(found[:, i].mean()), float(low[i]), float(high[i]))
        for i, setting in enumerate(settings)
    ]
    return ImportanceInfo(
        settings=tuple(sorted(rows, key=lambda row: -row.value)),
        chance=max(chance, 0.0),
        explained=float(explained.mean()),
        n_runs=len(runs),
        n_diverged=int(runs[LOSS_THEN].isna().sum()),
        n_all=n_all,
    )


def _height(runs: pd.DataFrame, scale: NDArray[np.integer[Any]]) -> Array:
    """Return log loss over the scale's median, diverged and far-out runs at the ceiling."""
    log_loss = np.log(runs[LOSS_THEN])
    height = (log_loss - log_loss.groupby(scale).transform("median")).to_numpy(dtype=float)
    top = ceiling(height)
    if np.isnan(top):
        raise TooFewRunsError("none of these runs has a loss")
    return np.minimum(np.where(np.isnan(height), top, height), np.float64(top))


def _permuted(
    runs: pd.DataFrame,
    settings: Sequence[Setting],
    scale: NDArray[np.integer[Any]],
    height: Array,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Return importances, (SPLITS, n_settings + 1), chance last, and what was explained, in %."""
    blocks = [_features(setting, runs[setting.name]) for setting in settings]
    blocks.append(rng.standard_normal((len(runs), 1)))
    ends = np.cumsum([block.shape[1] for block in blocks])
    features = np.hstack([*blocks, np.log(runs[[PARAMS, TOKENS]].to_numpy(dtype=float))])
    found, explained = np.empty((SPLITS, len(blocks))), np.empty(SPLITS)
    n_test = max(int(TEST_SHARE * len(runs)), 2)
    for split in range(SPLITS):
        order = rng.permutation(len(runs))
        test, train = order[:n_test], order[n_test:]
        forest = RandomForestRegressor(
            TREES,
            min_samples_leaf=LEAST_LEAF,
            max_features=0.5,
            random_state=int(rng.integers(2**31)),
        ).fit(features[train], height[train])
        shuffled = [features[test]]
        for block, end in zip(blocks, ends, strict=True):
            for _ in range(SHUFFLES):
                moved = features[test].copy()
                columns = slice(end - block.shape[1], end)
                moved[:, columns] = moved[_shuffle_within(scale[test], rng), columns]
                shuffled.append(moved)
        predicted = forest.predict(np.concatenate(shuffled)).reshape(len(shuffled), n_test)
        error = np.square(predicted - height[test]).mean(axis=1)
        spread = height[test].var() or 1.0
        found[split] = (error[1:].reshape(-1, SHUFFLES).mean(axis=1) - error[0]) / spread
        explained[split] = 1 - error[0] / spread
    return 100 * found, 100 * explained


def _features(setting: Setting, column: pd.Series) -> Array:
    """Return a setting as the forest takes it: a number, or a column a category."""
    if setting.kind == "category":
        places = setting.plotted(column)
        return np.asarray(places[:, None] == np.arange(len(setting.choices)), dtype=np.float64)
    return setting.coordinates(column)[:, None]


def _shuffle_within(scale: NDArray[np.integer[Any]], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return a permutation of the runs that leaves each at its scale."""
    places = np.empty(len(scale), dtype=np.intp)
    places[np.argsort(scale, kind="stable")] = np.lexsort((rng.random(len(scale)), scale))
    return places


def plot_importance(info: ImportanceInfo) -> go.Figure:
    """Draw a bar a setting with its interval, and where chance ends."""
    drawn = theme.figure(height=110 + 38 * len(info.settings))
    rows = info.settings[::-1]
    value = np.array([row.value for row in rows])
    drawn.add_trace(
        go.Bar(
            x=value.clip(min=0),
            y=[row.title for row in rows],
            orientation="h",
            marker={
                "color": [
                    theme.SIZE_SCALE[0] if row.low > info.chance else theme.NEUTRAL for row in rows
                ]
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [row.high - max(row.value, 0) for row in rows],
                "arrayminus": [max(row.value, 0) - row.low for row in rows],
                "color": theme.ACCENT,
                "thickness": 1.6,
                "width": 4,
            },
            text=[theme.format_percent(max(row.value, 0)) for row in rows],
            hovertemplate="%{y}: %{text}<extra></extra>",
            textposition="none",
        )
    )
    drawn.add_vline(x=info.chance, line={"color": theme.NEUTRAL, "dash": "dot", "width": 1.4})
    drawn.add_annotation(
        text="chance", x=info.chance, y=1, yref="paper", yanchor="bottom", xanchor="left"
    )
    ends = [row.high for row in rows] + [info.chance, 1.0]
    drawn.update_xaxes(
        title_text="variance of log loss lost when the setting is shuffled, %",
        range=[min(0.0, *(row.low for row in rows)), 1.06 * max(ends)],
    )
    drawn.update_layout(bargap=0.4, margin_t=28, showlegend=False)
    return drawn
