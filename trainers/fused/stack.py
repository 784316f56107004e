"""The stacked weights and moments of several runs, and one step of all of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.averaging import Weights
from trainers.fused.one_loss import another_loss
from trainers.fused.optimizers import ALGORITHMS, StackedGroup, clip, moments_of, set_moments
from trainers.fused.run import FusedRun
from trainers.fused.tracing import Graph, Stacked, trace
from trainers.optimizers import ALGORITHM, Group
from trainers.task import Batch

SAME_LOSS = 1e-3
"""Two ways to one loss differ by rounding; where they differ by more than this, relative or
absolute, they are not the same loss."""


class Stack:
    """Runs in rows. While a run is here its weights and moments are its row; `store` copies back.

    A row that its run has left is computed on with samples of another run and is never read, so
    that nothing changes for those that stay.
    """

    def __init__(self, runs: Sequence[FusedRun], graph: Graph | None = None) -> None:
        """Stack two runs or more, alike in shapes; `graph`: that of a stack with as many rows."""
        self.graph = graph
        self._rows: list[FusedRun | None] = list(runs)
        model, optimizer = runs[0].model, runs[0].optimizer
        self._groups = [_stacked_group(len(runs), group) for group in optimizer.param_groups]
        # Tensors are in the order of the groups, as moments are in an optimizer's state.
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        ordered = [names[id(one)] for group in optimizer.param_groups for one in group["params"]]
        tensors = [one for group in self._groups for one in group.tensors(group.weights)]
        self._weights: Stacked = dict(zip(ordered, tensors, strict=True))
        self._gradients = [one for group in self._groups for one in group.tensors(group.gradient)]
        self._weights_of_row: list[Weights] = [
            {name: tensor[row] for name, tensor in self._weights.items()}
            for row in range(len(runs))
        ]
        for run in runs:
            self.load(run)

    @property
    def n_rows(self) -> int:
        """How many runs are computed, those that left counted too."""
        return len(self._rows)

    def holds(self, run: FusedRun) -> bool:
        """Whether `run` has a row."""
        return run in self._rows

    def row_of(self, run: FusedRun) -> int:
        """Return the row of `run`."""
        return self._rows.index(run)

    def put(self, run: FusedRun) -> None:
        """Give `run` a row that another has left."""
        self._rows[self._rows.index(None)] = run
        self.load(run)

    def release(self, run: FusedRun) -> None:
        """Give `run` its weights and moments back, and free its row."""
        self.store(run)
        row = self.row_of(run)
        self._rows[row] = None
        for group in self._groups:
            for flat in (group.weights, *group.moments.values()):
                flat[row] = 0.0

    @torch.no_grad()
    def load(self, run: FusedRun) -> None:
        """Copy the weights and moments of `run` to its row."""
        row = self.row_of(run)
        for name, parameter in run.model.named_parameters():
            self._weights_of_row[row][name].copy_(parameter)
        moments = iter(moments_of(run.optimizer))
        for group in self._groups:
            stacked = {name: group.tensors(flat) for name, flat in group.moments.items()}
            for index in range(len(group.shapes)):
                of_tensor = next(moments)
                for name, tensors in stacked.items():
                    tensors[index][row] = of_tensor.get(name, 0.0)

    def store(self, run: FusedRun) -> None:
        """Copy the row of `run` to its own weights and moments."""
        self.store_weights(run)
        if not run.steps_taken:
            return  # An optimizer that took no step has no moments.
        row = self.row_of(run)
        moments = []
        for group in self._groups:
            stacked = {name: group.tensors(flat) for name, flat in group.moments.items()}
            for index in range(len(group.shapes)):
                of_tensor = {name: tensors[index][row].clone() for name, tensors in stacked.items()}
                if ALGORITHMS[group.like[ALGORITHM]].counts_steps:
                    of_tensor["step"] = torch.tensor(float(run.steps_taken))
                moments.append(of_tensor)
        set_moments(run.optimizer, moments)

    @torch.no_grad()
    def store_weights(self, run: FusedRun) -> None:
        """Copy the weights of `run` back, which is enough to judge it."""
        weights = self._weights_of_row[self.row_of(run)]
        for name, parameter in run.model.named_parameters():
            parameter.copy_(weights[name])

    def step(self) -> Tensor:
        """Take a step of every run; return the losses, (rows,), still on the device."""
        runs = [run for run in self._rows if run is not None]
        batches = {run: run.begin_step() for run in runs}
        in_rows = [run or runs[0] for run in self._rows]
        parts = zip(*(batches[run] for run in in_rows), strict=True)
        batch = tuple(torch.stack(part) for part in parts)
        if self.graph is None:
            self.graph = self._trace(batch)
        losses, gradients = self.graph(self._weights, batch)
        with torch.no_grad():
            torch._foreach_copy_(self._gradients, gradients)
            clip(self._groups, [run.grad_clip for run in in_rows])
            steps = [run.steps_taken + 1 for run in in_rows]
            for index, group in enumerate(self._groups):
                group.step([run.optimizer.param_groups[index] for run in in_rows], steps)
        for run, weights in zip(self._rows, self._weights_of_row, strict=True):
            if run is not None:
                run.end_step(weights)
        return losses

    def _trace(self, batch: Batch) -> Graph:
        """Return the graph of this many rows; TrainerError where a run's loss is another in it."""
        first = next(run for run in self._rows if run is not None)
        graph = trace(first.loss, self._weights, batch)
        losses, _ = graph(self._weights, batch)
        for row, run in enumerate(self._rows):
            if run is None:
                continue
            own_batch = tuple(part[row] for part in batch)
            with torch.no_grad():
                alone = run.loss(self._weights_of_row[row], own_batch)
            if not torch.isclose(losses[row], alone, SAME_LOSS, SAME_LOSS, equal_nan=True):
                raise another_loss(alone, among=losses[row])
        return graph


def _stacked_group(n_rows: int, group: Group) -> StackedGroup:
    parameters: list[Tensor] = group["params"]
    shapes = [parameter.shape for parameter in parameters]
    size = (n_rows, sum(shape.numel() for shape in shapes))
    weights = parameters[0].detach().new_zeros(size)
    names = ALGORITHMS[group[ALGORITHM]].moments
    return StackedGroup(
        group,
        shapes,
        weights=weights,
        gradient=torch.zeros_like(weights),
        moments={name: torch.zeros_like(weights) for name in names},
    )
