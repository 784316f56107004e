"""Strategies driven without Ray or a trainer: a function says how each run ends."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.bayesian.strategy import Bayesian, build
from hpo.ladder import resolve_ladder
from hpo.points import Leg, Outcome
from hpo.spec import parse_spec
from storage.store import Store

ONE_SCALE = """\
name: one
trainer: simulated
scales: {params: 100000, tokens: 1000000}
search: {method: bayesian, sampler: tpe, startup: 6}
space:
  lr: {log: [1e-4, 1e0]}
  batch_tokens: {choices: [512, 1024, 2048, 4096, 8192]}
runs: 40
"""


class Searching:
    """Begins strategies against one store, and drives them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def begin(self, text: str) -> Bayesian:
        """The strategy of a sweep file, told nothing yet."""
        spec = parse_spec(text)
        return build(spec, resolve_ladder(spec), self.store)

    def drive(
        self, search: Bayesian, ending: Callable[[Leg], Outcome], n_runs: int | None = None
    ) -> list[Outcome]:
        """Ask and tell one run after another, to the end or so many of them."""
        outcomes: list[Outcome] = []
        while n_runs is None or len(outcomes) < n_runs:
            leg = search.ask()
            if leg is None:
                break
            outcomes.append(ending(leg))
            search.tell(outcomes[-1])
        return outcomes

    @staticmethod
    def ended(
        leg: Leg,
        loss: float,
        status: str = "completed",
        *,
        seconds: float = 1.0,
        flops: float = 1e12,
    ) -> Outcome:
        """How a run of two reports ended."""
        return Outcome(leg.point, (5.0, loss), status, flops, seconds)


@pytest.fixture
def searching(store: Store) -> Searching:
    return Searching(store)


@pytest.fixture(scope="session")
def one_scale_text() -> str:
    """A sweep of one scale over a rate and an ordered batch."""
    return ONE_SCALE


@pytest.fixture
def own_trainer(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a trainer that takes any setting."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "on_path")
    return "trainers_for_tests:Instant"
