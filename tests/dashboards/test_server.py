"""What the server adds to Streamlit's: pages that say where it is, and imports that begin early."""

import socket
import webbrowser
from pathlib import Path

import pytest

import dashboards
from dashboards import server
from dashboards.app import PAGES

SCRIPT = Path(dashboards.__file__).with_name("app.py")


def test_every_page_says_where_the_server_is_before_any_other_script() -> None:
    for _, _, path in PAGES:
        text = server.page(path)
        assert text.index(server.WHERE) < text.index("<script type=")
        assert text.count("<head>") == 1
        assert ("plotly.js" in text) == (path != ""), "the first page has no figure"


def test_every_page_of_the_navigation_is_served() -> None:
    paths = {route.path for route in server.application(SCRIPT)._user_routes}
    assert paths == {"/plotly.js", *(f"/{path}" for _, _, path in PAGES)}
    assert all(path.count("/") == 1 for path in paths), "each lies in the server's own folder"
    assert server.PLOTLY.is_file()


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
