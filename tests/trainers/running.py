"""Runs as tests start, finish and vary them."""

from dataclasses import replace

from trainers.config import RunConfig
from trainers.protocol import Report, Trainer
from trainers.registry import kind


def start(config: RunConfig) -> Trainer:
    """Return the run's trainer, before its first step."""
    return kind(config.trainer).build(config)


def finish(trainer: Trainer) -> list[Report]:
    """Return the reports that are left of a run, without the time that they took."""
    reports = [trainer.step()]
    while reports[-1].status == "running":
        reports.append(trainer.step())
    return [replace(report, seconds=0.0) for report in reports]


def with_setting(config: RunConfig, **values: float | str) -> RunConfig:
    """Return a run with other values of some settings."""
    return replace(config, setting={**config.setting, **values})
