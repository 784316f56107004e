"""The mirror: studies that Optuna itself opens, with what our own tables say, and nothing twice."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import create_engine, event

from hpo.bayesian import mirror
from hpo.errors import SpecError
from hpo.points import Leg, Outcome
from storage.store import Store


@pytest.fixture(autouse=True)
def quiet() -> Any:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def load(store: Store, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=store.url)


@pytest.fixture
def ending(searching: Any) -> Any:
    """Rates above 0.1 diverge, those below 0.0005 fail."""

    def end(leg: Leg) -> Outcome:
        lr = float(leg.point.setting["lr"])
        status = "diverged" if lr > 0.1 else "failed" if lr < 5e-4 else "completed"
        loss = 2 + math.log(lr / 0.01) ** 2 if status == "completed" else math.nan
        return searching.ended(leg, loss, status, seconds=10 * lr)

    return end


def test_optuna_loads_what_ended(searching: Any, ending: Any, one_scale_text: str) -> None:
    text = one_scale_text.replace("runs: 40", "layers: 1").replace(
        "  batch_tokens: {choices: [512, 1024, 2048, 4096, 8192]}\nlayers: 1",
        "  batch_tokens: {uniform: [512, 8192], multiple_of: 512}\nruns: 40",
    )
    search = searching.begin(text.replace("startup: 6", "startup: 6, constraints: {seconds: 0.5}"))
    outcomes = searching.drive(search, ending)
    search.close()
    study = load(searching.store, "one")
    assert study.metric_names == ["loss"]
    assert [trial.number for trial in study.trials] == list(range(40))
    assert {outcome.status for outcome in outcomes} == {"completed", "diverged", "failed"}
    for trial, outcome in zip(study.trials, outcomes, strict=True):
        assert trial.user_attrs == {"run_id": outcome.point.run_id, "status": outcome.status}
        assert trial.params == dict(outcome.point.setting)
        assert trial.intermediate_values[1] == 5.0
        assert (trial.state == TrialState.FAIL) == (outcome.status == "failed")
        if outcome.status == "completed":
            assert trial.value == outcome.losses[-1]
            assert trial.constraints["seconds"] == pytest.approx(outcome.seconds / 0.5 - 1)
            assert trial.duration is not None
            assert trial.duration.total_seconds() == pytest.approx(outcome.seconds, abs=1e-3)
        elif outcome.status == "diverged":
            assert trial.value == math.inf
    feasible = [o for o in outcomes if o.status == "completed" and o.seconds <= 0.5]
    assert study.best_value == min(outcome.losses[-1] for outcome in feasible)


def test_the_front_is_that_of_the_runs(searching: Any, ending: Any, one_scale_text: str) -> None:
    text = one_scale_text.replace("startup: 6", "startup: 6, objectives: [loss, seconds]")
    search = searching.begin(text)
    outcomes = [o for o in searching.drive(search, ending) if o.status == "completed"]
    search.close()
    points = [(outcome.losses[-1], outcome.seconds) for outcome in outcomes]
    front = {p for p in points if not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points)}
    best = load(searching.store, "one").best_trials
    assert {tuple(trial.values) for trial in best} == front


def test_each_scale_has_a_study(searching: Any, ending: Any, one_scale_text: str) -> None:
    search = searching.begin(one_scale_text.replace("params: 100000", "params: [1000, 2000]"))
    searching.drive(search, ending)
    search.close()
    names = optuna.get_all_study_names(searching.store.url)
    assert names == ["one/N=1000,D=1000000", "one/N=2000,D=1000000"]
    assert [len(load(searching.store, name).trials) for name in names] == [20, 20]
    mark = load(searching.store, names[1]).user_attrs["hyperlaw"]
    assert mark == {"sweep": "one", "params": 2000, "tokens": 1000000}


def test_a_resume_writes_what_a_killed_launch_left_out_and_nothing_twice(
    searching: Any, ending: Any, one_scale_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "BATCH", 8)
    outcomes = searching.drive(searching.begin(one_scale_text), ending, n_runs=21)  # and killed
    assert len(load(searching.store, "one").trials) == 16
    resumed = searching.begin(one_scale_text)
    for outcome in outcomes:
        resumed.resume(Leg(outcome.point, 8))
        resumed.tell(outcome)
    searching.drive(resumed, ending)
    resumed.close()
    trials = load(searching.store, "one").trials
    assert [trial.user_attrs["run_id"] for trial in trials] == [f"one-{k:05d}" for k in range(40)]


def test_a_failed_run_that_completes_later_is_a_trial_more(
    searching: Any, one_scale_text: str
) -> None:
    search = searching.begin(one_scale_text)
    leg = search.ask()
    search.tell(searching.ended(leg, math.nan, "failed"))
    search.close()
    again = searching.begin(one_scale_text)
    again.resume(leg)
    again.tell(searching.ended(leg, 2.5))
    again.close()
    trials = load(searching.store, "one").trials
    assert [trial.state for trial in trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert {trial.user_attrs["run_id"] for trial in trials} == {"one-00000"}


def test_a_batch_is_one_transaction(
    searching: Any, ending: Any, one_scale_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = searching.begin(one_scale_text)
    searching.drive(search, ending, n_runs=1)
    search.close()  # The tables and the study are there.
    commits: list[object] = []
    opened = mirror.open_storage

    def counted(url: str) -> optuna.storages.RDBStorage:
        storage = opened(url)
        event.listen(storage.engine, "commit", commits.append)
        return storage

    monkeypatch.setattr(mirror, "open_storage", counted)
    searching.drive(search, ending, n_runs=1)
    search._mirror._storage = None
    search._mirror.write()
    begun = len(commits)
    searching.drive(search, ending, n_runs=30)
    assert len(commits) == begun
    search._mirror.write()
    assert len(commits) == begun + 1
    assert len(load(searching.store, "one").trials) == 32


def test_a_study_of_someone_else_is_left_alone(searching: Any, one_scale_text: str) -> None:
    optuna.create_study(study_name="one", storage=searching.store.url)
    with pytest.raises(SpecError, match=r"^name: .*study 'one' that is not this sweep's; give"):
        searching.begin(one_scale_text)


def test_nothing_is_written_before_a_run_has_ended(searching: Any, one_scale_text: str) -> None:
    search = searching.begin(one_scale_text)
    search.ask()
    search.close()
    engine = create_engine(searching.store.url)
    with engine.connect() as connection:
        tables = engine.dialect.get_table_names(connection)
    engine.dispose()
    assert "studies" not in tables


def test_our_store_opens_beside_the_studies(
    searching: Any, ending: Any, one_scale_text: str
) -> None:
    search = searching.begin(one_scale_text)
    searching.drive(search, ending)
    search.close()
    with Store.open(Path(searching.store.path), create=False) as store:
        assert store.sweep_names() == []


def test_a_database_in_memory_has_no_mirror(
    searching: Any, ending: Any, one_scale_text: str
) -> None:
    with Store.open("sqlite://") as searching.store:
        search = searching.begin(one_scale_text)
        assert len(searching.drive(search, ending)) == 40
        search.close()
