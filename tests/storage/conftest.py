"""What the tests of storage share: small runs tables, and a store in a folder of its own."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from storage import migrations
from storage.curves import Curve
from storage.store import Store

GOOD = """params,tokens,lr,batch_tokens,loss
1e6,2e7,1e-3,512,3.1
1e6,2e7,2e-3,512,3.0
4e6,8e7,1e-3,1024,2.7
"""


def make_first_revision(path: Path) -> None:
    """Make an empty database as the first release made it."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()


_NOBODY = 65534


@contextmanager
def unwritable(folder: Path, *, folder_mode: int = 0o555, file_mode: int = 0o444) -> Iterator[None]:
    """Set the modes of a folder and its files, and be bound by them, which root is not.

    As nobody, Python can import no more where its own files are root's.
    """
    as_nobody = os.geteuid() == 0
    before = {path: path.stat().st_mode for path in (*folder.iterdir(), folder)}
    for path in before:
        path.chmod(folder_mode if path == folder else file_mode)
    if as_nobody:
        os.setresuid(_NOBODY, _NOBODY, 0)
    try:
        yield
    finally:
        if as_nobody:
            os.setresuid(0, 0, 0)
        for path, mode in before.items():
            if path.exists():
                path.chmod(mode)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that every user may enter, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def good_csv() -> str:
    return GOOD


@pytest.fixture
def make_runs() -> Callable[..., pd.DataFrame]:
    """Build an unchecked minimal runs table of `n_runs` rows; columns can be replaced or added."""

    def make(n_runs: int = 3, **columns: object) -> pd.DataFrame:
        rows = np.arange(n_runs)
        frame = pd.DataFrame(
            {
                "params": 1e6 * 4.0**rows,
                "tokens": 2e7 * 4.0**rows,
                "lr": 1e-3 / (1 + rows),
                "batch_tokens": 512.0,
                "loss": 4.0 - 0.1 * rows,
            }
        )
        return frame.assign(**columns)

    return make


@pytest.fixture
def make_row() -> Callable[..., dict[str, object]]:
    """Build one run as `record_run` takes it."""

    def make(run_id: str = "ladder-00000", **columns: object) -> dict[str, object]:
        row: dict[str, object] = {"run_id": run_id, "sweep": "ladder", "params": 1e6, "tokens": 2e7}
        return row | {"lr": 1e-3, "batch_tokens": 512, "loss": 3.2} | columns

    return make


@pytest.fixture
def make_curve() -> Callable[..., Curve]:
    def make(n_reports: int = 3, last_loss: float = 3.2) -> Curve:
        steps = np.arange(1, n_reports + 1)
        loss = np.linspace(5.0, last_loss, n_reports)
        lr = np.full(n_reports, 1e-3)
        return Curve(steps, steps * 512.0, steps * 3.1e9, loss, loss + 0.1, lr, steps * 0.5)

    return make


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "hyperlaw.db"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with Store.open(database) as opened:
        opened.add_sweep("ladder", spec_text="name: ladder\n")
        yield opened
