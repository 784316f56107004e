"""A sweep that runs is watched in the browser, paused and resumed by its buttons, and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hpo.machine import n_cpus
from tests.dashboards.browser.conftest import ROOT, metric, served
from tests.hpo.conftest import ON_PATH, Diary

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.ray, pytest.mark.usefixtures("chromium")]


RANGE = "figure => [...figure.layout.xaxis.range, ...figure.layout.yaxis.range]"
MOVED = f"([figure, before]) => String(({RANGE})(figure)) !== String(before)"
POINTS = """([figure, wanted]) => figure.calcdata
    .filter(trace => trace[0].trace.mode === "markers")
    .reduce((points, trace) => points + trace.length, 0) === wanted
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "live.db"


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Its sweep's runs wait at their third report until `hold` is taken away."""
    folder = tmp_path / "diary"
    folder.mkdir()
    (folder / "hold").touch()
    return Diary(folder)


@pytest.fixture
def launched(database: Path, diary: Diary) -> Iterator[subprocess.Popen[bytes]]:
    file = database.with_name("steps.yaml")
    one_at_a_time = f"resources: {{cpus: {n_cpus()}}}\n"
    file.write_text(diary.text(holds_at=3, holds=1) + one_at_a_time, encoding="utf-8")
    launch = subprocess.Popen(
        [sys.executable, "-m", "hyperlaw", "sweep", "launch", str(file), "--db", str(database)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ON_PATH)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not diary.held() and launch.poll() is None:
        time.sleep(0.05)
    yield launch
    if launch.poll() is None:
        launch.terminate()
    launch.wait()


@pytest.fixture
def address(launched: subprocess.Popen[bytes], database: Path, tmp_path: Path) -> Iterator[str]:
    with served(database, tmp_path / "server.log", allow_control=True) as address:
        yield address


def test_a_live_sweep_is_paused_resumed_and_seen_to_end(
    address: str, page: Page, diary: Diary, launched: subprocess.Popen[bytes]
) -> None:
    page.goto(f"{address}/sweep?sweep=steps")
    metric(page, "Running now").filter(has_text="1").wait_for()

    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("button", name="Resume", exact=True).wait_for()
    diary.hold.unlink()
    metric(page, "Runs ended").filter(has_text="1 of 4").wait_for()
    metric(page, "Running now").filter(has_text="0").wait_for()
    assert launched.poll() is None

    history = page.get_by_role("figure", name="history figure")
    page.wait_for_function(POINTS, arg=[history.element_handle(), 1])
    zoom = _zoom(page, history)
    page.get_by_role("button", name="Resume", exact=True).click()
    page.get_by_text("All of its runs have ended.").wait_for()
    metric(page, "Runs ended").filter(has_text="4 of 4").wait_for()
    page.get_by_role("button", name="Pause", exact=True).wait_for(state="detached")
    page.wait_for_function(POINTS, arg=[history.element_handle(), 4])
    assert history.evaluate(RANGE) == zoom, "more runs must not undo what the reader zoomed to"
    assert launched.wait() == 0
    assert [diary.computed(lr) for lr in (1, 2, 3, 4)] == [[1, 2, 3, 4, 5, 6]] * 4


def _zoom(page: Page, figure: Locator) -> list[float]:
    """Drag over a part of a figure; return the ends of its axes then."""
    before = figure.evaluate(RANGE)
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_function(MOVED, arg=[figure.element_handle(), before])
    zoomed: list[float] = figure.evaluate(RANGE)
    return zoomed
