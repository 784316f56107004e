"""Which runs a law can be fitted to, what they can say, and where they must be refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scaling.axes import SHAPE, SIZE_AND_TOKENS, listed, shape_axes
from scaling.errors import InsufficientDataError, LawError
from scaling.evidence import (
    MIN_VALUES,
    axis_warnings,
    count_of_values,
    edge_warning,
    mixed_parametrization_warning,
    setting_name,
)
from scaling.loss_surface import Array
from scaling.priors import MU_PARAMETRIZATIONS
from scaling.scales import on_common_scales
from storage.columns import (
    BATCH_TOKENS,
    COMPLETED,
    DIVERGED,
    FLOPS,
    LOSS,
    LR,
    PARAMETRIZATION,
    PARAMS,
    REQUIRED,
    STATUS,
    TOKENS,
    WARMUP_TOKENS,
    WEIGHT_DECAY,
)

MIN_RUNS = 8
BEST_RUNS = 3  # a scale's best few runs say about where its optimum is
FURTHER_SETTINGS = (WEIGHT_DECAY, WARMUP_TOKENS)
"""Placed beside rate and batch, unasked, where the runs of a scale vary them."""


@dataclass(frozen=True)
class Selection:
    """The runs that a law is fitted to, as arrays in natural logs.

    Attributes
    ----------
    settings : names of the settings that the runs can place, learning rate first.
    log_scale : (n_runs, 2), log N and log D.
    log_shape : width and depth, where every run has them, -> their logs, (n_runs,).
    log_settings : (n_runs, n_settings).
    log_loss : (n_runs,).
    scale_index : (n_runs,), which of `scales` each run belongs to.
    scales : a row a scale, by compute; see `scale_table`.
    setting_centre : (n_settings,), mean log settings of the scales' best runs.
    mu_parametrized : whether every run says that it was trained under muP or one of its kin.
    warnings : what these runs cannot say.
    """

    settings: tuple[str, ...]
    log_scale: Array
    log_shape: Mapping[str, Array]
    log_settings: Array
    log_loss: Array
    scale_index: np.ndarray[tuple[int], np.dtype[np.intp]]
    scales: pd.DataFrame
    setting_centre: Array
    mu_parametrized: bool
    warnings: tuple[str, ...]


def have_loss(runs: pd.DataFrame) -> pd.Series:
    """Say of each run whether it ended with a finite loss."""
    finite = pd.Series(np.isfinite(runs[LOSS].to_numpy(dtype=float)), index=runs.index)
    return finite & (runs[STATUS] == COMPLETED) if STATUS in runs.columns else finite


def have_diverged(runs: pd.DataFrame) -> pd.Series:
    """Say of each run whether it diverged; one that failed has no loss either, but says nothing."""
    if STATUS in runs.columns:
        return runs[STATUS] == DIVERGED
    return ~pd.Series(np.isfinite(runs[LOSS].to_numpy(dtype=float)), index=runs.index)


def usable(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that ended with a finite loss, in an order that does not depend on theirs.

    Their N and D are those of their scales, see `scaling.scales`.
    """
    missing = [name for name in REQUIRED if name not in runs.columns]
    if missing:
        raise LawError(
            f"the runs table has no column {missing[0]!r}; a law needs {', '.join(REQUIRED)}"
        )
    numeric = runs.select_dtypes("number").columns
    first = [PARAMS, TOKENS, LR, BATCH_TOKENS, LOSS]
    ties = sorted(str(name) for name in numeric if name not in first)
    usable_runs: pd.DataFrame = on_common_scales(runs[have_loss(runs)]).sort_values(
        [*first, *ties], kind="stable", ignore_index=True
    )
    return usable_runs


def scale_table(kept: pd.DataFrame, shape: Sequence[str] = ()) -> pd.DataFrame:
    """Return a row a scale of usable runs, by compute.

    Parameters
    ----------
    shape : columns, of width and depth, in which scales of the same N and D may differ.

    Returns
    -------
    DataFrame with columns params, tokens, those of `shape`, flops (6ND), runs, best_loss.
    """
    keys = [PARAMS, TOKENS, *shape]
    table = (
        kept.groupby(keys, as_index=False)
        .agg(runs=(LOSS, "size"), best_loss=(LOSS, "min"))
        .assign(flops=lambda scales: 6.0 * scales[PARAMS] * scales[TOKENS])
        .sort_values("flops", kind="stable", ignore_index=True)
    )
    return table[[*keys, FLOPS, "runs", "best_loss"]]


def select(
    runs: pd.DataFrame,
    settings: Sequence[str] | None = None,
    axes: Sequence[str] = SIZE_AND_TOKENS,
) -> Selection:
    """Choose what to fit, or say why it cannot be done.

    Parameters
    ----------
    settings : columns of the hyperparameters to place, the learning rate among them; where None,
        rate, batch, and weight decay and warm-up where the runs of a scale vary them.
    axes : what scale is to be measured in, of `scaling.axes`; with width or depth among them,
        runs of the same N and D but of another shape are of another scale.

    Raises
    ------
    LawError : a column is missing, or a setting or an axis has no logarithm.
    InsufficientDataError : too few runs, one scale only, or a setting that never varies.
    """
    runs = on_common_scales(runs)  # diverged ones too
    kept = usable(runs)
    shape = shape_axes(axes)
    for axis in shape:
        _check_positive(kept, axis, "an axis of scale")
    keys = [PARAMS, TOKENS, *shape]
    scales = scale_table(kept, shape)
    if len(kept) < MIN_RUNS:
        raise InsufficientDataError(
            f"{len(kept)} completed runs with a finite loss are too few for a law: at least "
            f"{MIN_RUNS} are needed, over two scales or more; a dozen a scale is a good start"
        )
    if len(scales) < 2:
        raise InsufficientDataError(
            f"all {len(kept)} runs have one scale (N = {scales[PARAMS].iloc[0]:.4g}, "
            f"D = {scales[TOKENS].iloc[0]:.4g}): nothing can be extrapolated from it; "
            "add runs of at least one more size or token budget"
        )
    if len(scales[list(axes)].drop_duplicates()) < 2:
        raise InsufficientDataError(
            f"all {len(kept)} runs have the same {listed(axes)}: nothing can be extrapolated "
            f"along {'it' if len(axes) == 1 else 'them'}; add runs that differ, or name other axes"
        )
    if (values := kept[LR].nunique()) < MIN_VALUES:
        raise InsufficientDataError(
            f"the learning rate takes {count_of_values(values)} in these runs; at least "
            f"{MIN_VALUES} different ones are needed to see where the loss is least"
        )
    warnings = axis_warnings(kept, scales, axes)
    if (mixed := mixed_parametrization_warning(kept)) is not None:
        warnings.append(mixed)
    if settings is None:
        chosen, incomplete = _placeable(kept, keys)
        warnings += incomplete
        if BATCH_TOKENS not in chosen:
            times = count_of_values(kept[BATCH_TOKENS].nunique())
            warnings.append(
                f"the batch size takes {times} in these runs, so its optimum is not predicted"
            )
    else:
        chosen = _asked_for(kept, settings)
    lost = runs[have_diverged(runs)]
    warnings += [text for name in chosen if (text := edge_warning(kept, lost, keys, name))]
    log_scale = np.log(kept[[PARAMS, TOKENS]].to_numpy(dtype=float))
    log_settings = np.log(kept[chosen].to_numpy(dtype=float))
    index = _scale_index(kept, scales, keys)
    return Selection(
        settings=tuple(chosen),
        log_scale=log_scale,
        log_shape=_log_shape(kept),
        log_settings=log_settings,
        log_loss=np.log(kept[LOSS].to_numpy(dtype=float)),
        scale_index=index,
        scales=scales,
        setting_centre=_best_settings(kept, chosen, index).mean(axis=0),
        mu_parametrized=_is_mu_parametrized(kept),
        warnings=tuple(warnings),
    )


def _placeable(kept: pd.DataFrame, keys: list[str]) -> tuple[list[str], list[str]]:
    """Return the settings whose optimum the runs can show, the learning rate first.

    And a warning for each that would be one of them if all runs told it.
    """
    chosen, warnings = [LR], []
    if kept[BATCH_TOKENS].nunique() >= MIN_VALUES:
        chosen.append(BATCH_TOKENS)
    for name in FURTHER_SETTINGS:
        if name not in kept.columns:
            continue
        within = kept.groupby(keys)[name].nunique()
        if not (within >= MIN_VALUES).mean() > 0.5:
            continue
        if lacking := int((~(kept[name] > 0)).sum()):
            warnings.append(
                f"the {setting_name(name)} varies, but {lacking} of {len(kept)} runs have none or "
                "zero, which has no logarithm: its optimum is not predicted"
            )
        else:
            chosen.append(name)
    return chosen, warnings


def _asked_for(kept: pd.DataFrame, settings: Sequence[str]) -> list[str]:
    """Return the settings, each a column of positive numbers that varies."""
    if LR not in settings or len(set(settings)) < len(settings):
        raise LawError(
            f"settings are {', '.join(settings) or 'none'}; name each once, {LR!r} among them"
        )
    for name in settings:
        _check_positive(kept, name, "a setting")
        if (values := kept[name].nunique()) < MIN_VALUES:
            raise InsufficientDataError(
                f"the {setting_name(name)} takes {count_of_values(values)} in these runs; at least "
                f"{MIN_VALUES} different ones are needed to see where the loss is least"
            )
    return list(settings)


def _check_positive(kept: pd.DataFrame, name: str, role: str) -> None:
    if name not in kept.columns:
        raise LawError(f"the runs table has no column {name!r}, which is to be {role}")
    if not pd.api.types.is_numeric_dtype(kept[name]) or not _has_logs(kept[name]):
        raise LawError(f"column {name!r} is not a positive number in every run: it has no log")


def _has_logs(column: pd.Series) -> bool:
    values = column.to_numpy(dtype=float)
    return bool((np.isfinite(values) & (values > 0)).all())


def _log_shape(kept: pd.DataFrame) -> dict[str, Array]:
    return {
        axis: np.log(kept[axis].to_numpy(dtype=float))
        for axis in SHAPE
        if axis in kept.columns
        and pd.api.types.is_numeric_dtype(kept[axis])
        and _has_logs(kept[axis])
    }


def _scale_index(
    kept: pd.DataFrame, scales: pd.DataFrame, keys: list[str]
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    of_scales = pd.MultiIndex.from_frame(scales[keys])
    return of_scales.get_indexer(pd.MultiIndex.from_frame(kept[keys]))


def _best_settings(
    kept: pd.DataFrame,
    settings: list[str],
    scale_index: np.ndarray[tuple[int], np.dtype[np.intp]],
) -> Array:
    """Return the mean log settings of each scale's best runs, (n_scales, n_settings)."""
    logs = np.log(kept[settings].to_numpy(dtype=float))
    loss = kept[LOSS].to_numpy(dtype=float)
    best = []
    for scale in range(scale_index.max() + 1):
        rows = np.flatnonzero(scale_index == scale)
        best.append(logs[rows[np.argsort(loss[rows], kind="stable")[:BEST_RUNS]]].mean(axis=0))
    return np.array(best)


def _is_mu_parametrized(kept: pd.DataFrame) -> bool:
    if PARAMETRIZATION not in kept.columns:
        return False
    return bool(kept[PARAMETRIZATION].isin(list(MU_PARAMETRIZATIONS)).all())
