"""The pages Laws, Predict and Plan: their states, deep links, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from scaling.adjusted import answer
from scaling.emit import FRAMEWORKS
from scaling.fitting import fit_law
from storage.runs_table import check_runs
from storage.store import Store

SECTIONS = {
    "optimum": 2,
    "loss surface": 1,
    "isoFLOP": 2,
    "residuals": 1,
    "backtest": 2,
    "published laws": 1,
    "constants": 0,
}


def laws_page():
    from dashboards.pages import laws

    laws.show()


def predict_page():
    from dashboards.pages import predict

    predict.show()


def plan_page():
    from dashboards.pages import plan

    plan.show()


@pytest.fixture(scope="module")
def timed(runs) -> pd.DataFrame:
    """The simulated runs, timed, with AdamW's constants."""
    seconds = runs["tokens"] / runs["batch_tokens"] * (1e-3 + 1e-9 * runs["params"])
    return runs.assign(seconds=seconds, weight_decay=0.1, beta1=0.9, beta2=0.95)


@pytest.fixture(scope="module")
def of_sweep(timed):
    return fit_law(timed, name="sim")


@pytest.fixture
def database(tmp_path, monkeypatch):
    path = tmp_path / "hyperlaw.db"
    monkeypatch.setenv("HYPERLAW_DB", str(path))
    monkeypatch.setattr("sys.argv", ["app.py"])
    return path


@pytest.fixture
def filled(database, timed):
    with Store.open(database) as store:
        store.add_runs(timed)
    return database


def opened(page, **query: str) -> AppTest:
    app = AppTest.from_function(page, default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def charts(app: AppTest) -> int:
    return len(app.get("bidi_component"))


@pytest.mark.parametrize("page", [laws_page, predict_page, plan_page])
def test_without_a_database_or_a_law_each_page_says_what_to_do(page, database, runs):
    assert "hyperlaw sweep launch" in opened(page).code[0].value
    with Store.open(database) as store:
        store.add_runs(runs.iloc[:3])
    app = opened(page)
    assert "are too few for a law" in app.warning[0].value
    assert charts(app) == 0


def test_a_sweep_whose_runs_have_not_ended_says_so(database):
    with Store.open(database) as store:
        store.add_sweep("young", spec_text="")
    app = opened(laws_page)
    assert app.title[0].value == "young"
    assert "none of its runs has ended" in app.info[0].value


def test_the_sweep_with_the_most_to_show_is_shown_first(database, runs):
    with Store.open(database) as store:
        store.add_runs(runs)
        store.add_runs(runs.iloc[:3].assign(sweep="a-check", run_id=["c-0", "c-1", "c-2"]))
        store.add_runs(runs.iloc[:3].assign(sweep="z-check", run_id=["d-0", "d-1", "d-2"]))
    assert opened(laws_page).title[0].value == runs["sweep"].iloc[0]


@pytest.mark.parametrize(("section", "figures"), SECTIONS.items())
def test_a_link_opens_one_section_of_the_laws_and_draws_that_only(filled, section, figures):
    app = opened(laws_page, view=section)
    if section == "isoFLOP":  # two sizes of tokens a parameter carry a loss law
        assert app.metric[0].label == "best parameters"
    assert charts(app) == figures


def test_the_backtest_leaves_out_as_many_scales_as_are_asked_for(filled):
    app = opened(laws_page, view="backtest", hold_out="3")
    assert len(app.subheader) == 3
    assert all("The measured run nearest" in text.value for text in app.markdown if text.value)


def test_of_very_many_runs_a_share_of_each_scale_is_drawn(filled, monkeypatch):
    monkeypatch.setattr("dashboards.pages.laws.MOST_DRAWN", 48)
    app = opened(laws_page, view="loss surface")
    assert any("48 of 96 runs are shown" in text.value for text in app.caption)
    assert charts(app) == 1
    assert not any("are shown" in text.value for text in opened(laws_page).caption)


def test_a_section_that_the_runs_cannot_carry_says_why(database, runs):
    two = runs[runs["tokens"].isin(sorted(runs["tokens"].unique())[:2])]
    with Store.open(database) as store:
        store.add_runs(two)
    app = opened(laws_page, view="isoFLOP")
    assert "This cannot be shown" in app.info[0].value


def test_a_link_to_a_target_predicts_as_the_law_does(filled, of_sweep, timed):
    app = opened(predict_page, params="7M", tokens="140M", context="512")
    expected = answer(of_sweep, timed, params=7e6, tokens=1.4e8)
    shown = {metric.label: metric.value for metric in app.metric}
    lr = expected.prediction.optimum["lr"].value
    assert float(shown["learning rate, peak"]) == pytest.approx(lr, rel=0.01)
    decay = expected.rules[0].adjusted("weight_decay")
    assert float(shown["weight decay"]) == pytest.approx(decay, rel=0.01)
    sequences = round(expected.prediction.optimum["batch_tokens"].value / 512)
    assert any(f"{sequences:,} sequences" in caption.value for caption in app.caption)
    assert charts(app) == 1 + 2


def test_compute_and_hours_and_money_buy_a_target(filled, of_sweep):
    def bought(**query: str) -> str:
        app = opened(predict_page, **query)
        return next(text.value for text in app.caption if "pays for" in text.value)

    assert bought(by="compute", flops="6e15", ratio="10") == "That pays for N = 10M and D = 100M."
    hours = bought(by="hours", amount="2", ratio="10")
    assert hours == bought(by="money", amount="6", price="3", ratio="10")
    optimal = opened(predict_page, by="compute", flops="6e15", split="compute-optimal")
    assert any("by the loss law of these runs" in text.value for text in optimal.caption)


def test_runs_without_times_say_that_no_hour_of_theirs_is_known(database, runs):
    with Store.open(database) as store:
        store.add_runs(runs)
    app = opened(predict_page, by="money")
    assert "do not tell what an hour buys" in app.error[0].value
    assert not app.metric


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"params": "big"}, "'big' is no number of parameters"),
        ({"batch": "-4"}, "'-4' is no batch; write 2M or 1048576"),
        ({"by": "compute", "flops": "1e-3", "split": "compute-optimal"}, "does not pay for"),
    ],
)
def test_what_is_no_target_is_an_error_in_one_line(filled, query, message):
    app = opened(predict_page, **query)
    assert message in app.error[0].value
    assert "\n" not in app.error[0].value
    assert charts(app) == 0


def test_a_given_batch_is_fixed_and_its_cost_said(filled):
    app = opened(predict_page, batch="8192", context="256")
    assert "batch size fixed at 8,192" in app.info[0].value
    assert "batch, tokens a step" not in [metric.label for metric in app.metric]
    assert any("batch of 8,192 tokens, given" in code.value for code in app.code)


def test_sliders_ask_what_is_expected_off_the_optimum(filled):
    app = opened(predict_page, params="7M", tokens="140M")
    before = {metric.label: metric.value for metric in app.metric}
    app.slider(key="if_lr").set_value(2.0).run()
    after = {metric.label: metric.value for metric in app.metric}
    assert after["learning rate, peak"] == before["learning rate, peak"]
    assert float(after["loss there, nats a token"]) > float(before["loss there, nats a token"])
    linked = opened(predict_page, params="7M", tokens="140M", if_lr="2")
    assert {metric.label: metric.value for metric in linked.metric} == after


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_configuration_is_that_of_the_framework(filled, framework):
    app = opened(predict_page, params="7M", tokens="140M")
    app.selectbox(key="framework").set_value(framework).run()
    assert not app.exception
    assert app.code[-1].value.startswith(f"# {FRAMEWORKS[framework].title}: N = 7e+06")


def test_a_kept_law_can_be_chosen_and_asks_for_its_width(database, timed):
    wide = timed.assign(width=np.round(np.sqrt(timed["params"] / 24)).astype(int), depth=2)
    law = fit_law(check_runs(wide), name="wide", axes=("width", "tokens"))
    with Store.open(database) as store:
        store.add_runs(wide)
        document = law.to_dict() | {"source": {"sweeps": ["sim"], "file": None}}
        store.save_law("wide", document=document, sweep=None)
        document = law.to_dict() | {"source": {"sweeps": [], "file": "runs.csv"}}
        store.save_law("of-a-file", document=document, sweep=None)
    app = opened(predict_page, law="wide", width="1024", params="24M", tokens="1B")
    lr = law.predict(2.4e7, 1e9, width=1024).optimum["lr"].value
    assert float(app.metric[0].value) == pytest.approx(lr, rel=0.01)
    for section, figures in SECTIONS.items():
        assert charts(opened(laws_page, law="wide", view=section)) == figures
    assert charts(opened(plan_page, law="wide")) in (0, 2)
    of_file = opened(laws_page, law="of-a-file", view="residuals")
    assert "the database does not have them" in of_file.info[0].value
    assert opened(predict_page, law="of-a-file").metric
    assert "not in the database" in opened(plan_page, law="of-a-file").info[0].value


def test_a_plan_says_what_runs_bring_and_why_there_is_no_sweep_file(database, runs):
    with Store.open(database) as store:
        store.add_runs(runs.groupby(["params", "tokens"]).head(6))
    app = opened(plan_page, n="3")
    assert [metric.label for metric in app.metric] == [
        "expected regret now", "after 3 runs", "for, FLOP",
    ]  # fmt: skip
    table = app.dataframe[0].value
    assert len(table) == 3
    spent = table["spent"].astype(float)  # in three digits
    assert spent.tolist() == pytest.approx(table["flops"].astype(float).cumsum(), rel=0.01)
    assert "No sweep file can be made of these runs" in app.info[0].value
    assert charts(app) == 2
    less = opened(plan_page, n="3", spend=f"{1.01 * spent.iloc[1]:.6g}")
    assert len(less.dataframe[0].value) == 2
    none = opened(plan_page, n="3", spend="1")
    assert "costs more than the compute that is allowed" in none.info[0].value
