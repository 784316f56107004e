"""What a report is made of, put together by whoever has the runs and the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd

from scaling.backtest import HeldOut
from scaling.law import Law
from scaling.loss_laws.law import LossLaw
from scaling.prediction import Prediction
from scaling.rules import Adjustment
from scaling.scales import on_common_scales
from storage.columns import COMPLETED, DIVERGED, FLOPS, LOSS, PARAMS, STATUS, TOKENS
from storage.curves import Curve

if TYPE_CHECKING:
    from scaling.transfer_check import TransferCheck
    from storage.rounds import RoundRecord


@dataclass(frozen=True)
class ReportContent:
    """What a report is made of. Sections that the data do not support are left out.

    Attributes
    ----------
    title : the report's heading, such as the sweep's name.
    law : fitted to `runs`; None where they carry none.
    runs : a checked runs table.
    why_no_law : where there is none, what the runs lack and which would bring one, as a clause.
    prediction : the law's, for the target; None where no target was named.
    rules : what is known of the target beyond the law, such as a weight decay that holds a
        timescale; with their sources.
    curves : learning curves by run_id, of those runs that are drawn (see `choose_runs` in
        `dashboards.figures.curves`) or of all.
    held_out : checks of the law on scales that it did not see.
    comparison : frame of `scaling.backtest.compare` or `backtest`.
    by_parametrization : laws of the runs of each parametrization, where the runs have several.
    loss_law : over params and tokens; None where the runs carry none.
    plan : frame of `scaling.design.plan_runs` for the prediction's target.
    rounds : of each law-guided sweep, by its name.
    populations : frames of `Store.lineage`, by sweep, where runs took over each other's state.
    checks : of transfer, made of the models of the report's sweeps.
    sweep_texts : the sweep files, where the runs come from sweeps, by sweep.
    generated : when the report was made, with its time zone.
    next_commands : command lines worth typing next.
    """

    title: str
    law: Law | None
    runs: pd.DataFrame
    why_no_law: str = ""
    prediction: Prediction | None = None
    rules: Sequence[Adjustment] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    held_out: Sequence[HeldOut] = ()
    comparison: pd.DataFrame | None = None
    by_parametrization: Mapping[str, Law] = field(default_factory=dict)
    loss_law: LossLaw | None = None
    plan: pd.DataFrame | None = None
    rounds: Mapping[str, Sequence[RoundRecord]] = field(default_factory=dict)
    populations: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    checks: Sequence[TransferCheck] = ()
    sweep_texts: Mapping[str, str] = field(default_factory=dict)
    generated: datetime = field(default_factory=lambda: datetime.now(UTC))
    next_commands: Sequence[str] = ()

    @property
    def sizes(self) -> tuple[float, ...]:
        """All model sizes, unseen ones included: they share one scale of colours."""
        unseen = [check.params for check in self.held_out]
        return tuple(sorted({float(size) for size in (*self.runs[PARAMS], *unseen)}))

    @property
    def scales(self) -> pd.DataFrame:
        """A row a scale, by compute: params, tokens, flops, runs, diverged and best_loss."""
        return _scales(self.runs) if self.law is None else self.law.scales


def _scales(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the scales that runs completed at or diverged at, as a law's scales."""
    completed = runs[STATUS] == COMPLETED
    told = runs.assign(
        runs=completed, diverged=runs[STATUS] == DIVERGED, best_loss=runs[LOSS].where(completed)
    )[(completed | (runs[STATUS] == DIVERGED)).to_numpy()]
    counts = {"runs": "sum", "diverged": "sum", "best_loss": "min"}
    return (
        on_common_scales(told)
        .groupby([PARAMS, TOKENS], as_index=False)
        .agg(counts)
        .assign(flops=lambda scales: 6.0 * scales[PARAMS] * scales[TOKENS])
        .sort_values(FLOPS, kind="stable", ignore_index=True)
    )
