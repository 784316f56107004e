"""Why a run failed, where it may be that its memory ran out: what it took, and what would fit.

An exception in the trainer says so itself. A worker that the kernel or Ray ended to save the
machine says nothing: then Ray's error or the kernel's own count of such kills does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ray.exceptions import OutOfMemoryError

from hpo.machine import n_cpus
from hpo.schema import Resources
from trainers.config import Command, RunConfig
from trainers.memory import machine_bytes, what_fits
from trainers.registry import kind

WORKER_DIED = "the worker process died: it was killed, crashed or ran out of memory"
WORKER_ENDED = "out of memory: the system ended the worker process to save the machine"

COUNTS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)
"""Where Linux counts the processes that it ended for memory, as ``oom_kill N``: this container's
first, then the whole machine's."""


class KillCount:
    """The kernel's count of processes that it ended because memory ran out."""

    def __init__(self, files: Sequence[Path] = COUNTS) -> None:
        """Begin with the count as it is, in the first of `files` that has one."""
        self._files = files
        self._seen = self._read()

    def has_risen(self) -> bool:
        """Whether there were more since the last time that this was asked."""
        before, self._seen = self._seen, self._read()
        return self._seen > before

    def _read(self) -> int:
        for file in self._files:
            if file.is_file():
                lines = (line.split() for line in file.read_text(encoding="ascii").splitlines())
                counts = [int(words[1]) for words in lines if words[:1] == ["oom_kill"]]
                if counts:
                    return counts[0]
        return 0


def why_worker_died(
    run: RunConfig, resources: Resources, error: Exception | None, *, killed: bool
) -> str:
    """Say why a worker process died, in one line.

    `error` is what Ray says of it, and `killed` whether the kernel has ended a process for memory
    in the meantime.
    """
    if not killed and not isinstance(error, OutOfMemoryError):
        return WORKER_DIED
    return f"{WORKER_ENDED}{advice(run, resources.cpus, resources.gpus)}"


def advice(run: RunConfig, cpus: float, gpus: float) -> str:
    """Return what a run takes by estimate and what would fit, to stand behind a reason.

    It has its share of this machine's memory, by cores, or in a worker that has a GPU of that
    GPU's.
    """
    if isinstance(run.trainer, Command):
        return "; a smaller batch_tokens or model takes less, and so do fewer runs at once"
    memory = _gpu_bytes() * min(1.0, gpus) if gpus else machine_bytes() * cpus / n_cpus()
    return f"; {what_fits(run, kind(run.trainer).sizes, memory)}" if memory else ""


def _gpu_bytes() -> int:
    """Return the memory of this process's GPU; 0 where it has none, or has not come to use it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0
    total: int = torch.cuda.mem_get_info()[1]
    return total
