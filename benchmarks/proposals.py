"""What a proposal of the Gaussian process costs, and whether thinning its history costs quality.

    python benchmarks/proposals.py [--trials 200] [--seeds 3] [--functions branin,…] [--json]

The peer is `optuna.samplers.GPSampler` as it comes; ours is the same process over at most
`hpo.bayesian.thinned_gp.KEPT` trials, by a freshly seeded sampler a proposal, as in a sweep.

- Time: seconds of one proposal after 100, 300 and 1,000 random trials of Hartmann's function (six
  settings), the median of three.
- Quality: both optimise from the same random start, `--trials` in all; the mean over seeds of the
  regret, that of the true function at the best trial as measured. Branin has 2 settings, Hartmann
  6; `noisy` is a basin in ln lr and an ordered batch with noise from run to run, as in training.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from hpo.bayesian.thinned_gp import KEPT, ThinnedGPSampler

HISTORY = (100, 300, 1000)
BAR_SECONDS = 0.3
STARTUP = 10
NOISE = 0.003  # of ln loss, from run to run

Params = Mapping[str, float]
Make = Callable[[int], optuna.samplers.BaseSampler]


@dataclass(frozen=True)
class Function:
    """A function to minimise: where, its true value, the least of it, and its noise."""

    axes: dict[str, BaseDistribution]
    value: Callable[[Params], float]
    least: float
    noise: float = 0.0


def branin(p: Params) -> float:
    """Branin's function: three equal minima of 0.397887."""
    x, y = p["x0"], p["x1"]
    inner = y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6
    return float(inner**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10)


_WEIGHT = np.array([1.0, 1.2, 3.0, 3.2])
_WIDTH = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_CENTRE = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(p: Params) -> float:
    """Hartmann's function of six variables: a minimum of -3.32237."""
    x = np.array([p[f"x{i}"] for i in range(6)])
    return float(-(_WEIGHT * np.exp(-(_WIDTH * (x - _CENTRE) ** 2).sum(axis=1))).sum())


def basin(p: Params) -> float:
    """A loss of 2 with a skewed basin in ln lr, and in the octave of the batch."""
    lr, batch = np.log(p["lr"] / 3e-3), np.log(2.0) * (p["octave"] - 3.4)
    return float(2 * np.exp(0.02 * lr**2 + 0.002 * lr**3 + 0.008 * batch**2 + 0.004 * lr * batch))


FUNCTIONS = {
    "branin": Function(
        {"x0": FloatDistribution(-5, 10), "x1": FloatDistribution(0, 15)}, branin, 0.397887
    ),
    "hartmann": Function({f"x{i}": FloatDistribution(0, 1) for i in range(6)}, hartmann, -3.32237),
    "noisy": Function(
        {"lr": FloatDistribution(1e-4, 1e-1, log=True), "octave": IntDistribution(0, 7)},
        basin,
        min(
            basin({"lr": lr, "octave": octave})
            for octave in range(8)
            for lr in np.geomspace(1e-4, 1e-1, 2001)
        ),
        NOISE,
    ),
}


def ours(seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of this project."""
    return ThinnedGPSampler(n_startup_trials=STARTUP, seed=seed)


def peer(seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's own."""
    return optuna.samplers.GPSampler(n_startup_trials=STARTUP, seed=seed)


def seconds_a_proposal(make: Make, n_trials: int) -> float:
    """Time a proposal after `n_trials` random ones; the median of three."""
    function = FUNCTIONS["hartmann"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(n_trials):
        trial = study.ask(function.axes)
        study.tell(trial, function.value(trial.params))
    times = []
    for seed in range(3):
        study.sampler = make(seed)
        began = time.perf_counter()
        trial = study.ask(function.axes)
        times.append(time.perf_counter() - began)
        study.tell(trial, function.value(trial.params))
    return statistics.median(times)


def regret(make: Make, function: Function, n_trials: int, seed: int, *, fresh: bool) -> float:
    """Optimise, and return the true regret of the best trial as measured.

    A `fresh` sampler is made for every proposal; else one keeps what it caches.
    """
    noise = np.random.default_rng(seed).normal(0.0, function.noise, n_trials)
    study = optuna.create_study(sampler=make(seed))
    for number in range(n_trials):
        if number < STARTUP:
            study.sampler = optuna.samplers.RandomSampler(seed=1000 * seed + number)
        elif fresh or number == STARTUP:
            study.sampler = make(1000 * seed + number)
        trial = study.ask(function.axes)
        value = function.value(trial.params)
        study.tell(trial, value * np.exp(noise[number]) if function.noise else value)
    return function.value(study.best_params) - function.least


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)

    seconds_a_proposal(peer, STARTUP)  # torch is imported at the first proposal
    times = {n: (seconds_a_proposal(ours, n), seconds_a_proposal(peer, n)) for n in HISTORY}
    regrets = {}
    for name in options.functions.split(","):
        function = FUNCTIONS[name]
        pairs = [
            (
                regret(ours, function, options.trials, seed, fresh=True),
                regret(peer, function, options.trials, seed, fresh=False),
            )
            for seed in range(options.seeds)
        ]
        regrets[name] = tuple(statistics.mean(side) for side in zip(*pairs, strict=True))

    if options.json:
        document = {
            "schema_version": 1,
            "kept": KEPT,
            "seconds": {str(n): {"ours": a, "peer": b} for n, (a, b) in times.items()},
            "regret": {name: {"ours": a, "peer": b} for name, (a, b) in regrets.items()},
        }
        print(json.dumps(document))
        return
    print(f"{'seconds a proposal':24}{'ours':>10}{'optuna':>10}{'ratio':>8}")
    for n, (a, b) in times.items():
        print(f"{f'after {n} trials':24}{a:10.3f}{b:10.3f}{b / a:8.1f}")
    print(f"bar: {BAR_SECONDS} s after {HISTORY[-1]}; {KEPT} trials are kept")
    title = f"regret after {options.trials}"
    print(f"\n{title:24}{'ours':>10}{'optuna':>10}{'ratio':>8}")
    for name, (a, b) in regrets.items():
        print(f"{name:24}{a:10.5f}{b:10.5f}{b / a if a else float('nan'):8.2f}")


if __name__ == "__main__":
    main()
