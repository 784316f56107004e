"""Checks of `fused` under `resources`: a number of runs to fuse is asked where none can be."""

from __future__ import annotations

from collections.abc import Iterator

from hpo.problems import Problem
from hpo.schema import SweepSpec
from hpo.search_keys import Scheduled
from trainers.kind import Kind


def problems(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    """Everything that keeps so many runs from being fused, the first to fix first."""
    fused = spec.resources.fused
    if fused is None or fused == 1:
        return
    path = ("resources", "fused")
    if trainer.load_task is None:
        message = f"trainer {trainer.name!r} trains by itself; only runs of hyperlaw's own loop can"
        yield Problem(path, f"{message} be fused; leave it out")
    elif isinstance(spec.search, Scheduled) and spec.search.scheduler == "hyperband":
        message = "HyperBand pauses runs, each by itself; take 'scheduler: asha', or leave this out"
        yield Problem(path, message)
