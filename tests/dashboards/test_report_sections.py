"""Which sections of a report are there when, what they say, and how large the file gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from dashboards import (
    report_figures,
    report_measured,
    report_scaling,
    report_search,
    report_text,
)
from dashboards.report import render_report
from dashboards.report_content import ReportContent
from scaling.adjusted import answer
from scaling.design import plan_runs
from scaling.fitting import fit_law
from scaling.law import Law
from scaling.loss_laws.choice import fit_form
from storage.rounds import RoundRecord
from tests.dashboards.test_report import Page

TARGET = {"params": 6_291_456, "tokens": 125_829_120}
WHEN = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
GUIDED = "search: {method: law-guided, flops: 1e15, target: {params: 6e6, tokens: 1.2e8}}"


@pytest.fixture(scope="module")
def bare(law: Law, runs: pd.DataFrame) -> ReportContent:
    """Return what a table of runs alone gives."""
    return ReportContent(title="bare", law=law, runs=runs, generated=WHEN)


@pytest.fixture(scope="module")
def full(bare: ReportContent) -> ReportContent:
    """Return content for every section but the population's."""
    law = bare.law
    n_runs = len(bare.runs)
    runs = bare.runs.assign(
        created=pd.date_range("2026-01-01", periods=n_runs, freq="min", tz="UTC"),
        reason="",
    )
    failed = runs.head(3).assign(
        run_id=["f1", "f2", "f3"],
        status="failed",
        loss=np.nan,
        reason=["out of memory", "no such file", "out of memory"],
    )
    return replace(
        bare,
        runs=pd.concat([runs, failed], ignore_index=True),
        prediction=law.predict(**TARGET),
        loss_law=fit_form(bare.runs),
        plan=plan_runs(law, bare.runs, **TARGET, n_runs=3),
        rounds={
            "guided": [
                RoundRecord(0, 12, 1e10),
                RoundRecord(1, 20, 2e10, expected_regret_pct=4.0),
                RoundRecord(2, 32, 3e10, expected_regret_pct=0.5),
            ]
        },
        sweep_texts={"guided": GUIDED},
    )


@pytest.fixture(scope="module")
def lineage() -> pd.DataFrame:
    """Two members; b goes on from a's state at report 1 with a smaller rate, and ends best."""
    rows = [
        (0, "a", None, None, False, 1, 1.0, 3.0, 0.01),
        (1, "b", None, None, False, 1, 1.0, 3.5, 0.02),
        (2, "a", "a", 1.0, False, 2, 2.0, 2.8, 0.01),
        (3, "b", "a", 1.0, True, 2, 2.0, 2.6, 0.004),
    ]
    columns = ["number", "run_id", "origin_run_id", "origin_reports", "exploit", "reports",
               "reached", "loss", "lr"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).assign(seed=0, started="", ended="")


def test_a_table_of_runs_alone_gives_a_short_report(bare: ReportContent) -> None:
    page = Page(render_report(bare))
    always = report_text.ALWAYS | report_text.OF_A_LAW
    assert set(page.ids) == always | {"transfer", "importance", "search"}
    assert "Runs in the order" not in page.text, "a table does not tell when its runs ended"
    assert "Loss over cost" in page.text


def test_the_contents_list_the_sections_in_the_order_of_the_page(
    full: ReportContent, lineage: pd.DataFrame
) -> None:
    page = Page(render_report(replace(full, populations={"pop": lineage})))
    listed = [ref[1:] for ref in page.references if ref.startswith("#")]
    assert listed == page.ids
    assert set(listed) == set(report_text.TITLES) - {"best", "slices", "checks"}, "a law says more"


@pytest.fixture(scope="module")
def lawless(full: ReportContent, lineage: pd.DataFrame) -> ReportContent:
    """Return the content of the runs of one scale, which carry no law."""
    one = full.runs[(full.runs["params"] == 98_304) & (full.runs["tokens"] == 1_966_080)]
    return ReportContent(
        title="one",
        law=None,
        runs=one,
        why_no_law="all runs have one scale; add another",
        populations={"pop": lineage},
        sweep_texts=full.sweep_texts,
        generated=WHEN,
    )


def test_runs_without_a_law_give_every_section_that_needs_none(lawless: ReportContent) -> None:
    page = Page(render_report(lawless))
    wanted = {"best", "slices", "search", "population"}
    assert set(page.ids) == report_text.ALWAYS | wanted
    assert [ref[1:] for ref in page.references if ref.startswith("#")] == page.ids
    assert (
        "There is no law of these runs, so nothing is predicted from them: all runs have one "
        "scale; add another."
    ) in page.text
    assert "over 1 scale." in page.text
    section = report_measured.best_runs(lawless)
    assert section is not None
    assert section.table is not None
    losses = [float(row[-1]) for row in section.table.rows]
    assert losses == sorted(losses)
    assert losses[0] == pytest.approx(lawless.runs["loss"].min(), abs=1e-4)
    batches = {row[section.table.names.index("batch, tokens")] for row in section.table.rows}
    assert batches <= {"512", "1,024", "2,048", "4,096", "8,192"}, "to be copied: not rounded"


def test_the_best_runs_of_several_scales_are_some_of_each(
    full: ReportContent, lawless: ReportContent
) -> None:
    section = report_measured.best_runs(replace(lawless, runs=full.runs))
    assert section is not None
    assert section.table is not None
    assert len({tuple(row[1:3]) for row in section.table.rows}) == len(full.scales)
    assert report_measured.best_runs(full) is None
    assert report_measured.slices(full) is None


@pytest.mark.parametrize("status", ["diverged", "failed", None])
def test_runs_without_any_loss_still_give_a_report(
    lawless: ReportContent, status: str | None
) -> None:
    runs = lawless.runs.head(0 if status is None else 4)
    lost = replace(lawless, runs=runs.assign(loss=np.nan, status=status or ""), populations={})
    page = Page(render_report(lost))
    assert set(page.ids) == report_text.ALWAYS | ({"failures"} if status == "failed" else set())
    assert ("No run has ended yet" in page.text) == (status is None)


def test_the_scales_of_runs_without_a_law_are_counted_as_those_of_a_law(
    full: ReportContent, lawless: ReportContent
) -> None:
    columns = ["params", "tokens", "flops", "runs", "diverged", "best_loss"]
    counted = replace(lawless, runs=full.runs).scales[columns].astype(float)
    pd.testing.assert_frame_equal(counted, full.scales[columns].astype(float))


def test_the_plan_says_what_it_costs_and_brings(full: ReportContent) -> None:
    section = report_scaling.next_runs(full)
    assert section is not None
    assert full.plan is not None
    first, stays = section.text
    assert "lower the regret expected at the target" in first
    assert "stays, whatever small runs are done" in stays
    assert section.table is not None
    assert len(section.table.rows) == len(full.plan)
    assert report_scaling.next_runs(replace(full, plan=full.plan.head(0))) is None
    assert report_scaling.next_runs(replace(full, prediction=None)) is None


def test_what_planned_runs_take_is_told_where_runs_were_timed(full: ReportContent) -> None:
    seconds = full.runs["params"] * full.runs["tokens"] / 1e9
    timed = replace(full, runs=full.runs.assign(seconds=seconds))
    section, untimed = report_scaling.next_runs(timed), report_scaling.next_runs(full)
    assert section is not None
    assert untimed is not None
    assert "one after another" in section.text[0]
    assert "one after another" not in untimed.text[0]


def test_drift_is_shown_by_parametrization_where_there_are_several(
    full: ReportContent, simulate: Callable[..., pd.DataFrame]
) -> None:
    other = simulate([24_576, 98_304, 393_216], [5, 20], n_runs=12, seed=3)
    both = pd.concat(
        [
            full.runs.assign(parametrization="sp"),
            other.assign(parametrization="mup", run_id="o" + other["run_id"]),
        ],
        ignore_index=True,
    )
    laws = {"mup": fit_law(other, name="mup"), "sp": full.law}
    section = report_scaling.transfer(replace(full, runs=both, by_parametrization=laws))
    assert section is not None
    assert {sentence.split()[1].rstrip(",") for sentence in section.text} == {"mup", "sp"}
    assert section.table is not None
    assert {row[0] for row in section.table.rows} == {"mup", "sp"}


def test_drift_is_left_out_where_the_runs_cannot_tell(full: ReportContent) -> None:
    rng = np.random.default_rng(0)
    vague = replace(full.law, draws=full.law.draws + rng.normal(0, 3, full.law.draws.shape))
    assert report_scaling.transfer(full) is not None
    assert report_scaling.transfer(replace(full, law=vague)) is None


def test_the_split_of_compute_is_that_of_the_target(full: ReportContent) -> None:
    section = report_scaling.compute(full)
    assert section is not None
    assert any("At the target's compute, 4.75e15 FLOP" in line for line in section.text)
    without = report_scaling.compute(replace(full, prediction=None))
    assert without is not None
    assert not any("target" in line for line in without.text)
    assert report_scaling.compute(replace(full, loss_law=None)) is None


def test_importance_is_shown_where_settings_explain_the_runs(full: ReportContent) -> None:
    many = full.runs[full.runs["status"] != "failed"]
    section = report_search.importance(full)
    assert section is not None
    assert "learning rate" in section.panels[0].json
    noise = many.assign(loss=np.random.default_rng(0).uniform(2, 3, len(many)), status="completed")
    assert report_search.importance(replace(full, runs=noise)) is None
    assert report_search.importance(replace(full, runs=many.head(10))) is None


def test_history_needs_to_know_when_runs_ended(full: ReportContent, bare: ReportContent) -> None:
    timed, untimed = report_search.search(full), report_search.search(bare)
    assert timed is not None
    assert untimed is not None
    assert [one.heading for one in timed.panels] == [
        "Runs in the order in which they ended",
        "Loss over cost",
    ]
    assert [one.heading for one in untimed.panels] == ["Loss over cost"]


def test_rounds_are_told_from_the_first_law_on(full: ReportContent) -> None:
    section = report_search.rounds(full)
    assert section is not None
    assert section.text == (
        "guided chose its runs by the law so far. The regret expected at N = 6M and D = 120M went "
        "from 4 % after round 1 (20 runs) to 0.5 % after round 2 (32 runs).",
    )
    no_law = {"guided": full.rounds["guided"][:1]}
    assert report_search.rounds(replace(full, rounds=no_law)) is None


def test_a_population_shows_its_lineage_and_the_schedule(
    full: ReportContent, lineage: pd.DataFrame
) -> None:
    section = report_search.population(replace(full, populations={"pop": lineage}))
    assert section is not None
    assert "once one took over another's state. The best is b." in section.text[0]
    assert len(section.panels) == 2
    assert section.table is not None
    assert [list(row) for row in section.table.rows] == [["a", "0", "1e-2"], ["b", "1", "4e-3"]]
    alone = lineage[~lineage["exploit"].astype(bool)]
    assert report_search.population(replace(full, populations={"pop": alone})) is None


def test_a_large_population_is_no_taller_than_a_page(full: ReportContent) -> None:
    n_runs = 120
    first = pd.DataFrame(
        {
            "number": range(n_runs),
            "run_id": [f"r{i}" for i in range(n_runs)],
            "origin_run_id": None,
            "origin_reports": np.nan,
            "exploit": False,
            "reports": 1,
            "reached": 1.0,
            "loss": np.linspace(3, 4, n_runs),
            "lr": np.geomspace(1e-3, 1e-1, n_runs),
        }
    )
    then = first.assign(
        number=first["number"] + n_runs,
        origin_run_id="r0",
        origin_reports=1.0,
        exploit=first["run_id"] != "r0",
        reports=2,
        reached=2.0,
        lr=first["lr"] / 2,
    )
    legs = pd.concat([first, then], ignore_index=True).assign(seed=0, started="", ended="")
    section = report_search.population(replace(full, populations={"pop": legs}))
    assert section is not None
    assert max(one.height for one in section.panels) < 900
    assert "120 runs trained side by side, and 119 times" in section.text[0]


def test_failures_are_counted_by_reason(full: ReportContent, bare: ReportContent) -> None:
    section = report_search.failures(full)
    assert section is not None
    assert section.table is not None
    assert [list(row) for row in section.table.rows] == [
        ["out of memory", "2", "f3"],
        ["no such file", "1", "f2"],
    ]
    assert report_search.failures(bare) is None


def test_the_critical_batch_is_told_where_it_was_measured(bare: ReportContent) -> None:
    runs = bare.runs.assign(critical_batch_tokens=4096.0)
    answered = answer(bare.law, runs, **TARGET)
    page = Page(render_report(replace(bare, runs=runs, prediction=answered.prediction)))
    assert "times the critical batch measured at the largest scale" in page.text


def test_many_runs_are_sampled_and_the_report_says_so(
    bare: ReportContent, simulate: Callable[..., pd.DataFrame]
) -> None:
    many = simulate([24_576, 98_304, 393_216], [5, 20], n_runs=700, seed=5)
    page = Page(render_report(replace(bare, runs=many)))
    assert "750 of 2,100 runs are drawn, evenly by loss" in page.text
    assert "1,500 of 3,732 runs are drawn, evenly by loss" in page.text
    assert sum(len(json.dumps(figure)) for figure in page.figures) < 2_000_000


def test_a_sample_keeps_the_best_of_every_scale() -> None:
    rng = np.random.default_rng(0)
    points = pd.DataFrame(
        {
            "params": np.repeat([1.0, 2.0], 500),
            "tokens": 10.0,
            "loss": np.where(rng.random(1000) < 0.1, np.nan, rng.uniform(2, 3, 1000)),
        }
    )
    kept = points.iloc[report_figures._evenly(points, 50)]
    assert len(kept) == 50
    least = points.groupby("params")["loss"].min()
    assert kept.groupby("params")["loss"].min().equals(least)
    assert kept["loss"].isna().any(), "diverged runs are among them"
