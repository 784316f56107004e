"""What runs are compared by: their loss at the end, at its best or at some point on the way.

Losses of different scales do not compare, so several scales are compared by how far each run is
above the best of its own scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards import theme
from scaling.scales import scale_numbers
from storage.columns import COMPLETED, FLOPS, LOSS, RUN_ID, SECONDS, STATUS
from storage.curves import Curve

Array = NDArray[np.float64]
When = Literal["final", "best", "tokens", "report"]

OBJECTIVE = "objective"
"""Column of what runs are compared by; NaN where a run has none."""
LOSS_THEN, FLOPS_THEN, SECONDS_THEN = "loss_then", "flops_then", "seconds_then"
"""Columns of the loss, and of the compute (FLOP) and time (s) that had been spent on it."""
MEASURED = (OBJECTIVE, LOSS_THEN, FLOPS_THEN, SECONDS_THEN)


@dataclass(frozen=True)
class Objective:
    """What runs are compared by.

    Attributes
    ----------
    relative : in % above the best run of the same scale, else in nats a token.
    when : the loss at the end, the least, or the one after `at` tokens, or at the report `at`.
    at : tokens, or the number of a report from 1; of no meaning for "final" and "best".
    """

    relative: bool
    when: When = "final"
    at: float = 0.0

    @property
    def needs_curves(self) -> bool:
        """Whether it stands in learning curves only."""
        return self.when != "final"

    @property
    def title(self) -> str:
        """What stands on its axis."""
        unit = " above the best of its scale, %" if self.relative else ", nats a token"
        return self.loss_title + unit

    @property
    def loss_title(self) -> str:
        """Which loss it is."""
        return {
            "final": "final loss",
            "best": "best loss",
            "tokens": f"loss after {theme.format_count(self.at)} tokens",
            "report": f"loss at report {self.at:.0f}",
        }[self.when]

    @property
    def short_title(self) -> str:
        """The same where there is little room."""
        return "above best, %" if self.relative else "nats a token"


def measure(
    runs: pd.DataFrame, objective: Objective, curves: Mapping[str, Curve] | None = None
) -> pd.DataFrame:
    """Return the runs with the columns of `MEASURED`.

    The best of a scale is that of the runs given, so measure before narrowing them. The final loss
    of a run that failed or was stopped is not its scale's, and counts as none.

    Parameters
    ----------
    runs : a checked runs table.
    curves : by run_id, where the objective needs them; a run without one has no value.
    """
    if objective.needs_curves:
        then = _on_curves(runs, objective, curves or {})
    else:
        completed = (runs[STATUS] == COMPLETED).to_numpy()
        then = np.full((3, len(runs)), np.nan)
        then[0] = np.where(completed, runs[LOSS].to_numpy(dtype=float), np.nan)
        then[1] = runs[FLOPS].to_numpy(dtype=float)
        if SECONDS in runs:
            then[2] = runs[SECONDS].to_numpy(dtype=float)
    loss = pd.Series(then[0], index=runs.index)
    value = loss
    if objective.relative:
        best = loss.groupby(scale_numbers(runs), sort=False).transform("min")
        value = 100 * (loss / best - 1)
    return runs.assign(
        **{OBJECTIVE: value, LOSS_THEN: loss, FLOPS_THEN: then[1], SECONDS_THEN: then[2]}
    )


def _on_curves(
    runs: pd.DataFrame, objective: Objective, curves: Mapping[str, Curve]
) -> NDArray[np.float64]:
    """Return loss, FLOP and seconds of each run at the point that is asked for, (3, n_runs)."""
    found = np.full((3, len(runs)), np.nan)
    for place, run_id in enumerate(runs[RUN_ID].astype(str)):
        if (curve := curves.get(run_id)) is not None:
            found[:, place] = _point(curve, objective)
    return found


def _point(curve: Curve, objective: Objective) -> tuple[float, float, float]:
    nothing = (np.nan, np.nan, np.nan)
    finite = np.isfinite(curve.loss)
    if not finite.any():
        return nothing
    if objective.when == "tokens":
        return _after_tokens(curve, finite, objective.at) or nothing
    if objective.when == "best":
        place = int(np.nanargmin(np.where(finite, curve.loss, np.nan)))
    else:
        place = round(objective.at) - 1
        if not (0 <= place < len(curve) and finite[place]):
            return nothing
    return float(curve.loss[place]), float(curve.flops[place]), float(curve.seconds[place])


def _after_tokens(
    curve: Curve, finite: NDArray[np.bool_], tokens: float
) -> tuple[float, float, float] | None:
    """Read a curve between its reports; None before the first, and past the last that is finite."""
    seen = curve.tokens[finite]
    if not seen[0] <= tokens <= seen[-1]:
        return None
    loss, flops, seconds = (
        float(np.interp(np.log(tokens), np.log(seen), values[finite]))
        for values in (curve.loss, curve.flops, curve.seconds)
    )
    return loss, flops, seconds
