"""Law-guided search: compute until the setting of a target 100 times larger costs 0.1 % at most.

    python benchmarks/law_guided.py [--surfaces 20] [--json]

Each simulated surface (`surfaces.py`: a random law, 0.1 % noise, a divergence cliff, mild misfit)
is searched in three ways, over the same space, until the setting that the search would use at the
target has a true regret of 0.1 % or less there:

- law-guided: `hpo.law_guided` over a ladder of eight scales, judged after every round;
- tpe: Optuna's TPE at the target's own size, judged by its best run so far after every run;
- grid ladder: a grid of 6 × 6 settings about the ladder's optima, scale by scale from the smallest,
  the law fitted to all, judged after every scale from the second on.

Compute is 6ND of every run trained, diverged ones too. Printed are medians over surfaces, since a
search that does not get there within its budget (a whole ladder, 200 runs of TPE) has no number;
how many got there stands beside.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator

import numpy as np
import optuna
import pandas as pd
from surfaces import Surface

from hpo.ladder import Scale, resolve_ladder
from hpo.law_guided import LawGuided
from hpo.points import Outcome
from hpo.spec import parse_spec
from scaling.errors import InsufficientDataError
from scaling.fitting import fit_law
from scaling.law import Law
from storage.columns import BATCH_TOKENS, LOSS, LR, PARAMS, TOKENS
from storage.rounds import RoundRecord

REGRET_PCT = 0.1
TARGET = (1.5e9, 6e10)  # 100 times the compute of the ladder's largest
TPE_RUNS = 200
GRID = 6
BATCHES = [2**power for power in range(13, 24)]
SWEEP = f"""\
name: guided
trainer: simulated
scales: {{params: [1e7, 2.5e7, 6e7, 1.5e8], tokens_per_param: [10, 40]}}
search:
  method: law-guided
  target: {{params: {TARGET[0]}, tokens: {TARGET[1]}}}
  flops: 1e21
  tolerance_pct: 1e-6
space:
  lr: {{log: [1e-5, 3e-1]}}
  batch_tokens: {{choices: {BATCHES}}}
"""
Cost = float
Regret = float


def guided(seed: int) -> Iterator[tuple[Cost, Regret]]:
    """Yield compute so far and true regret at the target after every round."""
    rng = np.random.default_rng(seed)
    rounds: list[RoundRecord] = []
    spec = parse_spec(SWEEP)
    ladder = resolve_ladder(spec)
    truth = Surface.draw(rng, [_size(scale) for scale in ladder])
    strategy = LawGuided(spec, ladder, rounds.append)
    while (leg := strategy.ask()) is not None:
        if rounds:
            record = rounds.pop()
            if record.law is not None:
                yield record.flops, regret_pct(truth, Law.from_dict(dict(record.law)))
        point = leg.point
        n, d = _size(point.scale)
        row = pd.DataFrame([{PARAMS: n, TOKENS: d, **point.setting}])
        loss = float(truth.measure(row, rng)[LOSS].iloc[0])
        status = "completed" if math.isfinite(loss) else "diverged"
        strategy.tell(Outcome(point, (loss,), status, point.scale.flops, 1.0))


def tpe(seed: int) -> Iterator[tuple[Cost, Regret]]:
    """Yield the same for TPE at the target's own size."""
    rng = np.random.default_rng(seed)
    ladder = resolve_ladder(parse_spec(SWEEP))
    truth = Surface.draw(rng, [_size(scale) for scale in ladder])
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    best, regret = math.inf, math.inf
    for number in range(1, TPE_RUNS + 1):
        trial = study.ask()
        rate = trial.suggest_float(LR, 1e-5, 3e-1, log=True)
        batch = 2.0 ** trial.suggest_int("log2_batch", 13, 23)
        row = pd.DataFrame([{PARAMS: TARGET[0], TOKENS: TARGET[1], LR: rate, BATCH_TOKENS: batch}])
        loss = float(truth.measure(row, rng)[LOSS].iloc[0])
        if math.isfinite(loss):
            study.tell(trial, loss)
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        if loss < best:
            best = loss
            regret = 100 * math.expm1(truth.regret(TARGET, np.log([[rate, batch]]))[0])
        yield number * 6.0 * TARGET[0] * TARGET[1], regret


def grid_ladder(seed: int) -> Iterator[tuple[Cost, Regret]]:
    """Yield the same for a grid at one scale after another."""
    rng = np.random.default_rng(seed)
    ladder = resolve_ladder(parse_spec(SWEEP))
    truth = Surface.draw(rng, [_size(scale) for scale in ladder])
    optima = np.array([truth.optimum(_size(scale)) for scale in ladder])
    # Placed as one who knows roughly where to look: wide enough for every scale.
    low, high = optima.min(axis=0) - 1.0, optima.max(axis=0) + 1.0
    rate, batch = np.meshgrid(*np.exp(np.linspace(low, high, GRID)).T)
    runs, spent = pd.DataFrame(), 0.0
    for scale in ladder:
        n, d = _size(scale)
        settings = {PARAMS: n, TOKENS: d, LR: rate.ravel(), BATCH_TOKENS: batch.ravel()}
        runs = pd.concat([runs, truth.measure(pd.DataFrame(settings), rng)], ignore_index=True)
        spent += scale.flops * rate.size
        try:
            law = fit_law(runs, n_draws=1)
        except InsufficientDataError:
            continue
        yield spent, regret_pct(truth, law)


def regret_pct(truth: Surface, law: Law) -> float:
    """Return the true regret of the law's setting at the target; of a silent batch, the middle."""
    optimum = law.optimum(*TARGET)
    batch = float(optimum.get(BATCH_TOKENS, np.array(BATCHES[len(BATCHES) // 2])))
    setting = np.log([[float(optimum[LR]), batch]])
    return float(100 * np.expm1(truth.regret(TARGET, setting)[0]))


def compute_needed(steps: Iterator[tuple[Cost, Regret]]) -> float:
    """Return the compute at which the regret is first low enough, and still is a step later."""
    reached = math.inf
    for cost, regret in steps:
        if regret > REGRET_PCT:
            reached = math.inf
        elif math.isfinite(reached):
            return reached
        else:
            reached = cost
    return reached


def _size(scale: Scale) -> tuple[float, float]:
    return float(scale.params), float(scale.tokens)


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--surfaces", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    searches = {"law-guided": guided, "tpe at the target": tpe, "grid ladder": grid_ladder}
    needed = pd.DataFrame(
        {
            name: [compute_needed(search(seed)) for seed in range(options.surfaces)]
            for name, search in searches.items()
        }
    )
    median = needed.median()
    ratios = {
        "to_tpe": float(median["law-guided"] / median["tpe at the target"]),
        "to_grid_ladder": float(median["law-guided"] / median["grid ladder"]),
    }
    if options.json:
        document = {"flops": needed.to_dict(orient="list"), "ratio": ratios}
        json.dump(document, sys.stdout, indent=2)
        return 0
    print(f"FLOPs to a regret of {REGRET_PCT} % at the target, {options.surfaces} surfaces\n")
    print(f"{'':20}{'median':>10}{'got there':>12}")
    for name in searches:
        there = np.isfinite(needed[name])
        print(f"{name:20}{median[name]:>10.2e}{there.sum():>9}/{len(needed)}")
    print(f"\nratio, law-guided / tpe at the target: {ratios['to_tpe']:.4f} (bar 0.1)")
    print(f"ratio, law-guided / grid ladder: {ratios['to_grid_ladder']:.3f} (bar 0.333)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
