"""What the server adds to Streamlit's: pages that say where it is, and work that begins early."""

import asyncio
import re
import socket
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import dashboards
from dashboards import served_page, server
from dashboards.app import PAGES

SCRIPT = Path(dashboards.__file__).with_name("app.py")


def test_every_page_says_where_the_server_is_before_any_other_script() -> None:
    for _, _, path in PAGES:
        text = served_page.html(path)
        assert text.index(served_page.WHERE) < text.index("<script type=")
        assert text.count("<head>") == text.count("</head>") == 1
        assert ("plotly.js" in text) == (path != ""), "the first page has no figure"


def test_pages_with_figures_ask_early_for_what_shows_them() -> None:
    asked = re.findall(
        r'<link rel="modulepreload" crossorigin href="./([^"]+)">', served_page.html("explore")
    )
    assert len(asked) == len(set(asked)), "nothing is asked for twice"
    assert all((served_page.STATIC / file).is_file() for file in asked)
    early = set(asked) - set(re.findall(r'href="./([^"]+)"', served_page.html("")))
    for name in served_page.ELEMENTS:
        assert any(Path(file).name.startswith(f"{name}.") for file in early)


def test_every_page_of_the_navigation_is_served() -> None:
    paths = {route.path for route in server.application(SCRIPT)._user_routes}
    assert paths == {"/plotly.js", *(f"/{path}" for _, _, path in PAGES)}
    assert all(path.count("/") == 1 for path in paths), "each lies in the server's own folder"
    assert server.PLOTLY.is_file()


def test_answers_are_sent_without_delay() -> None:
    async def serve() -> int:
        loop = asyncio.get_running_loop()
        server._send_at_once(loop)
        accepted: asyncio.Future[socket.socket] = loop.create_future()

        class Answer(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted.set_result(transport.get_extra_info("socket"))

        listening = socket.create_server(("127.0.0.1", 0))
        async with await loop.create_server(Answer, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            delay = (await accepted).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            await writer.wait_closed()
        return delay

    with ThreadPoolExecutor() as threads:  # where a browser is driven, this thread has its loop
        assert threads.submit(lambda: asyncio.run(serve())).result() != 0


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_the_browser_goes_to_where_the_server_answers(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with socket.create_server((address, 0)) as listening:
        port = listening.getsockname()[1]
        opened: list[str] = []
        monkeypatch.setattr(webbrowser, "open", opened.append)
        server.open_browser(address, port)
    assert opened == [f"http://127.0.0.1:{port}"]


def test_the_browser_waits_for_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        slept: list[float] = []
        monkeypatch.setattr("time.sleep", lambda s: (slept.append(s), bound.listen()))
        opened: list[str] = []
        monkeypatch.setattr(webbrowser, "open", opened.append)
        server.open_browser("127.0.0.1", bound.getsockname()[1])
    assert (len(slept), len(opened)) == (1, 1)
