"""What each sampler can search; without Optuna, for the checks of a sweep file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Abilities:
    """What a sampler takes into account.

    Attributes
    ----------
    learns : from the runs before.
    objectives : several of them.
    constraints : of the runs.
    names : choices that are not numbers.
    conditions : settings that are only sometimes there.
    cost : of a run, beside the improvement that is expected of it.
    """

    learns: bool = True
    objectives: bool = False
    constraints: bool = False
    names: bool = False
    conditions: bool = False
    cost: bool = False


ABILITIES: Mapping[str, Abilities] = {
    "tpe": Abilities(objectives=True, constraints=True, names=True, conditions=True),
    "gp": Abilities(objectives=True, constraints=True, names=True, cost=True),
    "cma-es": Abilities(),
    "nsga-ii": Abilities(objectives=True, constraints=True, names=True),
    # These two look at no result, so that any number of objectives is the same to them.
    "qmc": Abilities(learns=False, objectives=True, constraints=True, names=True, conditions=True),
    "random": Abilities(
        learns=False, objectives=True, constraints=True, names=True, conditions=True
    ),
}


def who_can(ability: str) -> str:
    """Return the names of the samplers that have an ability, for messages."""
    return ", ".join(name for name, able in ABILITIES.items() if getattr(able, ability))
