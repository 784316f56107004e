"""Legs between the coordinator and the store: how a sweep stands when it is launched again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from typing import Final

import pandas as pd

from hpo.ladder import Scale
from hpo.points import Leg, Origin, Outcome, Point
from hpo.strategy import Strategy
from storage import columns
from storage.curves import Curve
from storage.legs import LegRecord
from storage.store import Store
from trainers.protocol import Report

OVER = (columns.COMPLETED, columns.DIVERGED, columns.STOPPED)
"""Runs that ended so are not repeated; failed ones are."""

RUNNING: Final = "running"
"""How a run stands that is not over."""

_SIZES = ("params", "params_total", "tokens")


@dataclass(frozen=True)
class NumberedLeg:
    """A leg and its number, by the order in which the sweep's legs began."""

    number: int
    leg: Leg


@dataclass(frozen=True)
class Standing:
    """How a sweep stands before a launch.

    Attributes
    ----------
    left : legs to train (again): they were cut off, or their run failed.
    frozen : the last leg of each run that stands still before its end, by run_id.
    reports : what runs that are not over have reported, by run_id.
    next_number : of the next leg.
    unrecorded : legs of `left` that the store does not have yet.
    """

    left: tuple[NumberedLeg, ...]
    frozen: dict[str, Leg]
    reports: dict[str, list[Report]]
    next_number: int
    unrecorded: tuple[NumberedLeg, ...] = ()

    def with_first(self, strategy: Strategy) -> Standing:
        """Return the standing with a leg to train, if there is one at all."""
        leg = None if self.left else strategy.ask()
        if leg is None:
            return self
        first = (NumberedLeg(self.next_number, leg),)
        return replace(self, left=first, unrecorded=first, next_number=self.next_number + 1)


def nothing_yet() -> Standing:
    """Return how a sweep stands that was never launched."""
    return Standing((), {}, {}, 0)


def leg_record(numbered: NumberedLeg) -> LegRecord:
    """Return a leg as the store keeps it."""
    leg = numbered.leg
    scale = leg.point.scale
    return LegRecord(
        number=numbered.number,
        run_id=leg.point.run_id,
        reports=leg.reports,
        origin_run_id=None if leg.origin is None else leg.origin.run_id,
        origin_reports=None if leg.origin is None else leg.origin.reports,
        scale={name: getattr(scale, name) for name in _SIZES} | {"shape": dict(scale.shape)},
        setting=leg.point.setting,
        seed=leg.point.seed,
    )


def recorded_leg(record: LegRecord) -> Leg:
    """Return the leg that the store kept."""
    scale = Scale(**{name: record.scale[name] for name in _SIZES}, shape=record.scale["shape"])
    origin = None
    if record.origin_run_id is not None and record.origin_reports is not None:
        origin = Origin(record.origin_run_id, record.origin_reports)
    point = Point(record.run_id, scale, dict(record.setting), record.seed)
    return Leg(point, record.reports, origin)


def stand(store: Store, sweep: str, strategy: Strategy, *, retry_failed: bool = True) -> Standing:
    """Tell a fresh strategy all that has happened, and return what is left.

    Failed runs are left to do where `retry_failed`; else the strategy is told how they ended.
    """
    records = store.legs(sweep)
    over = OVER if retry_failed else (*OVER, columns.FAILED)
    rows = store.runs(sweep).set_index(columns.RUN_ID)
    curves = store.curves([record.run_id for record in records])
    last = {record.run_id: record.number for record in records}
    left: list[NumberedLeg] = []
    frozen: dict[str, Leg] = {}
    reports: dict[str, list[Report]] = {}
    for record in records:
        leg, run_id = recorded_leg(record), record.run_id
        strategy.resume(leg)
        is_last = last[run_id] == record.number
        status = _status(rows, record) if is_last else RUNNING
        is_over = status in over
        failed = status == columns.FAILED or (record.reached or 0) < record.reports
        curve = curves.get(run_id)
        if is_last and not is_over:
            reports[run_id] = [] if curve is None else recorded_reports(curve)
        if record.reached is None or (is_last and not is_over and failed):
            left.append(NumberedLeg(record.number, leg))
            continue
        if is_last and not is_over:
            frozen[run_id] = leg
        strategy.tell(_outcome(leg.point, curve, record.reached, status))
    next_number = 1 + max((record.number for record in records), default=-1)
    return Standing(tuple(left), frozen, reports, next_number)


def _status(rows: pd.DataFrame, last: LegRecord) -> str:
    """Return how a run ended by its row, or that it goes on; `last` is its last leg."""
    if last.run_id not in rows.index:
        return RUNNING
    row = rows.loc[last.run_id]
    status = str(row[columns.STATUS])
    # A run that is tried again keeps the row of its failure until it is over.
    is_old = status == columns.FAILED and str(row[columns.CREATED]) < last.started
    return RUNNING if is_old else status


def _outcome(point: Point, curve: Curve | None, reached: int, status: str) -> Outcome:
    if curve is None or not reached:
        return Outcome(point, (), status, 0.0, 0.0)
    return Outcome(
        point=point,
        losses=tuple(curve.loss[:reached].tolist()),
        status=status,
        flops=float(curve.flops[reached - 1]),
        seconds=float(curve.seconds[reached - 1]),
    )


def recorded_reports(curve: Curve) -> list[Report]:
    """Return what a run reported, from its curve."""
    scales = curve.noise_scale
    return [
        Report(
            step=int(curve.step[index]),
            tokens=int(curve.tokens[index]),
            flops=float(curve.flops[index]),
            loss=float(curve.loss[index]),
            train_loss=float(curve.train_loss[index]),
            lr=float(curve.lr[index]),
            seconds=float(curve.seconds[index]),
            status=RUNNING,
            noise_scale=None if scales is None or isnan(scales[index]) else float(scales[index]),
        )
        for index in range(len(curve))
    ]
