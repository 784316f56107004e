"""How soon the dashboard is of use, beside optuna-dashboard on the same study, by number of runs.

    python benchmarks/dashboard.py [--runs 1000 10000 100000] [--json]

Runs of the simulated trainer's law at one scale, in a Store and, as the same trials, in a study of
Optuna's RDBStorage. Both are SQLite files, each served by its own server on this machine and
visited by a headless Chromium that has nothing cached. The first visit after the server's start
pays what the server reads; the second is another visitor's, who finds it read.

- page: from the visit to the first useful page: a row a sweep, or a study.
- figures: from the visit by a link to the page of the study until its first figure is drawn (ours:
  Explore, which opens with slices; theirs: the study's front page, with its history).
- filter: from the change of a filter on Explore until the bar and the table tell of the runs that
  are left. The peer has no filter that governs its figures, so it has no number here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as TooSlowError

from dashboards.launch import HOST, command
from hpo.bayesian.study_tables import add_trials, open_storage
from storage.runs_table import check_runs
from storage.store import Store
from trainers.simulated import SimulatedLaw

ROOT: Final = Path(__file__).parents[1]
NAME: Final = "sim"
PARAMS, TOKENS = 393_216, 7_864_320
LR: Final = (3e-3, 5e-1)
BATCHES: Final = (512, 1024, 2048, 4096, 8192)
SEED: Final = 0
START_SECONDS: Final = 120.0
PATIENCE_SECONDS: Final = 120.0
BAR_SECONDS: Final = 3.0
ROWS_A_BATCH: Final = 5_000
OURS, PEERS = "hyperlaw.db", "optuna.db"
FIGURE: Final = ".js-plotly-plot .main-svg"
FOUND: Final = "99"  # in the names of the runs that the filter keeps


@dataclass(frozen=True)
class Measured:
    """Seconds; None where it had not come after `PATIENCE_SECONDS`.

    Attributes
    ----------
    page, page_again : to the first useful page, of the first visitor and of the second.
    figures, figures_again : to the first figure of the study, likewise.
    filtered : from a filter's change to its effect.
    """

    runs: int
    of: str
    page: float | None
    page_again: float | None
    figures: float | None
    figures_again: float | None
    filtered: float | None


def simulated(n_runs: int) -> pd.DataFrame:
    """Return completed runs at random settings of one scale."""
    rng, law = np.random.default_rng(SEED), SimulatedLaw()
    lr = np.exp(rng.uniform(*np.log(LR), n_runs))
    batch = rng.choice(BATCHES, n_runs)
    loss = law.loss(PARAMS, TOKENS, lr, batch) * np.exp(law.noise * rng.standard_normal(n_runs))
    frame = pd.DataFrame({"lr": lr, "batch_tokens": batch, "loss": loss})
    names = [f"{NAME}-{number:06d}" for number in range(n_runs)]
    return check_runs(
        frame.assign(
            run_id=names, sweep=NAME, params=PARAMS, tokens=TOKENS, status="completed", seconds=1.0
        )
    )


def write_ours(runs: pd.DataFrame, path: Path) -> None:
    """Write the runs into a Store."""
    with Store.open(path) as store:
        store.add_sweep(NAME, spec_text="")
        store.add_runs(runs)
        store.set_sweep_state(NAME, "done")


def write_peers(runs: pd.DataFrame, path: Path) -> None:
    """Write the runs as the trials of a study."""
    storage = open_storage(f"sqlite:///{path}")
    study = optuna.create_study(storage=storage, study_name=NAME, direction="minimize")
    study_id = storage.get_study_id_from_name(study.study_name)
    for first in range(0, len(runs), ROWS_A_BATCH):
        part = runs.iloc[first : first + ROWS_A_BATCH]
        add_trials(storage.engine, study_id, first, _trials(part))
    storage.engine.dispose()


def _trials(runs: pd.DataFrame) -> list[FrozenTrial]:
    ended = datetime(2026, 1, 1)
    space = {
        "lr": FloatDistribution(*LR, log=True),
        "batch_tokens": CategoricalDistribution(BATCHES),
    }
    trials = []
    for row in runs.to_dict(orient="records"):
        trial = create_trial(
            state=TrialState.COMPLETE,
            value=row["loss"],
            params={"lr": row["lr"], "batch_tokens": int(row["batch_tokens"])},
            distributions=space,
        )
        trial.datetime_start, trial.datetime_complete = ended, ended + timedelta(seconds=1)
        trials.append(trial)
    return trials


def visit_ours(browser: Browser, address: str, runs: pd.DataFrame) -> Measured:
    """Measure our dashboard."""
    explore = f"{address}/explore"
    page, page_again = (_page(browser, address, "1 sweep:") for _ in range(2))
    first, again = (_figures(browser, explore) for _ in range(2))
    kept = int(runs["run_id"].str.contains(FOUND, regex=False).sum())
    filtered = _filter(browser, explore, len(runs), kept)
    return Measured(len(runs), "hyperlaw", page, page_again, first, again, filtered)


def visit_peers(browser: Browser, address: str, n_runs: int) -> Measured:
    """Measure optuna-dashboard."""
    page, page_again = (_page(browser, f"{address}/dashboard", NAME) for _ in range(2))
    study = f"{address}/dashboard/studies/1"
    first, again = (_figures(browser, study) for _ in range(2))
    return Measured(n_runs, "optuna-dashboard", page, page_again, first, again, None)


def _page(browser: Browser, url: str, text: str) -> float | None:
    with _visitor(browser) as page:
        begun = time.perf_counter()
        page.goto(url)
        return _until(page.get_by_text(text).first, begun)


def _figures(browser: Browser, url: str) -> float | None:
    with _visitor(browser) as page:
        begun = time.perf_counter()
        page.goto(url)
        return _until(page.locator(FIGURE).first, begun)


def _filter(browser: Browser, url: str, n_runs: int, kept: int) -> float | None:
    with _visitor(browser) as page:
        page.goto(url)
        page.get_by_text(f"{n_runs:,} of {n_runs:,} runs").wait_for()
        if _until(page.locator(FIGURE).first, 0.0) is None:
            return None
        page.get_by_role("textbox", name="Name contains").fill(FOUND)
        begun = time.perf_counter()
        page.keyboard.press("Enter")
        if _until(page.get_by_text(f"{kept:,} of {n_runs:,} runs"), begun) is None:
            return None
        return _until(page.get_by_role("button", name=f"CSV of {kept:,} runs"), begun)


def _until(wanted: Locator, begun: float) -> float | None:
    """Return the seconds since `begun` when it can be seen; None if it does not come."""
    try:
        wanted.wait_for()
    except TooSlowError:
        return None
    return time.perf_counter() - begun


@contextmanager
def _visitor(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(1000 * PATIENCE_SECONDS)
    try:
        yield page
    finally:
        page.close()


@contextmanager
def served(line: Sequence[str], port: int, folder: Path) -> Iterator[str]:
    """Run a server until the block ends; yield its address once it answers."""
    with (folder / f"{port}.log").open("wb") as log:
        server = subprocess.Popen(
            line,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=os.environ | {"HYPERLAW_DB": str(folder / OURS), "PYTHONPATH": str(ROOT)},
        )
    until = time.monotonic() + START_SECONDS
    try:
        while not _listens(port):
            if server.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{line[0]} did not start: {folder / f'{port}.log'}")
            time.sleep(0.1)
        yield f"http://{HOST}:{port}"
    finally:
        server.terminate()
        server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


def measure(n_runs: int, browser: Browser, folder: Path) -> list[Measured]:
    """Measure both at one number of runs."""
    runs = simulated(n_runs)
    write_ours(runs, folder / OURS)
    write_peers(runs, folder / PEERS)
    port = _free_port()
    line = command(ROOT / "hyperlaw" / "dashboard.py", port=port, open_browser=False)
    with served(line, port, folder) as address:
        ours = visit_ours(browser, address, runs)
    port = _free_port()
    program = Path(sys.executable).with_name("optuna-dashboard")
    line = [str(program), f"sqlite:///{folder / PEERS}", "--host", HOST, "--port", str(port)]
    with served(line, port, folder) as address:
        peers = visit_peers(browser, address, n_runs)
    return [ours, peers]


def main() -> None:
    """Measure what is asked, and print a line each and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        parser.error("needs Chromium; on Debian: apt-get install chromium")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found: list[Measured] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for n_runs in asked.runs:
            with tempfile.TemporaryDirectory() as folder:
                found += measure(n_runs, browser, Path(folder))
        browser.close()
    if asked.json:
        print(json.dumps([asdict(measured) for measured in found], indent=2))
    else:
        show(found)


def show(found: Sequence[Measured]) -> None:
    """Print the table, seconds; it ends with the ratio of the peer's times to ours."""
    names = ("page", "page_again", "figures", "figures_again", "filtered")
    print(f"{'runs':>8} {'':18}" + "".join(f"{name:>15}" for name in names))
    for measured in found:
        numbers = "".join(f"{_text(getattr(measured, name)):>15}" for name in names)
        print(f"{measured.runs:>8,} {measured.of:18}{numbers}")
    for ours, peers in zip(found[::2], found[1::2], strict=True):
        pairs = [(getattr(ours, name), getattr(peers, name)) for name in names]
        ratios = "".join(f"{_text(b / a if a and b else None, '×'):>15}" for a, b in pairs)
        print(f"{ours.runs:>8,} {'theirs / ours':18}{ratios}")
    worst = max((m.page for m in found[::2] if m.page is not None), default=None)
    if worst is not None:
        verdict = "within" if worst <= BAR_SECONDS else "NOT within"
        print(f"our first useful page after {worst:.2f} s at most: {verdict} {BAR_SECONDS:g} s")


def _text(value: float | None, unit: str = " s") -> str:
    return "–" if value is None else f"{value:.2f}{unit}"


if __name__ == "__main__":
    main()
