"""What transfer costs: the optimum of a sweep's smallest scale, used as it is at its largest.

That is what tuning a small proxy and copying its setting does; muP and its kin are meant to make
it cheap. The law tells the cost with an interval; the runs of the largest scale measure it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from dashboards import theme
from scaling.gaps import setting_gap, shows_gaps
from scaling.law import Law
from scaling.prediction import Interval, Target
from scaling.selection import usable
from scaling.what_if import what_if
from storage.columns import BATCH_TOKENS, FLOPS, LR, PARAMS, TOKENS

NAMES = {LR: "learning rate", BATCH_TOKENS: "batch"}


class TransferCost(NamedTuple):
    """What the optimum of the smallest scale costs at the largest, by compute.

    Attributes
    ----------
    settings : those that are transferred; any other is at its own best at the largest scale.
    source, target : N and D of the two scales.
    optimum, best : the optimum at the source and at the target, by setting.
    regret_pct : loss at the target with the transferred settings above its best, in %, by the law.
    measured_pct : the run of the target that is nearest to those settings, over its best run; NaN
        where the runs have none of it.
    """

    settings: tuple[str, ...]
    source: tuple[float, float]
    target: tuple[float, float]
    optimum: dict[str, float]
    best: dict[str, float]
    regret_pct: Interval
    measured_pct: float


def get_transfer_cost(law: Law, runs: pd.DataFrame, settings: Sequence[str]) -> TransferCost:
    """Ask the law, and the runs that it was fitted to."""
    by_compute = law.scales.sort_values(FLOPS, kind="stable")
    first, last = (by_compute.iloc[end] for end in (0, -1))
    optimum, best = (
        {
            name: float(value)
            for name, value in law.optimum(
                scale[PARAMS], scale[TOKENS], **{axis: scale[axis] for axis in law.shape_axes}
            ).items()
        }
        for scale in (first, last)
    )
    moved = {name: optimum[name] for name in settings}
    at = Target(
        float(last[PARAMS]),
        float(last[TOKENS]),
        float(last[FLOPS]),
        **{axis: float(last[axis]) for axis in law.shape_axes},
    )
    outcome = what_if(law, at, moved)
    kept = usable(runs)
    same = [PARAMS, TOKENS, *law.shape_axes]
    at_target = (kept[same] == last[same].to_numpy()).all(axis="columns")
    return TransferCost(
        settings=tuple(settings),
        source=(float(first[PARAMS]), float(first[TOKENS])),
        target=(float(last[PARAMS]), float(last[TOKENS])),
        optimum=optimum,
        best=best,
        regret_pct=Interval(
            float(outcome.regret_pct[0]),
            float(outcome.regret_low[0]),
            float(outcome.regret_high[0]),
        ),
        measured_pct=setting_gap(kept[at_target], {**best, **moved}).nearest_pct
        if shows_gaps(kept[at_target], law.settings)
        else math.nan,
    )


def cost_row(name: str, cost: TransferCost) -> dict[str, str]:
    """Return a row of a table of costs: texts by heading."""
    regret = cost.regret_pct
    moved = [
        f"{NAMES.get(setting, setting)} {theme.format_setting(setting, cost.optimum[setting])} "
        f"(best there {theme.format_setting(setting, cost.best[setting])})"
        for setting in cost.settings
    ]
    return {
        "law": name,
        "copied": theme.listed(moved),
        "from N × D": _scale(cost.source),
        "to N × D": _scale(cost.target),
        "expected regret": f"{theme.format_percent(regret.value)} "
        f"({theme.format_percent(regret.low)} to {theme.format_percent(regret.high)})",
        "measured": theme.format_percent(cost.measured_pct),
    }


def _scale(scale: tuple[float, float]) -> str:
    return f"{theme.format_count(scale[0])} × {theme.format_count(scale[1])}"
