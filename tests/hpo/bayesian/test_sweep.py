"""Bayesian sweeps on Ray: through the runner into the store, extended, and seen by Optuna."""

from typing import Any

import optuna
import pytest

from hpo.planned import quiet_optuna
from hpo.runner import run_sweep
from hpo.spec import SpecError, parse_spec
from hpo.tally import SweepSummary
from storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def launch(text: str, store: Store) -> SweepSummary:
    return run_sweep(parse_spec(text), store, spec_text=text)


def test_a_sweep_and_its_extension(one_scale_text: str, store: Store) -> None:
    short = one_scale_text.replace("runs: 40", "runs: 10")
    text = short.replace("params: 100000", "params: [100000, 200000]")
    assert launch(text, store).planned == 10
    before = store.runs("one").set_index("run_id")
    longer = text.replace("runs: 10", "runs: 24")
    summary = launch(longer, store)
    assert summary.completed + summary.diverged == 24
    runs = store.runs("one").set_index("run_id")
    assert runs.loc[before.index].equals(before)
    with quiet_optuna():
        names = optuna.get_all_study_names(store.url)
        studies = [optuna.load_study(study_name=name, storage=store.url) for name in names]
    trials = [trial for study in studies for trial in study.trials]
    assert [len(study.trials) for study in studies] == [12, 12]
    assert {trial.user_attrs["run_id"] for trial in trials} == set(runs.index)
    for trial in trials:
        row: Any = runs.loc[trial.user_attrs["run_id"]]
        assert {name: row[name] for name in trial.params} == trial.params
        if row["status"] == "completed":
            assert trial.value == row["loss"]


def test_a_prior_that_is_not_there_is_refused_and_nothing_is_written(
    one_scale_text: str, store: Store
) -> None:
    with pytest.raises(SpecError, match=r"^search\.prior\[0\]: .*'early'"):
        launch(one_scale_text.replace("startup: 6", "startup: 6, prior: early"), store)
    assert store.sweep_names() == []
