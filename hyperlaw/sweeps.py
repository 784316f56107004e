"""Launching and watching sweeps: what the `sweep` commands, the demo and the facade share."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyperlaw.sources import open_store

if TYPE_CHECKING:
    import pandas as pd

    from hpo.ladder import Scale
    from hpo.schema import SweepSpec
    from hpo.tally import SweepSummary
    from storage.store import Store


@dataclass(frozen=True)
class SweepPlan:
    """A checked sweep, before anything is started.

    Attributes
    ----------
    spec, text : what the file says, parsed and as it stands.
    ladder : the scales, by compute.
    runs : how many runs each scale has, as far as that is known beforehand.
    """

    spec: SweepSpec
    text: str
    ladder: tuple[Scale, ...]
    runs: tuple[int, ...]

    @property
    def n_runs(self) -> int:
        """Runs in all."""
        return sum(self.runs)

    @property
    def summary(self) -> str:
        """What is run, in words: ``96 runs, about 1.1e+15 FLOP in all``."""
        from hpo.search_keys import FreezeThawSearch, LawGuidedSearch
        from hyperlaw.output import compute

        search, runs = self.spec.search, f"{self.n_runs} runs"
        if isinstance(search, LawGuidedSearch):
            return f"{runs} to begin with, then as the law asks, {compute(search.flops)} at most"
        if isinstance(search, FreezeThawSearch):
            return f"legs of many runs, as long as {runs} in all, {compute(self.flops)}"
        return f"{runs}, about {compute(self.flops)} in all"

    @property
    def flops(self) -> float:
        """Training compute of the whole sweep, FLOP, by the 6ND rule."""
        return sum(scale.flops * n for scale, n in zip(self.ladder, self.runs, strict=True))

    def table(self) -> pd.DataFrame:
        """Return a row a scale: its shape, params, tokens, runs, flops (of all its runs)."""
        import pandas as pd

        return pd.DataFrame(
            {
                **scale.shape,
                "params": scale.params,
                "tokens": scale.tokens,
                "runs": n,
                "flops": scale.flops * n,
            }
            for scale, n in zip(self.ladder, self.runs, strict=True)
        )


def plan_file(path: Path) -> SweepPlan:
    """Read and check a sweep file; SpecError where it cannot be run. Imports no torch, no Ray."""
    from hpo.spec import read_spec_text

    return plan_text(read_spec_text(path), str(path))


def plan_text(text: str, source: str) -> SweepPlan:
    """Check the text of a sweep file; `source` is its name in errors."""
    from hpo.ladder import resolve_ladder
    from hpo.methods import runs_by_scale
    from hpo.spec import parse_spec

    spec = parse_spec(text, source)
    ladder = resolve_ladder(spec)
    return SweepPlan(spec, text, ladder, runs_by_scale(spec, ladder))


def stored_plan(store: Store, name: str) -> SweepPlan:
    """Return the plan of a sweep that was launched before; NotFoundError where there is none."""
    return plan_text(store.sweep(name).spec_text, f"sweep '{name}'")


def planned_runs(spec_text: str) -> int | None:
    """Return how many runs the file of a launched sweep asks for; None where it does not say.

    In a freeze-thaw sweep `runs` is a budget of whole trainings, which many more runs share. The
    trainer need not be found from here.
    """
    from hpo.ladder import shapes
    from hpo.spec import stored_spec

    if not spec_text:
        return None
    spec = stored_spec(spec_text)
    if spec.search.method == "freeze-thaw":
        return None
    if spec.points is not None:
        return len(spec.points)
    if spec.runs is not None or spec.scales is None or spec.search.method != "grid":
        return spec.runs
    from hpo.planned import grid_size

    budgets = spec.scales.tokens or spec.scales.tokens_per_param or ()
    return grid_size(spec) * len(shapes(spec)) * len(budgets) * spec.seeds


def check_room(plan: SweepPlan, address: str | None) -> None:
    """Raise SpecError if a run needs more than this machine has; a cluster is asked once joined."""
    from hpo.runner import check_machine

    if address is None:
        check_machine(plan.spec)


def run_plan(plan: SweepPlan, db: str, *, address: str | None = None) -> SweepSummary:
    """Run a sweep, or what is left of it, with progress on stderr.

    A database is made only once it is sure that the sweep can begin.
    """
    from hpo.progress import default_observer
    from hpo.runner import run_sweep
    from storage.errors import NotFoundError

    with ExitStack() as stack:
        try:
            store = open_store(db)
        except NotFoundError:
            if address is not None:
                from hpo.launch import cluster_for

                stack.enter_context(cluster_for(plan.spec, address))
            store = open_store(db, create=True)
        with store:
            return run_sweep(
                plan.spec,
                store,
                spec_text=plan.text,
                observer=default_observer(),
                address=address,
            )


def scale_counts(runs: pd.DataFrame) -> pd.DataFrame:
    """Count a sweep's runs by scale, and name the best of each.

    Returns
    -------
    DataFrame, a row a scale by compute: params, tokens, then how many runs were completed,
    diverged, stopped and failed, then loss (nats a token), lr and batch_tokens of the best run.
    """
    from storage.columns import BATCH_TOKENS, COMPLETED, LOSS, LR, PARAMS, STATUS, STATUSES, TOKENS

    scale = [PARAMS, TOKENS]
    ends = {status: runs[STATUS] == status for status in STATUSES}
    counts = runs.assign(**ends).groupby(scale)[list(STATUSES)].sum()
    ended = runs[runs[STATUS] == COMPLETED].sort_values(LOSS, kind="stable")
    best = ended.drop_duplicates(scale).set_index(scale)[[LOSS, LR, BATCH_TOKENS]]
    table = counts.join(best).reset_index()
    order = (table[PARAMS] * table[TOKENS]).sort_values(kind="stable").index
    return table.loc[order].reset_index(drop=True)


def failures(runs: pd.DataFrame) -> pd.DataFrame:
    """Count a sweep's failed runs by what went wrong: columns reason and runs, most first."""
    from storage.columns import FAILED, REASON, STATUS

    failed = runs[runs[STATUS] == FAILED]
    reasons = failed[REASON] if REASON in failed else failed[STATUS]
    counts = reasons.rename("reason").value_counts().rename("runs")
    return counts.reset_index()
