"""The legs that are being trained: how each begins, what it reports, and how it ends.

All of it is written to the store before the search and the observer are told.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpo.checkpoints import RunFolder
from hpo.checks import run_config
from hpo.continued import start_folder
from hpo.final_states import BestOfScales
from hpo.held_states import HeldStates
from hpo.legs import NumberedLeg, Standing, leg_record, recorded_reports
from hpo.packs import Kind
from hpo.points import Leg, Origin, Outcome
from hpo.progress import SweepObserver
from hpo.rows import Row, curve, failed_row, run_row, stopped_row
from hpo.schema import SweepSpec
from hpo.strategy import Strategy
from hpo.trial_legs import HeldState, LegResult, TrialLeg, for_worker
from storage import columns
from storage.store import Store
from trainers.config import RunConfig
from trainers.protocol import Report

LIVE_CURVE_SECONDS = 1.0
"""A running run's curve is written to the store this often at most."""


@dataclass
class LiveLeg:
    """A leg that is being trained, and the reports of its run so far."""

    leg: NumberedLeg
    config: RunConfig
    kind: Kind | None
    reports: list[Report]
    origin: HeldState | None
    written: float = field(default_factory=time.monotonic)

    @property
    def number(self) -> int:
        """Its number among the sweep's legs."""
        return self.leg.number

    @property
    def run_id(self) -> str:
        """Its run."""
        return self.leg.leg.point.run_id

    def let_origin_go(self) -> None:
        """Release the state that the leg began with; Tune keeps the trial's configuration."""
        if self.origin is not None:
            self.origin.reference = None


class LiveLegs:
    """Takes legs from their beginning to their end; some may wait for an actor in between."""

    def __init__(
        self,
        spec: SweepSpec,
        standing: tuple[Strategy, Standing],
        store: Store,
        observer: SweepObserver,
        states: Path | None,
        outputs: Path,
    ) -> None:
        """Begin with none, as a sweep stands.

        `states` is where states of runs are kept while they run, `outputs` what they write beside.
        """
        self._spec = spec
        self._strategy = standing[0]
        self._store = store
        self._observer = observer
        self._states = states
        self._outputs = outputs
        self._start = (
            None if spec.start_from is None else start_folder(spec.start_from, outputs.parent)
        )
        self._finals = BestOfScales.of_sweep(spec, store, outputs)
        self._held = HeldStates()
        self._live: dict[int, LiveLeg] = {}
        self.reports = dict(standing[1].reports)
        """Of runs that are not over and not live, by run_id."""
        self.frozen = dict(standing[1].frozen)
        """The last leg of each run that stands still, by run_id."""

    def __len__(self) -> int:
        """How many are live."""
        return len(self._live)

    def __contains__(self, number: object) -> bool:
        """Whether the leg of a number is live."""
        return number in self._live

    def __getitem__(self, number: int) -> LiveLeg:
        """Return the live leg of a number."""
        return self._live[number]

    def of(self, legs: Iterable[TrialLeg]) -> list[LiveLeg]:
        """Return those of a trial's legs that are live."""
        return [self._live[leg.number] for leg in legs if leg.number in self._live]

    def config_of(self, leg: Leg) -> RunConfig:
        """Return what a leg's run trains."""
        point = leg.point
        return run_config(self._spec, point.scale, point.setting, point.seed)

    def begin(self, numbered: NumberedLeg, kind: Kind | None) -> TrialLeg:
        """Have a leg live from now on; return what its worker needs."""
        leg, number = numbered.leg, numbered.number
        run_id = leg.point.run_id
        config = self.config_of(leg)
        self.frozen.pop(run_id, None)
        origin = self._held.get(leg.origin)
        reports = self.reports.pop(run_id, [])
        if leg.origin is not None and len(reports) < leg.origin.reports:
            reports = self._reports_behind(leg.origin)
        self._live[number] = LiveLeg(numbered, config, kind, reports, origin)
        return TrialLeg(
            number=number,
            run_id=run_id,
            run=for_worker(config, self._outputs / run_id),
            reports=leg.reports,
            origin=leg.origin,
            state=origin,
            folder=self._states,
            keeps_final=bool(self._spec.final_states),
            start=self._start,
        )

    def record(self, live: LiveLeg, earlier: Sequence[NumberedLeg]) -> None:
        """Write down that a leg begins: from now on, a relaunch takes it up.

        Those `earlier` ones that were asked for before it and wait are written down too, as cut
        off.
        """
        name = self._spec.name
        with self._store.together():
            for waiting in earlier:
                self._store.begin_leg(name, leg_record(waiting))
                self._store.cut_off_leg(name, waiting.number)
            self._store.begin_leg(name, leg_record(live.leg))

    def take(self, live: LiveLeg, new: LegResult) -> None:
        """Take reports; the last one of a leg ends it, and may end the run."""
        # A leg that was begun again may report once more what it had reported.
        live.reports[new.n_reports - len(new.reports) :] = new.reports
        live.let_origin_go()
        point, reports = live.leg.leg.point, live.reports
        if reports[-1].status != "running":
            self._complete(live, reports[-1])
            return
        self._observer.report(point, reports[-1])
        if new.n_reports >= live.leg.leg.reports:
            self.reports[point.run_id] = reports
            self.frozen[point.run_id] = live.leg.leg
            self._held.keep(point.run_id, new.n_reports, new.state)
            self._end(live, "running")
        elif time.monotonic() - live.written >= LIVE_CURVE_SECONDS:
            live.written = time.monotonic()
            self._store.record_report(point.run_id, self._spec.name, curve(reports))

    def stop(self, live: LiveLeg) -> None:
        """End a leg and its run with what it has reported."""
        row = stopped_row(self._spec.name, live.leg.leg.point, live.config, live.reports[-1])
        self._end(live, str(row[columns.STATUS]), row)
        if self._states is not None:
            RunFolder(self._states / live.run_id).close()
        self._observer.finished(live.leg.leg.point, row)

    def fail(self, live: LiveLeg, reason: str) -> None:
        """End a leg, whose run failed."""
        row = failed_row(self._spec.name, live.leg.leg.point, live.config, reason)
        self._end(live, columns.FAILED, row)
        self._observer.finished(live.leg.leg.point, row)

    def cut_off(self, live: LiveLeg, *, recorded: bool) -> None:
        """Have a leg live no longer that is to be begun again, and in the store if it is there."""
        del self._live[live.number]
        self.reports[live.run_id] = live.reports
        if recorded:
            self._store.cut_off_leg(self._spec.name, live.number)

    def restart(self, spec: SweepSpec, strategy: Strategy, standing: Standing) -> None:
        """Go on with a strategy that was told all that the store has, while legs are live."""
        self._spec, self._strategy = spec, strategy
        live = {going.run_id for going in self._live.values()}
        reports = {**standing.reports, **self.reports}
        self.reports = {run_id: of for run_id, of in reports.items() if run_id not in live}
        self.frozen = {run_id: of for run_id, of in standing.frozen.items() if run_id not in live}

    def _reports_behind(self, origin: Origin) -> list[Report]:
        """Return what a run reported up to the state with which a new run begins."""
        curves = self._store.curves([origin.run_id])
        return recorded_reports(curves[origin.run_id])[: origin.reports]

    def _complete(self, live: LiveLeg, report: Report) -> None:
        """End a leg and its run, of which this is the last report."""
        row = run_row(self._spec.name, live.leg.leg.point, live.config, report)
        status = str(row[columns.STATUS])
        self._end(live, status, row)
        if status != columns.FAILED:
            self._held.drop(live.run_id)
        if status == columns.COMPLETED:
            self._finals.completed(row)
        self._observer.finished(live.leg.leg.point, row)

    def _end(self, live: LiveLeg, status: str, row: Row | None = None) -> None:
        """Write down that a leg ended, with its run's `row` if that did too; tell the strategy."""
        reports, name = live.reports, self._spec.name
        learned = curve(reports) if reports else None
        with self._store.together():
            if row is not None:
                self._store.record_run(row, learned)
            elif learned is not None:
                self._store.record_report(live.run_id, name, learned)
            self._store.end_leg(name, live.number, reached=len(reports))
        del self._live[live.number]
        self._strategy.tell(
            Outcome(
                point=live.leg.leg.point,
                losses=tuple(report.loss for report in reports),
                status=status,
                flops=reports[-1].flops if reports else 0.0,
                seconds=reports[-1].seconds if reports else 0.0,
            )
        )
