"""The filter bar as data: settings that vary, what runs are compared by, and which are kept."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.filters import Filters, keep, keep_top, scale_labels, steps
from dashboards.objective import FLOPS_THEN, LOSS_THEN, OBJECTIVE, Objective, measure
from dashboards.settings import Setting, round_numbers, varying_settings
from storage.curves import Curve
from storage.runs_table import check_runs


def table(**columns):
    n_runs = len(next(iter(columns.values())))
    filled = {
        "params": [1e6] * n_runs,
        "tokens": [2e7] * n_runs,
        "lr": [1e-3] * n_runs,
        "batch_tokens": [4096.0] * n_runs,
        "loss": [3.0 + 0.1 * i for i in range(n_runs)],
    }
    return check_runs(pd.DataFrame(filled | columns), source="r")


def by_name(settings):
    return {setting.name: setting for setting in settings}


def test_a_setting_that_follows_from_the_scale_does_not_vary():
    runs = table(params=[1e6, 1e6, 4e6], warmup_tokens=[1e5, 1e5, 4e5], lr=[1e-3, 2e-3, 1e-3])
    assert list(by_name(varying_settings(runs))) == ["lr"]


def test_axes_are_logarithmic_over_more_than_a_decade_or_where_the_file_says_so():
    runs = table(
        lr=[1e-3, 2e-3, 4e-3],
        batch_tokens=[512, 4096, 8192],
        dropout=[0.0, 0.1, 0.3],
        weight_decay=[0, 0.01, 0.1],
        optimizer=["adamw", "lion", "adamw"],
    )
    kinds = {name: s.kind for name, s in by_name(varying_settings(runs)).items()}
    assert kinds == {
        "lr": "linear",
        "batch_tokens": "log",
        "weight_decay": "category",
        "optimizer": "category",
        "dropout": "linear",
    }
    text = "space:\n  lr: {log: [1e-3, 4e-3]}\n  batch_tokens: {uniform: [512, 8192]}\n"
    stated = by_name(varying_settings(runs, [text]))
    assert (stated["lr"].kind, stated["batch_tokens"].kind) == ("log", "linear")


@pytest.mark.parametrize("text", ["", "space: 3\n", "{", "- a\n", "space: {lr: 1}\n"])
def test_a_sweep_file_that_says_nothing_of_axes_leaves_them_to_the_values(text):
    (lr,) = varying_settings(table(lr=[1e-3, 1e-1]), [text])
    assert lr.kind == "log"


def test_comments_are_no_setting():
    runs = table(lr=[1e-3] * 60, comment=[f"run {i}" for i in range(60)])
    assert varying_settings(runs) == ()


def test_several_scales_are_compared_above_the_best_of_each():
    runs = table(params=[1e6, 1e6, 4e6, 4e6], loss=[2.0, 2.1, 1.0, np.nan])
    found = measure(runs, Objective(relative=True))[OBJECTIVE].to_numpy()
    assert found == pytest.approx([0.0, 5.0, 0.0, np.nan], nan_ok=True)


def test_the_loss_of_a_stopped_run_is_not_its_scales_best():
    runs = table(loss=[2.0, 1.0], status=["completed", "stopped"])
    found = measure(runs, Objective(relative=True))
    assert found[OBJECTIVE].tolist()[0] == 0
    assert np.isnan(found[LOSS_THEN].tolist()[1])


@pytest.fixture
def curve():
    loss = np.array([4.0, 2.0, np.nan, 3.0])
    tokens = np.array([1e6, 4e6, 8e6, 1.6e7])
    return Curve(np.arange(1, 5), tokens, 6e6 * tokens, loss, loss, loss, tokens)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (Objective(False, "best"), 2.0),
        (Objective(False, "report", 1), 4.0),
        (Objective(False, "report", 3), np.nan),
        (Objective(False, "report", 9), np.nan),
        (Objective(False, "tokens", 2e6), 3.0),
        (Objective(False, "tokens", 8e6), 2.5),
        (Objective(False, "tokens", 9e7), np.nan),
        (Objective(False, "tokens", 1e3), np.nan),
    ],
)
def test_the_loss_on_the_way_is_read_from_the_curve(curve, objective, expected):
    runs = table(lr=[1e-3, 1e-3])
    found = measure(runs, objective, {"r-000001": curve})
    assert found[OBJECTIVE].tolist() == pytest.approx([expected, np.nan], nan_ok=True)


def test_what_was_spent_is_that_of_the_same_moment(curve):
    found = measure(table(lr=[1e-3]), Objective(False, "best"), {"r-000001": curve})
    assert found[FLOPS_THEN].tolist() == [2.4e13]


def test_filters_hold_together():
    runs = table(
        params=[1e6, 1e6, 4e6, 4e6],
        lr=[1e-3, 3e-3, 1e-3, 1e-2],
        loss=[2.0, 2.1, np.nan, 1.1],
        optimizer=["adamw", "lion", "adamw", None],
    )
    settings = varying_settings(runs)

    def kept(**filters):
        return keep(runs, Filters(**filters), settings).index.tolist()

    assert kept() == [0, 1, 2, 3]
    assert kept(statuses=("diverged",)) == [2]
    assert kept(scales=("N 4M, D 20M",)) == [2, 3]
    assert kept(choices={"lr": ("1e-3",)}) == [0, 2]
    assert kept(choices={"optimizer": ("adamw",)}) == [0, 2]
    assert kept(ranges={"lr": (2e-3, 1e-2)}) == [1, 3]
    assert kept(search="R-000004") == [3]
    assert kept(search=".*") == []
    assert kept(scales=("N 4M, D 20M",), choices={"lr": ("1e-3",)}) == [2]


def test_the_top_is_taken_of_each_scale_and_has_no_run_without_a_loss():
    runs = table(params=[1e6] * 4 + [4e6] * 4, loss=[4, 3, 2, 1, 8, 7, np.nan, np.nan])
    measured = measure(runs, Objective(relative=True))
    assert keep_top(measured, 50).index.tolist() == [2, 3, 5]
    assert keep_top(measured, 1).index.tolist() == [3, 5]
    assert len(keep_top(measured, 100)) == 8


def test_scales_are_named_smallest_first():
    labels = scale_labels(table(params=[4e6, 1e6], tokens=[8e7, 2e7]))
    assert list(labels) == ["N 1M, D 20M", "N 4M, D 80M"]


@given(
    st.floats(1e-9, 1e9),
    st.floats(1.5, 1e8),
    st.sampled_from(["log", "linear"]),
)
def test_a_slider_spans_every_value_in_few_round_steps(low, ratio, kind):
    setting = Setting("lr", kind, (), low, low * ratio)
    places = steps(setting)
    assert places[0] <= setting.low
    assert places[-1] >= setting.high
    assert sorted(set(places)) == list(places)
    assert len(places) < 130


def test_round_numbers_are_round():
    assert round_numbers(3, 47, 5) == (0, 10, 20, 30, 40, 50)


def test_steps_stay_where_they_are_as_more_runs_come_in():
    before = steps(Setting("lr", "log", (), 2.3e-3, 1.7e-2))
    after = steps(Setting("lr", "log", (), 1.1e-4, 4.4e-1))
    assert set(before) <= set(after)
