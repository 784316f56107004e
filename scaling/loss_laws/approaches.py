"""How the best N and D grow with compute: the three approaches of Chinchilla.

Hoffmann et al. (arXiv 2203.15556, section 3) fit N_opt = k·C^a and D_opt = k'·C^b in three ways:

1. `minimum_over_curves`: of all training curves, the run of least loss at each compute;
2. `isoflop_minima`: of runs of one compute each, the minimum of a parabola in log N;
3. `parametric`: the optimum of a fitted L(N, D).

Each returns an `OptimalScaling`, so that they can be laid side by side; where they disagree, the
third relies on its formula, the second on its parabolas, which a wide or lopsided range of N
biases, and the first on curves whose learning rate has not decayed midway.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scaling.errors import InsufficientDataError, LawError
from scaling.loss_laws.law import LossLaw
from scaling.loss_laws.optimal_scaling import OptimalScaling, lines_of_draws
from scaling.loss_laws.points import check_positive
from scaling.loss_surface import Array
from storage.columns import COMPLETED, FLOPS, LOSS, PARAMS, RUN_ID, STATUS, TOKENS

MIN_SIZES = 4  # of N at one compute: a parabola has three constants
MIN_BUDGETS = 3  # minima that a line in log C is drawn through
SAME_BUDGET = 0.1  # runs whose FLOPs differ by less than this share have one budget
ENVELOPE_POINTS = 1500  # compute values at which the lowest curve is sought, as published
LOST_DRAWS = 0.1  # of the draws; where more have no minimum the intervals are too narrow


def minimum_over_curves(
    curves: pd.DataFrame, *, n_draws: int = 200, seed: int = 0
) -> OptimalScaling:
    """Approach 1: the run of least loss at each compute, over whole training curves.

    Where the smallest or the largest model is the lowest, the best N may lie beyond: those
    stretches are left out. Draws resample the runs.

    Parameters
    ----------
    curves : a row a report: run_id, params, tokens (so far), loss, and flops (so far) where not
        6·params·tokens.

    Raises
    ------
    InsufficientDataError : too few sizes among the lowest curves.
    """
    table = _usable(curves, (RUN_ID, PARAMS, TOKENS, LOSS)).sort_values([PARAMS, RUN_ID, FLOPS])
    groups = [run for _, run in table.groupby([PARAMS, RUN_ID], sort=True)]
    log_n = np.log([float(run[PARAMS].iloc[0]) for run in groups])
    if (sizes := len(np.unique(log_n))) < MIN_SIZES:
        raise InsufficientDataError(
            f"curves of {sizes} model sizes: at least {MIN_SIZES} are needed, for the smallest "
            "and the largest only bound the best"
        )
    logs = [np.log(run[[FLOPS, TOKENS, LOSS]].to_numpy(dtype=float)).T for run in groups]
    log_c = np.linspace(
        min(run[0][0] for run in logs), max(run[0][-1] for run in logs), ENVELOPE_POINTS
    )
    log_d = np.array([np.interp(log_c, run[0], run[1]) for run in logs])
    log_loss = np.array(
        [np.interp(log_c, run[0], run[2], left=np.inf, right=np.inf) for run in logs]
    )

    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=n_draws)
    taken = np.vstack([np.ones(len(groups), dtype=bool), counts > 0])
    winner = _lowest(log_loss, taken)
    within = _is_bracketed(log_n, log_loss, taken, winner)
    enough = _distinct(log_n, winner, within) >= MIN_BUDGETS
    if not enough[0]:
        raise InsufficientDataError(
            f"fewer than {MIN_BUDGETS} sizes between the smallest and the largest are the best at "
            "some compute: add curves of sizes in between, or longer ones"
        )
    centre = float(log_c[within[0]].mean())
    best = np.where(within, winner, 0)
    grid = np.arange(len(log_c))
    lines = lines_of_draws(
        log_c - centre, log_n[best], log_d[best, grid], within.astype(float), enough
    )
    shown = np.flatnonzero(within[0])
    lowest = winner[0][shown]
    return OptimalScaling(
        approach="minimum over curves",
        lines=lines,
        centre=centre,
        points=pd.DataFrame(
            {
                FLOPS: np.exp(log_c[shown]),
                PARAMS: np.exp(log_n[lowest]),
                TOKENS: np.exp(log_d[lowest, shown]),
                LOSS: np.exp(log_loss[lowest, shown]),
            }
        ),
        warnings=tuple(_lost_draws(enough)),
    )


def isoflop_minima(
    runs: pd.DataFrame,
    *,
    budgets: Sequence[float] | None = None,
    n_draws: int = 200,
    seed: int = 0,
) -> OptimalScaling:
    """Approach 2: at each compute the minimum of a parabola of loss in log N.

    A minimum outside the sizes tried, or a parabola that opens downward, says nothing and is left
    out. Draws weight the budgets, and within each its runs, at random (the Bayesian bootstrap).

    Parameters
    ----------
    runs : a runs table with params, tokens and loss, and flops where not 6·params·tokens. Of runs
        of one N and one budget the lowest loss counts.
    budgets : the FLOPs of the isoFLOP curves; runs further than 10 % from all are left out. Where
        None, runs within 10 % of one another form a curve.

    Raises
    ------
    InsufficientDataError : fewer than three budgets show a minimum.
    """
    table = _usable(runs, (PARAMS, TOKENS, LOSS)).sort_values([FLOPS, PARAMS, LOSS])
    groups = _isoflop_groups(table, budgets)
    if not groups:
        raise InsufficientDataError(
            f"no runs of {MIN_SIZES} sizes or more have one compute (within {SAME_BUDGET:.0%}): "
            "add runs of other sizes at the same 6ND"
        )
    rng = np.random.default_rng(seed)
    minima = [_parabola_minimum(group, rng, n_draws) for group in groups]
    shown = [index for index, minimum in enumerate(minima) if np.isfinite(minimum[0, 0])]
    if len(shown) < MIN_BUDGETS:
        raise InsufficientDataError(
            f"{len(shown)} of {len(groups)} compute budgets with {MIN_SIZES} sizes or more show a "
            f"minimum inside the sizes tried; at least {MIN_BUDGETS} are needed: widen the range "
            "of N, or add budgets"
        )
    log_c = np.array([np.log(groups[index][FLOPS]).mean() for index in shown])
    found = np.stack([minima[index] for index in shown], axis=1)
    has_minimum = np.isfinite(found[..., 0])
    weights = np.vstack([np.ones(len(shown)), rng.exponential(size=(n_draws, len(shown)))])
    enough = has_minimum.sum(axis=1) >= 2
    centre = float(log_c.mean())
    values = np.nan_to_num(found)
    best = np.exp(found[0])
    return OptimalScaling(
        approach="isoFLOP parabolas",
        lines=lines_of_draws(
            log_c - centre, values[..., 0], values[..., 1], weights * has_minimum, enough
        ),
        centre=centre,
        points=pd.DataFrame(
            {FLOPS: np.exp(log_c), PARAMS: best[:, 0], TOKENS: best[:, 1], LOSS: best[:, 2]}
        ),
        warnings=(*_left_out(len(groups) - len(shown), len(groups)), *_lost_draws(enough)),
    )


def parametric(law: LossLaw) -> OptimalScaling:
    """Approach 3: the optimum of a fitted Chinchilla law, a power law of C = 6·N·D exactly.

    N_opt = G·(C/6)^(β/(α+β)), D_opt = (C/6)^(α/(α+β))/G, G = (α·A/(β·B))^(1/(α+β)).
    """
    if law.form.name != "chinchilla":
        raise LawError(f"the law's form is {law.form.name}; the third approach takes chinchilla's")
    value = law.constants()
    total = value["alpha"] + value["beta"]
    log_g = np.log(value["alpha"] * value["A"] / (value["beta"] * value["B"])) / total
    in_params, in_tokens = value["beta"] / total, value["alpha"] / total
    points = law.points
    flops = 6.0 * points[PARAMS] * points[TOKENS]
    centre = 0.0 if points.empty else float(np.log(flops).mean())
    per_six = centre - np.log(6.0)
    lines = np.stack(
        [
            np.column_stack([log_g + in_params * per_six, in_params]),
            np.column_stack([-log_g + in_tokens * per_six, in_tokens]),
        ],
        axis=1,
    )
    return OptimalScaling(
        approach="parametric fit",
        lines=lines,
        centre=centre,
        points=points.assign(**{FLOPS: flops}),
        warnings=law.warnings,
    )


def _usable(table: pd.DataFrame, needed: tuple[str, ...]) -> pd.DataFrame:
    for name in needed:
        if name not in table.columns:
            raise LawError(f"the table has no column {name!r}; this needs {', '.join(needed)}")
    usable = table[np.isfinite(table[LOSS].to_numpy(dtype=float))]
    if STATUS in usable.columns:
        usable = usable[usable[STATUS] == COMPLETED]
    if FLOPS not in usable.columns:
        usable = usable.assign(**{FLOPS: 6.0 * usable[PARAMS] * usable[TOKENS]})
    columns = [PARAMS, TOKENS, FLOPS, LOSS]
    check_positive(usable[columns].to_numpy(dtype=float), columns)
    checked: pd.DataFrame = usable
    return checked


def _lowest(log_loss: Array, taken: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return which of the runs taken is the lowest at each compute, (n_draws, n_grid)."""
    order = np.argsort(log_loss, axis=0, kind="stable")
    first = taken[:, order].argmax(axis=1)
    return np.asarray(np.take_along_axis(order, first, axis=0))


def _is_bracketed(
    log_n: Array, log_loss: Array, taken: NDArray[np.bool_], winner: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Say where the lowest run is neither of the smallest nor of the largest size taken."""
    smallest = np.where(taken, log_n, np.inf).min(axis=1, keepdims=True)
    largest = np.where(taken, log_n, -np.inf).max(axis=1, keepdims=True)
    size = log_n[winner]
    measured = np.isfinite(log_loss[winner, np.arange(log_loss.shape[1])])
    taken_winner = np.take_along_axis(taken, winner, axis=1)
    return np.asarray(measured & taken_winner & (size > smallest) & (size < largest))


def _distinct(
    log_n: Array, winner: NDArray[np.intp], within: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Count the sizes among the lowest runs of each draw."""
    sizes = [((log_n[winner] == size) & within).any(axis=1) for size in np.unique(log_n)]
    return np.asarray(np.sum(sizes, axis=0))


def _isoflop_groups(table: pd.DataFrame, budgets: Sequence[float] | None) -> list[pd.DataFrame]:
    """Return the runs of each budget with enough sizes, the lowest loss of each size."""
    log_c = np.log(table[FLOPS].to_numpy(dtype=float))
    reach = np.log1p(SAME_BUDGET)
    if budgets is None:
        label = np.zeros(len(log_c), dtype=int)
        first = log_c[0] if len(log_c) else 0.0
        for index in range(1, len(log_c)):
            starts = log_c[index] - first > reach
            first = log_c[index] if starts else first
            label[index] = label[index - 1] + starts
    else:
        distance = np.abs(log_c[:, None] - np.log(np.sort(np.asarray(budgets, dtype=float))))
        label = np.where(distance.min(axis=1) <= reach, distance.argmin(axis=1), -1)
    lowest = [
        group.sort_values([LOSS, PARAMS], kind="stable").drop_duplicates(PARAMS)
        for _, group in table[label >= 0].groupby(label[label >= 0])
    ]
    return [group for group in lowest if len(group) >= MIN_SIZES]


def _parabola_minimum(group: pd.DataFrame, rng: np.random.Generator, n_draws: int) -> Array:
    """Return log N, log D and log loss at the minimum, (1 + n_draws, 3); NaN where none."""
    log_n, log_d, log_c = np.log(group[[PARAMS, TOKENS, FLOPS]].to_numpy(dtype=float)).T
    loss = group[LOSS].to_numpy(dtype=float)
    middle = log_n.mean()
    design = np.vander(log_n - middle, 3, increasing=True)
    weights = np.vstack([np.ones(len(loss)), rng.exponential(size=(n_draws, len(loss)))])
    normal = (weights[:, None] * design.T) @ design
    ridge = 1e-12 * np.trace(normal, axis1=1, axis2=2)
    normal += ridge[:, None, None] * np.eye(3)
    level, slope, bend = np.linalg.solve(normal, (weights * loss @ design)[..., None])[..., 0].T
    opens_upward = bend > 0
    at = -slope / np.where(opens_upward, 2 * bend, np.nan)
    at = np.where(
        np.abs(at + middle - (log_n.min() + log_n.max()) / 2) < np.ptp(log_n) / 2, at, np.nan
    )
    per_token = (log_c - log_n - log_d).mean()  # log 6, where FLOPs were not measured
    params = at + middle
    tokens = log_c.mean() - per_token - params
    return np.column_stack([params, tokens, np.log(level + at * (slope + bend * at))])


def _left_out(lost: int, of: int) -> list[str]:
    if lost == 0:
        return []
    return [
        f"{lost} of {of} compute budgets show no minimum inside the sizes tried and are left out"
    ]


def _lost_draws(enough: NDArray[np.bool_]) -> list[str]:
    lost = int((~enough[1:]).sum())
    if lost <= LOST_DRAWS * len(enough[1:]):
        return []
    return [
        f"{lost} of {len(enough) - 1} resamplings show no minimum: the intervals are too narrow"
    ]
