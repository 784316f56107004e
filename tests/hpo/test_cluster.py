"""A sweep on a cluster of two nodes, one of which is lost on the way: the runs are the same.

In a process of its own, as the other tests have a Ray session in theirs.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).parents[2]

SWEEP = """\
name: spread
trainer: curves_for_tests:Located
scales: {n: [1000, 2000], tokens: 10000}
search: {method: random}
space:
  lr: {log: [0.1, 1]}
fixed: {batch_tokens: 100}
model: {folder: FOLDER, machines: 1}
runs: 80
reports: 3
seed: 7
"""

SCRIPT = """\
import sys
from collections import Counter
from pathlib import Path
from ray.cluster_utils import Cluster
from hpo.progress import Silence
from hpo.runner import run_sweep
from hpo.spec import load_spec
from storage.store import Store

class Saboteur(Silence):
    '''Takes the second node away once both have trained.'''
    def __init__(self):
        self.ended = Counter()
    def finished(self, point, row):
        self.ended[point.run_id] += 1
        if len(self.ended) == 20:
            cluster.remove_node(second, allow_graceful=False)

path, database = sys.argv[1:]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
observer = Saboteur()
with Store.open(database) as store:
    summary = run_sweep(
        load_spec(path), store, spec_text=Path(path).read_text(), observer=observer,
        address=cluster.address,
    )
print(summary.state, summary.completed, len(observer.ended), max(observer.ended.values()))
print(len(cluster.list_all_nodes()))
cluster.shutdown()
"""

ONE_NODE = """\
import sys
from pathlib import Path
from hpo.runner import run_sweep
from hpo.spec import load_spec
from storage.store import Store

path, database = sys.argv[1:]
with Store.open(database) as store:
    summary = run_sweep(load_spec(path), store, spec_text=Path(path).read_text())
print(summary.state, summary.completed)
"""


def run(script: str, *arguments: Path) -> list[str]:
    """Run a script in a process of its own; what it printed, without what Ray says in between."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent / "on_path")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def test_a_sweep_on_two_nodes_of_which_one_is_lost_has_the_runs_of_one_node(tmp_path: Path) -> None:
    machines = tmp_path / "machines"
    machines.mkdir()
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    text = SWEEP.replace("FOLDER", str(machines))
    two.write_text(text.replace("machines: 1", "machines: 2"), encoding="utf-8")
    one.write_text(text, encoding="utf-8")

    said = run(SCRIPT, two, tmp_path / "two.db")
    assert "done 80 80 1" in said  # each run ended once, on either node
    assert said[-1] == "1"  # of the two nodes
    assert len(list(machines.iterdir())) == 2
    assert "done 80" in run(ONE_NODE, one, tmp_path / "one.db")

    with Store.open(tmp_path / "one.db") as alone, Store.open(tmp_path / "two.db") as spread:
        varying = ["created", "folder", "machines"]
        expected = alone.runs("spread").drop(columns=varying, errors="ignore")
        assert spread.runs("spread").drop(columns=varying, errors="ignore").equals(expected)
        run_ids = list(expected["run_id"])
        curves = spread.curves(run_ids)
        for run_id, curve in alone.curves(run_ids).items():
            assert curves[run_id].loss.tolist() == curve.loss.tolist()
