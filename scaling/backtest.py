"""How a law does on scales that it did not see, beside published laws and a constant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from scaling.axes import shape_axes
from scaling.errors import InsufficientDataError, LawError
from scaling.fitting import fit_law
from scaling.gaps import LEAST_SETTINGS, comparable, setting_gap, shows_gaps
from scaling.law import Law
from scaling.published import PUBLISHED, silent_laws
from scaling.published_law import experts_of, situation
from scaling.scales import is_same_scale
from scaling.selection import scale_table, usable
from storage.columns import LOSS, LR, PARAMS, TOKENS

CONSTANT = "best constant"


@dataclass(frozen=True)
class HeldOut:
    """A law's prediction for one scale, checked against runs of that scale.

    Attributes
    ----------
    params, tokens : the scale.
    optimum : the setting that the law predicted, by column.
    predicted_loss : nats a token, at that setting, by the law.
    runs : the scale's runs, best first.
    nearest, best : columns of the measured run nearest to the prediction, and of the best run.
    nearest_gap_pct : loss of the one over the other, in %: the measured regret.
    quadratic_gap_pct : the regret on a quadratic surface through the best runs; NaN where the
        runs cannot draw one. See `scaling.gaps`.
    shape : width and depth of the scale, as far as the law stands on them.
    """

    params: float
    tokens: float
    optimum: dict[str, float]
    predicted_loss: float
    runs: pd.DataFrame
    nearest: pd.Series
    best: pd.Series
    nearest_gap_pct: float
    quadratic_gap_pct: float
    shape: dict[str, float] = field(default_factory=dict)


def held_out(law: Law, runs: pd.DataFrame) -> HeldOut:
    """Check a law against measured runs of one scale that it was not fitted to.

    Raises
    ------
    LawError : the runs have more than one scale, none that completed, or one that the law knows.
    """
    measured = usable(runs).sort_values(LOSS, kind="stable", ignore_index=True)
    keys = _keys(measured, law.axes)
    scales = measured[keys].drop_duplicates()
    if len(scales) != 1:
        raise LawError(
            f"a held-out check needs completed runs of one scale; these have {len(scales)}"
        )
    params, tokens, *rest = (float(value) for value in scales.iloc[0])
    shape = dict(zip(keys[2:], rest, strict=True))
    here = np.array([params, tokens, *rest])
    if any(is_same_scale(seen, here) for seen in law.scales[keys].to_numpy(dtype=float)):
        raise LawError(
            f"the law was fitted to runs of N = {params:.4g}, D = {tokens:.4g}: "
            "checking it there would prove nothing"
        )
    at_scale = law.optimum(params, tokens, **shape)
    optimum = {name: float(value) for name, value in at_scale.items()}
    gap = setting_gap(measured, optimum)
    return HeldOut(
        params=params,
        tokens=tokens,
        optimum=optimum,
        predicted_loss=float(law.loss(params, tokens, **shape)),
        runs=measured,
        nearest=gap.nearest,
        best=gap.best,
        nearest_gap_pct=gap.nearest_pct,
        quadratic_gap_pct=gap.quadratic_pct,
        shape=shape,
    )


@dataclass(frozen=True)
class LeftOut:
    """A law fitted without the largest scales, and the runs of those.

    Attributes
    ----------
    law : fitted to `fitted`.
    fitted, runs : the usable runs that it was fitted to, and all of them.
    scales : a row a scale that was left out, by compute; see `scaling.selection.scale_table`.
    """

    law: Law
    fitted: pd.DataFrame
    runs: pd.DataFrame
    scales: pd.DataFrame

    def checks(self) -> tuple[HeldOut, ...]:
        """Check the law at each scale that was left out and shows gaps, by compute."""
        keys = _keys(self.runs, self.law.axes)
        alone = (_rows_of(self.runs, self.scales.iloc[[i]], keys) for i in range(len(self.scales)))
        judged = (rows for rows in alone if shows_gaps(rows, self.law.settings))
        return tuple(held_out(self.law, rows) for rows in judged)

    def scores(self) -> pd.DataFrame:
        """Score every law on the scales that were left out; see `backtest`."""
        return _score(self.law, self.fitted, self.runs, self.scales)


def leave_out(
    runs: pd.DataFrame, *, hold_out: int = 1, axes: Sequence[str] | None = None
) -> LeftOut:
    """Fit a law without the largest scales.

    Parameters
    ----------
    runs : a runs table.
    hold_out : how many scales to leave out, the largest by compute.
    axes : what the law is to stand on, as of `scaling.fitting.fit_law`.

    Raises
    ------
    InsufficientDataError : too few scales are left to fit to, or those left out have too few
        settings to measure what one costs.
    """
    kept = usable(runs)
    shape = shape_axes(axes or ())
    scales = scale_table(kept, shape)
    if not 1 <= hold_out <= len(scales) - 2:
        raise InsufficientDataError(
            f"cannot hold out {hold_out} of {len(scales)} scales: at least one must be held out "
            "and two left to fit to"
        )
    keys = [PARAMS, TOKENS, *shape]
    fitted = _rows_of(kept, scales.iloc[:-hold_out], keys)
    left = LeftOut(fit_law(fitted, axes=axes), fitted, kept, scales.iloc[-hold_out:])
    if not left.checks():
        largest = scales.iloc[-1]
        names = ", ".join(left.law.settings)
        raise InsufficientDataError(
            "what a setting costs cannot be seen on the scales left out "
            f"(N = {largest[PARAMS]:.4g}, D = {largest[TOKENS]:.4g}): fewer than {LEAST_SETTINGS} "
            f"settings ({names}), all above zero, were measured there; leave out more scales, or "
            "add runs"
        )
    return left


def backtest(
    runs: pd.DataFrame, *, hold_out: int = 1, axes: Sequence[str] | None = None
) -> pd.DataFrame:
    """Leave the largest scales out, fit to the others, and score every law on those left out.

    Parameters
    ----------
    runs, hold_out, axes : as of `leave_out`.

    Returns
    -------
    DataFrame, a row for each law and held-out scale: law, params, tokens, width and depth as far as
    the law stands on them, lr, batch_tokens (what
    it recommends, NaN where silent), nearest_gap_pct, quadratic_gap_pct (see `scaling.gaps`; NaN
    where the runs of the scale do not show them),
    in_range (whether the scale is one that a published law was fitted to; None where that is not
    known, or the law is one's own) and second_hand (whether its constants are). Laws are this one,
    each published law, and the constant that is best on the fitted scales. Where a published law
    is silent on a setting, it is judged with the constant for that one.

    Its `attrs` have not_scored: the published laws that recommend nothing here, with the reasons.

    Raises
    ------
    InsufficientDataError : too few scales are left to fit to.
    """
    return leave_out(runs, hold_out=hold_out, axes=axes).scores()


def compare(law: Law, runs: pd.DataFrame) -> pd.DataFrame:
    """Score a fitted law, each published law and the best constant on the runs' own scales.

    The fitted law and the constant have seen these runs, and so look better than on new ones
    (`backtest` leaves scales out). Columns are those of `backtest`.
    """
    kept = usable(runs)
    return _score(law, kept, kept, scale_table(kept, _keys(kept, law.axes)[2:]))


def best_constant(
    runs: pd.DataFrame, names: tuple[str, ...], keys: Sequence[str] = (PARAMS, TOKENS)
) -> dict[str, float]:
    """Return the one measured setting that costs least over all scales: mean gap of the nearest.

    Candidates are the settings of the runs themselves, judged at every scale, runs that agree in
    `keys`, by the measured run nearest to them.
    """
    runs = comparable(runs, names)
    groups = [group for _, group in runs.groupby(list(keys))]
    candidates = runs[list(names)].drop_duplicates().to_numpy(dtype=float)
    total = np.zeros(len(candidates))
    for group in groups:
        logs = np.log(group[list(names)].to_numpy(dtype=float))
        loss = group[LOSS].to_numpy(dtype=float)
        _, nearest = KDTree(logs).query(np.log(candidates))
        total += loss[nearest] / loss.min() - 1
    best = candidates[int(total.argmin())]
    return dict(zip(names, (float(value) for value in best), strict=True))


def _keys(runs: pd.DataFrame, axes: Sequence[str]) -> list[str]:
    """Return the columns that tell the scales of a law on these axes apart."""
    shape = shape_axes(axes)
    for axis in shape:
        if axis not in runs.columns:
            raise LawError(f"the law stands on {axis}, and the runs have no such column")
    return [PARAMS, TOKENS, *shape]


def _rows_of(runs: pd.DataFrame, scales: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return runs.merge(scales[keys], on=keys)


def _score(
    law: Law, constant_from: pd.DataFrame, runs: pd.DataFrame, scales: pd.DataFrame
) -> pd.DataFrame:
    names = law.settings
    keys = _keys(runs, law.axes)
    constant = best_constant(constant_from, names, keys)
    rows: list[dict[str, object]] = []
    silent: list[dict[str, str]] = []
    for position in range(len(scales)):
        group = _rows_of(runs, scales.iloc[[position]], keys)
        params, tokens, *rest = (float(group[key].iloc[0]) for key in keys)
        shape = dict(zip(keys[2:], rest, strict=True))
        at_scale = law.optimum(params, tokens, **shape)
        own = {name: float(value) for name, value in at_scale.items()}
        known = situation(law, params, tokens, experts=experts_of(group), shape=shape)
        at = replace(known, lr=constant.get(LR, math.nan))
        silent.append(silent_laws(at, names))
        recommended = [
            (law.name, own, None, False),
            (CONSTANT, constant, None, False),
            *(
                (
                    published.name,
                    published.optimum(at),
                    published.range.holds(params, tokens),
                    not published.checked,
                )
                for published in PUBLISHED
                if published.name not in silent[-1]
            ),
        ]
        for name, optimum, in_range, second_hand in recommended:
            judged = {key: value for key, value in optimum.items() if key in names}
            nearest_pct, quadratic_pct = math.nan, math.nan
            if shows_gaps(group, names):
                gap = setting_gap(group, {key: judged.get(key, constant[key]) for key in names})
                nearest_pct, quadratic_pct = gap.nearest_pct, gap.quadratic_pct
            rows.append(
                {
                    "law": name,
                    PARAMS: params,
                    TOKENS: tokens,
                    **shape,
                    **{key: judged.get(key, np.nan) for key in names},
                    "nearest_gap_pct": nearest_pct,
                    "quadratic_gap_pct": quadratic_pct,
                    "in_range": in_range,
                    "second_hand": second_hand,
                }
            )
    scores = pd.DataFrame(rows)
    scores["in_range"] = scores["in_range"].astype(object)
    everywhere = set.intersection(*(set(reasons) for reasons in silent))
    scores.attrs["not_scored"] = {
        name: reason for name, reason in silent[-1].items() if name in everywhere
    }
    return scores
