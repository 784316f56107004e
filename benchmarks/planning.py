"""Planning: runs chosen round by round against runs chosen at random, for one far target.

    python benchmarks/planning.py [--data FILE] [--surfaces 40] [--json]

Each simulated surface is a random law (loss law, exponents of the optimum, curvature, coupling and
skew of the basin), measured with 0.1 % noise, a divergence cliff, and a mild misfit: every scale's
optimum and steepness deviate a little from the power law, and the basin's skew is of another form
than the fitted one. Over a ladder of eight scales, 64 runs are chosen by `scaling.design` in
rounds of eight, after a first round at random, and more at random, one by one, until a law can be
fitted; the peer's 64 are drawn at random from the same candidates. Both are fitted by the same law
and judged by their true regret at a target of 100 times the ladder's largest compute: after 64
runs, and by the FLOPs with which planned runs reach, on average, the regret of 64 random ones.

With --data, a runs table of measured grids: the four scales of least compute are the table of
possible runs, the others are the targets; 20 starts; regret is the quadratic gap.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from surfaces import Array, Surface

from scaling.design import plan_runs
from scaling.errors import InsufficientDataError
from scaling.fitting import fit_law
from scaling.gaps import quadratic_basin
from scaling.law import Law
from storage.columns import BATCH_TOKENS, LR, PARAMS, TOKENS
from storage.runs_table import read_runs

ROUND, ROUNDS, STARTS, DRAWS = 8, 8, 20, 40
LADDER = tuple((n, ratio * n) for n in (1e7, 2.5e7, 6e7, 1.5e8) for ratio in (10, 40))
TARGET = (1.5e9, 6e10)  # 100 times the compute of the largest


def candidates_of(rng: np.random.Generator, truth: Surface) -> pd.DataFrame:
    """Return the settings that may be run: one grid for all scales, wide enough for each.

    It is placed with an error of its own, as a user would who knows roughly where to look.
    """
    optima = np.array([truth.optimum(scale) for scale in LADDER])
    middle = optima.mean(axis=0) + rng.normal(0, 0.3, 2)
    half = np.abs(optima - optima.mean(axis=0)).max(axis=0) + np.array([1.8, 1.4])
    step = 0.5 * np.log(2)
    axes = [np.exp(m + np.arange(-h, h + step, step)) for m, h in zip(middle, half, strict=True)]
    rate, batch = (axis.ravel() for axis in np.meshgrid(*axes))
    return pd.concat(
        [pd.DataFrame({PARAMS: n, TOKENS: d, LR: rate, BATCH_TOKENS: batch}) for n, d in LADDER],
        ignore_index=True,
    )


def try_fit(runs: pd.DataFrame) -> Law | None:
    """Fit, or None where the runs do not yet carry a law."""
    try:
        return fit_law(runs, n_draws=DRAWS)
    except InsufficientDataError:
        return None


def settings_of(law: Law, scale: tuple[float, float]) -> Array:
    """Return log lr and log batch that the law recommends; the constant where it is silent."""
    optimum = law.optimum(*scale)
    return np.log([[float(optimum[LR]), float(optimum[BATCH_TOKENS])]])


def simulated(seed: int) -> pd.DataFrame:
    """Return method × runs → flops so far and true regret at the target, in %, of one surface."""
    rng = np.random.default_rng(seed)
    truth = Surface.draw(rng, LADDER)
    candidates = candidates_of(rng, truth)
    first = candidates.sample(ROUND, random_state=rng)
    order = candidates.drop(first.index).sample(ROUND * (ROUNDS - 1), random_state=rng)
    rows = []
    for method in ("random", "planned"):
        noise = np.random.default_rng(seed + 1000)
        runs = truth.measure(first, noise)
        left = candidates.drop(first.index)
        while True:
            law = try_fit(runs)
            if law is not None and law.settings == (LR, BATCH_TOKENS) and len(runs) % ROUND == 0:
                flops = float(6 * (runs[PARAMS] * runs[TOKENS]).sum())
                regret = 100 * np.expm1(truth.regret(TARGET, settings_of(law, TARGET))[0])
                rows.append((method, len(runs), flops, regret))
            if len(runs) == ROUND * ROUNDS:
                break
            if method == "random" or law is None:
                at_random = ROUND if method == "random" else 1  # until there is a law to plan by
                chosen = order.iloc[len(runs) - ROUND :][:at_random]
            else:
                plan = plan_runs(
                    law,
                    runs,
                    params=TARGET[0],
                    tokens=TARGET[1],
                    n_runs=ROUND - len(runs) % ROUND,
                    candidates=left.reset_index(),
                )
                if plan.empty:
                    break
                chosen = left.loc[plan["index"]]
            left = left.drop(chosen.index)
            runs = pd.concat([runs, truth.measure(chosen, noise)], ignore_index=True)
    return pd.DataFrame(rows, columns=["method", "runs", "flops", "regret_pct"])


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Return regret after the last round of each, its ratio, and the FLOPs to equal random's."""
    last = table.groupby(["surface", "method"], as_index=False).last()
    regret = last.groupby("method")["regret_pct"].mean()
    mean = table.groupby(["method", "runs"])[["regret_pct", "flops"]].mean()
    spent = flops_to_reach(mean.loc["random", "regret_pct"].iloc[-1], mean.loc["planned"])
    return {
        "random_regret_pct": float(regret["random"]),
        "planned_regret_pct": float(regret["planned"]),
        "ratio": float(regret["planned"] / regret["random"]),
        "flops_ratio_at_equal_regret": spent / float(mean.loc["random", "flops"].iloc[-1]),
    }


def flops_to_reach(regret_pct: float, rounds: pd.DataFrame) -> float:
    """Return the FLOPs at which a regret is first reached; infinite where it never is.

    Between two rounds the log of the regret is taken to fall in a straight line.

    Parameters
    ----------
    rounds : a row a round, in order: regret_pct and flops so far.
    """
    reached = np.flatnonzero(rounds["regret_pct"] <= regret_pct)
    if len(reached) == 0:
        return math.inf
    around = rounds.iloc[max(reached[0] - 1, 0) : reached[0] + 1].iloc[::-1]
    return float(np.interp(np.log(regret_pct), np.log(around["regret_pct"]), around["flops"]))


def replayed(runs: pd.DataFrame, start: int) -> dict[str, float]:
    """Return the mean quadratic gap over the large scales, of random and of planned runs."""
    scales = sorted(
        runs[[PARAMS, TOKENS]].drop_duplicates().itertuples(index=False, name=None),
        key=lambda scale: scale[0] * scale[1],
    )
    of = {s: runs[(runs[PARAMS] == s[0]) & (runs[TOKENS] == s[1])] for s in scales}
    pool = pd.concat([of[scale] for scale in scales[:4]])
    basins = {s: quadratic_basin(of[s], [LR, BATCH_TOKENS]) for s in scales[4:]}
    rng = np.random.default_rng(start)
    first = pool.sample(2 * ROUND, random_state=rng)
    order = pool.drop(first.index).sample(frac=1, random_state=rng)
    gaps = {}
    for method in ("random", "planned"):
        done = first
        while len(done) < ROUND * ROUNDS:
            law = fit_law(done, n_draws=DRAWS)
            if method == "random":
                chosen = order.iloc[len(done) - len(first) :][:ROUND]
            else:
                left = pool.drop(done.index)
                target = scales[-1]
                plan = plan_runs(
                    law,
                    done,
                    params=target[0],
                    tokens=target[1],
                    n_runs=ROUND,
                    candidates=left.rename_axis("index").reset_index(),
                )
                if plan.empty:
                    break
                chosen = pool.loc[plan["index"]]
            done = pd.concat([done, chosen])
        law = fit_law(done, n_draws=1)
        gaps[method] = float(
            np.mean(
                [
                    basin.gap_pct(settings_of(law, scale)[0])
                    for scale, basin in basins.items()
                    if basin is not None
                ]
            )
        )
    return gaps


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--surfaces", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = pd.concat(
        [simulated(seed).assign(surface=seed) for seed in range(options.surfaces)],
        ignore_index=True,
    )
    result: dict[str, object] = {"simulated": summary(table)}
    if options.data is not None:
        runs = read_runs(options.data)
        gaps = pd.DataFrame([replayed(runs, start) for start in range(STARTS)])
        result["replayed_gap_pct"] = gaps.mean().to_dict()
    if options.json:
        json.dump(result, sys.stdout, indent=2)
        return 0
    print(f"true regret in % at 100 times the compute, mean of {options.surfaces} surfaces\n")
    values = ["regret_pct", "flops"]
    print(table.pivot_table(index="runs", columns="method", values=values).to_string())
    print()
    for name, value in result.items():
        print(name, value)
    print(f"ratio, regret of planned / random runs: {summary(table)['ratio']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
