"""Sweeps on Ray whose runs are fused: what the store has is what it has of runs one at a time."""

from pathlib import Path

import pandas as pd
import pytest

from hpo.runner import run_sweep
from hpo.spec import parse_spec
from storage.store import Store
from tests.hpo.launches import Launch

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


def launch(text: str, store: Store) -> pd.DataFrame:
    spec = parse_spec(text)
    run_sweep(spec, store, spec_text=text)
    return store.runs(spec.name)


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
