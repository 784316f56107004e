"""Checks of transfer where they are seen: figures, the Transfer page, and the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboards import report_checks
from dashboards.figures.basin_check import get_basin_check_info, plot_basin_check
from dashboards.figures.coordinate_check import (
    get_changes_info,
    get_slopes_info,
    plot_changes,
    plot_slopes,
)
from dashboards.report_content import ReportContent
from scaling.basin_check import check_basins
from scaling.coordinate_slopes import CHANGES
from scaling.law import Law
from scaling.transfer_check import Subject, TransferCheck
from storage.runs_table import check_runs
from storage.store import Store

SIZES = {"width": (64, 128, 256), "depth": (2, 4, 8)}
POWERS = {"embedding": 0.0, "blocks[last].mlp": -0.5, "readout": 0.9}
RATE_POWERS = range(-10, -3)
"""log2 of the rates of a grid."""


def rate_grid(widths: Iterable[int], loss: Callable[[int, int], float]) -> pd.DataFrame:
    """Return runs of a grid of widths and rates; `loss` is of a width and the rate's log2."""
    runs = [
        {
            "params": 24.0 * width**2,
            "width": width,
            "tokens": 1e6,
            "lr": 2.0**power,
            "batch_tokens": 512,
            "loss": loss(width, power),
        }
        for width in widths
        for power in RATE_POWERS
    ]
    return check_runs(pd.DataFrame(runs))


def bowl(_width: int, power: int) -> float:
    return 3 + 0.02 * (power + 7) ** 2


def make_check(name: str = "gpt-mup", *, basins: bool = False, **powers: float) -> TransferCheck:
    """Return a check of changes that grow by known powers; those inside blocks have a dot."""
    rows = [
        (axis, size, seed, layer, "." in layer, step, power * math.log(size) + 0.1 * step + seed)
        for axis, sizes in SIZES.items()
        for layer, power in ({**POWERS, **powers}).items()
        for size in sizes
        for seed in range(3)
        for step in range(2, 5)
    ]
    return TransferCheck(
        name,
        Subject("gpt", "mup", "adamw", {"context": 32}, {}),
        {"lr": 2.0**-8, "optimizer": "adamw"},
        "python-stdlib",
        ("width", "depth"),
        pd.DataFrame(rows, columns=list(CHANGES)),
        check_basins(rate_grid(SIZES["width"], bowl)) if basins else (),
    )


def test_slopes_are_laid_out_worst_first_with_their_verdicts() -> None:
    info = get_slopes_info(make_check())
    assert [(row.layer, row.verdict) for row in info.rows] == [
        ("readout", "moves with size"),
        ("readout", "moves with size"),
        ("blocks[last].mlp", "moves with size"),
        ("embedding", "holds"),
        ("embedding", "holds"),
        ("blocks[last].mlp", "not judged"),
    ]
    drawn = plot_slopes(info)
    assert [trace.name for trace in drawn.data] == ["holds", "moves with size", "not judged"]
    assert len({trace.marker.symbol for trace in drawn.data}) == 3, "told apart without colour"
    assert sum(len(trace.x) for trace in drawn.data) == 6


def test_very_many_layers_are_cut() -> None:
    many = make_check(**{f"layer{number}": 0.01 * number for number in range(30)})
    drawn = plot_slopes(get_slopes_info(many), max_rows=10)
    assert sum(len(trace.x) for trace in drawn.data) == 10


def test_a_slope_that_is_not_finite_is_drawn_at_the_edge() -> None:
    check = make_check()
    blown = check.changes["log_rms"].mask((check.changes["layer"] == "readout").to_numpy())
    check = replace(check, changes=check.changes.assign(log_rms=blown))
    info = get_slopes_info(check)
    assert info.rows[0].verdict == "not finite"
    drawn = plot_slopes(info)
    assert all(np.isfinite(trace.x).all() for trace in drawn.data)


def test_changes_are_the_geometric_mean_over_seeds() -> None:
    info = get_changes_info(make_check(), "width", "readout")
    assert info.steps == (2, 3, 4)
    assert info.sizes.tolist() == [64, 128, 256]
    assert info.rms[0] == pytest.approx([math.exp(1.2) * size**0.9 for size in info.sizes])
    assert len(info.table) == 9
    drawn = plot_changes(info)
    assert [trace.name for trace in drawn.data] == ["step 2", "step 3", "step 4"]
    assert get_changes_info(make_check(), "width", "nothing").steps == ()


def test_basins_are_drawn_with_the_rate_that_is_copied() -> None:
    info = get_basin_check_info(make_check(basins=True).basins[0])
    assert info.copied[0] == pytest.approx(2.0**-7)
    assert info.copied[1] == pytest.approx(3.0)
    assert len(info.table) == 21
    drawn = plot_basin_check(info)
    optimum = next(trace for trace in drawn.data if trace.name == "optimum")
    assert list(optimum.x) == pytest.approx([2.0**-7] * 3)


@pytest.mark.parametrize("survive", [-6, -20])
def test_rates_that_diverged_are_crosses_at_the_top(survive: int) -> None:
    rates = np.array(RATE_POWERS)

    def loss(width: int, power: int) -> float:
        return 3 + 0.02 * (power + 5) ** 2 if width == 64 or power < survive else math.nan

    (check,) = check_basins(rate_grid((64, 256), loss))
    info = get_basin_check_info(check)
    assert math.isinf(info.copied[1])
    lost = rates[rates >= survive]
    assert info.table["loss"].isna().sum() == len(lost)
    drawn = plot_basin_check(info)
    crosses = next(trace for trace in drawn.data if trace.name == "diverged")
    assert list(np.log2(crosses.x)) == list(lost)
    for trace in drawn.data:
        assert not np.isinf(np.array(trace.y, dtype=float)).any()
    copied = drawn.data[-1]
    assert list(copied.y) == list(crosses.y[:1])
    assert "it diverges" in copied.hovertemplate


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    path = tmp_path / "hyperlaw.db"
    monkeypatch.setenv("HYPERLAW_DB", str(path))
    monkeypatch.setattr("sys.argv", ["app.py"])
    with Store.open(path) as store:
        yield store


def keep(store: Store, check: TransferCheck) -> None:
    subject, document = asdict(check.subject), check.to_dict()
    store.save_transfer_check(check.name, subject=subject, passed=check.passed, document=document)


def page(**query: str) -> AppTest:
    """Run the Transfer page with nothing raised."""

    def script() -> None:
        from dashboards.pages import transfer

        transfer.show()

    app = AppTest.from_function(script, default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


CHECKS = {"part": "Checks of models"}


def test_without_a_check_the_page_says_which_command_makes_one(store: Store) -> None:
    store.add_sweep("sim", spec_text="")
    app = page(**CHECKS)
    assert "No check of transfer" in app.info[0].value
    assert "hyperlaw transfer check sweep.yaml" in app.code[0].value


def test_a_check_shows_its_verdict_its_layers_and_its_basins(store: Store) -> None:
    store.add_sweep("sim", spec_text="")
    keep(store, make_check(basins=True))
    app = page(**CHECKS)
    assert app.error[0].value == "gpt under mup with adamw: failed"
    said = "\n".join(str(element.value) for element in app.markdown)
    assert "3 of 5 layers do not move alike" in said
    assert "serves the largest size" in said
    assert len(app.get("bidi_component")) == 3
    assert app.dataframe[0].value["layer"].tolist()[0] == "readout"
    passed = make_check("other", readout=0.0, **{"blocks[last].mlp": 0.0})
    keep(store, passed)
    assert page(**CHECKS).success[0].value == "gpt under mup with adamw: passed"


def test_the_check_and_the_layer_stand_in_the_url(store: Store) -> None:
    store.add_sweep("sim", spec_text="")
    for name in ("first", "second"):
        keep(store, make_check(name))
    assert page(**CHECKS).query_params["check"] == "second"
    app = page(**CHECKS, check="first", layer="embedding, over width")
    assert app.selectbox(key="check").value == "first"
    assert app.selectbox(key="layer").value == "embedding, over width"


def test_checks_are_shown_in_a_database_without_sweeps(store: Store) -> None:
    keep(store, make_check())
    app = page()
    assert app.title[0].value == "Checks of transfer"
    assert len(app.get("bidi_component")) == 2


def test_a_check_of_a_newer_version_is_an_error_in_one_line(store: Store) -> None:
    store.save_transfer_check("new", subject={}, passed=True, document={"schema_version": 99})
    assert "version 99" in page().error[0].value


def test_the_report_has_a_section_where_there_are_checks(law: Law, runs: pd.DataFrame) -> None:
    bare = ReportContent(title="ladder", law=law, runs=runs)
    assert report_checks.checks(bare) is None
    full = replace(bare, checks=[make_check(basins=True), make_check("other")])
    section = report_checks.checks(full)
    assert section is not None
    assert "gpt under mup with adamw: failed" in section.text[0]
    assert len(section.panels) == 3 + 2
    assert section.table is not None
    assert section.table.names[0] == "check"
    assert len(section.table.rows) == 12
