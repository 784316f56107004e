"""What a run costs beyond its training and its proposal: sweeps here, in Ray Tune and in Optuna.

    python benchmarks/orchestration.py [--runs 10000] [--peer-runs 40] [--methods grid tpe] [--json]

Simulated runs of a few reports each, which train in no time, so that what is left is the cost of
running them, with rows, curves and legs in a Store on disk. Each way is measured in a process of
its own, one after the other:

- ours: `hpo.runner.run_sweep`, by method: grid, tpe (Bayesian), asha (grid, stopped early) and pbt
  (20 members, whose legs, from one exploit to the next, are counted as runs).
- tune: the same method with Ray Tune's defaults: a function trainable, its loggers, its search and
  schedulers, results under a temporary folder rather than ~/ray_results, no table of progress.
- optuna: the same method with Optuna's defaults, one run after another in one process, in an SQLite
  file as ours are (asha is its SuccessiveHalvingPruner; pbt it has none).

Tune starts a process a run and Optuna commits five times a run, so they do `--peer-runs` only.

Start is from the call to the first run that ends, Ray's own start and the actors' among it. The
rest is marginal: from a twentieth of the runs to the last. `ms` is wall time a run over all cores,
less the time that the search method took to propose and to learn; `CPU ms` is the driver's own
process time, less the same, and does not depend on who else uses the machine. `growth` is `CPU ms`
of the second half over the first; `MB grown` is the driver's resident memory.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hpo.methods
from hpo.checks import run_config
from hpo.ladder import resolve_ladder
from hpo.machine import n_cpus
from hpo.planned import plan_points
from hpo.points import Leg, Outcome
from hpo.runner import run_sweep
from hpo.schema import SweepSpec
from hpo.spec import parse_spec
from hpo.strategy import Strategy
from storage.store import Store
from trainers.config import RunConfig
from trainers.protocol import Trainer
from trainers.registry import kind

BAR_MS, BAR_START_SECONDS, BAR_MB = 15.0, 7.0, 200.0
REPORTS = 3
MEMBERS = 20
LR, BATCHES = (1e-3, 1e-1), (512, 1024, 2048, 4096)

SEARCH = {
    "grid": "{method: grid}",
    "tpe": "{method: bayesian, sampler: tpe}",
    "asha": "{method: grid, scheduler: asha}",
    "pbt": "{method: population}",
}

SWEEP = """\
name: orchestration
trainer: simulated
scales: {{width: [32, 64, 128], depth: 2, tokens_per_param: [5, 20]}}
search: {search}
space:
  lr: {{log: [1e-3, 1e-1]{steps}}}
  batch_tokens: {{choices: [512, 1024, 2048, 4096]}}
model: {{cliff_octaves: 100}}
runs: {runs}
reports: {reports}
"""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one way costs; see the module's text. None where it was not measured."""

    way: str
    method: str
    runs: int
    start_seconds: float
    ms: float
    cpu_ms: float
    proposal_ms: float = 0.0
    growth: float | None = None
    mb_grown: float | None = None
    disk_kb_a_run: float | None = None


@dataclasses.dataclass(frozen=True)
class Mark:
    """How far a way was at a time: seconds of the wall clock, of the process and of proposals."""

    runs: int
    wall: float
    cpu: float
    proposing: float
    mb: float


class Timed:
    """A strategy, with its own time taken and a mark at every leg that ends."""

    def __init__(self, strategy: Strategy, marks: list[Mark]) -> None:
        """Time `strategy`."""
        self._strategy = strategy
        self._marks = marks
        self._seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        """What is not timed is the strategy's own."""
        return getattr(self._strategy, name)

    def ask(self) -> Leg | None:
        """Time a proposal."""
        began = time.perf_counter()
        leg = self._strategy.ask()
        self._seconds += time.perf_counter() - began
        return leg

    def tell(self, outcome: Outcome) -> None:
        """Time what is learned."""
        began = time.perf_counter()
        self._strategy.tell(outcome)
        self._seconds += time.perf_counter() - began
        self._marks.append(mark(len(self._marks) + 1, self._seconds))


def mark(runs: int, proposing: float = 0.0) -> Mark:
    """Return how this process stands."""
    return Mark(runs, time.perf_counter(), time.process_time(), proposing, resident_mb())


def resident_mb() -> float:
    """Memory of this process; 0 where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0.0
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def cost(way: str, method: str, began: float, marks: list[Mark], disk: int | None = None) -> Cost:
    """Sum up the marks of one way."""
    first, half, last = marks[len(marks) // 20], marks[len(marks) // 2], marks[-1]

    def a_run(since: Mark, until: Mark, name: str) -> float:
        total: float = getattr(until, name) - getattr(since, name)
        return 1e3 * total / max(1, until.runs - since.runs)

    proposal = a_run(first, last, "proposing")
    early = a_run(first, half, "cpu") - a_run(first, half, "proposing")
    late = a_run(half, last, "cpu") - a_run(half, last, "proposing")
    return Cost(
        way,
        method,
        last.runs,
        start_seconds=marks[0].wall - began,
        ms=a_run(first, last, "wall") - proposal,
        cpu_ms=a_run(first, last, "cpu") - proposal,
        proposal_ms=proposal,
        growth=late / early if early > 0 else None,
        mb_grown=last.mb - first.mb if last.mb else None,
        disk_kb_a_run=None if disk is None else disk / 1024 / last.runs,
    )


def sweep_text(method: str, runs: int) -> str:
    """Return the sweep file of a method; of a population `runs` are legs."""
    steps = f", steps: {-(-runs // (6 * len(BATCHES))) + 1}" if "grid" in SEARCH[method] else ""
    text = SWEEP.format(search=SEARCH[method], steps=steps, runs=runs, reports=REPORTS)
    if method != "pbt":
        return text
    return (
        text.replace("width: [32, 64, 128]", "width: 64")
        .replace("tokens_per_param: [5, 20]", "tokens_per_param: 20")
        .replace(
            "  batch_tokens: {choices: [512, 1024, 2048, 4096]}\n", "fixed: {batch_tokens: 64}\n"
        )
        .replace(f"runs: {runs}", f"runs: {MEMBERS}")
        .replace(f"reports: {REPORTS}", f"reports: {max(2, runs // MEMBERS)}")
    )


def ours(method: str, runs: int, folder: Path) -> Cost:
    """Run a sweep as the command line does."""
    text = sweep_text(method, runs)
    spec = parse_spec(text)
    marks: list[Mark] = []
    builder = hpo.methods.BUILDERS[spec.search.method]
    hpo.methods.BUILDERS = {
        **hpo.methods.BUILDERS,
        spec.search.method: lambda launch: Timed(builder(launch), marks),
    }
    began = time.perf_counter()
    with Store.open(folder / "runs.db") as store:
        summary = run_sweep(spec, store, spec_text=text)
    assert summary.state == "done", summary
    assert summary.failed == 0, summary
    disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return cost("hyperlaw", method, began, marks, disk)


def peer_spec() -> tuple[SweepSpec, Callable[[float, int], RunConfig]]:
    """Return the sweep, and how a peer's setting becomes a run of its smallest scale."""
    spec = parse_spec(sweep_text("tpe", 100))
    scale = resolve_ladder(spec)[0]
    return spec, lambda lr, batch: run_config(spec, scale, {"lr": lr, "batch_tokens": batch}, 0)


def trained(config: RunConfig, report: Callable[[int, float, Trainer], None]) -> float:
    """Train a run to its end, telling each report's number and loss; the last loss."""
    trainer = kind(config.trainer).build(config)
    for number in range(1, config.reports + 1):
        made = trainer.step()
        report(number, made.loss, trainer)
        if made.status != "running":
            break
    return made.loss


def with_tune(method: str, runs: int, folder: Path) -> Cost:
    """Run as many with Ray Tune's function trainable and its own search or scheduler."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining
    from ray.tune.search.optuna import OptunaSearch

    _, config_of = peer_spec()

    def train(setting: dict[str, Any]) -> None:
        def report(number: int, loss: float, trainer: Trainer) -> None:
            if method != "pbt":
                tune.report({"loss": loss})
                return
            with tempfile.TemporaryDirectory() as place:
                state = pickle.dumps(trainer.state_dict())
                (Path(place) / "state").write_bytes(state)
                tune.report({"loss": loss}, checkpoint=tune.Checkpoint.from_directory(place))

        trained(config_of(setting["lr"], setting["batch_tokens"]), report)

    drawn = {"lr": tune.loguniform(*LR), "batch_tokens": tune.choice(list(BATCHES))}
    n_rates = -(-runs // len(BATCHES))
    rates = [LR[0] * (LR[1] / LR[0]) ** (i / max(1, n_rates - 1)) for i in range(n_rates)]
    grid = {"lr": tune.grid_search(rates), "batch_tokens": tune.grid_search(list(BATCHES))}
    options: Mapping[str, Any] = {
        "grid": {},
        "tpe": {"search_alg": OptunaSearch(), "num_samples": runs},
        "asha": {"scheduler": ASHAScheduler(max_t=REPORTS)},
        "pbt": {
            "scheduler": PopulationBasedTraining(
                perturbation_interval=1, hyperparam_mutations=dict(drawn)
            ),
            "num_samples": runs,
        },
    }[method]
    marks: list[Mark] = []

    class Marks(tune.Callback):
        def on_trial_complete(self, **info: Any) -> None:
            marks.append(mark(len(marks) + 1))

    tuner = tune.Tuner(
        train,
        param_space=grid if method in ("grid", "asha") else drawn,
        tune_config=tune.TuneConfig(metric="loss", mode="min", **options),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0, callbacks=[Marks()]),
    )
    began = time.perf_counter()
    start_ray()
    results = tuner.fit()
    assert results.num_errors == 0
    return cost("Ray Tune", method, began, marks)


def with_optuna(method: str, runs: int, folder: Path) -> Cost:
    """Run as many with Optuna, into an SQLite file."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _, config_of = peer_spec()
    n_rates = -(-runs // len(BATCHES))
    rates = [LR[0] * (LR[1] / LR[0]) ** (i / max(1, n_rates - 1)) for i in range(n_rates)]
    on_grid = optuna.samplers.GridSampler({"lr": rates, "batch_tokens": list(BATCHES)})
    began = time.perf_counter()
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'optuna.db'}",
        sampler=on_grid if method != "tpe" else None,
        pruner=optuna.pruners.SuccessiveHalvingPruner() if method == "asha" else None,
    )
    marks: list[Mark] = []

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", *LR, log=True)
        batch = trial.suggest_categorical("batch_tokens", BATCHES)

        def report(number: int, loss: float, trainer: Trainer) -> None:
            trial.report(loss, number)
            if trial.should_prune():
                raise optuna.TrialPruned

        return trained(config_of(lr, int(batch)), report)

    study.optimize(
        objective,
        n_trials=runs,
        callbacks=[lambda study, trial: marks.append(mark(len(marks) + 1))],
    )
    return cost("Optuna", method, began, marks)


def start_ray() -> None:
    """Start Ray as a sweep does."""
    import ray

    ray.init(
        num_cpus=n_cpus(),
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


WAYS: Mapping[str, Callable[[str, int, Path], Cost]] = {
    "hyperlaw": ours,
    "tune": with_tune,
    "optuna": with_optuna,
}


def loop_ms(runs: int) -> float:
    """Return what a run takes in a plain loop, in this process: training alone."""
    spec = parse_spec(sweep_text("grid", runs))
    points = plan_points(spec, resolve_ladder(spec))
    configs = [run_config(spec, point.scale, point.setting, point.seed) for point in points]
    began = time.perf_counter()
    for config in configs:
        trained(config, lambda number, loss, trainer: None)
    return 1e3 * (time.perf_counter() - began) / runs


def in_own_process(way: str, method: str, runs: int) -> Cost:
    """Measure one way in a process of its own."""
    script = [sys.executable, __file__, "--way", way, "--methods", method, "--runs", str(runs)]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        script,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000, help="runs of ours")
    parser.add_argument("--peer-runs", type=int, default=40, help="runs of Ray Tune and Optuna")
    parser.add_argument("--methods", nargs="+", choices=list(SEARCH), default=list(SEARCH))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        with (
            tempfile.TemporaryDirectory(prefix="hl-", ignore_cleanup_errors=True) as folder,
            contextlib.redirect_stdout(sys.stderr),
        ):
            (method,) = arguments.methods
            measured = WAYS[arguments.way](method, arguments.runs, Path(folder))
        print(json.dumps(dataclasses.asdict(measured)))
        return

    training = loop_ms(min(1000, arguments.runs))
    costs: list[Cost] = []
    for method in arguments.methods:
        costs.append(in_own_process("hyperlaw", method, arguments.runs))
        for peer in ("tune", "optuna"):
            if (peer, method) != ("optuna", "pbt"):
                costs.append(in_own_process(peer, method, arguments.peer_runs))
    here = [measured for measured in costs if measured.way == "hyperlaw"]
    met = all(
        measured.ms <= BAR_MS
        and measured.start_seconds <= BAR_START_SECONDS
        and (measured.mb_grown or 0.0) < BAR_MB
        for measured in here
    )
    ratios = {
        method: {
            measured.way: measured.ms / next(ours.ms for ours in here if ours.method == method)
            for measured in costs
            if measured.method == method and measured.way != "hyperlaw"
        }
        for method in arguments.methods
    }
    if arguments.json:
        print(
            json.dumps(
                {
                    "schema_version": 2,
                    "cores": n_cpus(),
                    "load_average": os.getloadavg()[0],
                    "training_ms": training,
                    "costs": [dataclasses.asdict(measured) for measured in costs],
                    "bars": {"ms": BAR_MS, "start_seconds": BAR_START_SECONDS, "mb": BAR_MB},
                    "met": met,
                    "ratios": ratios,
                }
            )
        )
        return
    print(f"simulated runs on {n_cpus()} cores, load average {os.getloadavg()[0]:.1f}")
    print(f"training alone, in a loop: {training:.2f} ms a run")
    print(
        f"{'method':<8}{'way':<10}{'runs':>7}{'start s':>9}{'ms':>9}{'CPU ms':>9}{'proposal':>10}"
        f"{'growth':>8}{'MB grown':>10}{'KB a run':>10}"
    )
    for measured in costs:
        print(
            f"{measured.method:<8}{measured.way:<10}{measured.runs:>7}"
            f"{measured.start_seconds:>9.2f}{measured.ms:>9.2f}{measured.cpu_ms:>9.2f}"
            f"{measured.proposal_ms:>10.2f}{shown(measured.growth):>8}"
            f"{shown(measured.mb_grown):>10}{shown(measured.disk_kb_a_run):>10}"
        )
    print(
        f"bars for hyperlaw: {BAR_MS:.0f} ms a run, {BAR_START_SECONDS:.0f} s to start, "
        f"{BAR_MB:.0f} MB grown: {'met' if met else 'missed'}"
    )
    for method, of in ratios.items():
        each = ", ".join(f"{way} {ratio:.1f}" for way, ratio in of.items())
        print(f"ratio over hyperlaw, {method}: {each}")


def shown(value: float | None) -> str:
    """A number for the table."""
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
