"""The dashboard's server: Streamlit's, with pages that know where it is and modules at hand.

    python -m dashboards.server SCRIPT --address 127.0.0.1 --port 8501

Four things are done that Streamlit leaves undone. A page that is opened by its link looks for the
server under its own path first, is told 404 twice, and says so in the browser's console; here every
page says where the server is (see `served_page`). The visitor who comes first would wait for
pandas, scipy and scikit-learn to be imported; here that begins when the server does. Answers would
be held back (see `_send_at_once`). And plotly.js, which draws the figures (see `figure_view`), is
served from here.
"""

from __future__ import annotations

import argparse
import asyncio
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
from typing import Any, Final

import plotly
import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Route

from dashboards import figures, served_page
from dashboards.app import PAGES

PLOTLY: Final = Path(plotly.__file__).with_name("package_data") / "plotly.min.js"
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
        _send_at_once(asyncio.get_running_loop())
        for work in (_import_all, then):
            Thread(target=work, daemon=True).start()
        yield

    routes = [_page_route(path) for _, _, path in PAGES]
    routes.append(Route("/plotly.js", _plotly))
    return st.App(script, lifespan=lifespan, routes=routes)


def _page_route(path: str) -> Route:
    text = served_page.html(path)

    async def answer(request: Request) -> HTMLResponse:
        return HTMLResponse(text, headers={"Cache-Control": "no-cache"})

    return Route(f"/{path}", answer)


async def _plotly(request: Request) -> FileResponse:
    return FileResponse(PLOTLY, headers={"Cache-Control": f"max-age={DAY_SECONDS}"})


def _send_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """Let what the server listens on next send without delay (TCP_NODELAY).

    asyncio sees to it where a socket names its protocol, and Streamlit's does not: the end of every
    answer would wait 40 ms for the browser to acknowledge its beginning, and a page has hundreds.
    """
    create_server = loop.create_server

    async def create(*given: Any, sock: socket.socket, **options: Any) -> asyncio.Server:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # those it accepts inherit it
        return await create_server(*given, sock=sock, **options)

    vars(loop)["create_server"] = create


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
