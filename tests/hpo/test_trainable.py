"""The worker's side of a run, without Ray: when states are written, and what a pause leaves."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hpo import leg_training
from hpo.checkpoints import RunFolder
from hpo.points import Origin
from hpo.trainable import RunTrainable
from hpo.trial_legs import ALIKE, LEG_RESULTS, LEGS, LOSS, PYTHON_PATH, REPORTS, LegResult, TrialLeg
from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.protocol import Report

RUN = RunConfig(
    trainer="simulated",
    shape={"width": 32, "depth": 2},
    tokens=100_000,
    setting={"lr": 0.05, "batch_tokens": 512},
    seed=3,
    parametrization="sp",
    base={"width": 32, "depth": 2},
    data="",
    model={},
    reports=6,
)


class Worker(RunTrainable):
    """The trainable without Tune's actor around it."""

    def __init__(self) -> None:
        self._start_empty()
        self._n_threads = 1

    def begin(self, folder: Path, run_id: str = "a", origin: Origin | None = None) -> None:
        leg = TrialLeg(0, run_id, RUN, RUN.reports, origin, folder=folder)
        self.reset_config({LEGS: (leg,), ALIKE: 0, PYTHON_PATH: ""})


@pytest.fixture
def uncut(tmp_path: Path) -> list[object]:
    """The losses of the run in one go."""
    worker = Worker()
    worker.begin(tmp_path / "uncut")
    return [worker.step()[LOSS] for _ in range(RUN.reports)]


def new_reports(result: dict[str, object]) -> tuple[Report, ...]:
    news = result[LEG_RESULTS]
    assert isinstance(news, tuple)
    (of_leg,) = news
    assert isinstance(of_leg, LegResult)
    return of_leg.reports


def losses(reports: tuple[Report, ...]) -> list[float]:
    return [report.loss for report in reports]


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_paused_run_goes_on_in_another_process_with_the_same_losses(
    tmp_path: Path, uncut: list[object], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leg_training, "WRITE_SHARE", 0.0)  # no state but that of the pause
    first, second = Worker(), Worker()
    first._write_cost.seconds = 1.0
    first.begin(tmp_path)
    for _ in range(after):
        first.step()
    assert first.save().checkpoint is None
    first.begin(tmp_path, run_id="b")

    second.begin(tmp_path)
    result = second.step()
    assert result[REPORTS] == after + 1
    assert losses(new_reports(result)) == uncut[: after + 1]
    rest = [second.step()[LOSS] for _ in range(RUN.reports - after - 1)]
    assert [*losses(new_reports(result)), *rest] == uncut


def test_a_stopped_run_leaves_no_state(tmp_path: Path) -> None:
    worker = Worker()
    worker.begin(tmp_path)
    worker.step()
    assert (tmp_path / "a").is_dir()
    worker.begin(tmp_path, run_id="b")
    assert not (tmp_path / "a").exists()


def test_states_are_not_written_where_training_again_is_cheaper(tmp_path: Path) -> None:
    worker = Worker()
    worker._write_cost.seconds = 1e6
    worker.begin(tmp_path)
    worker.step()
    assert RunFolder(tmp_path / "a").newest(RUN, after=0) is None
    worker._write_cost.seconds = 0.0
    worker.step()
    kept = RunFolder(tmp_path / "a").newest(RUN, after=0)
    assert kept is not None
    assert kept.reports == 2
    assert 0 < worker._write_cost.seconds < 1e6


def test_a_report_of_what_is_no_number_is_refused_where_it_is_made() -> None:
    leg = TrialLeg(0, "a", RUN, RUN.reports)
    training = leg_training.LegTraining(leg, leg_training.OneRun(), leg_training.WriteCost())
    report = Report(10, 100, 6e5, 1.5, 1.5, 1.0, 0.5, "running")
    for name in ("loss", "step"):
        wrong = replace(report, **{name: torch.tensor(1)})
        with pytest.raises(TrainerError, match=f"reported {name} as Tensor; it must be a number"):
            training.take(wrong, 1)
    assert training.take(report, 1).reports == (report,)
