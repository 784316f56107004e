"""How a law does on scales that it did not see, beside published laws and a constant."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from scaling.errors import InsufficientDataError, LawError
from scaling.fitting import fit_law
from scaling.gaps import setting_gap
from scaling.law import Law
from scaling.published import PUBLISHED, silent_laws
from scaling.published_law import experts_of, situation
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


def held_out(law: Law, runs: pd.DataFrame) -> HeldOut:
    """Check a law against measured runs of one scale that it was not fitted to.

    Raises
    ------
    LawError : the runs have more than one scale, none that completed, or one that the law knows.
    """
    measured = usable(runs).sort_values(LOSS, kind="stable", ignore_index=True)
    scales = measured[[PARAMS, TOKENS]].drop_duplicates()
    if len(scales) != 1:
        raise LawError(
            f"a held-out check needs completed runs of one scale; these have {len(scales)}"
        )
    params, tokens = (float(value) for value in scales.iloc[0])
    seen = law.scales[[PARAMS, TOKENS]].to_numpy(dtype=float)
    if (seen == (params, tokens)).all(axis=1).any():
        raise LawError(
            f"the law was fitted to runs of N = {params:.4g}, D = {tokens:.4g}: "
            "checking it there would prove nothing"
        )
    optimum = {name: float(value) for name, value in law.optimum(params, tokens).items()}
    gap = setting_gap(measured, optimum)
    return HeldOut(
        params=params,
        tokens=tokens,
        optimum=optimum,
        predicted_loss=float(law.loss(params, tokens)),
        runs=measured,
        nearest=gap.nearest,
        best=gap.best,
        nearest_gap_pct=gap.nearest_pct,
        quadratic_gap_pct=gap.quadratic_pct,
    )


def backtest(runs: pd.DataFrame, *, hold_out: int = 1) -> pd.DataFrame:
    """Leave the largest scales out, fit to the others, and score every law on those left out.

    Parameters
    ----------
    runs : a runs table.
    hold_out : how many scales to leave out, the largest by compute.

    Returns
    -------
    DataFrame, a row for each law and held-out scale: law, params, tokens, lr, batch_tokens (what
    it recommends, NaN where silent), nearest_gap_pct, quadratic_gap_pct (see `scaling.gaps`),
    in_range (whether the scale is one that a published law was fitted to; None where that is not
    known, or the law is one's own) and second_hand (whether its constants are). Laws are this one,
    each published law, and the constant that is best on the fitted scales. Where a published law
    is silent on a setting, it is judged with the constant for that one.

    Its `attrs` have not_scored: the published laws that recommend nothing here, with the reasons.

    Raises
    ------
    InsufficientDataError : too few scales are left to fit to.
    """
    kept = usable(runs)
    scales = scale_table(kept)
    if not 1 <= hold_out <= len(scales) - 2:
        raise InsufficientDataError(
            f"cannot hold out {hold_out} of {len(scales)} scales: at least one must be held out "
            "and two left to fit to"
        )
    fitted = _rows_of(kept, scales.iloc[:-hold_out])
    law = fit_law(fitted)
    return _score(law, fitted, kept, scales.iloc[-hold_out:])


def compare(law: Law, runs: pd.DataFrame) -> pd.DataFrame:
    """Score a fitted law, each published law and the best constant on the runs' own scales.

    The fitted law and the constant have seen these runs, and so look better than on new ones
    (`backtest` leaves scales out). Columns are those of `backtest`.
    """
    kept = usable(runs)
    return _score(law, kept, kept, scale_table(kept))


def best_constant(runs: pd.DataFrame, names: tuple[str, ...]) -> dict[str, float]:
    """Return the one measured setting that costs least over all scales: mean gap of the nearest.

    Candidates are the settings of the runs themselves, judged at every scale by the measured run
    nearest to them.
    """
    groups = [group for _, group in runs.groupby([PARAMS, TOKENS])]
    candidates = runs[list(names)].drop_duplicates().to_numpy(dtype=float)
    total = np.zeros(len(candidates))
    for group in groups:
        logs = np.log(group[list(names)].to_numpy(dtype=float))
        loss = group[LOSS].to_numpy(dtype=float)
        _, nearest = KDTree(logs).query(np.log(candidates))
        total += loss[nearest] / loss.min() - 1
    best = candidates[int(total.argmin())]
    return dict(zip(names, (float(value) for value in best), strict=True))


def _rows_of(runs: pd.DataFrame, scales: pd.DataFrame) -> pd.DataFrame:
    return runs.merge(scales[[PARAMS, TOKENS]], on=[PARAMS, TOKENS])


def _score(
    law: Law, constant_from: pd.DataFrame, runs: pd.DataFrame, scales: pd.DataFrame
) -> pd.DataFrame:
    names = law.settings
    constant = best_constant(constant_from, names)
    rows: list[dict[str, object]] = []
    silent: list[dict[str, str]] = []
    for params, tokens in scales[[PARAMS, TOKENS]].itertuples(index=False):
        group = runs[(runs[PARAMS] == params) & (runs[TOKENS] == tokens)]
        own = {name: float(value) for name, value in law.optimum(params, tokens).items()}
        at = replace(
            situation(law, params, tokens, experts=experts_of(group)), lr=constant.get(LR, math.nan)
        )
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
            gap = setting_gap(group, {key: judged.get(key, constant[key]) for key in names})
            rows.append(
                {
                    "law": name,
                    PARAMS: params,
                    TOKENS: tokens,
                    **{key: judged.get(key, np.nan) for key in names},
                    "nearest_gap_pct": gap.nearest_pct,
                    "quadratic_gap_pct": gap.quadratic_pct,
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
