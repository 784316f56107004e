"""Populations trained in this process, leg by leg as a sweep does it, without Ray or a store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from hpo.checks import run_config
from hpo.ladder import resolve_ladder
from hpo.points import Leg, Outcome
from hpo.population.strategy import Population
from hpo.spec import parse_spec
from trainers.protocol import Report
from trainers.registry import kind

POPULATION = """\
name: pop
trainer: simulated
scales: {width: 64, depth: 2, tokens: 100000}
search: {method: population}
space:
  lr: {log: [1e-3, 1e0]}
fixed: {batch_tokens: 512}
runs: 8
reports: 6
"""


@dataclass
class Nursery:
    """A population in training, and what came of it so far.

    Attributes
    ----------
    text : its sweep file.
    legs : in the order in which they began.
    outcomes : by a leg's number in that order.
    reports : of each run.
    """

    text: str
    legs: list[Leg] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    reports: dict[str, list[Report]] = field(default_factory=dict)
    _states: dict[tuple[str, int], Mapping[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spec = parse_spec(self.text)
        self.strategy = Population(self._spec, resolve_ladder(self._spec))

    @property
    def lineage(self) -> list[tuple[object, ...]]:
        return [(leg.point, leg.origin, leg.reports) for leg in self.legs]

    @property
    def best_loss(self) -> float:
        ended = [run[-1] for run in self.reports.values() if run[-1].status == "completed"]
        return min(report.loss for report in ended)

    def train(
        self, *, legs: int | None = None, at_once: int = 1, last_first: bool = False
    ) -> "Nursery":
        """Train `at_once` legs at a time until nothing is asked for, or `legs` have ended."""
        while legs is None or len(self.outcomes) < legs:
            out = [number for number in range(len(self.legs)) if number not in self.outcomes]
            while len(out) < at_once and (leg := self.strategy.ask()) is not None:
                out.append(len(self.legs))
                self.legs.append(leg)
            if not out:
                break
            self.end_leg(out[-1 if last_first else 0])
        return self

    def end_leg(self, number: int) -> None:
        """Train a leg as `hpo.trainable` does, and tell of it."""
        leg = self.legs[number]
        point, origin = leg.point, leg.origin
        config = run_config(self._spec, point.scale, point.setting, point.seed)
        trainer = kind(self._spec.trainer).build(config)
        reports = self.reports.setdefault(point.run_id, [])
        if origin is not None:
            trainer.load_state_dict(self._states[origin.run_id, origin.reports])
            if len(reports) < origin.reports:
                reports += self.reports[origin.run_id][: origin.reports]
        report = trainer.step()
        reports.append(report)
        while report.status == "running" and len(reports) < leg.reports:
            report = trainer.step()
            reports.append(report)
        if report.status == "running":
            self._states[point.run_id, len(reports)] = trainer.state_dict()
        losses = tuple(each.loss for each in reports)
        self.outcomes[number] = Outcome(point, losses, report.status, report.flops, 0.0)
        self.strategy.tell(self.outcomes[number])

    def resume(self) -> "Nursery":
        """Go on with a fresh strategy, told what `hpo.legs.stand` tells it of what was kept."""
        self.__post_init__()
        for number, leg in enumerate(self.legs):
            self.strategy.resume(leg)
            if number in self.outcomes and self.outcomes[number].status != "failed":
                self.strategy.tell(self.outcomes[number])
        return self


@pytest.fixture(scope="session")
def population_text() -> str:
    """A population of eight simulated runs with six reports each."""
    return POPULATION


@pytest.fixture(scope="session")
def nursery() -> Callable[[str], Nursery]:
    """A population in training, from the text of its sweep file."""
    return Nursery
