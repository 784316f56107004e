import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from dashboards import report as report_module
from dashboards import report_text
from dashboards.report import ReportError, render_report, write_report
from dashboards.report_content import ReportContent
from scaling.backtest import compare

WHEN = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
NASTY = "</script><script>alert(1)</script><b>"


class Page(HTMLParser):
    """What a browser would see: ids, references to other files, and the text outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.figures: list[dict] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self._inside = found.get("type", tag) if tag in ("script", "style") else ""
        self.ids += [found["id"]] if "id" in found else []
        self.references += [found[name] for name in ("src", "href") if name in found]

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "application/json":
            self.figures.append(json.loads(data))
        elif not self._inside:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def content(law, runs, curves, check):
    return ReportContent(
        title="ladder",
        law=law,
        runs=runs,
        prediction=law.predict(6_291_456, 125_829_120),
        curves=curves,
        held_out=[check],
        comparison=compare(law, runs),
        sweep_texts={"ladder": "name: ladder\nruns: 96\n"},
        generated=WHEN,
        next_commands=["hyperlaw predict --sweep ladder --params 7e9 --tokens 1.4e11"],
    )


@pytest.fixture(scope="module")
def page(content):
    return Page(render_report(content))


@pytest.fixture(scope="module")
def bare(law, runs):
    return Page(render_report(ReportContent(title="bare", law=law, runs=runs, generated=WHEN)))


def test_every_section_is_there(page):
    sections = {"answer", "basins", "curves", "law", "held-out", "published", "made", "next"}
    assert sections <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_every_link_leads_somewhere_on_the_page(page):
    inside = [ref[1:] for ref in page.references if ref.startswith("#")]
    assert inside
    assert set(inside) <= set(page.ids)


def test_nothing_is_loaded_from_elsewhere(page, content):
    assert all(ref.startswith(("#", "data:")) for ref in page.references)
    text = render_report(content)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not {"link", "iframe", "img"} & set(page.tags) - {"link"}


def test_no_figure_offers_to_be_uploaded(content):
    text = render_report(content)
    assert '"showSendToCloud":false' in text
    assert '"plotlyServerURL":""' in text


def test_the_answer_is_in_words_not_only_in_figures(page, content):
    for card in report_text.answers(content.prediction):
        assert card.value in page.text
        assert card.interval in page.text
    assert "16× the parameters, 16× the tokens and 256× the compute" in page.text
    for warning in content.prediction.warnings:
        assert warning in page.text
    assert "04 March 2026, 05:06 UTC" in page.text
    assert "hyperlaw predict --sweep ladder" in page.text
    assert "name: ladder" in page.text


def test_every_figure_is_plotly_data_without_a_template(page):
    always, transfer, importance, cost = 1 + 2 + 1 + 2 + 1 + 1 + 1, 1, 1, 1
    assert len(page.figures) == always + transfer + importance + cost
    for figure in page.figures:
        assert figure["data"]
        assert figure["layout"].get("template") in (None, {})


def test_a_size_has_one_colour_in_all_figures(page):
    colours = {}
    for figure in page.figures:
        for trace in figure["data"]:
            if trace.get("name") in ("24.6k", "98.3k", "393k"):
                colour = trace.get("line", {}).get("color") or trace["marker"]["color"]
                colours.setdefault(trace["name"], set()).add(colour)
    assert len(colours) == 3
    assert all(len(found) == 1 for found in colours.values())


def test_what_is_missing_says_how_to_get_it(bare):
    assert "No target was named" in bare.text
    assert "These runs have no learning curves" in bare.text
    assert "The law was not checked on a size that it did not see" in bare.text
    assert "Published laws were not compared" in bare.text
    assert "There is no sweep file: these runs were imported" in bare.text
    law, transfer, importance, cost = 2 + 2 + 1, 1, 1, 1
    assert len(bare.figures) == law + transfer + importance + cost


def test_text_of_the_user_cannot_become_code(content, law, runs):
    named = runs.assign(run_id=[f"{NASTY}{i}" for i in range(len(runs))])
    nasty = ReportContent(
        title=NASTY,
        law=law,
        runs=named,
        curves={f"{NASTY}0": next(iter(content.curves.values()))},
        sweep_texts={NASTY: NASTY},
        next_commands=[NASTY],
        generated=WHEN,
    )
    text = render_report(nasty)
    plain = render_report(ReportContent(title="", law=law, runs=runs, generated=WHEN))
    assert "alert(1)</script>" not in text
    assert text.count("<script") == plain.count("<script") + 1  # one figure more
    assert Page(text).words.count(NASTY) >= 3


def test_the_same_content_gives_the_same_page(content):
    assert render_report(content) == render_report(content)


def test_the_file_is_replaced_as_a_whole(tmp_path, content):
    path = tmp_path / "report.html"
    path.write_text("older")
    write_report(path, content)
    assert path.read_text(encoding="utf-8") == render_report(content)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, content, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("older")
    monkeypatch.setattr(report_module, "render_report", lambda _: "page with a lone \udc80")
    with pytest.raises(UnicodeEncodeError):
        write_report(path, content)
    assert path.read_text() == "older"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("place", "why"),
    [("nowhere/report.html", "nowhere does not exist; make it first"), (".", "is a folder")],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path, content, place, why):
    with pytest.raises(ReportError, match=why) as raised:
        write_report(tmp_path / place, content)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_the_sentence_of_a_perfect_check(check):
    from dataclasses import replace

    best = replace(check, nearest_gap_pct=0.0, quadratic_gap_pct=np.nan)
    sentence = report_text.held_out_sentence(best)
    assert sentence.endswith(f"is the best of {len(check.runs)} runs.")
    worse = replace(check, nearest_gap_pct=0.31, quadratic_gap_pct=0.02)
    assert "0.31 % above the best" in report_text.held_out_sentence(worse)
    assert "costs 0.02 %" in report_text.held_out_sentence(worse)


@pytest.mark.parametrize(
    ("times", "tone"), [(0.5, "near"), (10, "near"), (30, "far"), (300, "very-far")]
)
def test_the_badge_worries_with_distance(law, times, tone):
    params = 393_216 * times
    badge = report_text.extrapolation(law.predict(params, 7_864_320))
    assert badge.tone == ("near" if times <= 100 else "far")
    far = report_text.extrapolation(law.predict(params, 7_864_320 * times))
    assert far.tone == tone


def test_importing_the_report_loads_no_streamlit():
    code = (
        "import sys, dashboards.report; "
        "print([name for name in ('streamlit', 'torch', 'ray', 'optuna', 'sqlalchemy') "
        "if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
