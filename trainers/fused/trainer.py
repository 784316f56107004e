"""Training several runs at once: add runs, take their reports as they come, remove them.

    runs = FusedTrainer([RunConfig(…, setting={"lr": lr, …}) for lr in (0.001, 0.002, 0.004)])
    while runs.running:
        for slot, report in runs.step().items():
            …

A run may be added or removed at any time, and its state saved, or replaced by another's, in the
form of `trainers.loop.TaskTrainer`. The number of a run, its slot, is its own: it is not given to
another when the run is removed.
"""

import time
from collections.abc import Mapping, Sequence

import torch

from trainers import registry
from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.fused.compatible import shared_part, why_not_fused
from trainers.fused.one_loss import Probe
from trainers.fused.run import FusedRun
from trainers.fused.stack import Stack
from trainers.fused.tracing import Graph
from trainers.protocol import Report


class FusedTrainer:
    """Runs that share each step, as far as there are several of them; one by itself is as alone."""

    def __init__(self, configs: Sequence[RunConfig] = ()) -> None:
        self._configs: dict[int, RunConfig] = {}
        self._runs: dict[int, FusedRun] = {}
        self._added = 0
        self._shared: dict[str, object] = {}
        self._stack: Stack | None = None
        self._graphs: dict[int, Graph] = {}
        self._probe: Probe | None = None  # from the second run on
        for config in configs:
            self.add(config)

    @property
    def slots(self) -> tuple[int, ...]:
        """The runs that were added and not removed."""
        return tuple(self._runs)

    @property
    def running(self) -> tuple[int, ...]:
        """Those of them that will report again."""
        return tuple(slot for slot, run in self._runs.items() if not run.is_over)

    def add(self, config: RunConfig) -> int:
        """Begin another run; return its slot.

        Raises TrainerError for a configuration that is wrong, or cannot be fused with the others,
        or whose loss is not a function of weights and batch that it shares with them.
        """
        registry.kind(config.trainer).check(config)
        others = list(self._configs.values())[:1]
        if reason := why_not_fused([*others, config]):
            raise TrainerError(f"runs cannot be fused: {reason}")
        if not others and self._shared != (shared := shared_part(config)):
            # What was here before, if anything, was of other shapes.
            self._shared = shared
            self._start_anew()
        run = FusedRun(config)
        self._compare(run, list(self._runs.values()))
        slot = self._added
        self._runs[slot], self._configs[slot] = run, config
        self._added += 1
        return slot

    def remove(self, slot: int) -> None:
        """Forget a run, over or not."""
        run = self._run(slot)
        if self._stack is not None and self._stack.holds(run):
            self._stack.release(run)
        del self._runs[slot], self._configs[slot]

    def step(self) -> dict[int, Report]:
        """Train until a run reports, or several do; return the reports by slot.

        What is spent on a step, in seconds, is divided evenly between its runs.
        """
        if not self.running:
            raise TrainerError("no run is left to train; add one")
        self._restack()
        running = {slot: self._runs[slot] for slot in self.running}
        if self._stack is None:
            return {slot: run.step() for slot, run in running.items()}
        while not any(run.is_due for run in running.values()):
            self._advance(self._stack, list(running.values()))
        reports = {}
        for slot, run in running.items():
            if run.is_due:
                self._stack.store_weights(run)
                reports[slot] = run.step()
                if run.is_over:
                    self._stack.release(run)
        return reports

    def state_dict(self, slot: int) -> dict[str, object]:
        """Return a snapshot of one run."""
        run = self._run(slot)
        if self._stack is not None and self._stack.holds(run):
            self._stack.store(run)
        return run.state_dict()

    def load_state_dict(self, slot: int, state: Mapping[str, object]) -> None:
        """Let a run go on from `state`, as `trainers.loop.TaskTrainer.load_state_dict` does.

        Raises TrainerError, too, where buffers that it brings give the run another loss than others
        have; the run is then removed.
        """
        run = self._run(slot)
        run.load_state_dict(state)
        try:
            self._compare(run, [other for other in self._runs.values() if other is not run])
        except TrainerError:
            self.remove(slot)
            raise
        if self._stack is not None and self._stack.holds(run):
            self._stack.load(run)

    def _run(self, slot: int) -> FusedRun:
        if slot not in self._runs:
            named = ", ".join(map(str, self._runs)) or "none"
            raise TrainerError(f"no run has slot {slot}; there are: {named}")
        return self._runs[slot]

    def _compare(self, run: FusedRun, others: Sequence[FusedRun]) -> None:
        """Raise TrainerError where `run` has another loss than `others`.

        Where there are none, what was recorded of runs before it is of no use to it, and dropped.
        """
        try:
            if self._probe is not None:
                self._probe.check(run)
            elif others:
                probe = Probe(run)
                for other in others:
                    probe.check(other)
                self._probe = probe
        except TrainerError:
            if others:
                raise
            self._start_anew()

    def _start_anew(self) -> None:
        self._stack, self._graphs, self._probe = None, {}, None

    def _restack(self) -> None:
        """Give every run that goes on a row, and none to a single one.

        Rows that were left are filled before there are more; once half are free, there are fewer.
        """
        running = [self._runs[slot] for slot in self.running]
        stack = self._stack
        if stack is not None and len(running) <= stack.n_rows < 2 * len(running):
            for run in running:
                if not stack.holds(run):
                    stack.put(run)
            return
        if stack is not None:
            for run in running:
                if stack.holds(run):
                    stack.store(run)
        n_rows = len(running)
        self._stack = Stack(running, self._graphs.get(n_rows)) if n_rows > 1 else None

    def _advance(self, stack: Stack, running: Sequence[FusedRun]) -> None:
        """Take as many steps as there are before the losses of some run must be read."""
        started = time.perf_counter()
        n_steps = min(run.steps_to_check for run in running)
        losses = torch.stack([stack.step() for _ in range(n_steps)], dim=1).tolist()
        seconds = (time.perf_counter() - started) / len(running)
        for run in running:
            run.take(losses[stack.row_of(run)], seconds)
        if stack.graph is not None:
            self._graphs[stack.n_rows] = stack.graph
