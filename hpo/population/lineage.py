"""Who descends from whom: the legs that a run's weights went through, and the schedule of these.

found = found_schedule(store, "my-population", run_id)
found.setting, found.changes  # replay them: a run's setting, and RunConfig.changes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hpo.fields import Value
from storage import columns, lineage
from storage.legs import LegRecord
from storage.store import Store
from trainers.config import Change


@dataclass(frozen=True)
class Stretch:
    """A part of training between two changes of hands or of settings.

    Attributes
    ----------
    run_id : the run that trained the weights in it.
    reports : how many reports had been made when it began.
    at : where it began, as a part of all steps.
    tokens : trained on before it.
    setting : all settings in it.
    """

    run_id: str
    reports: int
    at: float
    tokens: int
    setting: Mapping[str, Value]


@dataclass(frozen=True)
class FoundSchedule:
    """What a run's weights went through, from the start of training on.

    Attributes
    ----------
    run_id, loss : the run that ended with these weights, and its final loss, nats a token.
    seed : of the run that they began in.
    scale : params, params_total, tokens and the shape.
    stretches : in order, the first at 0.
    """

    run_id: str
    loss: float
    seed: int
    scale: Mapping[str, Any]
    stretches: tuple[Stretch, ...]

    @property
    def setting(self) -> Mapping[str, Value]:
        """What training began with."""
        return self.stretches[0].setting

    @property
    def n_exploits(self) -> int:
        """How many times the weights went from one run to another."""
        return sum(
            run_id != before for before, run_id in pairwise(s.run_id for s in self.stretches)
        )

    @property
    def changed(self) -> tuple[str, ...]:
        """The settings that did not stay what they were."""
        return tuple(
            name
            for name, first in self.setting.items()
            if any(stretch.setting[name] != first for stretch in self.stretches)
        )

    @property
    def changes(self) -> tuple[Change, ...]:
        """The same path for one run: what changes, and where."""
        found = []
        for before, stretch in pairwise(self.stretches):
            new = {n: v for n, v in stretch.setting.items() if v != before.setting[n]}
            if new:
                found.append(Change(stretch.at, new))
        return tuple(found)


def ancestry(legs: Sequence[LegRecord], run_id: str) -> list[LegRecord]:
    """Return the legs that a run's weights came through, from the start of training on."""
    ended = {(leg.run_id, leg.reached): leg for leg in legs if leg.reached}
    origins = ((state, _origin(leg)) for state, leg in ended.items())
    return [ended[state] for state in lineage.ancestry(origins, run_id)]


def _origin(leg: LegRecord) -> lineage.State | None:
    if leg.origin_run_id is None:
        return None
    return leg.origin_run_id, leg.origin_reports or 0


def found_schedule(store: Store, sweep: str, run_id: str) -> FoundSchedule:
    """Return what the weights of a completed run of a sweep went through."""
    path = ancestry(store.legs(sweep), run_id)
    curves = store.curves([run_id, *(leg.run_id for leg in path)])
    n_steps = int(curves[run_id].step[-1])
    stretches: list[Stretch] = []
    for leg in path:
        begun = leg.origin_reports or 0
        same = stretches and stretches[-1].run_id == leg.run_id
        if same and stretches[-1].setting == leg.setting:
            continue
        # The state that the leg began with was that of its origin at this report.
        origin = curves[leg.origin_run_id] if leg.origin_run_id is not None else None
        step = 0 if origin is None else int(origin.step[begun - 1])
        tokens = 0 if origin is None else int(origin.tokens[begun - 1])
        stretches.append(Stretch(leg.run_id, begun, step / n_steps, tokens, leg.setting))
    return FoundSchedule(
        run_id=run_id,
        loss=float(store.run(run_id)[columns.LOSS]),
        seed=path[0].seed,
        scale=path[0].scale,
        stretches=tuple(stretches),
    )
