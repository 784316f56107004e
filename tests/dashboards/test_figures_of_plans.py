"""Figures of the Predict, Plan and Laws pages, by their info functions: what they lay out."""

import numpy as np
import pytest

from dashboards import theme
from dashboards.figures.basins import get_basins_info, plot_basins
from dashboards.figures.isoflop import get_isoflop_info, plot_best_sizes, plot_isoflop
from dashboards.figures.law import get_law_info, plot_law
from dashboards.figures.plan import get_plan_info, plot_places, plot_promise
from dashboards.figures.target_basin import (
    get_target_basin_info,
    plot_target_basin,
    target_basin_frame,
)
from scaling.design import plan_runs
from scaling.fitting import fit_law
from scaling.loss_laws.choice import fit_form
from scaling.loss_laws.law import LossLaw

TARGET = (7e6, 1.4e8)


@pytest.fixture(scope="module")
def prediction(law):
    return law.predict(*TARGET)


def traces(drawn) -> set[str]:
    return {trace.name for trace in drawn.data}


def test_the_basin_at_the_target_has_its_bottom_at_the_prediction(law, prediction):
    info = get_target_basin_info(law, prediction, "lr")
    lowest = info.along[info.regret.argmin()]
    assert lowest == pytest.approx(prediction.optimum["lr"].value, rel=0.05)
    assert (info.low <= info.regret).all()
    assert (info.regret <= info.high).all()
    assert target_basin_frame(info)["lr"].tolist() == info.along.tolist()
    assert "asked about" not in traces(plot_target_basin(info))


def test_the_basin_is_cut_at_the_other_settings_that_are_chosen(law, prediction):
    rate = 2 * prediction.optimum["lr"].value
    batch = 4 * prediction.optimum["batch_tokens"].value
    info = get_target_basin_info(law, prediction, "lr", others={"batch_tokens": batch}, chosen=rate)
    assert info.chosen[0] == rate
    assert info.chosen[1] == pytest.approx(np.interp(rate, info.along, info.regret), rel=0.02)
    assert info.regret.min() > get_target_basin_info(law, prediction, "lr").regret.min()
    assert "asked about" in traces(plot_target_basin(info))


@pytest.fixture(scope="module")
def few(simulate):
    return simulate([24_576, 98_304, 393_216], [5, 20], n_runs=6, seed=3)


def test_a_plan_is_laid_out_by_compute_and_place(few):
    law = fit_law(few, n_draws=50)
    plan = plan_runs(law, few, params=TARGET[0], tokens=TARGET[1], n_runs=4)
    info = get_plan_info(plan, law, law.predict(*TARGET).target)
    assert info.runs["spent"].iloc[-1] == pytest.approx(plan["flops"].sum())
    assert len(info.measured) == 6
    promise = plot_promise(info)
    steps = next(trace for trace in promise.data if trace.name == "expected regret")
    assert list(steps.y) == [info.now_pct, *plan["expected_regret_pct"]]
    places = plot_places(info)
    counts = next(trace for trace in places.data if trace.name == "planned runs, how many")
    assert sum(int(count) for count in counts.text) == 4
    assert "target" in traces(places)


def test_a_plan_of_a_law_without_batches_is_drawn_on_one_line(few):
    one = few.assign(batch_tokens=1024)
    law = fit_law(one, n_draws=30)
    plan = plan_runs(law, one, params=TARGET[0], tokens=TARGET[1], n_runs=2)
    places = plot_places(get_plan_info(plan, law, law.predict(*TARGET).target))
    assert places.layout.yaxis2.visible is False


@pytest.fixture(scope="module")
def loss_law(runs) -> LossLaw:
    return fit_form(runs, n_draws=40)


def test_each_isoflop_curve_has_its_least_loss_at_the_best_size(loss_law, runs):
    info = get_isoflop_info(loss_law, runs, budgets=[1e18])
    assert [curve.flops for curve in info.curves if curve.asked] == [1e18]
    for curve in info.curves:
        at = curve.loss.argmin()
        assert curve.params[at] == pytest.approx(curve.best_params, rel=0.2)
        assert curve.best_loss <= curve.loss.min() * (1 + 1e-9)
    asked = info.asked.iloc[0]
    assert 6 * asked["params"] * asked["tokens"] == pytest.approx(1e18)
    assert asked["params_low"] <= asked["params"] <= asked["params_high"]
    assert info.frontier["params"].is_monotonic_increasing
    assert "at the same 6ND" in info.refused["isoFLOP parabolas"]
    assert f"{theme.format_flops(1e18)} FLOP" in traces(plot_isoflop(info))
    assert {"the loss law", "asked about"} <= traces(plot_best_sizes(info))


def test_runs_of_equal_compute_show_their_parabolas(truth, loss_law, runs):
    sizes = np.geomspace(2e4, 2e6, 7)
    rows = []
    for flops in (1e13, 1e14, 1e15):
        for params in sizes * (flops / 1e14) ** 0.5:
            tokens = flops / (6 * params)
            best = truth.optimum(params, tokens)
            loss = float(truth.loss(params, tokens, best.lr, best.batch_tokens))
            rows.append((params, tokens, best.lr, best.batch_tokens, loss))
    equal = runs.iloc[: len(rows)][["run_id", "sweep"]].assign(status="completed")
    equal[["params", "tokens", "lr", "batch_tokens", "loss"]] = rows
    info = get_isoflop_info(loss_law, equal)
    assert [line.approach for line in info.lines] == ["isoFLOP parabolas"]
    assert info.refused == {}
    assert "their minima" in traces(plot_best_sizes(info))


def test_a_law_on_width_and_depth_is_drawn_along_its_sizes(runs):
    width = np.round(np.sqrt(runs["params"] / 24)).astype(int)
    shaped = runs.assign(width=width, depth=2)
    law = fit_law(shaped, axes=("width", "tokens"), n_draws=20)
    target = law.predict(*TARGET, width=540).target
    info = get_law_info(law, shaped, "lr", target=target)
    assert info.axis == "params"
    assert info.target[1].value == pytest.approx(info.path.value[-1], rel=1e-6)
    by_size = get_law_info(fit_law(shaped, axes=("params", "tokens"), n_draws=20), shaped, "lr")
    assert [scale.value for scale in info.measured] == [scale.value for scale in by_size.measured]
    assert traces(plot_law(info))
    basins = get_basins_info(shaped, law)
    assert sum(len(panel.lines) for panel in basins.panels) == law.n_scales
    assert plot_basins(basins).data
    for panel in basins.panels:
        assert len(panel.points) == len(panel.points.drop_duplicates())
