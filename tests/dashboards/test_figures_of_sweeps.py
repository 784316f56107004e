"""Figures of sweeps: progress, history, curves that run, rounds, lineage, schedules, drift."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from dashboards.figures.curves import choose_runs, get_curves_info, plot_curves
from dashboards.figures.drift import get_drift_info, plot_drift
from dashboards.figures.history import get_history_info, history_frame, plot_history
from dashboards.figures.lineage import ancestry, best_run, get_lineage_info, plot_lineage
from dashboards.figures.progress import get_progress_info, plot_progress
from dashboards.figures.rounds import get_rounds_info, plot_rounds
from dashboards.figures.schedules_found import get_schedules_info, plot_schedules
from dashboards.progress import (
    Goal,
    duration,
    goal,
    population_progress,
    progress,
    scale_counts,
)
from dashboards.transfer_cost import get_transfer_cost
from scaling.law import Law
from storage.curves import Curve
from storage.legs import LegRecord
from storage.rounds import RoundRecord
from trainers.simulated import SimulatedLaw


def scales(*rows: tuple[float, float, int, int, int, int, float]) -> pd.DataFrame:
    """Rows of params, tokens, completed, diverged, failed, stopped and seconds of one run."""
    names = ["params", "tokens", "completed", "diverged", "failed", "stopped", "seconds"]
    frame = pd.DataFrame(rows, columns=names)
    ended = frame[["completed", "diverged", "stopped"]].sum(axis="columns")
    return frame.assign(
        sweep="a", best_loss=3.0, flops=6 * frame["params"] * frame["tokens"] * ended,
        seconds=frame["seconds"] * ended,
    )  # fmt: skip


def leg(run_id: str, params: float, tokens: float, reports: int = 8) -> LegRecord:
    scale = {"params": params, "tokens": tokens}
    return LegRecord(0, run_id, reports, None, None, scale, {}, 0, started="2026-01-01T00:00:00")


def test_the_goal_is_read_from_the_file() -> None:
    assert goal("") == Goal()
    assert goal("search: {method: random}\nruns: 96\nreports: 4").runs == 96
    assert goal("search: {method: listed}\npoints: [{}, {}]").runs == 2
    assert goal("search: {method: freeze-thaw}\nruns: 96").runs is None
    guided = goal("search: {method: law-guided, flops: 1e15, target: {params: 1e8, tokens: 2e9}}")
    assert (guided.flops, guided.target, guided.runs) == (1e15, (1e8, 2e9), None)


def test_a_stopped_run_counts_for_the_scale_that_it_was_meant_for() -> None:
    counts = scale_counts(
        scales((1e6, 5e6, 3, 0, 0, 0, 1), (1e6, 2e6, 0, 0, 0, 2, 1), (4e6, 9e6, 0, 0, 0, 1, 1)),
        [leg("r", 1e6, 5e6)],
    )
    assert counts["tokens"].tolist() == [5e6, 9e6]
    assert counts["stopped"].tolist() == [2, 1]
    assert counts["running"].tolist() == [1, 0]


def test_time_left_is_that_of_the_runs_left_at_their_scales() -> None:
    counts = scale_counts(scales((1e6, 1e7, 4, 0, 0, 0, 10), (4e6, 4e7, 2, 0, 0, 0, 100)))
    running = [leg("a", 4e6, 4e7), leg("b", 4e6, 4e7)]
    far = progress(Goal("transfer", runs=8), counts, running, {})
    # two runs of the large scale are left, 100 s each, and two run at once
    assert far.seconds_left == pytest.approx(100)
    assert far.fraction == pytest.approx(6 / 8)
    half = progress(Goal("transfer", runs=8), counts, running, {"a": 4, "b": 4})
    assert half.seconds_left == pytest.approx(50)
    assert half.fraction == pytest.approx(7 / 8)


def test_a_scale_that_none_has_ended_at_takes_as_long_as_its_compute() -> None:
    counts = scale_counts(scales((1e6, 1e7, 1, 0, 0, 0, 10)), [leg("a", 2e6, 2e7)])
    far = progress(Goal("transfer", runs=2), counts, [leg("a", 2e6, 2e7)], {})
    assert far.seconds_left == pytest.approx(40)


def test_nothing_is_promised_before_anything_is_known() -> None:
    counts = scale_counts(scales(), [leg("a", 1e6, 1e7)])
    far = progress(Goal("transfer", runs=8), counts, [leg("a", 1e6, 1e7)], {})
    assert (far.fraction, far.seconds_left) == (0, None)
    assert progress(Goal(), counts, [], {}).fraction is None


def test_a_law_guided_sweep_is_done_by_its_budget() -> None:
    counts = scale_counts(scales((1e6, 1e7, 4, 0, 0, 0, 10)))
    budget = Goal("law-guided", flops=4 * 6e13 * 2)
    assert progress(budget, counts, [], {}).fraction == pytest.approx(0.5)


def test_a_population_is_done_by_its_reports() -> None:
    ended = LegRecord(0, "a", 2, None, None, {}, {}, 0, 2, "2026-01-01T00:00:00",
                      "2026-01-01T00:00:08")  # fmt: skip
    now = LegRecord(1, "b", 2, None, None, {}, {}, 0, None, "2026-01-01T00:00:00")
    far = population_progress(Goal("population", runs=2, reports=4), [ended, now], 0)
    assert far.fraction == pytest.approx(2 / 8)
    assert far.seconds_left == pytest.approx(4 * 6)


def test_times_are_written_as_people_say_them() -> None:
    assert [duration(t) for t in (7.4, 65, 7260, 200_000)] == [
        "7 s", "1 min 05 s", "2 h 01 min", "2 d 7 h",
    ]  # fmt: skip
    assert duration(math.nan) == "–"


def test_the_runs_left_fill_the_scales_up_to_the_same_number() -> None:
    counts = scale_counts(scales((1e6, 1e7, 4, 1, 0, 0, 1), (4e6, 4e7, 1, 0, 1, 0, 1)))
    info = get_progress_info(counts, planned=13)
    assert info.kinds == ("completed", "diverged", "failed", "left")
    assert info.bars["left"].sum() == 6
    assert info.bars[list(info.kinds)].sum(axis="columns").tolist() == [7, 6]
    drawn = plot_progress(info)
    assert [trace.name for trace in drawn.data] == list(info.kinds)
    assert "left" not in get_progress_info(counts).kinds


@pytest.fixture
def timed(runs: pd.DataFrame) -> pd.DataFrame:
    times = pd.date_range("2026-01-01", periods=len(runs), freq="min").strftime("%Y-%m-%dT%H:%M:%S")
    return runs.assign(created=list(times))


@pytest.mark.parametrize("against", ["order", "time"])
def test_the_best_so_far_only_falls_and_ends_at_the_best(timed: pd.DataFrame, against: str) -> None:
    info = get_history_info(timed, against=against)
    assert info.against == against
    for scale in info.scales:
        own = timed[(timed["params"] == scale.params) & (timed["tokens"] == scale.tokens)]
        assert (np.diff(scale.best) <= 0).all()
        assert scale.best[-1] == own["loss"].min()
        assert len(scale.x) == len(scale.best)
    assert len(history_frame(info)) == len(timed)
    assert len(plot_history(info).data) > len(info.scales)


def test_times_of_several_forms_are_put_in_order_and_what_is_none_takes_no_order(
    timed: pd.DataFrame,
) -> None:
    forms = [time.replace("T", " ")[:16] if i % 2 else f"{time}Z" for i, time in
             enumerate(timed["created"])]  # fmt: skip
    mixed = get_history_info(timed.assign(created=forms), against="time")
    pd.testing.assert_frame_equal(
        history_frame(mixed), history_frame(get_history_info(timed, against="time"))
    )
    forms[0] = "yesterday"
    assert get_history_info(timed.assign(created=forms), against="time").against == "order"


def test_the_best_so_far_begins_at_the_first_loss_whatever_failed_before(
    timed: pd.DataFrame,
) -> None:
    one = timed[(timed["params"] == timed["params"].min())].copy()
    one = one[one["tokens"] == one["tokens"].min()].sort_values("created", ignore_index=True)
    one.loc[:1, ["status", "loss"]] = ["failed", np.nan]
    first = int(np.flatnonzero(one["status"] == "completed")[0])
    (scale,) = get_history_info(one).scales
    assert float(scale.x.iloc[0]) == first + 1
    assert scale.best[0] == one["loss"].iloc[first]


def test_excess_is_above_the_best_of_each_scale(timed: pd.DataFrame) -> None:
    info = get_history_info(timed, measure="excess")
    for scale in info.scales:
        assert scale.best[-1] == 0
        assert np.nanmin(scale.points["y"]) == 0


def test_runs_without_times_keep_their_order(runs: pd.DataFrame) -> None:
    assert get_history_info(runs, against="time").against == "order"


def test_a_long_history_is_sampled_and_says_so(timed: pd.DataFrame) -> None:
    info = get_history_info(timed, max_points=30)
    assert sum(len(scale.points) for scale in info.scales) <= 30
    assert f"of {len(timed)} runs" in plot_history(info).layout.annotations[0].text
    for scale, whole in zip(info.scales, get_history_info(timed).scales, strict=True):
        assert scale.best.tolist() == whole.best.tolist()


def test_runs_that_run_are_all_drawn_before_the_best(
    runs: pd.DataFrame, curves: dict[str, Curve]
) -> None:
    running = runs.iloc[[0, 1]].assign(status="running", loss=np.nan)
    ended = choose_runs(runs.iloc[2:], max_curves=20)
    info = get_curves_info(ended, curves, running=running, max_curves=20, n_curves=len(runs) - 2)
    assert [curve.run_id for curve in info.curves if curve.is_running] == running["run_id"].tolist()
    assert info.curves[-1].is_best
    assert (len(info.curves), info.n_curves) == (22, len(runs))
    dashes = [trace.line.dash for trace in plot_curves(info).data]
    assert dashes.count("dot") == 2


def test_rounds_before_the_first_law_are_counted_not_drawn() -> None:
    info = get_rounds_info([RoundRecord(0, 8, 1e12), RoundRecord(1, 16, 2e12, 0.4)])
    assert (info.number, info.regret_pct, info.without_law) == ((1,), (0.4,), 1)
    assert list(plot_rounds(info).data[0].y) == [0.4]
    assert get_rounds_info([]).number == ()


@pytest.fixture
def lineage() -> pd.DataFrame:
    """Three members, three generations: c takes a's state at 1, b takes c's at 2; c ends best."""
    rows = [
        # number, run, origin, at, reports, reached, loss, lr
        (0, "a", None, None, 1, 1.0, 3.0, 0.01),
        (1, "b", None, None, 1, 1.0, 3.5, 0.02),
        (2, "c", None, None, 1, 1.0, 4.0, 0.04),
        (3, "a", "a", 1.0, 2, 2.0, 2.8, 0.01),
        (4, "b", "b", 1.0, 2, 2.0, 3.2, 0.02),
        (5, "c", "a", 1.0, 2, 2.0, 2.6, 0.008),
        (6, "a", "a", 2.0, 3, 3.0, 2.5, 0.01),
        (7, "b", "c", 2.0, 3, 3.0, 2.4, 0.01),
        (8, "c", "c", 2.0, 3, 3.0, 2.3, 0.008),
        (9, "d", None, None, 1, None, None, 0.03),
    ]
    columns = ["number", "run_id", "origin_run_id", "origin_reports", "reports", "reached", "loss",
               "lr"]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns)
    taken = frame["origin_run_id"].notna() & (frame["origin_run_id"] != frame["run_id"])
    return frame.assign(exploit=taken, batch_tokens=2048, seed=0, started="", ended="")


def test_the_ancestry_follows_the_weights_through_other_runs(lineage: pd.DataFrame) -> None:
    assert best_run(lineage) == "c"
    assert ancestry(lineage, "c")["number"].tolist() == [0, 5, 8]
    assert ancestry(lineage, "b")["number"].tolist() == [0, 5, 7]
    assert ancestry(lineage, "d").empty


def test_the_lineage_has_a_lane_a_run_and_an_arrow_an_exploit(lineage: pd.DataFrame) -> None:
    info = get_lineage_info(lineage)
    assert info.lanes == ("a", "b", "c")
    assert info.best == "c"
    arrows = {(e.reports, e.from_run, e.to_run): e.survives for e in info.exploits}
    assert arrows == {(1, "a", "c"): True, (2, "c", "b"): False}
    assert [s.run_id for s in info.stretches if s.survives] == ["a", "c", "c"]
    assert len([note for note in plot_lineage(info).layout.annotations if note.showarrow]) == 2


def test_a_schedule_is_what_the_weights_went_through(lineage: pd.DataFrame) -> None:
    info = get_schedules_info(lineage)
    assert info.settings == ("lr",)  # the batch never changed
    best = info.paths[-1]
    assert best.is_best
    assert (best.reports, best.taken["lr"]) == ((0, 1, 2, 3), (0.01, 0.008, 0.008, 0.008))
    assert info.schedule["reports"].tolist() == [0, 1]
    assert info.schedule["run_id"].tolist() == ["a", "c"]
    assert len(plot_schedules(info).data) == len(info.paths) == 3


def test_a_population_of_which_no_leg_has_ended_has_no_schedule(lineage: pd.DataFrame) -> None:
    young = lineage.assign(reached=np.nan, loss=np.nan)
    assert get_schedules_info(young).paths == ()
    assert get_lineage_info(young).best is None
    plot_lineage(get_lineage_info(young))


def test_drift_is_the_laws_with_its_verdict(law: Law) -> None:
    info = get_drift_info({"sim": law})
    assert [row.setting for row in info.rows] == ["lr", "batch_tokens"]
    for row, drift in zip(info.rows, law.drift(), strict=True):
        assert (row.octaves, row.holds) == (drift.octaves.value, drift.holds)
        assert row.low <= row.octaves <= row.high
    names = {trace.name for trace in plot_drift(info).data}
    assert names == {row.verdict for row in info.rows}


def test_copying_the_smallest_optimum_costs_what_the_truth_says(
    law: Law, runs: pd.DataFrame, truth: SimulatedLaw
) -> None:
    cost = get_transfer_cost(law, runs, ["lr"])
    small, large = truth.optimum(*cost.source), truth.optimum(*cost.target)
    true = 100 * (truth.loss(*cost.target, small.lr, large.batch_tokens) / large.loss - 1)
    assert cost.source == (24_576, 122_880)
    assert cost.regret_pct.low < true < cost.regret_pct.high
    both = get_transfer_cost(law, runs, law.settings)
    assert both.regret_pct.value > 0
    assert cost.measured_pct >= 0


@pytest.fixture
def many(simulate: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return simulate([20_000 * i for i in range(1, 31)], [10], n_runs=1, seed=5)


def test_too_many_scales_are_cut_to_the_largest(many: pd.DataFrame) -> None:
    frame = scales(*[(n, t, 1, 0, 0, 0, 1.0) for n, t in many[["params", "tokens"]].to_numpy()])
    info = get_progress_info(scale_counts(frame))
    assert (len(info.bars), info.n_scales) == (24, 30)
    assert info.bars["params"].max() == many["params"].max()
    assert "24 of 30" in plot_progress(info).layout.annotations[0].text
