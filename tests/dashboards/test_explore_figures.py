"""The figures of the Explore page, by what they would draw."""

import numpy as np
import pandas as pd
import pytest

from dashboards.figures.contour import NoContourError, get_contour_info, plot_contour
from dashboards.figures.edf import get_edf_info, plot_edf
from dashboards.figures.importance import (
    TooFewRunsError,
    get_importance_info,
    plot_importance,
)
from dashboards.figures.measured import ceiling, groups, thin
from dashboards.figures.parallel_coordinates import (
    MAX_LINES,
    get_parallel_coordinates_info,
    plot_parallel_coordinates,
)
from dashboards.figures.pareto import get_pareto_info, pareto_front, plot_pareto
from dashboards.figures.run_curve import get_run_curve_info, plot_run_curve
from dashboards.figures.slices import get_slices_info, plot_slices
from dashboards.objective import FLOPS_THEN, LOSS_THEN, OBJECTIVE, Objective, measure
from dashboards.settings import varying_settings
from storage.runs_table import check_runs

RELATIVE = Objective(relative=True)


@pytest.fixture(scope="module")
def settings(runs):
    return varying_settings(runs)


@pytest.fixture(scope="module")
def measured(runs):
    return measure(runs, RELATIVE)


def test_a_few_runs_far_out_do_not_set_the_axis():
    values = np.array([*np.linspace(1, 2, 50), 1e6, np.nan])
    assert 2 <= ceiling(values) < 10
    assert ceiling(np.array([1.0, 1.5])) == 1.5
    assert np.isnan(ceiling(np.array([np.nan])))


def test_a_sample_keeps_the_best_of_each_scale_and_diverged_runs(measured):
    some = thin(measured, 24)
    best = measured.loc[measured.groupby(["params", "tokens"])[OBJECTIVE].idxmin(), "run_id"]
    assert len(some) == 24
    assert set(best) <= set(some["run_id"])
    assert some[OBJECTIVE].isna().any()
    assert some[OBJECTIVE].dropna().is_monotonic_decreasing


def test_runs_have_the_colour_of_their_sweep_where_there_are_several(measured):
    assert [group.label for group in groups(measured)] == ["24.6k", "98.3k", "393k"]
    two = pd.concat([measured, measured.assign(sweep="other")])
    assert [group.label for group in groups(two)] == ["other", "sim"]


def test_every_run_is_a_line_that_ends_at_what_it_reached(measured, settings):
    info = get_parallel_coordinates_info(measured, settings, RELATIVE)
    assert [dimension.title for dimension in info.dimensions] == [
        "N",
        "D",
        "learning rate",
        "batch, tokens",
        "above best, %",
    ]
    best = measured.loc[measured[OBJECTIVE].idxmin(), "run_id"]
    place = info.runs["run_id"].tolist().index(best)
    assert info.dimensions[-1].places[place] == 0
    assert info.colour[place] == 1
    lost = info.runs[OBJECTIVE].isna().to_numpy()
    assert lost.sum() == info.n_without > 0
    assert (info.dimensions[-1].places[lost] > 1).all()
    assert (info.colour[lost] < info.colour[~lost].min()).all()


def test_a_learning_rate_stands_on_its_axis_by_its_logarithm(measured, settings):
    info = get_parallel_coordinates_info(measured, settings, RELATIVE)
    places = info.dimensions[2].places
    logs = np.log(info.runs["lr"].to_numpy())
    assert np.corrcoef(places, logs)[0, 1] == pytest.approx(1)
    assert (places.min(), places.max()) == pytest.approx((0, 1))


def test_too_many_lines_are_sampled_and_the_figure_says_so(measured, settings):
    many = pd.concat([measured] * 50, ignore_index=True)
    info = get_parallel_coordinates_info(many, settings, RELATIVE)
    assert len(info.runs) == MAX_LINES
    text = plot_parallel_coordinates(info).layout.annotations[0].text
    assert f"{MAX_LINES:,} of {len(many):,} runs drawn" in text


def test_a_run_without_a_setting_crosses_below_its_axis(measured):
    half = measured.assign(dropout=[0.1, 0.2, np.nan, 0.3] * (len(measured) // 4))
    info = get_parallel_coordinates_info(half, varying_settings(half), RELATIVE)
    dropout = next(d for d in info.dimensions if d.title == "dropout")
    lacks = info.runs["dropout"].isna().to_numpy()
    assert (dropout.places[lacks] < 0).all()
    assert (dropout.places[~lacks] > -0.03).all()
    assert "not set" in dropout.labels


def test_the_setting_that_decides_is_the_most_important():
    rng = np.random.default_rng(0)
    n_runs = 200
    params = rng.choice([1e6, 1e7], n_runs)
    lr, dropout = 10 ** rng.uniform(-4, -1, n_runs), rng.uniform(0, 0.5, n_runs)
    optimizer = rng.choice(["adamw", "lion"], n_runs)
    loss = params**-0.1 * (1 + 0.2 * (np.log10(lr) + 2.5) ** 2 + 0.15 * (optimizer == "lion"))
    runs = check_runs(
        pd.DataFrame(
            {
                "params": params,
                "tokens": 20 * params,
                "lr": lr,
                "batch_tokens": 1024.0,
                "loss": 5 * loss,
                "dropout": dropout,
                "optimizer": optimizer,
            }
        )
    )
    info = get_importance_info(measure(runs, RELATIVE), varying_settings(runs))
    assert [row.title for row in info.settings] == ["learning rate", "optimizer", "dropout"]
    assert info.explained > 80
    assert info.settings[1].low > info.chance
    assert info.settings[2].low <= info.chance
    assert all(row.low <= row.value <= row.high for row in info.settings)
    assert list(plot_importance(info).data[0].y)[-1] == "learning rate"


def test_importance_is_not_told_of_noise():
    rng = np.random.default_rng(1)
    runs = check_runs(
        pd.DataFrame(
            {
                "params": 1e6,
                "tokens": 2e7,
                "lr": 10 ** rng.uniform(-4, -1, 60),
                "batch_tokens": 1024.0,
                "loss": rng.uniform(2, 3, 60),
            }
        )
    )
    info = get_importance_info(measure(runs, RELATIVE), varying_settings(runs))
    assert info.explained < 30


def test_too_few_runs_tell_nothing_of_importance(measured, settings):
    with pytest.raises(TooFewRunsError, match="10 runs with a known end are too few"):
        get_importance_info(measured.iloc[:10], settings)
    with pytest.raises(TooFewRunsError, match="no setting varies"):
        get_importance_info(measured, ())
    with pytest.raises(TooFewRunsError, match="has a loss"):
        get_importance_info(measured.assign(**{LOSS_THEN: np.nan, "status": "diverged"}), settings)


def test_a_slice_draws_every_run_and_clips_what_is_far_out(measured, settings):
    far = measured.copy()
    worst = far[OBJECTIVE].idxmax()
    far.loc[worst, OBJECTIVE] = 1e5
    info = get_slices_info(far, settings, RELATIVE)
    assert [panel.setting.name for panel in info.slices] == ["lr", "batch_tokens"]
    assert info.n_above == 1
    drawn = plot_slices(info)
    first = [t for t in drawn.data if t.text is not None and t.xaxis == "x"]
    assert sum(len(trace.x) for trace in first) == len(far)
    assert max(np.max(trace.y) for trace in first) < 200
    assert any("△ 1 lies above" in note.text for note in drawn.layout.annotations)


def test_the_best_tenth_dips_where_the_optimum_is(measured, settings, truth):
    one = measured[(measured["params"] == 98_304) & (measured["tokens"] == 5 * 98_304)]
    many = pd.concat([one] * 6, ignore_index=True)
    info = get_slices_info(many, settings, RELATIVE)
    panel = info.slices[0]
    best = float(truth.optimum(98_304, 5 * 98_304).lr)
    assert abs(np.log(panel.middle[panel.good.argmin()] / best)) < 1.2


def test_the_distribution_ends_below_all_where_runs_diverged(measured):
    info = get_edf_info(measured, RELATIVE)
    for line, (_, own) in zip(info.lines, measured.groupby("params"), strict=True):
        assert (np.diff(line.share) > 0).all()
        assert line.share[-1] == pytest.approx(own[OBJECTIVE].notna().mean())
    assert info.n_without == measured[OBJECTIVE].isna().sum()
    assert len(plot_edf(info).data) == 3


def test_the_front_is_what_no_run_undercuts(measured):
    front = pareto_front(measured[measured[LOSS_THEN].notna()], FLOPS_THEN)
    for _, run in measured[measured[LOSS_THEN].notna()].iterrows():
        on_front = run["run_id"] in set(front["run_id"])
        better = (front[FLOPS_THEN] <= run[FLOPS_THEN]) & (front[LOSS_THEN] < run[LOSS_THEN])
        assert on_front != better.any()
    assert front[LOSS_THEN].is_monotonic_decreasing


def test_the_front_is_drawn_whole_however_many_runs_there_are(measured):
    many = pd.concat([measured] * 80, ignore_index=True)
    info = get_pareto_info(many, "flops", RELATIVE)
    assert set(info.front.index) <= set(info.points.index)
    drawn = plot_pareto(info)
    assert list(drawn.data[-1].y) == info.front[LOSS_THEN].tolist()
    assert len(info.points) < len(many)


def test_runs_without_a_cost_have_no_front(measured):
    info = get_pareto_info(measured, "seconds", RELATIVE)
    assert (len(info.front), info.n_runs) == (0, 0)
    plot_pareto(info)


def test_the_contour_of_a_law_is_least_at_its_optimum(measured, settings, law):
    scale = (393_216.0, 20 * 393_216.0)
    info = get_contour_info(measured, settings[0], settings[1], scale, law=law)
    row, column = np.unravel_index(info.above_pct.argmin(), info.above_pct.shape)
    assert info.optimum is not None
    assert info.grid_x[column] == pytest.approx(info.optimum[0], rel=0.15)
    assert info.grid_y[row] == pytest.approx(info.optimum[1], rel=0.15)
    assert 0 <= info.above_pct.min() < 0.05
    assert [trace.name for trace in plot_contour(info).data][-1] == "the law's optimum"


@pytest.mark.parametrize("narrow", [("lr",), ("batch_tokens",), ("lr", "batch_tokens")])
@pytest.mark.parametrize("side", [0.02, 0.5, 1, 2, 50])
def test_the_contour_of_a_law_goes_by_factors_on_linear_axes_too(runs, law, narrow, side):
    scale = (393_216.0, 20 * 393_216.0)
    best = law.optimum(*scale)
    ended = runs[runs["loss"].notna()]
    for seed, name in enumerate(narrow):  # tried within a factor of three
        places = np.random.default_rng(seed).permutation(np.linspace(-0.5, 0.5, len(ended)))
        ended = ended.assign(**{name: side * best[name] * 3**places})
    lr, batch = varying_settings(ended)
    assert {setting.name for setting in (lr, batch) if setting.kind == "linear"} == set(narrow)
    info = get_contour_info(measure(ended, RELATIVE), lr, batch, scale, law=law)
    assert np.isfinite(info.above_pct).all()
    layout = plot_contour(info).layout
    own = ended[(ended["params"] == scale[0]) & (ended["tokens"] == scale[1])]
    axes = ((lr, info.grid_x, layout.xaxis), (batch, info.grid_y, layout.yaxis))
    for setting, grid, axis in axes:
        tried = own[setting.name]
        assert 0 < grid[0] < tried.min() < tried.max() < grid[-1]
        if setting.kind == "linear":
            assert np.diff(grid) == pytest.approx(np.diff(grid)[0])
            assert (grid[0] < best[setting.name] < grid[-1]) == (0.1 < side < 10)
            assert tried.min() / 15 < grid[0] < grid[-1] < 15 * tried.max()
            assert axis.range[0] <= grid[0] < grid[-1] <= axis.range[1]


def test_a_contour_without_a_law_is_interpolated_between_the_runs(simulate, truth):
    runs = simulate([98_304], [20], n_runs=80, seed=5)
    measured = measure(runs, RELATIVE)
    lr, batch = varying_settings(runs)
    info = get_contour_info(measured, lr, batch, (98_304, 20 * 98_304))
    assert info.optimum is None
    assert np.isnan(info.above_pct).any()
    row, column = np.unravel_index(np.nanargmin(info.above_pct), info.above_pct.shape)
    best = truth.optimum(98_304, 20 * 98_304)
    assert abs(np.log2(info.grid_x[column] / best.lr)) < 1
    assert info.grid_y[row] > 1024
    plot_contour(info)


def test_a_contour_needs_runs_that_span_an_area(measured, settings):
    lr, batch = settings
    scale = (393_216.0, 20 * 393_216.0)
    own = measured[(measured["params"] == scale[0]) & (measured["tokens"] == scale[1])]
    with pytest.raises(NoContourError, match="one batch"):
        get_contour_info(own.assign(batch_tokens=512.0), lr, batch, scale)
    with pytest.raises(NoContourError, match="too few for a surface"):
        get_contour_info(own[own[LOSS_THEN].notna()].iloc[:5], lr, batch, scale)
    with pytest.raises(NoContourError, match="change together"):
        get_contour_info(own.assign(batch_tokens=own["lr"] * 1e6), lr, batch, scale)
    with pytest.raises(NoContourError, match="no run of this scale"):
        get_contour_info(own, lr, batch, (1.0, 1.0))


def test_a_runs_curve_stands_beside_the_best_of_its_scale(runs, curves):
    first, second = runs["run_id"].tolist()[:2]
    info = get_run_curve_info(first, second, curves)
    assert info is not None
    names = [trace.name for trace in plot_run_curve(info).data]
    assert names == [
        f"best of its scale, {second}",
        "training loss",
        "held-out loss",
        "learning rate",
    ]
    alone = get_run_curve_info(first, first, curves)
    assert alone is not None
    assert alone.best is None
    assert get_run_curve_info("none", second, curves) is None
