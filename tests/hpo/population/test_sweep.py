"""Populations as sweeps on Ray: lineage in the store, exploits, kill -9, and the replay."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from hpo.population.lineage import ancestry, found_schedule
from hpo.runner import run_sweep
from hpo.spec import parse_spec
from hyperlaw.found_schedules import find_schedule, replay_text, schedule_frame
from storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

ROOT = Path(__file__).parents[3]

BYTES = """\
name: bytes
trainer: gpt
scales: {width: 16, depth: 1, tokens: 16000}
search: {method: population, quantile: 0.5}
space:
  lr: {log: [1e-3, 1e-1]}
  weight_decay: {log: [1e-2, 1e0]}
fixed: {batch_tokens: 256}
model: {context: 32}
runs: 4
reports: 4
"""

SCRIPT = """\
import os, sys
from pathlib import Path
from hpo.progress import Silence
from hpo.runner import run_sweep
from hpo.spec import load_spec
from storage.store import Store

class Killer(Silence):
    begun = 0
    def running(self, point):
        self.begun += 1
        if self.begun == 21:
            os.kill(os.getpid(), 9)

path, database = sys.argv[1:]
with Store.open(database) as store:
    run_sweep(load_spec(path), store, spec_text=Path(path).read_text(), observer=Killer())
"""


def launch(text: str, store: Store) -> None:
    run_sweep(parse_spec(text), store, spec_text=text)


def timeless(lineage: pd.DataFrame) -> pd.DataFrame:
    """By member and generation: a launch may begin the legs of a generation in another order."""
    kept = lineage.drop(columns=["number", "started", "ended"])
    return kept.sort_values(["reports", "run_id"], ignore_index=True)


@pytest.fixture(scope="module")
def bytes_store(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Iterator[Store]:
    """A store in which the population of small GPTs has been trained."""
    with Store.open(tmp_path_factory.mktemp("bytes") / "runs.db") as store:
        launch(BYTES, store)
        yield store


@pytest.fixture(scope="module")
def simulated_lineage(
    tmp_path_factory: pytest.TempPathFactory, ray_session: None, population_text: str
) -> pd.DataFrame:
    """The lineage of the simulated population, trained without a stop."""
    with Store.open(tmp_path_factory.mktemp("whole") / "runs.db") as store:
        launch(population_text, store)
        return timeless(store.lineage("pop"))


def test_the_store_keeps_the_lineage(
    simulated_lineage: pd.DataFrame, population_text: str, nursery: Callable[[str], object]
) -> None:
    """It is the one that the strategy has with one leg at a time, without Ray."""
    alone = nursery(population_text).train()
    numbers = sorted(
        range(len(alone.legs)),
        key=lambda number: (alone.legs[number].reports, alone.legs[number].point.run_id),
    )
    legs = [alone.legs[number] for number in numbers]
    assert simulated_lineage["run_id"].tolist() == [leg.point.run_id for leg in legs]
    assert simulated_lineage["lr"].tolist() == [leg.point.setting["lr"] for leg in legs]
    origins = [leg.origin.run_id if leg.origin else "" for leg in legs]
    assert simulated_lineage["origin_run_id"].fillna("").tolist() == origins
    losses = [alone.outcomes[number].losses[-1] for number in numbers]
    assert simulated_lineage["loss"].tolist() == pytest.approx(losses, nan_ok=True, abs=0)
    assert simulated_lineage["exploit"].sum() >= 2 * 5


def test_a_member_begins_where_the_other_was(bytes_store: Store) -> None:
    """The weights are copied: its next loss is far from its own and near the other's."""
    lineage = bytes_store.lineage("bytes")
    assert lineage["exploit"].sum() == 2 * 3
    curves = bytes_store.curves(list(lineage["run_id"].unique()))
    last = lineage[lineage["exploit"]].iloc[-1]
    at = int(last["origin_reports"])
    own, other = (curves[last[key]].loss for key in ("run_id", "origin_run_id"))
    assert own[at - 1] > other[at - 1]
    assert own[at] < other[at - 1]


def test_the_new_rate_is_that_of_the_live_optimizer(bytes_store: Store) -> None:
    """Two runs at the same step have rates as their settings are, whatever either had before."""
    lineage = bytes_store.lineage("bytes")
    curves = bytes_store.curves(list(lineage["run_id"].unique()))
    peaks = {
        reports: {curves[leg["run_id"]].lr[reports - 1] / leg["lr"] for _, leg in legs.iterrows()}
        for reports, legs in lineage.groupby("reports")
    }
    for ratios in peaks.values():
        assert max(ratios) == pytest.approx(min(ratios), rel=1e-12)


def test_a_schedule_replayed_by_a_plain_run_gives_the_same_loss(bytes_store: Store) -> None:
    """Bit for bit, through its exploits too: members of one seed begin alike and see one data."""
    runs = bytes_store.runs("bytes")["run_id"]
    best = find_schedule(bytes_store, "bytes", None)
    assert best.loss == bytes_store.runs("bytes")["loss"].min()
    found = max(
        (find_schedule(bytes_store, "bytes", run_id) for run_id in runs),
        key=lambda each: each.n_exploits,
    )
    assert found.n_exploits > 0
    assert "lr" in found.changed
    launch(replay_text(bytes_store, "bytes", "replay", found), bytes_store)
    replayed = bytes_store.run("replay-00000")
    assert replayed["loss"] == found.loss
    assert (replayed["schedule"], replayed["status"]) == ("piecewise", "completed")


def test_every_survivor_has_its_schedule(bytes_store: Store) -> None:
    legs = bytes_store.legs("bytes")
    for run_id in bytes_store.runs("bytes")["run_id"]:
        path = ancestry(legs, run_id)
        assert [leg.reached for leg in path] == [1, 2, 3, 4]
        assert path[0].origin_run_id is None
        found = found_schedule(bytes_store, "bytes", run_id)
        frame = schedule_frame(found)
        assert frame["at"].iloc[0] == 0
        assert frame["at"].is_monotonic_increasing
        assert found.stretches[-1].setting == path[-1].setting
        steps = frame["tokens"] / 256
        assert (steps / 62).tolist() == pytest.approx(frame["at"].tolist())  # of 62 steps


def test_without_an_exploit_the_schedule_is_the_setting(ray_session: None, store: Store) -> None:
    launch(BYTES.replace("quantile: 0.5", "quantile: 0"), store)
    found = find_schedule(store, "bytes", None)
    assert (found.n_exploits, found.changes, found.changed) == (0, (), ())
    launch(replay_text(store, "bytes", "replay", found), store)
    assert store.run("replay-00000")["loss"] == found.loss


@pytest.mark.slow
def test_killed_in_the_middle_of_a_generation_it_goes_on_to_the_same_lineage(
    simulated_lineage: pd.DataFrame, population_text: str, tmp_path: Path, ray_session: None
) -> None:
    path, database = tmp_path / "pop.yaml", tmp_path / "runs.db"
    path.write_text(population_text, encoding="utf-8")
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), str(database)],
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("RAY_")},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    with Store.open(database) as store:
        cut = store.lineage("pop")
        assert 20 <= len(cut) < len(simulated_lineage)
        launch(population_text, store)
        pd.testing.assert_frame_equal(timeless(store.lineage("pop")), simulated_lineage)
