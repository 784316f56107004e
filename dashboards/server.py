"""The dashboard's server: Streamlit's, with pages that know where it is and modules at hand.

    python -m dashboards.server SCRIPT --address 127.0.0.1 --port 8501

Three things are done that Streamlit leaves undone. A page that is opened by its link looks for the
server under its own path first, is told 404 twice, and says so in the browser's console; here every
page says where the server is. The visitor who comes first would wait for pandas, scipy and
scikit-learn to be imported; here that begins when the server does. And plotly.js, which draws the
figures (see `figure_view`), is served from here, and read while the browser has nothing else to do.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import socket
import time
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Final

import plotly
import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Route

from dashboards import figures
from dashboards.app import PAGES

STATIC: Final = Path(st.__file__).with_name("static")
"""What Streamlit's page is made of."""
PLOTLY: Final = Path(plotly.__file__).with_name("package_data") / "plotly.min.js"
WHERE: Final = 'window.__streamlit = {BACKEND_BASE_URL: new URL(".", location).href}'
"""A page's path is one word, so the server is at the page's own folder, behind a proxy too."""

WITHOUT_FIGURES: Final = ("",)
"""Paths of pages without figures; the others read plotly.js while Streamlit's page gets ready."""
DAY_SECONDS: Final = 86_400
VISITED: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to go for a server that listens everywhere."""
POLL_SECONDS: Final = 0.05


def application(script: Path, then: Callable[[], object] = lambda: None) -> st.App:
    """Return the server's application.

    Parameters
    ----------
    script : what is run for every visitor; it calls `dashboards.app.main`.
    then : called in a thread of its own when the server has its port and starts.
    """

    @asynccontextmanager
    async def lifespan(app: st.App) -> AsyncIterator[None]:
        for work in (_import_all, then):
            Thread(target=work, daemon=True).start()
        yield

    routes = [_page_route(path) for _, _, path in PAGES]
    routes.append(Route("/plotly.js", _plotly))
    return st.App(script, lifespan=lifespan, routes=routes)


def page(path: str) -> str:
    """Return Streamlit's HTML page as it is served under a path."""
    first = [f"<script>{WHERE}</script>"]
    if path not in WITHOUT_FIGURES:
        first.append('<script async id="plotly-js" src="./plotly.js"></script>')
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    return text.replace("<head>", "\n".join(["<head>", *first]), 1)


def _page_route(path: str) -> Route:
    text = page(path)

    async def answer(request: Request) -> HTMLResponse:
        return HTMLResponse(text, headers={"Cache-Control": "no-cache"})

    return Route(f"/{path}", answer)


async def _plotly(request: Request) -> FileResponse:
    return FileResponse(PLOTLY, headers={"Cache-Control": f"max-age={DAY_SECONDS}"})


def _import_all() -> None:
    """Import the pages, the one that opens first, and then every figure."""
    pages = [f"dashboards.pages.{name}" for name, _, _ in PAGES]
    modules = pkgutil.iter_modules(figures.__path__, "dashboards.figures.")
    for name in (*pages, *(module.name for module in modules)):
        importlib.import_module(name)


def open_browser(address: str, port: int) -> None:
    """Open the dashboard in the user's browser as soon as the server answers."""
    host = VISITED.get(address, address)
    while True:
        try:
            socket.create_connection((host, port)).close()
        except ConnectionRefusedError:
            time.sleep(POLL_SECONDS)
        else:
            break
    webbrowser.open(f"http://{host}:{port}")


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("script", type=Path)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--open", action="store_true", help="open it in a browser")
    asked = parser.parse_args()
    then = partial(open_browser, asked.address, asked.port) if asked.open else lambda: None
    application(asked.script.resolve(), then).run(
        config={
            "server.address": asked.address,
            "server.port": asked.port,
            "server.headless": True,
            "server.showEmailPrompt": False,
            "server.fileWatcherType": "none",
            "browser.gatherUsageStats": False,
            "client.toolbarMode": "minimal",
        }
    )


if __name__ == "__main__":
    main()
