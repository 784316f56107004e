"""What runs cannot say of a law's axes and settings: the sentences that go with every answer."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from scaling.axes import SIZE_AND_TOKENS, listed
from storage.columns import (
    BATCH_TOKENS,
    DEPTH,
    FLOPS,
    LOSS,
    LR,
    PARAMETRIZATION,
    PARAMS,
    TOKENS,
    WARMUP_TOKENS,
    WEIGHT_DECAY,
    WIDTH,
)

MIN_VALUES = 3  # of a setting: two cannot show on which side of them the optimum lies
SETTING_NAMES = {
    LR: "learning rate",
    BATCH_TOKENS: "batch size",
    WEIGHT_DECAY: "weight decay",
    WARMUP_TOKENS: "warm-up",
}
AXIS_NAMES = {
    PARAMS: ("model size N", "sizes"),
    WIDTH: ("width", "widths"),
    DEPTH: ("depth", "depths"),
    TOKENS: ("token budget D", "token budgets"),
}


def setting_name(column: str) -> str:
    """Return what people call a hyperparameter; a column without a name of its own is one."""
    return SETTING_NAMES.get(column, column)


def count_of_values(values: int) -> str:
    """Say how many different values a setting takes."""
    return "one value" if values == 1 else f"{values} values only"


def axis_warnings(kept: pd.DataFrame, scales: pd.DataFrame, axes: Sequence[str]) -> list[str]:
    """Name the axes along which the runs do not differ, and what the axes do not tell apart.

    Parameters
    ----------
    kept, scales : usable runs and their scales, of `scaling.selection`.
    axes : of the law; compute stands for size and tokens.
    """
    measured = SIZE_AND_TOKENS if FLOPS in axes else axes
    warnings = []
    for axis in measured:
        what, more = AXIS_NAMES[axis]
        first = kept[axis].iloc[0]
        if (kept[axis] == first).all():
            warnings.append(
                f"all runs have one {what} ({first:.4g}): how the optimum moves "
                f"with it is taken from the literature, not from these runs; add other {more}"
            )
    points = scales.groupby(list(measured))
    unseen = [axis for axis in SIZE_AND_TOKENS if axis not in measured]
    hidden = [axis for axis in unseen if points[axis].nunique().max() > 1]
    if hidden:
        warnings.append(
            f"some runs differ in {listed(hidden)} but not in {listed(measured)}: a law on "
            f"{listed(axes)} expects the same of them"
        )
    return warnings


def edge_warning(
    kept: pd.DataFrame, diverged: pd.DataFrame, keys: Sequence[str], name: str
) -> str | None:
    """Name a setting whose best value lies at the edge of what was tried, at most scales.

    Where runs `diverged` beyond the edge, the optimum is not outside of what was tried, but it has
    only one side in the losses.
    """
    beyond = {scale: group[name] for scale, group in diverged.groupby(list(keys))}
    none = pd.Series(dtype=float)
    at_edge, at_cliff, judged = 0, 0, 0
    for scale, group in kept.groupby(list(keys)):
        low, high = group[name].min(), group[name].max()
        if group[name].nunique() < MIN_VALUES:
            continue
        judged += 1
        best = group[name].iloc[int(group[LOSS].to_numpy().argmin())]
        lost = beyond.get(scale, none)
        is_cliff = bool(
            (best == high and (lost > high).any()) or (best == low and (lost < low).any())
        )
        at_cliff += is_cliff
        at_edge += not is_cliff and best in (low, high)
    if (at_edge + at_cliff) * 2 <= judged:
        return None
    if at_cliff > at_edge:
        return (
            f"the best {setting_name(name)} is the last before runs diverged at {at_cliff} of "
            f"{judged} scales: its optimum has one side only in these losses; add runs between "
            "the best and the first that diverged"
        )
    return (
        f"the best {setting_name(name)} lies at the edge of what was tried at {at_edge} of "
        f"{judged} scales: its optimum may lie outside; widen the range"
    )


def mixed_parametrization_warning(kept: pd.DataFrame) -> str | None:
    """Name the parametrizations where the runs have several."""
    if PARAMETRIZATION not in kept.columns:
        return None
    values = kept[PARAMETRIZATION].unique().tolist()
    named = sorted({"none" if pd.isna(value) or value == "" else str(value) for value in values})
    if len(named) == 1:
        return None
    return (
        f"the runs have several parametrizations ({', '.join(named)}): a learning rate does not "
        "mean the same in each; fit them apart"
    )
