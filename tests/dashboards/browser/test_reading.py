"""The main paths of a visitor who reads: open, filter, follow a link, change the target, download.

Every test ends with a look at the browser's console and at where its requests went.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from storage.curves import Curve
from storage.store import Store
from tests.dashboards.browser.conftest import has_value, metric, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("chromium")]


@pytest.fixture(scope="module")
def address(
    runs: pd.DataFrame, curves: dict[str, Curve], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("reading")
    with Store.open(folder / "runs.db") as store:
        store.add_sweep("sim", spec_text="name: sim\nsearch: {method: transfer}\nruns: 96\n")
        with store.together():
            for row in runs.to_dict(orient="records"):
                store.record_run({**row, "seconds": 4.0}, curves[row["run_id"]])
        store.set_sweep_state("sim", "done")
        store.add_sweep("small", spec_text="")
        store.add_runs(runs.head(3).assign(sweep="small", run_id=["s-0", "s-1", "s-2"]))
        store.set_sweep_state("small", "done")
    with served(folder / "runs.db", folder / "server.log") as address:
        yield address


def test_it_opens_with_the_sweeps_and_leads_to_each_page(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_text(re.compile(r"2 sweeps: 2 done; 99 runs")).wait_for()
    for name in ("Sweep", "Explore", "Transfer", "Laws", "Plan"):
        page.get_by_test_id("stSidebar").get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"**/{name.lower()}**")
        page.get_by_role("heading", name="sim", exact=True).wait_for()
        page.locator(".hyperlaw-figure .main-svg").first.wait_for()
        assert page.get_by_test_id("stException").count() == 0


def test_the_sweep_stays_chosen_from_page_to_page_and_in_the_link(page: Page, address: str) -> None:
    page.goto(f"{address}/explore")
    chosen = page.get_by_test_id("stSidebar").get_by_test_id("stSelectbox").locator("input").first
    has_value(chosen, "sim")
    page.wait_for_url("**/explore?sweep=sim")
    chosen.click()
    page.get_by_role("option", name="small").click()
    for name in ("Sweep", "Laws"):
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"**/{name.lower()}?sweep=small")
        page.get_by_role("heading", name="small", exact=True).wait_for()
        has_value(chosen, "small")


def test_a_filter_stands_in_the_link_and_the_link_shows_the_same(
    page: Page, address: str, runs: pd.DataFrame
) -> None:
    page.goto(f"{address}/explore")
    page.get_by_text("96 of 96 runs").wait_for()
    page.get_by_role("textbox", name="Name contains").fill("sim-0-000")
    page.keyboard.press("Enter")
    n_kept = int(runs["run_id"].str.contains("sim-0-000").sum())
    page.get_by_text(f"{n_kept} of 96 runs").wait_for()
    page.wait_for_url("**find=sim-0-000**")

    link = page.url
    page.goto("about:blank")
    page.goto(link)
    page.get_by_text(f"{n_kept} of 96 runs").wait_for()
    has_value(page.get_by_role("textbox", name="Name contains"), "sim-0-000")


def test_the_download_has_the_runs_that_are_shown(page: Page, address: str) -> None:
    page.goto(f"{address}/explore?find=sim-0-000")
    button = page.get_by_role("button", name=re.compile(r"CSV of \d+ runs"))
    with page.expect_download() as download:
        button.click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    table = pd.read_csv(io.StringIO(text))
    assert sorted(table["run_id"]) == [f"sim-0-000{digit}" for digit in range(10)]


def test_a_figure_can_be_kept_and_enlarged_but_not_uploaded(page: Page, address: str) -> None:
    page.goto(f"{address}/explore")
    figure = page.get_by_role("figure").first
    figure.locator(".modebar-btn").first.wait_for(state="attached")
    titles = figure.locator(".modebar-btn").evaluate_all(
        "buttons => buttons.map(button => button.dataset.title)"
    )
    assert "Download plot" in titles
    assert not [title for title in titles if "share" in title.lower() or "cloud" in title.lower()]
    figure.hover()
    figure.locator('[data-title="Full screen"]').click()
    page.wait_for_function("document.fullscreenElement?.clientHeight === innerHeight")


def test_figures_fit_a_phone_and_follow_the_page_into_the_dark(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/laws?view=published+laws")
    figure = page.get_by_role("figure").first
    figure.locator(".main-svg").first.wait_for()
    assert "<br>" in figure.evaluate("figure => figure.layout.xaxis.title.text")
    assert figure.evaluate("figure => figure.scrollWidth <= figure.clientWidth")

    ink = "figure => figure._fullLayout.font.color"
    light = figure.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        f"([figure, light]) => ({ink})(figure) !== light", arg=[figure.element_handle(), light]
    )


def test_another_target_has_another_answer_and_its_own_link(page: Page, address: str) -> None:
    page.goto(f"{address}/predict")
    page.get_by_text("expected regret").first.wait_for()
    before = metric(page, "learning rate").inner_text()
    page.get_by_role("textbox", name="Parameters").fill("50M")
    page.keyboard.press("Enter")
    page.wait_for_url("**params=50M**")
    changed = metric(page, "learning rate").filter(has_not_text=before)
    changed.wait_for()
    after = changed.inner_text()

    link = page.url
    page.goto("about:blank")
    page.goto(link)
    metric(page, "learning rate").filter(has_text=after).wait_for()
    has_value(page.get_by_role("textbox", name="Parameters"), "50M")


def test_a_target_that_cannot_be_read_is_answered_in_words(page: Page, address: str) -> None:
    page.goto(f"{address}/predict?params=many")
    page.get_by_test_id("stAlert").first.wait_for()
    assert "many" in page.get_by_test_id("stAlert").first.inner_text()
    assert page.get_by_test_id("stException").count() == 0
