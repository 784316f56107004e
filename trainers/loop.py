"""Training one run of a task: the loop behind `kind("gpt").build(config)` and its like.

The loop sets no global state of torch. On a CPU one thread a run is fastest where runs share the
cores, so call `torch.set_num_threads(1)` in each worker. A run uses a GPU where torch sees one.

What is random comes from `config.seed`: the initial weights, and the samples that are trained on,
which are the same for every width. On a CPU the same configuration gives the same
losses, bit for bit, also across `state_dict` and `load_state_dict`.

lr, weight_decay, beta1, beta2, eps and grad_clip are live. A state brings weights, moments and
counters, none of these: a run that takes over the state of another goes on with its own settings,
and its own seed's samples from that step on.
"""

import copy
import math
import time
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from trainers import registry
from trainers.changes import timeline
from trainers.config import RunConfig, Value
from trainers.divergence import DivergenceWatch
from trainers.errors import TrainerError
from trainers.models.layers import initialise
from trainers.optimizers import adamw, load_moments, set_hyperparameters, set_lr
from trainers.parametrization import model_rules
from trainers.protocol import Report, Status
from trainers.schedules import lr_fraction
from trainers.task import Batch, count_parameters

EVALUATION_TOKENS = 4_096
"""Held-out tokens that are judged at once."""
CHECK_EVERY_STEPS = 10
"""Losses are read back this often: reading each would make a GPU wait at every step."""


class TaskTrainer:
    """One run of a task; see `trainers.protocol.Trainer`."""

    def __init__(self, config: RunConfig) -> None:
        kind = registry.kind(config.trainer)
        setting = kind.complete(config.setting)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        task_class = kind.task_class()
        self._task = task_class(config, self._device)

        self._batch_tokens = int(setting["batch_tokens"])
        self._steps = max(1, round(config.tokens / self._batch_tokens))
        self._warmup_steps = round(float(setting["warmup_fraction"]) * self._steps)
        self._timeline = timeline(setting, config.changes, self._steps)
        # Where steps are fewer than reports, a report a step.
        self._report_steps = sorted(
            {math.ceil(self._steps * i / config.reports) for i in range(1, config.reports + 1)}
        )

        with torch.device("meta"):
            base_model = task_class.model(config.base_shape, config.model)
        model = task_class.model(config.shape, config.model)
        rules = model_rules(model, base_model, config.parametrization, "adamw")
        # Drawn on the CPU, so that a seed means the same on every device.
        self._seed = config.seed
        self._generator = torch.Generator().manual_seed(config.seed)
        initialise(model, rules, self._generator)
        self._generator.manual_seed(config.seed)
        self._model = model.to(self._device)
        six_n = 6.0 * count_parameters(model).params
        self._flops_per_token = float(getattr(self._task, "flops_per_token", six_n))
        self._optimizer = adamw(self._model, rules, setting)
        self._applied: Mapping[str, Value] = setting
        self._watch = DivergenceWatch(self._steps, self._warmup_steps, self._task.start_loss)
        self._step = 0
        self._seconds = 0.0
        self._over = False

    def step(self) -> Report:
        """Train up to the next report and return it."""
        if self._over:
            raise TrainerError("the run is over; it has no further report")
        report_step = next(step for step in self._report_steps if step > self._step)
        started = time.perf_counter()
        losses, diverged = self._train_until(report_step)
        self._seconds += time.perf_counter() - started

        status: Status = "running"
        if diverged:
            status = "diverged"
        elif self._step == self._steps:
            status = "completed"
        self._over = status != "running"
        tokens = self._step * self._batch_tokens
        return Report(
            step=self._step,
            tokens=tokens,
            flops=self._flops_per_token * tokens,
            loss=math.nan if diverged else self._held_out_loss(final=status == "completed"),
            train_loss=math.fsum(losses) / len(losses),
            lr=self._lr(self._step - 1),
            seconds=self._seconds,
            status=status,
        )

    def state_dict(self) -> dict[str, object]:
        """Return a snapshot: model, optimizer, generator and counters; torch.save can keep it."""
        return {
            "model": copy.deepcopy(self._model.state_dict()),
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "generator": self._generator.get_state(),
            "seed": self._seed,
            "step": self._step,
            "steps_above": self._watch.above,
            "seconds": self._seconds,
            "over": self._over,
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from `state`, bit for bit where it is of the same configuration."""
        model = cast(Mapping[str, Tensor], state["model"])
        own = self._model.state_dict()
        theirs = {name: tuple(value.shape) for name, value in model.items()}
        if theirs != {name: tuple(value.shape) for name, value in own.items()}:
            raise TrainerError("the saved state is of another shape or of other model options")
        self._model.load_state_dict(model)
        load_moments(self._optimizer, cast(Mapping[str, Any], state["optimizer"]))
        self._step = self._watch.step = cast(int, state["step"])
        if state["seed"] == self._seed:
            self._generator.set_state(cast(Tensor, state["generator"]).cpu())
        else:
            self._generator.manual_seed(self._seed)
            for _ in range(self._step):
                self._draw()
        self._watch.above = cast(int, state["steps_above"])
        self._seconds = cast(float, state["seconds"])
        self._over = cast(bool, state["over"])

    def _train_until(self, report_step: int) -> tuple[list[float], bool]:
        """Train up to `report_step`; return the losses, and whether the run diverged on the way."""
        losses: list[float] = []
        while self._step < report_step:
            check_step = min(report_step, self._step + CHECK_EVERY_STEPS)
            pending = [self._train_step() for _ in range(self._step, check_step)]
            checked = torch.stack(pending).tolist()
            losses += checked
            if self._watch.gone(checked):
                return losses, True
        return losses, False

    def _train_step(self) -> Tensor:
        """Take one optimizer step; return its loss, a scalar still on the device."""
        setting = self._timeline.at(self._step)
        if setting is not self._applied:
            set_hyperparameters(self._optimizer, setting)
            self._applied = setting
        set_lr(self._optimizer, self._lr(self._step))
        loss = self._task.loss(self._model, self._draw())
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        grad_clip = float(setting["grad_clip"])
        if grad_clip > 0:
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), grad_clip)
        self._optimizer.step()
        self._step += 1
        return loss.detach()

    def _lr(self, step: int) -> float:
        setting = self._timeline.at(step)
        schedule = str(setting["schedule"])
        return float(setting["lr"]) * lr_fraction(schedule, step, self._steps, self._warmup_steps)

    def _draw(self) -> Batch:
        """Return the samples of the next step."""
        return self._task.draw(self._batch_tokens // self._task.sample_tokens, self._generator)

    @torch.no_grad()
    def _held_out_loss(self, *, final: bool) -> float:
        """Return the mean loss over the task's held-out samples, nats a token."""
        held_out = self._task.held_out(final=final)
        n_samples = len(held_out[0])
        at_once = max(1, EVALUATION_TOKENS // self._task.sample_tokens)
        losses = []
        for first in range(0, n_samples, at_once):
            batch = tuple(part[first : first + at_once] for part in held_out)
            losses.append(self._task.loss(self._model, batch) * len(batch[0]))
        return float(torch.stack(losses).sum() / n_samples)
