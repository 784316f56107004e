import numpy as np
import pytest

from dashboards import theme
from dashboards.figures.held_out import get_held_out_info, plot_held_out
from dashboards.figures.law import get_law_info, plot_law
from dashboards.figures.prediction import get_prediction_info, plot_prediction
from dashboards.figures.published import LEAST_GAP, get_published_info, plot_published
from dashboards.figures.residuals import get_residuals_info, plot_residuals
from scaling.backtest import compare
from scaling.fitting import fit_law
from scaling.published import PUBLISHED
from storage.runs_table import read_runs

TARGET = (6_291_456, 125_829_120)


@pytest.fixture(scope="module")
def prediction(law):
    return law.predict(*TARGET)


def test_the_path_goes_through_the_target(law, runs, prediction):
    info = get_law_info(law, runs, "lr", target=prediction.target)
    assert info.path.along[[0, -1]] == pytest.approx([24_576, TARGET[0]])
    assert info.path.value[-1] == pytest.approx(prediction.optimum["lr"].value)
    assert info.path.low[-1] == pytest.approx(prediction.optimum["lr"].low)
    assert (info.path.low <= info.path.value).all()
    assert (info.path.value <= info.path.high).all()
    assert info.path.label == "20 tokens a parameter"


def test_only_scales_of_another_budget_are_moved(law, runs, prediction):
    info = get_law_info(law, runs, "batch_tokens", target=prediction.target)
    same = [scale.move for scale in info.measured if scale.tokens == 20 * scale.params]
    other = [scale.move for scale in info.measured if scale.tokens == 5 * scale.params]
    assert same == pytest.approx([1.0] * 3)
    exponent = law.terms().set_index("term").loc["batch_tokens: exponent of D", "value"]
    assert other == pytest.approx([4**exponent] * 3)


def test_each_point_is_the_best_run_of_its_scale(law, runs):
    info = get_law_info(law, runs, "lr")
    assert info.target is None
    assert info.path.along[-1] == pytest.approx(393_216)
    for row in info.measured:
        group = runs[(runs["params"] == row.params) & (runs["tokens"] == row.tokens)]
        assert row.loss == group["loss"].min()
        assert row.low <= row.value <= row.high


def test_the_law_and_the_held_out_scale_are_in_the_drawing(law, runs, check, prediction):
    info = get_law_info(law, runs, "lr", held_out=[check.runs], target=prediction.target)
    names = {trace.name for trace in plot_law(info).data}
    assert {"this law", "90% interval", "best runs", "held-out scale", "target"} <= names
    assert {published.name for published in PUBLISHED if published.checked} <= names
    assert "MiniCPM" not in names


def test_every_line_of_a_published_law_has_a_dash_of_its_own(law, runs):
    for setting in law.settings:
        assert len(get_law_info(law, runs, setting).published) <= len(theme.DASHES)


def test_runs_of_one_size_are_drawn_against_tokens(simulate):
    runs = simulate([98_304], [5, 20, 80], n_runs=12, seed=4)
    law = fit_law(runs)
    info = get_law_info(law, runs, "lr", target=law.predict(98_304, 98_304 * 320).target)
    assert info.axis == "tokens"
    assert info.path.along[[0, -1]] == pytest.approx([98_304 * 5, 98_304 * 320])
    assert [scale.along for scale in info.measured] == [98_304 * ratio for ratio in (5, 20, 80)]
    assert plot_law(info).layout.xaxis.title.text == "training tokens D, at 98.3k parameters"


def test_a_setting_that_the_law_does_not_place_is_refused(law, runs):
    with pytest.raises(ValueError, match="'eps'; it places lr and batch_tokens"):
        get_law_info(law, runs, "eps")


def test_residuals_of_runs_on_the_law_are_zero(law, runs):
    kept = runs[runs["status"] == "completed"]
    columns = [kept[name].to_numpy() for name in ("params", "tokens", "lr", "batch_tokens")]
    info = get_residuals_info(law, kept.assign(loss=law.loss(*columns)))
    assert info.points["residual_pct"].to_numpy() == pytest.approx(0.0, abs=1e-9)
    assert info.within == 1.0


def test_the_band_holds_about_as_many_runs_as_it_says(law, runs):
    info = get_residuals_info(law, runs)
    assert 0.8 <= info.within <= 1.0
    assert (np.diff(info.height) >= 0).all()
    assert len(info.points) == (runs["status"] == "completed").sum()


def test_a_residual_outside_the_axis_is_drawn_at_its_edge(law, runs):
    runs = runs.copy()
    runs.loc[runs["loss"].idxmin(), "loss"] *= 3
    info = get_residuals_info(law, runs)
    traces = [trace for trace in plot_residuals(info).data if trace.mode == "markers"]
    assert max(np.max(trace.y) for trace in traces) == pytest.approx(info.limit)
    assert any("triangle-up-open" in trace.marker.symbol for trace in traces)


def test_the_held_out_figure_marks_prediction_nearest_and_best(check, law):
    info = get_held_out_info(check, law)
    assert "N = 885k, D = 17.7M" in info.title
    assert info.best[1] == check.runs["loss"].min()
    assert info.law_loss.min() == pytest.approx(info.predicted_loss, rel=1e-3)
    drawn = plot_held_out(info)
    marks = {trace.name: (trace.x[0], trace.y[0]) for trace in drawn.data}
    assert marks["predicted"] == (info.predicted_lr, info.predicted_loss)
    assert marks["best run"] == info.best
    assert marks["nearest run"] == info.nearest
    runs_drawn = [trace for trace in drawn.data if trace.name.startswith("batch ")]
    assert sum(len(trace.x) for trace in runs_drawn) == len(check.runs)


def test_a_law_without_batches_is_drawn_too(simulate):
    runs = simulate([24_576, 98_304, 393_216], [20], n_runs=16, seed=5)
    law = fit_law(runs.assign(batch_tokens=1024.0))
    assert law.settings == ("lr",)
    info = get_prediction_info(law.predict(*TARGET), law)
    assert [setting.setting for setting in info.settings] == ["lr"]
    assert len(plot_prediction(info).data) == 2


def test_the_prediction_stands_beside_the_published_laws(prediction, law):
    info = get_prediction_info(prediction, law)
    lr, batch = info.settings
    assert "MiniCPM" not in dict(lr.published)
    assert dict(batch.published)["MiniCPM"] == pytest.approx(
        1.21e9 * prediction.loss.value**-6.24, rel=1e-6
    )
    assert dict(lr.published)["Step Law"] == pytest.approx(
        1.79 * TARGET[0] ** -0.713 * TARGET[1] ** 0.307
    )
    told = get_prediction_info(prediction, law, experts=1).settings[0]
    assert set(dict(told.published)) - set(dict(lr.published)) == {"Joint MoE"}
    drawn = plot_prediction(info)
    bar = next(trace for trace in drawn.data if trace.error_x.array is not None)
    assert bar.x[0] + bar.error_x.array[0] == pytest.approx(prediction.optimum["lr"].high)
    assert bar.x[0] - bar.error_x.arrayminus[0] == pytest.approx(prediction.optimum["lr"].low)


def test_laws_are_ordered_by_what_their_settings_cost(law, runs):
    comparison = compare(law, runs)
    info = get_published_info(comparison, law.name)
    means = [gaps.mean for gaps in info.laws]
    assert means == sorted(means)
    assert "this law" in {gaps.law for gaps in info.laws}
    assert all(len(gaps.gaps) == law.n_scales for gaps in info.laws)


def test_laws_out_of_range_and_second_hand_are_marked(law, runs):
    info = get_published_info(compare(law, runs), law.name)
    laws = {gaps.law: gaps for gaps in info.laws}
    assert "MiniCPM †" in laws
    assert all(laws["Step Law"].beyond)  # these models are a thousand times smaller than theirs
    assert not any(laws["DeepSeek LLM"].beyond)
    drawn = [trace for trace in plot_published(info).data if trace.y[0] == "Step Law"]
    assert {trace.marker.symbol for trace in drawn if trace.name != "mean"} == {"circle-open"}


def test_the_measure_is_the_finer_one_only_where_every_scale_has_it(law, runs):
    comparison = compare(law, runs).assign(quadratic_gap_pct=0.5)
    assert {gaps.mean for gaps in get_published_info(comparison, law.name).laws} == {0.5}
    comparison.loc[0, "quadratic_gap_pct"] = np.nan
    info = get_published_info(comparison, law.name)
    assert info.measure == "loss above the scale's best run, %"
    assert {gaps.mean for gaps in info.laws} != {0.5}


def test_gaps_of_nothing_are_drawn_at_the_edge(law, runs):
    comparison = compare(law, runs).assign(quadratic_gap_pct=0.0)
    drawn = plot_published(get_published_info(comparison, law.name))
    assert {float(x) for trace in drawn.data for x in trace.x if x is not None} == {LEAST_GAP}


def test_published_grids_are_drawn_whole(shared_data):
    table = read_runs(shared_data / "steplaw_small.csv")
    runs = table.assign(status=np.where(table["loss"] > 4, "diverged", "completed"))
    law = fit_law(runs)
    info = get_law_info(law, runs, "lr", target=law.predict(1.07e9, 2e10).target)
    assert len(info.measured) == 8
    assert info.path.label == "18.7 tokens a parameter"
