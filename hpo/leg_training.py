"""One leg in a worker: where it begins, what it has reported, and what of it is kept on disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Protocol

import ray
from ray.exceptions import ObjectLostError

from hpo.checkpoints import Kept, RunFolder, State
from hpo.final_states import read_final, save_final
from hpo.points import Origin
from hpo.trial_legs import HeldState, LegResult, TrialLeg
from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.protocol import Closing, Report, Trainer
from trainers.registry import kind

WRITE_SHARE = 0.1
"""States are written to disk for at most this part of the time: so much training as a write costs
ten times over is done again, if need be, rather than saved at every report of a run of instants."""


_NOT_MEASURED = ("noise_scale", None)


class Engine(Protocol):
    """Trains runs, each of which has a slot, as `trainers.fused.trainer.FusedTrainer` does."""

    def add(self, config: RunConfig) -> int:
        """Begin another run; return its slot."""
        ...

    def remove(self, slot: int) -> None:
        """Forget a run, over or not."""
        ...

    def step(self) -> dict[int, Report]:
        """Train until a run reports, or several do; return the reports by slot."""
        ...

    def state_dict(self, slot: int) -> dict[str, object]:
        """Return a snapshot of one run."""
        ...

    def load_state_dict(self, slot: int, state: Mapping[str, object]) -> None:
        """Let a run go on from `state`."""
        ...


class OneRun:
    """The engine of any trainer, for a run by itself."""

    def __init__(self) -> None:
        """Train nothing yet."""
        self._trainer: Trainer | None = None

    @property
    def _run(self) -> Trainer:
        assert self._trainer is not None, "no run was added"
        return self._trainer

    def add(self, config: RunConfig) -> int:
        """Begin the run."""
        self._trainer = kind(config.trainer).build(config)
        return 0

    def remove(self, slot: int) -> None:
        """Let go of what the trainer holds, such as a process."""
        if isinstance(self._trainer, Closing):
            self._trainer.close()
        self._trainer = None

    def step(self) -> dict[int, Report]:
        """Train up to the next report."""
        return {0: self._run.step()}

    def state_dict(self, slot: int) -> dict[str, object]:
        """Return a snapshot of the run."""
        return self._run.state_dict()

    def load_state_dict(self, slot: int, state: Mapping[str, object]) -> None:
        """Let the run go on from `state`."""
        self._run.load_state_dict(state)


@dataclass
class WriteCost:
    """What the last state that a worker wrote took, in seconds."""

    seconds: float = 0.0


class LegTraining:
    """A leg that is being trained."""

    def __init__(self, leg: TrialLeg, engine: Engine, cost: WriteCost) -> None:
        """Begin it, with the newest state that there is of it."""
        self.leg = leg
        self.slot = engine.add(leg.run)
        self._is_held = True
        self._engine = engine
        self._cost = cost
        self._states = None if leg.folder is None else RunFolder(leg.folder / leg.run_id)
        self._first = 0 if leg.origin is None else leg.origin.reports
        self._reports: list[Report] = []
        # Of this very leg there is a state where a worker or the sweep was killed in its middle.
        own = None
        if self._states is not None:
            own = self._states.newest(leg.run, after=self._first)
        if own is not None and own.reports < leg.reports:
            self._reports = list(own.leg_reports)
            engine.load_state_dict(self.slot, own.state)
        elif leg.origin is not None:
            engine.load_state_dict(self.slot, self._origin_state(leg.origin))
        elif leg.start is not None:
            engine.load_state_dict(self.slot, _final_state(leg.start))
        self._unsent = list(self._reports)
        self._written = time.monotonic()

    @property
    def n_reports(self) -> int:
        """How many reports the run has made."""
        return self._first + len(self._reports)

    @property
    def is_over(self) -> bool:
        """Whether the leg has come to its end."""
        over = bool(self._reports) and self._reports[-1].status != "running"
        return over or self.n_reports >= self.leg.reports

    def take(self, report: object, n_together: int) -> LegResult:
        """Take a report of the run, one of `n_together` that this worker trains.

        Raises
        ------
        TrainerError
            Where it is none, or not the last one of a run that has made them all: the trainer may
            be a user's own.
        """
        checked = _checked(report, self.leg.run)
        self._reports.append(checked)
        if checked.status == "running" and self.n_reports >= self.leg.run.reports:
            self._close_states()  # They were kept elsewhere in the run than their number says.
            raise TrainerError(
                f"made {self.n_reports} reports and is still running; the last of a run's "
                f"{self.leg.run.reports} reports ('reports' in the sweep file, config.reports) "
                "must say 'completed' or 'diverged'"
            )
        held = None
        if checked.status == "running":
            held = self._keep_state(n_together)
        elif checked.status == "completed" and self.leg.keeps_final:
            save_final(Path(self.leg.run.folder), self._kept())
        if checked.status != "running":
            self._close_states()
        if self.is_over:
            self.let_go()
        new = (*self._unsent, checked)
        self._unsent = []
        return LegResult(self.leg.number, new, self.n_reports, held)

    def pause(self) -> None:
        """Keep the state and let the run go: its next worker begins from it."""
        if self._states is not None:
            self._write(self._states, self._kept(), leg_ends=False)
        self.let_go()

    def stop(self) -> None:
        """Drop what is kept of a run that goes on no more; this may not be the driver's disk."""
        self._close_states()
        self.let_go()

    def let_go(self) -> None:
        """End what the trainer holds; the run trains no further here. Any number of times."""
        if self._is_held:
            self._engine.remove(self.slot)
        self._is_held = False

    def _close_states(self) -> None:
        if self._states is not None:
            self._states.close()

    def _origin_state(self, origin: Origin) -> State:
        held, folder = self.leg.state, self.leg.folder
        if held is not None and held.reference is not None:
            try:
                state: State = ray.get(held.reference)
            except ObjectLostError:
                pass  # Its worker died; the disk has it too.
            else:
                return state
        kept = None if folder is None else RunFolder(folder / origin.run_id).at(origin.reports)
        if kept is None:
            raise RuntimeError(
                f"the state of run {origin.run_id!r} after {origin.reports} reports is gone; "
                "it was on a machine that left, or its file was removed"
            )
        return kept.state

    def _keep_state(self, n_together: int) -> HeldState | None:
        since = time.monotonic() - self._written
        is_due = WRITE_SHARE * since >= n_together * self._cost.seconds
        if not self.is_over and (self._states is None or not is_due):
            return None
        kept = self._kept()
        if self._states is not None:
            self._write(self._states, kept, self.is_over)
        return HeldState(ray.put(kept.state)) if self.is_over else None

    def _kept(self) -> Kept:
        state = self._engine.state_dict(self.slot)
        return Kept(self.leg.run, self.n_reports, tuple(self._reports), state)

    def _write(self, states: RunFolder, kept: Kept, leg_ends: bool) -> None:
        began = time.monotonic()
        states.save(kept, leg_end=leg_ends)
        self._written = time.monotonic()
        self._cost.seconds = self._written - began


def _checked(report: object, run: RunConfig) -> Report:
    """Return what a trainer's step returned, which may be a user's own."""
    if not isinstance(report, Report):
        raise TrainerError(
            f"step() of trainer {run.trainer!r} returned {type(report).__name__}; it must return a "
            "trainers.protocol.Report"
        )
    for name, value in vars(report).items():
        if name != "status" and not isinstance(value, Real) and (name, value) != _NOT_MEASURED:
            raise TrainerError(
                f"step() of trainer {run.trainer!r} reported {name} as {type(value).__name__}; it "
                "must be a number, such as float() makes of it"
            )
    return report


def _final_state(folder: Path) -> State:
    kept = read_final(folder)
    if kept is None:
        raise RuntimeError(f"the state to start from is gone: there is none in {folder}")
    return kept.state
