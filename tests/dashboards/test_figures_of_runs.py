from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dashboards.figures import basins
from dashboards.figures.basins import get_basins_info, plot_basins
from dashboards.figures.budgets import MAX_BUDGETS, budgets
from dashboards.figures.curves import get_curves_info, plot_curves
from storage.curves import Curve


def scales(*pairs):
    return pd.DataFrame(pairs, columns=["params", "tokens"], dtype=float)


def test_scales_of_one_ratio_are_one_budget():
    found = budgets(scales((1e6, 5e6), (1e6, 2e7), (4e6, 2e7), (4e6, 8e7)))
    assert [budget.label for budget in found] == ["5 tokens a parameter", "20 tokens a parameter"]
    assert all(len(budget.scales) == 2 for budget in found)


def test_scales_of_one_number_of_tokens_are_one_budget():
    found = budgets(scales((1e6, 1e9), (4e6, 1e9), (2e7, 1e9), (2e7, 4e9)))
    assert [budget.label for budget in found] == ["1B tokens", "4B tokens"]
    assert found[0].scales["params"].tolist() == [1e6, 4e6, 2e7]


def test_ratios_that_differ_by_rounding_are_one_budget():
    (found,) = budgets(scales((214_663_680, 4.0e9), (268_304_384, 5.0e9), (429_260_800, 8.0e9)))
    assert found.label == "18.6 tokens a parameter"


def test_many_budgets_are_merged_and_no_scale_is_lost():
    many = scales(*((1e6 * i, 1e7 * 1.3**i) for i in range(1, 30)))
    found = budgets(many)
    assert len(found) == MAX_BUDGETS
    assert sum(len(budget.scales) for budget in found) == len(many)
    assert "–" in found[0].label


def test_every_completed_and_diverged_run_is_in_one_panel(runs, law):
    others = runs.iloc[:4].assign(status=["stopped", "failed", "stopped", "failed"])
    others["run_id"] = [f"other-{i}" for i in range(4)]
    info = get_basins_info(pd.concat([runs, others]), law)
    shown = [name for panel in info.panels for name in panel.points["run_id"]]
    assert sorted(shown) == sorted(runs["run_id"])
    assert (runs["status"] == "diverged").any()


def test_each_line_has_its_least_loss_at_the_optimum(runs, law):
    info = get_basins_info(runs, law)
    lines = [line for panel in info.panels for line in panel.lines]
    assert len(lines) == 6
    for line in lines:
        assert line.loss.min() == pytest.approx(line.best_loss, rel=1e-3)
        assert line.lr[line.loss.argmin()] == pytest.approx(line.best_lr, rel=0.05)


def test_the_path_ends_at_the_optima_of_smallest_and_largest(runs, law):
    for panel in get_basins_info(runs, law).panels:
        assert panel.path_lr[[0, -1]] == pytest.approx(
            [panel.lines[0].best_lr, panel.lines[-1].best_lr]
        )


def test_runs_above_the_range_are_drawn_at_its_top_not_left_out(runs, law):
    runs = runs.copy()
    runs.loc[runs["loss"].idxmin(), "loss"] = 50.0
    info = get_basins_info(runs, law)
    drawn = plot_basins(info)
    markers = [trace for trace in drawn.data if trace.mode == "markers" and trace.name is None]
    assert sum(len(trace.x) for trace in markers) == len(runs)
    ceiling = max(panel.ceiling for panel in info.panels)
    assert max(np.max(trace.y) for trace in markers) == pytest.approx(ceiling)
    assert any("50.0000" in text for trace in markers for text in trace.text)
    assert any("diverged" in text for trace in markers for text in trace.text)


def test_a_panel_with_too_many_scales_says_how_many_lines_it_draws(simulate, law):
    runs = simulate([20_000 * i for i in range(1, 21)], [10], n_runs=2, seed=3)
    info = get_basins_info(runs, law)
    (panel,) = info.panels
    assert (len(panel.lines), panel.n_scales) == (basins.MAX_LINES, 20)
    notes = [note.text for note in plot_basins(info).layout.annotations]
    assert "12 of 20 scales have their line drawn" in notes


def test_an_optimum_far_outside_does_not_stretch_the_axis_without_end(runs, law):
    far = runs.assign(lr=runs["lr"] * 1e-4)
    for panel in get_basins_info(far, law).panels:
        for line in panel.lines:
            assert line.lr.max() <= basins.OUTSIDE * far["lr"].max() * (1 + 1e-9)


def test_names_of_runs_are_text_on_the_page_not_markup(runs, law):
    runs = runs.copy()
    runs.loc[0, "run_id"] = "<b>a</b>"
    drawn = plot_basins(get_basins_info(runs, law))
    texts = [text for trace in drawn.data if trace.text is not None for text in trace.text]
    assert any("&lt;b&gt;a" in text for text in texts)
    assert not any("<b>a</b>" in text for text in texts)


def test_the_best_curve_of_each_scale_is_drawn_last_and_strong(runs, curves):
    info = get_curves_info(runs, curves)
    best = [curve.run_id for curve in info.curves if curve.is_best]
    expected = runs.loc[runs.groupby(["params", "tokens"])["loss"].idxmin(), "run_id"]
    assert sorted(best) == sorted(expected)
    assert [curve.run_id for curve in info.curves[-len(best) :]] == best


def test_curves_are_sampled_and_the_figure_says_so(runs, curves):
    info = get_curves_info(runs, curves)
    assert (len(info.curves), info.n_curves) == (60, len(runs))
    assert "60 of 96 curves" in plot_curves(info).layout.annotations[0].text
    everything = get_curves_info(runs, curves, max_curves=1000)
    assert len(everything.curves) == len(runs)
    assert not plot_curves(everything).layout.annotations


def test_a_diverged_curve_is_drawn_as_far_as_it_went(runs, curves):
    info = get_curves_info(runs, curves, max_curves=1000)
    diverged = [curve for curve in info.curves if curve.status == "diverged"]
    assert diverged
    assert all(len(curve.loss) == 3 for curve in diverged)


def test_a_curve_that_all_but_diverged_does_not_flatten_the_others(runs, curves):
    run_id = str(runs.loc[runs["status"] == "completed", "run_id"].iloc[0])
    jump = curves[run_id].loss.copy()
    jump[1] = 1e20
    wild = curves | {run_id: replace(curves[run_id], loss=jump)}
    sane = get_curves_info(runs, curves, max_curves=1000)
    info = get_curves_info(runs, wild, max_curves=1000)
    drawn = plot_curves(info)
    assert drawn.layout.yaxis.range == plot_curves(sane).layout.yaxis.range
    assert drawn.layout.annotations[0].text == "1 rises above the axis"


def test_runs_without_curves_give_an_empty_figure(runs):
    nothing = Curve(*[np.array([])] * 7)
    for curves in ({}, {str(runs.loc[0, "run_id"]): nothing}):
        info = get_curves_info(runs, curves)
        assert info.curves == ()
        assert len(plot_curves(info).data) == 0
