"""Which runs to do next: those that most lower the target's expected regret for their compute.

Around each of many draws of the law (so that a law still uncertain is not taken at its word), the
surface is linear in its parameters, and what a run would teach has a closed form. With Σ the
covariance of the parameters, j the run's row of the jacobian and s² its residual variance
(`scaling.robust_fit`), a run lowers the covariance of the target's optimum, and with it the
expected regret ½ tr(M·cov), M the curvature of the basin, by

    ½ |M^½ G Σ j|² / (s² + jᵀ Σ j)

This is Bayesian c-optimal design (Chaloner & Verdinelli 1995), greedy, a rank-one update a run.
Runs at the very optimum have j ≈ 0 and teach nothing of it; runs far off have a large s². Each
scale's optimum also has a small deviation of its own from the power law, which no number of runs
at that scale removes: so scales are spread, and the target keeps a floor of regret that smaller
runs cannot lower. When what is left is mostly that floor, no more runs are recommended. The linear
estimate is good for comparing runs, and says by what share they lower the expected regret; what it
is a share of is the expected regret of `Law.predict`, which stands on refits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scaling import loss_surface
from scaling.axes import log_axes
from scaling.errors import LawError
from scaling.law import Law
from scaling.loss_surface import Array, SurfaceData
from scaling.priors import surface_prior
from scaling.robust_fit import residual_variance
from scaling.selection import select
from scaling.shapes import complete_shape
from storage.columns import BATCH_TOKENS, DEPTH, LR, PARAMS, TOKENS, WIDTH

LINEARISATIONS = 24  # draws of the law that a run's worth is averaged over
OWN_DEVIATION = 0.1  # of a scale's optimum from the power law, in log units: about 10 %
OCTAVES = {LR: 3.0, BATCH_TOKENS: 2.0}  # around a scale's optimum, for candidates
STEP_OCTAVES = 0.5
FURTHER_OCTAVES = 2.0  # of a further setting: this much below, at and above its optimum
FIXED_COST = (
    0.3  # of a mean run: what a run costs beside its FLOPs, so that a round is not all tiny
)
WORTHWHILE = 0.003  # a run must lower the expected regret by this share to be recommended


@dataclass(frozen=True)
class _State:
    """Covariances of the parameters and the scales' own deviations, one a linearisation.

    Attributes
    ----------
    covariance : (n_draws, p, p), p = layout.size + n_settings · n_scales.
    readout : (n_draws, n_settings, p), M^½ G: from parameters to regret at the target.
    floor : (n_draws,), the regret that the target's own deviation leaves, in log loss.
    """

    covariance: Array
    readout: Array
    floor: Array

    @property
    def expected_regret(self) -> float:
        """Expected regret at the target, in log loss, by the linear estimate."""
        spread = self.readout @ self.covariance @ self.readout.transpose(0, 2, 1)
        return float((0.5 * np.trace(spread, axis1=1, axis2=2) + self.floor).mean())


def default_candidates(law: Law, scales: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return settings on a lattice around the law's optimum at each scale.

    Parameters
    ----------
    scales : columns params and tokens, and those of width and depth that the law stands on; the
        law's own scales where None.

    Returns
    -------
    DataFrame with columns params, tokens, width and depth as far as the law stands on them, and the
    law's settings: lr and batch_tokens half an octave
    apart, up to three octaves off in learning rate and two in batch, and any further setting two
    octaves below, at and above its optimum. Batches and warm-ups longer than the run are left out.
    """
    chosen = law.scales if scales is None else scales
    frames: list[pd.DataFrame] = []
    keys = [PARAMS, TOKENS, *law.shape_axes]
    for row in chosen[keys].drop_duplicates().itertuples(index=False, name=None):
        scale = dict(zip(keys, row, strict=True))
        best = {name: float(value) for name, value in law.optimum(**scale).items()}
        axes = [best[name] * 2.0 ** _octaves(name) for name in law.settings]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
        frame = pd.DataFrame(grid, columns=list(law.settings))
        for position, (axis, value) in enumerate(scale.items()):
            frame.insert(position, axis, value)
        lengths = [name for name in law.settings if name.endswith("_tokens")]
        frames.append(frame[(frame[lengths] <= scale[TOKENS]).all(axis=1)])
    return pd.concat(frames, ignore_index=True)


def check_candidates(candidates: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """Return the rows to choose from with params, tokens and `settings` as numbers.

    Raises
    ------
    LawError : a column is missing, there is no row, or a cell is not a positive number; the message
        names the row (1 is the first) and the column.
    """
    needed = [PARAMS, TOKENS, *settings]
    if missing := [name for name in needed if name not in candidates.columns]:
        raise LawError(f"the candidates have no column {missing[0]!r}; needed: {', '.join(needed)}")
    if candidates.empty:
        raise LawError("there are no candidates to choose from; give a row or more")
    numbers = {
        name: pd.to_numeric(candidates[name], errors="coerce").to_numpy(dtype=float)
        for name in needed
    }
    table = np.column_stack(list(numbers.values()))
    wrong = ~(np.isfinite(table) & (table > 0))
    if wrong.any():
        row, column = (int(index) for index in np.argwhere(wrong)[0])
        cell = candidates[needed[column]].iloc[row]
        raise LawError(
            f"candidates: row {row + 1}, column {needed[column]!r}: {cell} is not a number above 0"
        )
    checked: pd.DataFrame = candidates.assign(**numbers)
    return checked


def _octaves(setting: str) -> Array:
    """Return how far from the optimum candidates lie, in octaves."""
    if setting not in OCTAVES:
        return np.array([-FURTHER_OCTAVES, 0.0, FURTHER_OCTAVES])
    return np.arange(-OCTAVES[setting], OCTAVES[setting] + STEP_OCTAVES / 2, STEP_OCTAVES)


def plan_runs(
    law: Law,
    runs: pd.DataFrame,
    *,
    params: float,
    tokens: float,
    width: float | None = None,
    depth: float | None = None,
    n_runs: int = 8,
    candidates: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Choose the next runs, best first.

    Parameters
    ----------
    law, runs : the law so far and the runs that it is fitted to.
    params, tokens : the target.
    width, depth : the target's, where the law stands on them; see `scaling.law.Law.predict`.
    n_runs : how many to choose at most; fewer come back where more would hardly help.
    candidates : the rows to choose from, with columns params, tokens, lr and batch_tokens (where
        the law knows it), and width and depth where the law stands on them and N does not tell
        them; others are kept. Each is chosen once at most. A lattice around the
        optimum of each scale measured so far where None.

    Returns
    -------
    The chosen rows of `candidates` with columns `flops` (6·N·D) and `expected_regret_pct`, what
    the target's expected regret is after this run and those before it; `.attrs` has
    `expected_regret_pct`, what it is now by `Law.predict`, and `floor_pct`, what of it runs cannot
    remove.

    Raises
    ------
    LawError : a target, a number of runs or candidates that make no sense.
    """
    if n_runs < 1:
        raise LawError(f"n_runs is {n_runs}; at least one run must be asked for")
    shape = {WIDTH: width, DEPTH: depth}
    now_pct = law.predict(params, tokens, width=width, depth=depth).regret_pct.expected
    offer = default_candidates(law) if candidates is None else candidates
    told = [axis for axis in law.shape_axes if axis in offer.columns]
    choices = check_candidates(offer, (*told, *law.settings))
    theta = np.vstack([law.theta, law.draws[: LINEARISATIONS - 1]])
    selection = select(runs, law.settings, law.axes)
    measured = _on_axes(law, selection.log_scale, selection.log_settings, selection.log_shape)
    offered = _candidates_on_axes(law, choices, told)
    both = SurfaceData(
        np.concatenate([measured.scale, offered.scale]),
        np.concatenate([measured.settings, offered.settings]),
    )
    rows, precision = _information(law, theta, both)
    n_measured = len(measured.scale)
    target, _ = law.log_scale({PARAMS: params, TOKENS: tokens, **shape})
    state = _prior_state(law, selection.mu_parametrized, theta, rows.shape[1], target[0])
    state = _learn(state, rows[:, :, :n_measured], precision[:, :n_measured])
    flops = 6.0 * (choices[PARAMS] * choices[TOKENS]).to_numpy(dtype=float)
    chosen, expected = _choose(
        state, rows[:, :, n_measured:], precision[:, n_measured:], flops, n_runs
    )
    to_pct = now_pct / state.expected_regret
    plan = choices.iloc[chosen].reset_index(drop=True)
    plan = plan.assign(flops=flops[chosen], expected_regret_pct=to_pct * np.array(expected))
    plan.attrs |= {
        "expected_regret_pct": now_pct,
        "floor_pct": to_pct * float(state.floor.mean()),
    }
    return plan


def _on_axes(
    law: Law, log_scale: Array, log_settings: Array, log_shape: Mapping[str, Array]
) -> SurfaceData:
    on_axes = log_axes(law.axes, log_scale, log_shape)
    return SurfaceData(on_axes - law.centre[: len(law.axes)], log_settings - law.setting_centre)


def _candidates_on_axes(law: Law, choices: pd.DataFrame, told: Sequence[str]) -> SurfaceData:
    """Return candidates as runs; `told` are those of width and depth that they have columns of."""
    given = {axis: choices[axis].to_numpy(dtype=float) for axis in told}
    shape = complete_shape(law.axes, law.scales, choices[PARAMS].to_numpy(dtype=float), given)
    logs = np.log(choices[[PARAMS, TOKENS, *law.settings]].to_numpy(dtype=float))
    log_shape = {axis: np.log(values) for axis, values in shape.items()}
    return _on_axes(law, logs[:, :2], logs[:, 2:], log_shape)


def _information(law: Law, theta: Array, data: SurfaceData) -> tuple[Array, Array]:
    """Return each run's row, its scale's own deviation included, and its precision 1/s².

    Rows are (n_draws, p, n_runs), precisions (n_draws, n_runs).
    """
    layout = law.layout
    _, height, jacobian = loss_surface.surface_and_jacobian(theta, layout, data)
    scales, index = np.unique(data.scale, axis=0, return_inverse=True)
    own = np.zeros((len(theta), layout.n_settings * len(scales), len(data.scale)))
    for k in range(layout.n_settings):
        own[:, layout.n_settings * index + k, np.arange(len(index))] = jacobian[
            :, layout.centre_of(k).start
        ]
    variance = residual_variance(height, np.array(law.noise))
    return np.concatenate([jacobian, own], axis=1), 1 / variance


def _prior_state(law: Law, mu_parametrized: bool, theta: Array, size: int, target: Array) -> _State:
    """Return the state before any run; `target` is its scale on the law's axes, centred."""
    layout = law.layout
    prior = surface_prior(
        law.axes,
        law.settings,
        float(law.scales["best_loss"].min()),
        mu_parametrized=mu_parametrized,
    )
    deviations = np.full(size - layout.size, OWN_DEVIATION)
    covariance = np.diag(np.concatenate([prior.sd, deviations]) ** 2)
    design = np.concatenate([[1.0], target])
    by_centre = np.zeros((layout.n_settings, size))
    for k in range(layout.n_settings):
        by_centre[k, layout.centre_of(k)] = design
    steepness = np.exp(0.5 * theta[:, layout.steepness] @ target)
    root = layout.root_matrix(theta) * steepness[:, None, None]
    return _State(
        covariance=np.repeat(covariance[None], len(theta), axis=0),
        readout=root @ by_centre,
        floor=0.5 * OWN_DEVIATION**2 * (root**2).sum(axis=(1, 2)),
    )


def _learn(state: _State, rows: Array, precision: Array) -> _State:
    """Return the state after all of the given runs."""
    inverse = np.linalg.inv(state.covariance)
    inverse += (rows * precision[:, None]) @ rows.transpose(0, 2, 1)
    return _State(np.linalg.inv(inverse), state.readout, state.floor)


def _choose(
    state: _State, rows: Array, precision: Array, flops: Array, n_runs: int
) -> tuple[list[int], list[float]]:
    """Return which candidates to run, best first, and the expected regret after each."""
    cost = flops + FIXED_COST * flops.mean()
    left = np.ones(len(flops), dtype=bool)
    chosen, expected = [], []
    for _ in range(min(n_runs, len(flops))):
        before = state.expected_regret
        learnt = state.covariance @ rows  # (n_draws, p, n_candidates)
        own = 1 / precision + (rows * learnt).sum(axis=1)
        gain = (0.5 * ((state.readout @ learnt) ** 2).sum(axis=1) / own).mean(axis=0)
        worth = left & (gain >= WORTHWHILE * before)
        if not worth.any():
            break
        best = int(np.where(worth, gain / cost, -np.inf).argmax())
        step = learnt[:, :, best]
        state = _State(
            state.covariance - step[:, :, None] * step[:, None] / own[:, best, None, None],
            state.readout,
            state.floor,
        )
        left[best] = False
        chosen.append(best)
        expected.append(state.expected_regret)
    return chosen, expected
