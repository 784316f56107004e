"""Sweeps on Ray whose runs are fused: what the store has is what it has of runs one at a time."""

from pathlib import Path

import pandas as pd
import pytest

from hpo.runner import run_sweep
from hpo.spec import parse_spec
from storage.store import Store
from tests.hpo.launches import Launch
from trainers.config import RunConfig
from trainers.registry import kind

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

FEATURES = """\
name: features
trainer: random-features
parametrization: mup
scales: {width: [16, 32], tokens: 3200}
search: {method: grid}
space:
  lr: {choices: [0.003, 0.01, 0.03, 1000]}
  batch_tokens: {choices: [16, 32]}
seeds: 2
final_states: 1
resources: {fused: 1}
"""

POPULATION = """\
name: population
trainer: random-features
scales: {width: 16, tokens: 6400}
search: {method: population, quantile: 0.5}
space:
  lr: {log: [1e-4, 3e-2]}
fixed: {batch_tokens: 16}
runs: 8
reports: 4
resources: {fused: 4}
"""

OWN = """\
name: own
trainer: task_for_tests:{task}
scales: {{features: 32, tokens: 1280}}
search: {{method: grid}}
space:
  lr: {{choices: [0.003, 0.01, 0.03]}}
fixed: {{batch_tokens: 64}}
seeds: 2
resources: {{fused: 4}}
"""


TAUGHT = """\
name: taught
trainer: task_for_tests:Taught
search: {method: listed}
points:
  - {scale: {features: 32, tokens: 1280}, setting: {lr: 0.1}, seed: 0}
  - {scale: {features: 32, tokens: 1280}, setting: {lr: 0.2}, seed: 0}
  - {scale: {features: 32, tokens: 1280}, setting: {lr: 0.1}, seed: 4}
  - {scale: {features: 32, tokens: 1280}, setting: {lr: 0.2}, seed: 5}
fixed: {batch_tokens: 64}
resources: {cpus: 2, fused: 2}
"""


def launch(text: str, store: Store) -> pd.DataFrame:
    spec = parse_spec(text)
    run_sweep(spec, store, spec_text=text)
    return store.runs(spec.name)


def loss_alone(trainer: str, setting: dict[str, float], seed: int) -> float:
    run = kind(trainer).build(RunConfig(trainer, {"features": 32}, 1280, setting, seed=seed))
    report = run.step()
    while report.status == "running":
        report = run.step()
    return report.loss


def fused(text: str, number: int) -> str:
    return text.replace("fused: 1", f"fused: {number}").replace("name: f", "name: fused-f")


def by_setting(runs: pd.DataFrame) -> pd.DataFrame:
    keys = ["width", "lr", "batch_tokens", "seed"]
    return runs.set_index(keys).sort_index()[["loss", "status", "steps"]]


def test_a_fused_sweep_finds_what_one_run_at_a_time_finds(store: Store) -> None:
    alone = launch(FEATURES, store)
    together = launch(fused(FEATURES, 4), store)
    assert set(alone["status"]) == {"completed", "diverged"}
    pd.testing.assert_frame_equal(by_setting(together), by_setting(alone), rtol=1e-4)
    finals = {
        name: {
            tuple(runs.set_index("run_id").loc[file.parent.name, ["width", "lr", "batch_tokens"]])
            for file in Path(f"{store.path}.runs").glob(f"{name}/*/final.state")
        }
        for name, runs in (("features", alone), ("fused-features", together))
    }
    assert finals["features"] == finals["fused-features"]
    assert len(finals["features"]) == 2
    assert not list(Path(f"{store.path}.states").glob("*/*/*"))


def test_a_fused_population_trains_every_member_and_takes_over_states(store: Store) -> None:
    runs = launch(POPULATION, store)
    assert (runs["status"] == "completed").all()
    assert len(runs) == 8
    assert store.has_exploits("population")
    assert {len(curve) for curve in store.curves(list(runs["run_id"])).values()} == {4}


def test_a_scheduler_stops_fused_runs_and_others_take_their_place(store: Store) -> None:
    text = fused(FEATURES, 4).replace("{method: grid}", "{method: grid, scheduler: asha}")
    runs = launch(text, store)
    assert len(runs) == 32
    assert set(runs["status"]) == {"completed", "stopped", "diverged"}
    stopped = runs[runs["status"] == "stopped"]
    curves = store.curves(list(runs["run_id"]))
    assert {len(curves[run_id]) for run_id in stopped["run_id"]} <= set(range(1, 8))
    completed = runs[runs["status"] == "completed"]
    assert {len(curves[run_id]) for run_id in completed["run_id"]} == {8}
    assert completed["loss"].min() == runs["loss"].min()
    assert not list(Path(f"{store.path}.states").glob("*/*/*"))


def test_runs_that_cannot_be_fused_are_trained_one_at_a_time(store: Store) -> None:
    runs = launch(OWN.format(task="Dropping"), store)
    assert (runs["status"] == "completed").all()
    assert len(runs) == 6


def test_a_worker_fuses_no_runs_with_what_it_recorded_of_others(store: Store) -> None:
    """The teacher of the first two runs is not that of the two that the same worker has next."""
    runs = launch(TAUGHT, store)
    assert (runs["status"] == "completed").all()
    alone = [
        loss_alone("task_for_tests:Taught", {"lr": lr, "batch_tokens": 64}, seed)
        for lr, seed in zip(runs["lr"], runs["seed"], strict=True)
    ]
    assert list(runs["loss"]) == pytest.approx(alone, rel=1e-4)


def test_a_run_that_fails_among_others_fails_alone(store: Store) -> None:
    runs = launch(OWN.format(task="Failing"), store).set_index("lr")
    assert set(runs.loc[0.03, "status"]) == {"failed"}
    assert set(runs.loc[0.03, "reason"]) == {"ArithmeticError: 0.03 is too odd"}
    assert set(runs.loc[[0.003, 0.01], "status"]) == {"completed"}


def test_a_fused_sweep_that_was_killed_goes_on_to_the_same_losses(
    store: Store, tmp_path: Path
) -> None:
    alone = launch(FEATURES, store)
    text = fused(FEATURES, 4)
    sweep_file = tmp_path / "sweep.yaml"
    sweep_file.write_text(text)
    assert store.path is not None
    killed = Launch(sweep_file, Path(store.path))
    killed.wait_for("finished fused-features-00003")
    killed.kill()
    assert store.runs("fused-features").shape[0] < 32
    pd.testing.assert_frame_equal(by_setting(launch(text, store)), by_setting(alone), rtol=1e-4)
