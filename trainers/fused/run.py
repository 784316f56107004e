"""One of several runs that are trained together: the loop, with steps that are taken elsewhere."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from trainers.averaging import Weights
from trainers.batch_schedules import BatchLog
from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.loop import CHECK_EVERY_STEPS, TaskTrainer
from trainers.optimizers import Optimizer, set_hyperparameters, set_lr
from trainers.protocol import Report
from trainers.schedules import learning_rate
from trainers.task import Batch, Task


class FusedRun(TaskTrainer):
    """A run that takes steps alone, as `TaskTrainer` does, and steps that it shares with others.

    A shared step is `begin_step`, then loss, gradient and the optimizer's step, which are another's
    work on weights and moments of its own, then `end_step`; `take` brings the losses. Once it
    `is_due`, `step` makes the report.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        # Shared steps that `TaskTrainer` does not know of yet: at a report they are told to it.
        self._shared_steps = 0
        self._losses: list[float] = []
        self._unjudged = 0  # Losses at the end of them that the watch for divergence has not read.
        self._gone = False
        self._report_step = self._next_report_step()

    @property
    def task(self) -> Task:
        """The data and the loss."""
        return self._task

    @property
    def model(self) -> nn.Module:
        """The run's own weights; shared steps leave them as they are."""
        return self._model

    @property
    def optimizer(self) -> Optimizer:
        """The run's own moments, likewise, and the hyperparameters of the step that began last."""
        return self._optimizer

    @property
    def grad_clip(self) -> float:
        """The largest norm of the gradient in the step that began last; 0: any."""
        return float(self._applied["grad_clip"])

    @property
    def steps_taken(self) -> int:
        """Steps taken so far, alone and shared."""
        return self._batches.steps + self._shared_steps

    @property
    def steps_to_check(self) -> int:
        """Steps until the losses must be read: for a report, or as often as a run alone does."""
        return min(self._report_step - self.steps_taken, CHECK_EVERY_STEPS - self._unjudged)

    @property
    def is_due(self) -> bool:
        """Whether the next report can be made without a further step."""
        return self._gone or self.steps_taken == self._report_step

    @property
    def is_over(self) -> bool:
        """Whether the last report was made."""
        return self._diverged or self._batches.steps >= self._steps

    def begin_step(self) -> Batch:
        """Set the optimizer's groups to the values of the next step; return its samples."""
        setting = self._timeline.at(self.steps_taken)
        if setting is not self._applied:
            set_hyperparameters(self._optimizer, setting)
            self._applied = setting
        sample_tokens = self._task.sample_tokens
        self._lr = learning_rate(setting, self.steps_taken, self._steps, sample_tokens)
        set_lr(self._optimizer, self._lr)
        return self.draw(self._generator)

    def draw(self, generator: torch.Generator) -> Batch:
        """Return samples of a step."""
        return self._task.draw(self._batch_samples, generator)

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """Return the loss of the task for other weights in place of the run's own."""
        return self._task.loss(self._with_weights(weights), batch)

    def end_step(self, weights: Weights) -> None:
        """Count the step that led to `weights`, which a running average copies."""
        self._shared_steps += 1
        if half_life := float(self._applied["ema"]):
            self._average.update(weights, 1, half_life * self._steps)
        elif self._average.weights:
            self._average.clear()

    def take(self, losses: Sequence[float], seconds: float) -> None:
        """Take the losses of the last steps, and this run's part of the time spent on them."""
        self._seconds += seconds
        self._losses += losses
        self._unjudged += len(losses)
        if self._unjudged == CHECK_EVERY_STEPS or self.steps_taken == self._report_step:
            self._watch.step = self.steps_taken - self._unjudged
            self._gone = self._watch.gone(self._losses[-self._unjudged :])
            self._unjudged = 0

    def step(self) -> Report:
        """Take alone what is left of the steps up to the next report, and return it."""
        report = super().step()
        self._report_step = self._next_report_step()
        return report

    def state_dict(self) -> dict[str, object]:
        """Return a snapshot that any `TaskTrainer` can take up."""
        state = super().state_dict()
        log = BatchLog(list(self._batches.stretches))
        for _ in range(self._shared_steps):
            log.add(self._batch_samples)
        return {**state, "batches": log.stretches, "diverged": self._gone}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from `state`, which may be that of any `TaskTrainer` whose batch did not grow."""
        batches = cast(Sequence[tuple[int, int]], state["batches"])
        if state["grown"] != 1 or any(n != self._batch_samples for n, _ in batches):
            raise TrainerError(
                "the saved state is of a run whose batch grew; a run that is fused has "
                f"{self._batch_samples} samples in every step"
            )
        super().load_state_dict(state)
        self._shared_steps = self._unjudged = 0
        self._losses = []
        self._gone = self._diverged
        self._report_step = self._next_report_step()

    def _train_until(self, report_step: int) -> list[float]:
        for _ in range(self._shared_steps):
            self._batches.add(self._batch_samples)
        self._shared_steps = 0
        while not self.is_due:
            losses = [self._train_step() for _ in range(self.steps_to_check)]
            self.take(torch.stack(losses).tolist(), seconds=0.0)  # `step` counts the time
        self._diverged = self._gone
        losses_since_report, self._losses = self._losses, []
        return losses_since_report

    def _next_report_step(self) -> int:
        later = (step for step in self._report_steps if step > self._batches.steps)
        return next(later, self._steps)
