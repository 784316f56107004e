"""Why runs failed: the reasons that were kept, counted."""

from __future__ import annotations

import pandas as pd

from storage.columns import FAILED, REASON, RUN_ID, STATUS


def failures(runs: pd.DataFrame) -> pd.DataFrame:
    """Count the failed runs by reason, most first: columns reason, runs, and run, one of them."""
    failed = runs[runs[STATUS] == FAILED]
    reasons = failed[REASON] if REASON in failed else pd.Series("", index=failed.index)
    table = failed.assign(reason=reasons.fillna("").replace("", "no reason was told"))
    grouped = table.groupby("reason", sort=False)[RUN_ID].agg(["size", "last"]).reset_index()
    grouped.columns = pd.Index(["reason", "runs", "run"])
    return grouped.sort_values("runs", ascending=False, kind="stable", ignore_index=True)
