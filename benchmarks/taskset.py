"""Search at equal training: freeze-thaw beside random, TPE, GP, ASHA and a look at each.

    python benchmarks/taskset.py --data FILE [--seeds 50] [--methods ours asha] [--json]

FILE holds whole learning curves of the same settings on several tasks, a row a task and setting
(columns task, config, the hyperparameters, loss_0 … loss_N), such as TaskSet's Adam with eight
hyperparameters. A search chooses rows; the budget is 10 and 20 full trainings' reports, and a run
that is cut costs the reports that it made.

A run's value is the lowest validation loss at any report that it made (its best checkpoint), NaN
left out. Regret is that of the best run, where 0 is the value of a task's best setting when trained
to the end, and 1 the median one's; a task's is the mean over seeds.

TPE is Optuna's and GP scikit-learn's (Matérn 5/2, a length a dimension, expected improvement), both
in the same space as ours (logs; of a β its distance from 1) after five random runs. GP chooses
among the rows; TPE proposes anywhere, the nearest row that is not yet tested is trained, and it is
told that row's own place and value. ASHA cuts by three, first after a 27th of a training. "look"
gives half of the budget to three reports of random settings and finishes the best of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from hpo.freeze_thaw import FreezeThaw
from hpo.space import Dimension

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Reports = Mapping[int, int]  # of each row that was trained

TRAININGS = (10, 20)
BARS = {10: 0.20, 20: 0.12}
FROM_ONE = ("beta1", "beta2")  # searched as 1 - β
N_RANDOM_FIRST = 5
LOOK = 3  # reports
REDUCTION, N_CUTS = 3, 3  # of ASHA


@dataclass(frozen=True)
class Table:
    """One task: settings and their whole curves.

    Attributes
    ----------
    places : (n_settings, n_dimensions), natural logs.
    curves : (n_settings, n_reports) validation losses, NaN where not finite.
    """

    task: str
    names: tuple[str, ...]
    places: Array
    curves: Array

    @property
    def n_reports(self) -> int:
        """Reports of a full training."""
        return self.curves.shape[1]

    def value(self, row: int, reports: int) -> float:
        """Return the lowest loss of a row's first reports; infinite where none is finite."""
        losses = self.curves[row, :reports]
        return float(np.min(losses, where=np.isfinite(losses), initial=np.inf))

    def regret(self, trained: Reports) -> float:
        """Return the normalised regret of the best of some runs."""
        values = [self.value(row, self.n_reports) for row in range(len(self.curves))]
        lowest, median = min(values), float(np.median(values))
        reached = min(self.value(row, reports) for row, reports in trained.items())
        return (reached - lowest) / (median - lowest)


def read_tables(path: Path) -> list[Table]:
    """Read a file of curves, a table a task."""
    frame = pd.read_csv(path)
    losses = [name for name in frame if name.startswith("loss_")]
    names = [name for name in frame if name not in ("task", "config", *losses)]
    tables = []
    for task, rows in frame.groupby("task"):
        settings = rows[names].copy()
        for name in set(FROM_ONE) & set(names):
            settings[name] = 1 - settings[name]
        places = np.log(settings.to_numpy())
        tables.append(Table(str(task), tuple(names), places, rows[losses].to_numpy()))
    return tables


def ours(table: Table, budget: int, seed: int) -> Reports:
    """Train as the freeze-thaw search says."""
    space = {
        name: Dimension(log=(float(np.exp(column.min())), float(np.exp(column.max()))))
        for name, column in zip(table.names, table.places.T, strict=True)
    }
    bounds = [dimension.bounds for dimension in space.values()]
    settings = [
        {
            name: min(max(float(np.exp(place)), low), high)
            for name, place, (low, high) in zip(table.names, row, bounds, strict=True)
        }
        for row in table.places
    ]
    rows = {tuple(setting.values()): row for row, setting in enumerate(settings)}
    search = FreezeThaw(space, n_reports=table.n_reports, seed=seed, candidates=settings)
    trained: dict[int, int] = {}
    while (leg := search.ask(budget - sum(trained.values()))) is not None:
        row = rows[tuple(leg.setting.values())]
        trained[row] = leg.reports
        search.tell(leg.number, table.curves[row, : leg.reports])
    return trained


def random(table: Table, budget: int, seed: int) -> Reports:
    """Train random rows to the end."""
    order = np.random.default_rng(seed).permutation(len(table.curves))
    return dict.fromkeys(order[: budget // table.n_reports].tolist(), table.n_reports)


def look(table: Table, budget: int, seed: int) -> Reports:
    """Train random rows for three reports, then the best of them to the end."""
    order = np.random.default_rng(seed).permutation(len(table.curves))[: budget // 2 // LOOK]
    trained = dict.fromkeys(order.tolist(), LOOK)
    left = budget - LOOK * len(trained)
    for row in sorted(trained, key=lambda row: at_report(table, row, LOOK)):
        further = min(left, table.n_reports - LOOK)
        trained[row] += further
        left -= further
    return trained


def at_report(table: Table, row: int, reports: int) -> float:
    """Return the loss at a report, infinite where the run has diverged before."""
    losses = table.curves[row, :reports]
    return float(losses[-1]) if np.isfinite(losses).all() else np.inf


def asha(table: Table, budget: int, seed: int) -> Reports:
    """Train by asynchronous successive halving, one run at a time (Li et al., arXiv 1810.05934)."""
    order = iter(np.random.default_rng(seed).permutation(len(table.curves)).tolist())
    rungs = [round(table.n_reports / REDUCTION**cut) for cut in range(N_CUTS, -1, -1)]
    trained: dict[int, int] = {}
    while (left := budget - sum(trained.values())) > 0:
        row, goal = None, rungs[0]
        for rung, above in reversed(list(pairwise(rungs))):
            there = sorted(
                (at_report(table, row, rung), row) for row, at in trained.items() if at >= rung
            )
            best = there[: len(there) // REDUCTION]
            waiting = [r for loss, r in best if trained[r] == rung and np.isfinite(loss)]
            if waiting:
                row, goal = waiting[0], above
                break
        row = next(order, None) if row is None else row
        if row is None:
            break
        seen = trained.get(row, 0)
        trained[row] = min(goal, seen + left)
    return trained


def whole_trainings(
    table: Table, budget: int, seed: int, propose: Callable[[list[int], Array, int], int]
) -> Reports:
    """Train rows to the end: some random ones, then what is proposed from (rows, values, seed)."""
    tested = np.random.default_rng(seed).permutation(len(table.curves))[:N_RANDOM_FIRST].tolist()
    values = np.array([table.value(row, table.n_reports) for row in tested])
    while len(tested) < budget // table.n_reports:
        # One that never was finite is as bad as the worst.
        known = np.minimum(values, values[np.isfinite(values)].max(initial=-np.inf))
        tested.append(propose(tested, known, seed))
        values = np.append(values, table.value(tested[-1], table.n_reports))
    return dict.fromkeys(tested, table.n_reports)


def tpe(table: Table, budget: int, seed: int) -> Reports:
    """Train the rows nearest to what Optuna's TPE proposes."""
    lowest, highest = table.places.min(axis=0), table.places.max(axis=0)
    axes: dict[str, BaseDistribution] = {
        name: FloatDistribution(float(low), float(high))
        for name, low, high in zip(table.names, lowest, highest, strict=True)
    }

    def propose(tested: list[int], values: Array, seed: int) -> int:
        sampler = optuna.samplers.TPESampler(n_startup_trials=0, seed=seed + len(tested))
        study = optuna.create_study(sampler=sampler)
        study.add_trials(
            optuna.trial.create_trial(
                params=dict(zip(table.names, table.places[row].tolist(), strict=True)),
                distributions=axes,
                value=float(value),
            )
            for row, value in zip(tested, values, strict=True)
        )
        proposed = study.ask(axes).params
        place = np.array([proposed[name] for name in table.names])
        away = (((table.places - place) / (highest - lowest)) ** 2).sum(axis=1)
        away[tested] = np.inf
        return int(away.argmin())

    return whole_trainings(table, budget, seed, propose)


def gp(table: Table, budget: int, seed: int) -> Reports:
    """Train the row with the highest expected improvement by scikit-learn's Gaussian process."""
    lowest, highest = table.places.min(axis=0), table.places.max(axis=0)
    places = (table.places - lowest) / (highest - lowest)

    def propose(tested: list[int], values: Array, seed: int) -> int:
        kernel = ConstantKernel() * Matern(np.ones(places.shape[1]), (0.1, 10), nu=2.5)
        process = GaussianProcessRegressor(
            kernel + WhiteKernel(1e-3, (1e-6, 1)), normalize_y=True, random_state=seed
        )
        mean, sd = process.fit(places[tested], values).predict(places, return_std=True)
        gap = values.min() - mean
        gain = gap * norm.cdf(gap / sd) + sd * norm.pdf(gap / sd)
        gain[tested] = -np.inf
        return int(gain.argmax())

    return whole_trainings(table, budget, seed, propose)


METHODS: Mapping[str, Callable[[Table, int, int], Reports]] = {
    "random": random,
    "tpe": tpe,
    "gp": gp,
    "asha": asha,
    "look": look,
    "ours": ours,
}


def measure(tables: list[Table], methods: list[str], n_seeds: int) -> pd.DataFrame:
    """Return method × trainings × task × seed → regret."""
    rows = [
        {
            "method": method,
            "trainings": trainings,
            "task": table.task,
            "regret": table.regret(METHODS[method](table, trainings * table.n_reports, seed)),
        }
        for method in methods
        for table in tables
        for trainings in TRAININGS
        for seed in range(n_seeds)
    ]
    return pd.DataFrame(rows)


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound
    regrets = measure(read_tables(options.data), options.methods, options.seeds)
    by_task = regrets.pivot_table(
        index=["trainings", "method"], columns="task", values="regret", sort=False
    )
    by_task["mean"] = by_task.mean(axis=1)
    means = {trainings: by_task.loc[trainings]["mean"].to_dict() for trainings in TRAININGS}
    if options.json:
        document = {"seeds": options.seeds, "regret": means, "bars": BARS}
        json.dump(document, sys.stdout, indent=2)
        return 0
    print(f"normalised regret, {options.seeds} seeds\n")
    for trainings, table in by_task.groupby("trainings"):
        print(f"budget: {trainings} full trainings; the bar for ours is {BARS[int(trainings)]}")
        print(table.droplevel("trainings").round(3).to_string(), "\n")
    for trainings, regret in means.items():
        peers = [value for method, value in regret.items() if method != "ours"]
        if "ours" in regret and peers:
            print(
                f"ratio, {trainings} trainings, ours / best peer: {regret['ours'] / min(peers):.3f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
