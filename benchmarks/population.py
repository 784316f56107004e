"""Population-based training against random search at equal compute, on the source-code GPT.

    python benchmarks/population.py [--seeds 5] [--explore perturb] [--json]

For each seed two sweeps of as many runs of the same size over the same space, through
`hpo.runner.run_sweep`: a population, and random search (the peer), whose runs keep the settings
that they drew. Every run of both trains to its end on the same tokens; reports evaluate the same
held-out windows. What counts is the final held-out loss of the best run of each. The bar: over the
seeds the population's is no worse on average. One population is then trained a second time with the
same seed, and both lineages are printed as digests: who took over whose state when, and with which
settings; runs are not fused, so that they agree bit for bit.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import ray

from hpo.machine import n_cpus
from hpo.runner import run_sweep
from hpo.spec import parse_spec
from storage import columns
from storage.store import Store

SWEEP = """\
name: {name}
trainer: gpt
parametrization: sp
data: python-stdlib
scales: {{width: 32, depth: 1, tokens: {tokens}}}
search: {search}
space:
  lr: {{log: [1e-3, 1e-1]}}
  weight_decay: {{log: [1e-2, 1e0]}}
  beta2: {{uniform: [0.9, 0.999]}}
fixed: {{batch_tokens: 512}}
runs: {runs}
seed: {seed}
reports: {reports}
resources: {{fused: 1}}
"""
RUNS, TOKENS, REPORTS = 8, 150_000, 8


@dataclass(frozen=True)
class Pair:
    """What one seed gave: final held-out losses, nats a token, and how often states changed."""

    seed: int
    population_loss: float
    random_loss: float
    exploits: int


def train(store: Store, name: str, search: str, seed: int) -> float:
    """Run a sweep into `store`, and return the loss of its best run."""
    text = SWEEP.format(
        name=name, search=search, seed=seed, runs=RUNS, tokens=TOKENS, reports=REPORTS
    )
    run_sweep(parse_spec(text), store, spec_text=text)
    runs = store.runs(name, statuses=[columns.COMPLETED])
    return float(runs[columns.LOSS].min())


def lineage_digest(store: Store, name: str) -> str:
    """Return a digest of who took over whose state when, with which settings, and of the losses."""
    lineage = store.lineage(name).drop(columns=["started", "ended"])
    for column in ("run_id", "origin_run_id"):
        lineage[column] = lineage[column].str.removeprefix(name)
    return hashlib.sha256(lineage.to_csv(index=False).encode()).hexdigest()[:16]


def measure(n_seeds: int, explore: str, folder: Path) -> tuple[list[Pair], tuple[str, str]]:
    """Return the losses of each seed, and the digests of the first population and its repeat."""
    search = f"{{method: population, explore: {explore}}}"
    pairs = []
    with Store.open(folder / "runs.db") as store:
        for seed in range(n_seeds):
            population = train(store, f"population-{seed}", search, seed)
            random = train(store, f"random-{seed}", "{method: random}", seed)
            exploits = int(store.lineage(f"population-{seed}")["exploit"].sum())
            pairs.append(Pair(seed, population, random, exploits))
        train(store, "again-0", search, 0)
        return pairs, (lineage_digest(store, "population-0"), lineage_digest(store, "again-0"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--explore", choices=("perturb", "pb2"), default="perturb")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    logging.getLogger("ray").setLevel(logging.ERROR)
    began = time.perf_counter()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hl-")))
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        stack.callback(ray.shutdown)
        ray.init(
            address="local",
            num_cpus=n_cpus(),
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        pairs, digests = measure(arguments.seeds, arguments.explore, folder)
    seconds = time.perf_counter() - began
    population = sum(pair.population_loss for pair in pairs) / len(pairs)
    random = sum(pair.random_loss for pair in pairs) / len(pairs)
    if arguments.json:
        document = {
            "schema_version": 1,
            "explore": arguments.explore,
            "runs": RUNS,
            "tokens": TOKENS,
            "seeds": [asdict(pair) for pair in pairs],
            "population_loss": population,
            "random_loss": random,
            "ratio": population / random,
            "lineages": digests,
            "seconds": seconds,
        }
        print(json.dumps(document))
        return
    print(f"{RUNS} runs of {TOKENS:,} tokens a sweep, {REPORTS} reports; {arguments.explore}")
    print(f"{'seed':>4}{'population':>12}{'random':>10}{'exploits':>10}")
    for pair in pairs:
        losses = f"{pair.population_loss:>12.4f}{pair.random_loss:>10.4f}"
        print(f"{pair.seed:>4}{losses}{pair.exploits:>10}")
    print(f"mean{population:>12.4f}{random:>10.4f}")
    same = "identical" if digests[0] == digests[1] else "DIFFERENT"
    print(f"lineage of seed 0, twice: {digests[0]} and {digests[1]}: {same}")
    print(f"bar: no worse than random: {'met' if population <= random else 'missed'}")
    print(f"ratio, population over random: {population / random:.4f} ({seconds:.0f} s in all)")


if __name__ == "__main__":
    main()
