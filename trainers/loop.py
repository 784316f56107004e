"""Training one run of a task: the loop behind `kind("gpt").build(config)` and its like.

The loop leaves torch's global state as it finds it. On a CPU one thread a run is fastest where runs
share the cores, so call `torch.set_num_threads(1)` in each worker. A run uses a GPU where torch
sees one.

What is random comes from `config.seed`: the initial weights, the samples that are trained on,
which are the same for every width, and what a model draws in training, such as dropout's masks. On
a CPU the same configuration gives the same losses, bit for bit, also across `state_dict` and
`load_state_dict`.

Held-out losses are those of the model in evaluation mode (`trainers.held_out`).

A run is counted in steps of batch_tokens, as many whole ones as come nearest to its tokens. A step
may take a multiple of that batch, by a table of changes or by the norm test
(`trainers.batch_schedules`); it then counts for as many.

The settings in `trainers.loop_settings.LIVE` are live. A state brings weights, moments, averages
and counters, none of these: a run that takes over the state of another goes on with its own
settings, and its own seed's samples from that step on.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.func import functional_call

from trainers import registry
from trainers.averaging import AveragedWeights, Weights
from trainers.batch_schedules import BatchLog, next_multiple, split
from trainers.changes import timeline
from trainers.config import RunConfig, Value
from trainers.divergence import DivergenceWatch
from trainers.errors import TrainerError
from trainers.held_out import judging, mean_loss
from trainers.initialisation import parametrize
from trainers.loop_settings import BATCH_MULTIPLE, measures_every
from trainers.noise_scale import NoiseAverage, gradients, measured
from trainers.optimizers import build_optimizer, load_moments, set_hyperparameters, set_lr
from trainers.own_draws import OwnDraws
from trainers.parametrization import rule_options
from trainers.protocol import Report, Status
from trainers.schedules import learning_rate
from trainers.snapshots import on_cpu
from trainers.task import Batch, count_parameters
from trainers.whole_steps import whole_steps

CHECK_EVERY_STEPS = 10
"""Losses are read back this often: reading each would make a GPU wait at every step."""


class TaskTrainer:
    """One run of a task; see `trainers.protocol.Trainer`."""

    def __init__(self, config: RunConfig) -> None:
        kind = registry.kind(config.trainer)
        setting = kind.complete(config.setting)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        task_class = kind.task_class()
        self._draws = OwnDraws(config.seed, self._device)
        with OwnDraws(config.seed, self._device).in_use():
            self._task = task_class(config, self._device)
            model = task_class.model(config.shape, config.model)
        with torch.device("meta"):
            base_model = task_class.model(config.base_shape, config.model)

        batch_tokens = int(setting["batch_tokens"])
        self._batch_samples = batch_tokens // self._task.sample_tokens
        self._steps = whole_steps(config.tokens, batch_tokens)
        self._timeline = timeline(setting, config.changes, self._steps)
        # Where steps are fewer than reports, a report a step.
        self._report_steps = sorted(
            {math.ceil(self._steps * i / config.reports) for i in range(1, config.reports + 1)}
        )

        # Drawn on the CPU, so that a seed means the same on every device.
        self._seed = config.seed
        self._generator = torch.Generator().manual_seed(config.seed)
        rules = parametrize(
            model,
            base_model,
            config.parametrization,
            str(setting["optimizer"]),
            rule_options(config.parametrization_options),
            self._generator,
        )
        self._generator.manual_seed(config.seed)
        self._model = model.to(self._device)
        six_n = 6.0 * count_parameters(model).params
        self._flops_per_token = float(getattr(self._task, "flops_per_token", six_n))
        self._optimizer = build_optimizer(self._model, rules, setting, config.seed)
        self._applied: Mapping[str, Value] = setting
        warmup_steps = round(float(setting["warmup_fraction"]) * self._steps)
        self._watch = DivergenceWatch(self._steps, warmup_steps, self._task.start_loss)
        self._batches = BatchLog()
        self._grown = 1
        self._measures_every = measures_every(setting)
        self._noise = NoiseAverage()
        self._average = AveragedWeights()
        # Batch norm's statistics of the last weights are not those of the averaged ones.
        saved = self._model.state_dict()
        self._averaged_buffers = [
            name
            for name, buffer in self._model.named_buffers()
            if name in saved and buffer.is_floating_point()
        ]
        self._lr = 0.0
        self._seconds = 0.0
        self._diverged = False

    def step(self) -> Report:
        """Train up to the next report and return it."""
        if self._diverged or self._position >= self._steps:
            raise TrainerError("the run is over; it has no further report")
        report_step = next(step for step in self._report_steps if step > self._position)
        started = time.perf_counter()
        with self._draws.in_use():
            losses = self._train_until(report_step)
        self._seconds += time.perf_counter() - started

        status: Status = "running"
        if self._diverged:
            status = "diverged"
        elif self._position >= self._steps:
            status = "completed"
        tokens = self._batches.samples * self._task.sample_tokens
        samples = self._noise.critical_batch if self._measures_every else None
        return Report(
            step=self._batches.steps,
            tokens=tokens,
            flops=self._flops_per_token * tokens,
            loss=math.nan if self._diverged else self._held_out_loss(final=status == "completed"),
            train_loss=math.fsum(losses) / len(losses),
            lr=self._lr,
            seconds=self._seconds,
            status=status,
            noise_scale=None if samples is None else samples * self._task.sample_tokens,
        )

    def judge(self, weights: Weights, *, part: int = 0, parts: int = 1) -> float:
        """Return the loss of other weights of this run's model on the final held-out samples.

        Of these every one of `parts` is taken, from number `part` on.
        """
        with judging(self._model, self._device):
            held_out = self._task.held_out(final=True)
            samples = tuple(of_all[part::parts] for of_all in held_out)
            return mean_loss(self._task, self._with_weights(weights), samples)

    @property
    def multipliers(self) -> dict[str, float]:
        """Forward multipliers by module: weights mean the same in models where these are equal."""
        return {
            name: float(cast(float, module.multiplier))
            for name, module in self._model.named_modules()
            if hasattr(module, "multiplier")
        }

    def state_dict(self) -> dict[str, object]:
        """Return a snapshot: model, optimizer, generators and counters; torch.save can keep it."""
        return {
            "model": on_cpu(self._model.state_dict()),
            "optimizer": on_cpu(self._optimizer.state_dict()),
            "average": on_cpu(self._average.state_dict()),
            "noise": self._noise.state_dict(),
            "generator": self._generator.get_state(),
            "draws": list(self._draws.states),
            "seed": self._seed,
            "batches": list(self._batches.stretches),
            "grown": self._grown,
            "steps_above": self._watch.above,
            "seconds": self._seconds,
            "diverged": self._diverged,
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from `state`, bit for bit where it is of the same configuration.

        The state of a finished run goes on where this one has more tokens.
        """
        model = cast(Mapping[str, Tensor], state["model"])
        own = self._model.state_dict()
        theirs = {name: tuple(value.shape) for name, value in model.items()}
        if theirs != {name: tuple(value.shape) for name, value in own.items()}:
            raise TrainerError("the saved state is of another shape or of other model options")
        self._model.load_state_dict(model)
        load_moments(self._optimizer, cast(Mapping[str, Any], state["optimizer"]))
        self._average.load_state_dict(cast(Mapping[str, object], state["average"]), self._device)
        self._noise.load_state_dict(cast(Mapping[str, float], state["noise"]))
        self._batches = BatchLog(list(cast(list[tuple[int, int]], state["batches"])))
        self._grown = cast(int, state["grown"])
        if state["seed"] == self._seed:
            self._generator.set_state(cast(Tensor, state["generator"]).cpu())
            # States of earlier versions have none.
            self._draws.go_on_from(cast(Sequence[Tensor], state.get("draws", ())))
        else:
            self._generator.manual_seed(self._seed)
            self._draws = OwnDraws(self._seed, self._device)
            with self._draws.in_use():
                for n_samples in self._batches:
                    self._task.draw(n_samples, self._generator)
        self._watch.above = cast(int, state["steps_above"])
        self._seconds = cast(float, state["seconds"])
        self._diverged = cast(bool, state["diverged"])

    @property
    def _position(self) -> float:
        """How far the run is, in steps of batch_tokens."""
        return self._batches.samples / self._batch_samples

    def _train_until(self, report_step: int) -> list[float]:
        """Train up to `report_step`, or until the run has diverged; return the losses."""
        losses: list[float] = []
        while self._position < report_step and not self._diverged:
            self._watch.step = int(self._position)
            pending: list[Tensor] = []
            while self._position < report_step and len(pending) < CHECK_EVERY_STEPS:
                pending.append(self._train_step())
            checked = torch.stack(pending).tolist()
            losses += checked
            self._diverged = self._watch.gone(checked)
        return losses

    def _train_step(self) -> Tensor:
        """Take one optimizer step; return its loss, a scalar still on the device."""
        position = self._position
        setting = self._timeline.at(position)
        if setting is not self._applied:
            set_hyperparameters(self._optimizer, setting)
            self._applied = setting
        self._lr = learning_rate(setting, position, self._steps, self._task.sample_tokens)
        set_lr(self._optimizer, self._lr)
        multiple = max(int(setting.get(BATCH_MULTIPLE, 1)), self._grown)
        left = self._steps * self._batch_samples - self._batches.samples
        n_samples = min(multiple * self._batch_samples, left)
        batch = self._task.draw(n_samples, self._generator)
        is_due = self._measures_every and self._batches.steps % self._measures_every == 0
        if is_due and n_samples >= self._batch_samples:
            loss = self._backward_and_measure(batch)
            self._test_norm(multiple, setting)
        else:
            loss = self._backward(batch)
        grad_clip = float(setting["grad_clip"])
        if grad_clip > 0:
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), grad_clip)
        self._optimizer.step()
        self._batches.add(n_samples)
        if half_life := float(setting["ema"]):
            buffers = {name: self._model.get_buffer(name) for name in self._averaged_buffers}
            weights = dict(self._model.named_parameters()) | buffers
            steps = n_samples / self._batch_samples
            self._average.update(weights, steps, half_life * self._steps)
        elif self._average.weights:
            self._average.clear()
        return loss

    def _backward(self, batch: Batch) -> Tensor:
        """Leave the gradient of the batch's mean loss in the model; return that loss."""
        self._optimizer.zero_grad()
        n_samples = len(batch[0])
        if n_samples <= self._batch_samples:
            loss = self._task.loss(self._model, batch)
            torch.autograd.backward(loss)
            return loss.detach()
        losses = []
        for first, end in split(n_samples, self._batch_samples):
            part = tuple(of_all[first:end] for of_all in batch)
            loss = self._task.loss(self._model, part) * ((end - first) / n_samples)
            torch.autograd.backward(loss)
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def _backward_and_measure(self, batch: Batch) -> Tensor:
        """Do as `_backward`, and measure the gradient's noise, which changes nothing else.

        The part's masks of dropout need not be those that its samples have in the whole batch, and
        where they are not they count as noise.
        """
        n_part = self._batch_samples // 2
        part = tuple(of_all[:n_part] for of_all in batch)
        self._optimizer.zero_grad()
        buffers = {name: buffer.clone() for name, buffer in self._model.named_buffers()}
        with self._draws.unmoved():
            torch.autograd.backward(self._task.loss(self._model, part))
        for name, buffer in self._model.named_buffers():
            buffer.copy_(buffers[name])
        of_part = gradients(self._model)
        loss = self._backward(batch)
        self._noise.add(measured(of_part, gradients(self._model), n_part, len(batch[0])))
        return loss

    def _test_norm(self, multiple: int, setting: Mapping[str, Value]) -> None:
        """Let the batch of the steps to come grow, where the setting has a norm test."""
        if theta := float(setting["norm_test"]):
            most = int(setting["max_batch_multiple"])
            noise = self._noise.noise
            self._grown = next_multiple(multiple, noise, theta, self._batch_samples, most)

    def _held_out_loss(self, *, final: bool) -> float:
        """Return the mean loss over the task's held-out samples, of the average where there is one.

        In nats a token.
        """
        model = self._with_weights(self._average.weights) if self._average.weights else self._model
        with judging(self._model, self._device):
            return mean_loss(self._task, model, self._task.held_out(final=final))

    def _with_weights(self, weights: Weights) -> Callable[..., Tensor]:
        """Return the model with other weights in its place; buffers they lack are its own."""
        here = {name: weight.to(self._device) for name, weight in weights.items()}

        def model(*inputs: Tensor) -> Tensor:
            return cast(Tensor, functional_call(self._model, here, inputs))

        return model
