"""What the browser is sent of a figure: its data once, and all that it needs to keep a zoom."""

import json
from typing import Any

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from dashboards import figure_view, theme


def page() -> None:
    import plotly.graph_objects as go

    from dashboards import figure_view, theme

    drawn = theme.figure(height=300)
    drawn.add_trace(go.Scatter(x=[1, 2], y=[3, 4], name="</script>"))
    drawn.update_xaxes(title_text="run")
    drawn.update_yaxes(title_text="loss")
    figure_view.show(drawn, "one-figure")


@pytest.fixture(scope="module")
def sent() -> dict[str, Any]:
    app = AppTest.from_function(page).run()
    assert not app.exception
    (element,) = app.get("bidi_component")
    found: dict[str, Any] = json.loads(element.proto.bytes)
    return found


def test_a_zoom_lasts_while_the_axes_mean_the_same(sent: dict[str, Any]) -> None:
    layout = sent["figure"]["layout"]
    assert layout["uirevision"] == "one-figure"
    assert (layout["xaxis"]["uirevision"], layout["yaxis"]["uirevision"]) == ("run", "loss")


def test_the_page_chooses_the_colours(sent: dict[str, Any]) -> None:
    assert not sent["figure"]["layout"].get("template")
    assert set(sent["templates"]) == {"light", "dark"}
    inks = {template["layout"]["font"]["color"] for template in sent["templates"].values()}
    assert len(inks) == 2


def test_a_figure_is_not_uploaded(sent: dict[str, Any]) -> None:
    assert sent["config"]["showSendToCloud"] is False
    assert sent["config"]["plotlyServerURL"] == ""
    assert sent["config"]["toImageButtonOptions"]["filename"] == "one-figure"
    assert sent["label"] == "one figure"


def test_the_same_figure_is_sent_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    mounted: list[bytes] = []
    monkeypatch.setattr(figure_view, "_mount", lambda **sent: mounted.append(sent["data"]))
    for _ in range(2):
        drawn = theme.figure()
        drawn.add_trace(go.Scatter(x=[1, 2], y=[3, 4]))
        figure_view.show(drawn, "same")
    assert mounted[0] == mounted[1], "the browser draws only what has changed"
