"""A dashboard as it is served, and a headless Chromium that looks at it; skipped without one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from dashboards.launch import CONTROL_VARIABLE, HOST, command

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "hyperlaw" / "dashboard.py"
NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 60.0
PATIENCE_MS = 60_000  # of every wait: a busy machine is slow, a broken page never comes


class Seen:
    """What a page did that it must not do.

    Attributes
    ----------
    outside : addresses on other machines that it asked for.
    errors : what it wrote into the console as an error, or threw.
    """

    def __init__(self, page: Page) -> None:
        self.outside: list[str] = []
        self.errors: list[str] = []
        page.on("request", self._request)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != HOST:
            self.outside.append(request.url)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({urlsplit(message.location['url']).path})")


def metric(page: Page, label: str) -> Locator:
    """Return the number that a page shows under a label."""
    found = page.get_by_test_id("stMetric").filter(has_text=label)
    return found.get_by_test_id("stMetricValue")


def has_value(field: Locator, text: str) -> None:
    """Hold that a field comes to show this text."""
    from playwright.sync_api import expect

    expect(field).to_have_value(text, timeout=10_000)


@contextmanager
def served(database: Path, log: Path, *, allow_control: bool = False) -> Iterator[str]:
    """Serve the dashboard of a database; yield its address."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    environment = {name: text for name, text in os.environ.items() if name != CONTROL_VARIABLE}
    environment["HYPERLAW_DB"] = str(database)
    if allow_control:
        environment[CONTROL_VARIABLE] = "1"
    with log.open("wb") as file:
        server = subprocess.Popen(
            command(SCRIPT, port=port, open_browser=False),
            env=environment,
            cwd=log.parent,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            address = f"http://{HOST}:{port}"
            _wait_for(f"{address}/_stcore/health", server, log)
            yield address
        finally:
            server.terminate()
            server.wait()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        with suppress(urllib.error.URLError), urllib.request.urlopen(address):
            return
        time.sleep(0.1)
    raise AssertionError(f"the server did not start:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh visitor; at the end no request has left the machine and the console has no error."""
    page = chromium.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(PATIENCE_MS)
    seen = Seen(page)
    yield page
    page.close()
    assert seen.outside == []
    assert seen.errors == []
