"""The Explore page, by its states: what it says and shows, and that a link shows the same."""

import pytest
from streamlit.testing.v1 import AppTest

from storage.store import Store

PLOTS = ("Parallel", "Importance", "Slices", "Contour", "Distribution", "Pareto", "Curves")
SPEC = "name: sim\nspace:\n  lr: {log: [3e-3, 5e-1]}\n"


@pytest.fixture(scope="module")
def database(tmp_path_factory, runs, curves):
    path = tmp_path_factory.mktemp("explore") / "hyperlaw.db"
    failed = runs.iloc[0].to_dict() | {
        "run_id": "sim-failed",
        "loss": float("nan"),
        "status": "failed",
        "reason": "the worker ran out of memory",
    }
    with Store.open(path) as store:
        store.add_sweep("sim", spec_text=SPEC)
        for row in runs.to_dict(orient="records"):
            store.record_run(row, curves[row["run_id"]])
        store.record_run(failed, None)
        other = [f"other-{i}" for i in range(40)]
        store.add_runs(runs.iloc[:40].assign(sweep="imported", run_id=other))
    return path


def _page() -> None:
    from dashboards.pages import explore

    explore.show()


@pytest.fixture
def show(database, monkeypatch):
    monkeypatch.setenv("HYPERLAW_DB", str(database))
    monkeypatch.setattr("sys.argv", ["app.py"])

    def run(**query):
        app = AppTest.from_function(_page, default_timeout=60)
        for key, value in ({"sweep": "sim"} | query).items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return run


def counted(app):
    return next(caption.value for caption in app.caption if "runs at" in caption.value)


@pytest.mark.parametrize("plot", PLOTS)
def test_each_plot_opens_from_a_link(show, plot):
    app = show(plot=plot)
    assert len(app.get("bidi_component")) == 1
    assert not app.warning


def test_a_link_holds_every_filter(show, runs):
    label = "N 98.3k, D 1.97M"
    app = show(scale=label, status=["completed", "diverged"], find="sim-0")
    wanted = runs[(runs["params"] == 98_304) & (runs["tokens"] == 20 * 98_304)]
    assert counted(app).startswith(f"**{len(wanted)}** of {len(runs) + 1} runs at 1 scale,")
    assert "nats a token" in counted(app)
    assert set(app.dataframe[0].value["run_id"]) == set(wanted["run_id"])


def test_values_of_a_setting_are_filtered_by_a_link(show, runs):
    app = show(**{"only-batch_tokens": "512"})
    assert set(app.dataframe[0].value["batch_tokens"]) == {512}


def test_the_best_of_each_scale_by_a_link(show):
    app = show(top="10")
    table = app.dataframe[0].value
    assert table.groupby(["params", "tokens"]).size().max() <= 2
    assert table["objective"].is_monotonic_increasing


def test_filters_that_leave_nothing_say_so(show):
    app = show(find="no such run")
    assert "No run meets these filters" in app.warning[0].value
    assert not app.dataframe


def test_runs_are_compared_on_the_way(show, runs):
    app = show(when="at report", **{"at-report": "2", "by": "loss"})
    assert "loss at report 2, nats a token" in counted(app)
    values = app.dataframe[0].value["objective"].dropna()
    assert len(values) == len(runs)


def test_a_point_that_is_no_number_is_an_error_in_one_line(show):
    app = show(when="after tokens", **{"at-tokens": "soon"})
    assert app.error[0].value == "'soon' is no number of tokens; write 2M or 2e6"
    app = show(when="at report", **{"at-report": "1.5"})
    assert app.error[0].value == "'1.5' is no report; write 1 or 8"


def test_sweeps_are_compared(show, runs):
    app = show(compare="imported", plot="Distribution")
    assert counted(app).startswith(f"**{len(runs) + 41}** of")
    assert set(app.dataframe[0].value["sweep"]) == {"sim", "imported"}


def test_imported_runs_say_why_they_have_no_curves(show):
    app = show(sweep="imported", plot="Curves")
    assert "no learning curves" in app.info[0].value
    assert not app.get("bidi_component")


def test_a_run_opens_from_a_link_with_its_curve(show, runs):
    run_id = runs["run_id"].iloc[3]
    app = show(run=run_id)
    assert app.subheader[0].value == run_id
    assert len(app.get("bidi_component")) == 2


def test_a_failed_run_tells_its_reason(show):
    app = show(run="sim-failed")
    assert app.error[0].value == "the worker ran out of memory"
    table = app.dataframe[0].value.set_index("run_id")
    assert table.loc["sim-failed", "reason"] == "the worker ran out of memory"


def test_a_run_that_is_not_there_is_said_and_the_page_stays(show):
    app = show(run="nobody")
    assert "no run 'nobody' in sim" in app.warning[0].value
    assert len(app.get("bidi_component")) == 1


def test_sorting_is_of_all_runs(show):
    table = show(sort="lr", falling="true").dataframe[0].value
    assert table["lr"].is_monotonic_decreasing
