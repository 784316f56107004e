"""How many cores and GPUs there are: what a sweep may occupy, and whether a run fits in."""

from __future__ import annotations

import os
from pathlib import Path

from hpo.errors import SpecError
from hpo.schema import Resources

_CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")


def n_cpus() -> int:
    """Cores that this process may use: its affinity, within the container's quota, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    if _CGROUP_CPU.is_file():
        quota, period = _CGROUP_CPU.read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def n_gpus() -> int:
    """GPUs that torch sees. Imports torch, so ask only where GPUs are wanted."""
    import torch

    return torch.cuda.device_count()


def refuse_too_few(resources: Resources, cpus: float, gpus: float, where: str) -> None:
    """Raise SpecError if one run needs more than there is."""
    for name, needed, there in (
        ("cpus", resources.cpus, cpus),
        ("gpus", resources.gpus, gpus),
    ):
        if needed > there:
            raise SpecError(
                f"resources.{name}: a run needs {needed:g}, more than the {there:g} of {where}; "
                f"ask for at most {there:g}"
            )
