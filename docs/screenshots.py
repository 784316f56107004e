"""Take the pictures of the dashboard that stand in docs/images.

    make demo
    .venv/bin/python docs/screenshots.py demo/hyperlaw.db

Run by hand after a page has changed, on the database that `hyperlaw demo` makes, to which a
population and a transfer check are added (a minute). Each page is opened in a headless Chromium,
wide (1440 pixels) or narrow (390, as a phone's), light or dark. The pictures are cut to a screen or
two and to 256 colours, below 200 KB each.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from dashboards.launch import HOST, command

ROOT: Final = Path(__file__).parents[1]
IMAGES: Final = ROOT / "docs" / "images"
WIDE, NARROW = 1440, 390  # pixels
COLOURS: Final = 256
SETTLE_MS: Final = 1_500  # what is drawn last, such as fonts and WebGL
START_SECONDS: Final = 60.0

DRAWN: Final = """() =>
  !document.querySelector('[data-testid="stSkeleton"]') &&
  [...document.querySelectorAll('.hyperlaw-figure')].every(
    chart => chart.querySelector('.main-svg'))
"""
"""In the browser: nothing is a placeholder any more, and every figure is drawn."""


class Shot(NamedTuple):
    """One picture: a page's path, the width and height in pixels, and the scheme of colours."""

    path: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    sweep: str = "demo-ladder"

    @property
    def file(self) -> Path:
        """Return where it is kept, such as docs/images/explore-wide-dark.png."""
        page = self.path.partition("?")[0] or "overview"
        size = "wide" if self.width == WIDE else "narrow"
        return IMAGES / f"{page}-{size}-{self.scheme}.png"


SHOTS: Final = (
    Shot("", WIDE, 620, "light"),
    Shot("", NARROW, 844, "dark"),
    Shot("sweep", WIDE, 1300, "dark"),
    Shot("sweep", NARROW, 1300, "light"),
    Shot("explore", WIDE, 1300, "light"),
    Shot("explore", NARROW, 1300, "dark"),
    Shot("transfer", WIDE, 1700, "light"),
    Shot("transfer", NARROW, 1300, "dark"),
    Shot("population", WIDE, 1300, "dark", "digits-population"),
    Shot("population", NARROW, 1300, "light", "digits-population"),
    Shot("laws", WIDE, 1100, "dark"),
    Shot("laws", NARROW, 1300, "light"),
    Shot("predict", WIDE, 1300, "light"),
    Shot("predict", NARROW, 1300, "dark"),
    Shot("plan", WIDE, 1300, "dark"),
    Shot("plan", NARROW, 1300, "light"),
)

POPULATION: Final = """\
name: digits-population
trainer: mlp
scales: {width: 32, depth: 2, tokens: 40000}
search: {method: population}
space:
  lr: {log: [1e-4, 1e-1]}
  weight_decay: {log: [1e-3, 1e0]}
fixed: {batch_tokens: 32}
runs: 12
reports: 10
"""


def main() -> None:
    """Serve the database and take every picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("database", type=Path, help="the file that `hyperlaw demo` made")
    asked = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        parser.error("needs Chromium; on Debian: apt-get install chromium")
    if not asked.database.is_file():
        parser.error(f"there is no database {asked.database}; `make demo` makes one")
    IMAGES.mkdir(exist_ok=True)
    complete(asked.database.resolve())
    with served(asked.database.resolve()) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for shot in SHOTS:
            picture = take(browser, f"{address}/{shot.path}?sweep={shot.sweep}", shot)
            shot.file.write_bytes(picture)
            print(f"{shot.file.relative_to(ROOT)}  {len(picture) / 1e3:.0f} KB")
        browser.close()


def complete(database: Path) -> None:
    """Add what the demo leaves out: a population, and a transfer check of the demo's model."""
    with TemporaryDirectory() as folder:
        sweep = Path(folder) / "population.yaml"
        sweep.write_text(POPULATION, encoding="utf-8")
        for arguments in (
            ["sweep", "launch", str(sweep)],
            ["transfer", "check", "--trainer", "gpt", "--parametrization", "mup"],
        ):
            run = [sys.executable, "-m", "hyperlaw", *arguments, "--db", str(database)]
            subprocess.run(run, check=True, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)})


def take(browser: Browser, url: str, shot: Shot) -> bytes:
    """Return a page as a PNG of few colours."""
    page = browser.new_page(
        viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.scheme
    )
    page.goto(url)
    page.get_by_role("heading").first.wait_for()
    page.get_by_test_id("stStatusWidget").wait_for(state="detached", timeout=120_000)
    page.wait_for_function(DRAWN, timeout=120_000)
    page.wait_for_timeout(SETTLE_MS)
    seen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.close()
    kept = io.BytesIO()
    # The default method gives nearly all colours to greys, and confuses the figures' own.
    few = seen.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
    few.save(kept, "PNG", optimize=True)
    return kept.getvalue()


@contextmanager
def served(database: Path) -> Iterator[str]:
    """Serve the dashboard of a database, read-only; yield its address."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    script = ROOT / "hyperlaw" / "dashboard.py"
    server = subprocess.Popen(
        command(script, port=port, open_browser=False),
        # Named as a user names it: pages show the database in the commands that they tell.
        env=os.environ | {"HYPERLAW_DB": database.name, "PYTHONPATH": str(ROOT)},
        cwd=database.parent,
    )
    address = f"http://{HOST}:{port}"
    until = time.monotonic() + START_SECONDS
    try:
        while time.monotonic() < until and server.poll() is None:
            with suppress(urllib.error.URLError):
                urllib.request.urlopen(f"{address}/_stcore/health").close()
                yield address
                return
            time.sleep(0.1)
        raise SystemExit("the server did not start")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
