"""Soups of a sweep's runs: the mean of their weights, uniform or greedy, on held-out data.

The final states must be there, so the sweep's file has `final_states`. Of the held-out samples
every second one chooses who goes into the greedy soup, and the others judge what comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hyperlaw.errors import InputError, MissingError

if TYPE_CHECKING:
    from torch import Tensor

    from hpo.checkpoints import Kept
    from storage.store import Store
    from trainers.config import Value
    from trainers.loop import TaskTrainer

LEAST_MEMBERS: Final = 2
_CHOOSE, _JUDGE, _PARTS = 0, 1, 2
"""Parts of the held-out samples."""


@dataclass(frozen=True)
class Losses:
    """Held-out losses of one set of weights, nats a token.

    Attributes
    ----------
    choosing : on the samples that chose the greedy soup.
    judging : on the others.
    """

    choosing: float
    judging: float


@dataclass(frozen=True)
class Member:
    """One run, and whether the greedy soup took it."""

    run_id: str
    seed: int
    setting: Mapping[str, Value]
    losses: Losses
    taken: bool


@dataclass(frozen=True)
class Soup:
    """What came of averaging the weights of runs of one shape.

    Attributes
    ----------
    shape : of all of them.
    members : best first, by the choosing samples.
    uniform, greedy : losses of the two soups.
    weights : of the greedy soup, by name.
    warnings : what should be known before it is trusted.
    """

    shape: Mapping[str, int]
    members: tuple[Member, ...]
    uniform: Losses
    greedy: Losses
    weights: Mapping[str, Tensor]
    warnings: tuple[str, ...]

    @property
    def best(self) -> Member:
        """The best single run."""
        return self.members[0]

    @property
    def differing(self) -> tuple[str, ...]:
        """The settings in which the members differ."""
        names = dict.fromkeys(name for member in self.members for name in member.setting)
        return tuple(
            name for name in names if len({member.setting.get(name) for member in self.members}) > 1
        )


def make_soup(store: Store, sweep: str, only: Mapping[str, str]) -> Soup:
    """Average the final weights of a sweep's runs.

    Parameters
    ----------
    only : column of the runs table -> the value that a run must have, such as {"width": "64"}.

    Raises
    ------
    InputError : the runs are of several shapes, or equal weights would not be equal models.
    MissingError : no final states are kept.
    scaling.errors.InsufficientDataError : fewer than two are.
    """
    from scaling.errors import InsufficientDataError
    from trainers.averaging import greedy_soup, judged_weights, uniform_soup

    kept = _kept(store, sweep, only)
    shape = _one_shape(sweep, kept)
    if len(kept) < LEAST_MEMBERS:
        raise InsufficientDataError(
            f"sweep '{sweep}' has the final state of {len(kept)} such run; a soup needs "
            f"{LEAST_MEMBERS} at least: raise final_states, or name fewer with --only"
        )
    trainer = _trainer(kept)
    weights = [judged_weights(of_run.state) for of_run in kept.values()]

    def losses(of: Mapping[str, Tensor]) -> Losses:
        return Losses(
            trainer.judge(of, part=_CHOOSE, parts=_PARTS),
            trainer.judge(of, part=_JUDGE, parts=_PARTS),
        )

    own = [losses(of) for of in weights]
    greedy, taken = greedy_soup(weights, lambda of: trainer.judge(of, part=_CHOOSE, parts=_PARTS))
    members = [
        Member(run_id, of.config.seed, of.config.setting, own[index], index in taken)
        for index, (run_id, of) in enumerate(kept.items())
    ]
    members.sort(key=lambda member: member.losses.choosing)
    return Soup(
        shape=shape,
        members=tuple(members),
        uniform=losses(uniform_soup(weights)),
        greedy=losses(greedy),
        weights=greedy,
        warnings=tuple(_warnings(kept)),
    )


def _kept(store: Store, sweep: str, only: Mapping[str, str]) -> dict[str, Kept]:
    """Return the final states that are kept of the runs asked for, by run_id."""
    from hpo.errors import SpecError
    from hpo.final_states import read_final
    from hpo.runner import folder_beside
    from hpo.spec import stored_spec
    from storage.columns import COMPLETED, RUN_ID
    from storage.table_files import only_rows

    try:
        keeps = stored_spec(store.sweep(sweep).spec_text).final_states
    except SpecError:
        keeps = 0
    if not keeps:
        raise MissingError(
            f"sweep '{sweep}' keeps no final states; write 'final_states: 8' into its file and "
            "launch it under another name"
        )
    folder = folder_beside(store, "runs") / sweep
    runs = only_rows(store.runs(sweep, statuses=[COMPLETED]), only, f"sweep '{sweep}'")
    found = {str(run_id): read_final(folder / str(run_id)) for run_id in runs[RUN_ID]}
    kept = {run_id: state for run_id, state in found.items() if state is not None}
    if not kept:
        raise MissingError(
            f"none of {len(found)} completed runs of sweep '{sweep}' has its final state in "
            f"{folder}: they are on another machine, or were removed"
        )
    return kept


def _one_shape(sweep: str, kept: Mapping[str, Kept]) -> Mapping[str, int]:
    shapes = list({_words(of.config.shape): of.config.shape for of in kept.values()}.items())
    if len(shapes) > 1:
        first = shapes[0][1]
        key = next(key for key in first if len({shape.get(key) for _, shape in shapes}) > 1)
        named = "; ".join(words for words, _ in shapes)
        raise InputError(
            f"the runs of sweep '{sweep}' have {len(shapes)} shapes ({named}); a soup is of one: "
            f"add --only {key}={first[key]}, or another"
        )
    return shapes[0][1]


def _trainer(kept: Mapping[str, Kept]) -> TaskTrainer:
    """Return a trainer whose model is that of all runs."""
    from trainers.loop import TaskTrainer
    from trainers.registry import kind

    first: TaskTrainer | None = None
    for run_id, of in kept.items():
        trainer = kind(of.config.trainer).build(of.config)
        assert isinstance(trainer, TaskTrainer)
        first = first or trainer
        for name, multiplier in trainer.multipliers.items():
            if multiplier != first.multipliers[name]:
                raise InputError(
                    f"{name} of run {run_id} has the forward multiplier {multiplier:g}, of run "
                    f"{next(iter(kept))} {first.multipliers[name]:g}, so their weights do not mean "
                    "the same; take runs of one parametrization and optimizer, with --only"
                )
    assert first is not None
    return first


def _warnings(kept: Mapping[str, Kept]) -> Sequence[str]:
    seeds = {of.config.seed for of in kept.values()}
    if len(seeds) == 1:
        return ()
    return (
        f"the runs have {len(seeds)} seeds, so they began with different weights, whose mean is "
        "rarely good; take those of one with --only seed=0",
    )


def _words(shape: Mapping[str, int]) -> str:
    return ", ".join(f"{key} {value}" for key, value in shape.items())
