"""One Ray session for all tests that train, and the sweep files that tests vary."""

import logging
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.store import Store

ON_PATH = Path(__file__).parent / "on_path"

LADDER = """\
name: ladder
trainer: simulated
parametrization: mup
scales: {width: [32, 64, 128], depth: 2, tokens_per_param: [5, 20]}
search: {method: transfer}
space:
  lr: {log: [1e-2, 1e0]}
  batch_tokens: {choices: [512, 1024, 2048, 4096]}
runs: 24
reports: 3
"""

USERS_OWN = """\
name: own
trainer: trainers_for_tests:Instant
scales: {n: 1000, tokens: 10000}
search: {method: grid}
space:
  lr: {choices: [1, 2, 3, 4]}
fixed: {batch_tokens: 100}
"""


STEPPER = """\
name: steps
trainer: trainers_for_tests:Stepper
search: {method: listed}
points:
  - {scale: {n: 1000, tokens: 10000}, setting: {lr: 1}}
  - {scale: {n: 1000, tokens: 10000}, setting: {lr: 2}}
  - {scale: {n: 1000, tokens: 10000}, setting: {lr: 3}}
  - {scale: {n: 1000, tokens: 10000}, setting: {lr: 4}}
fixed: {batch_tokens: 100}
reports: 6
"""


@dataclass(frozen=True)
class Diary:
    """What the runs of a sweep of `Stepper` wrote down.

    `text` is the sweep, with model options of `Stepper`.
    """

    folder: Path

    def text(self, **options: float) -> str:
        model = {"diary": str(self.folder), **options}
        return f"{STEPPER}model: {model}\n".replace("'", "")

    def computed(self, lr: int) -> list[int]:
        """The numbers of the reports that a run has computed, in order."""
        file = self.folder / str(lr)
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def hold(self) -> Path:
        return self.folder / "hold"

    def held(self) -> list[int]:
        """The lr of the runs that wait."""
        return sorted(int(file.name.removeprefix("held-")) for file in self.folder.glob("held-*"))


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    folder = tmp_path / "diary"
    folder.mkdir()
    return Diary(folder)


@pytest.fixture(scope="session")
def ladder_text() -> str:
    """A sweep of simulated runs over six scales."""
    return LADDER


@pytest.fixture(scope="session")
def own_text() -> str:
    """A sweep of four runs of a trainer in `on_path`; needs `ray_session`."""
    return USERS_OWN


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray with two cores; run_sweep uses a session that it finds, and leaves it running."""
    import ray

    sys.path.insert(0, str(ON_PATH))
    with tempfile.TemporaryDirectory(
        prefix="hl-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        ray.init(
            num_cpus=2,
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            object_store_memory=100 * 2**20,
            _temp_dir=folder,
        )
        yield
        ray.shutdown()
    sys.path.remove(str(ON_PATH))
