"""The coordinate check's measurement: how far each layer's output moves in a few optimizer steps.

A model takes t = 1, 2, … steps at a constant learning rate, and after each the change Δh of every
layer's output on one fixed batch is recorded as the log of its RMS. Layers are the modules that
hold a tagged parameter, and the residual blocks. Done at several sizes, a slope of log RMS
on log size near zero says that features move alike at every size (Tensor Programs V,
arXiv 2203.03466, appendix D); `scaling.coordinate_slopes` judges it.

    for rows in measure(config, {"width": (64, 128, 256, 512)}):
        ...
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from trainers import registry
from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.initialisation import parametrize
from trainers.kind import Kind
from trainers.kinds import BUILT_IN
from trainers.loop_settings import BATCH_TOKENS
from trainers.optimizers import build_optimizer
from trainers.parametrization import tag_of
from trainers.scaling_rules import BRANCH_POWERS, rule_options
from trainers.user_kinds import ask

_T = TypeVar("_T")

STEPS = 10
SEEDS = 3
PROBE_SAMPLES = 16
"""Samples on which changes are measured."""
DEPTH = "depth"


class LayerChange(NamedTuple):
    """How far one layer's output has moved after some steps of one training."""

    axis: str
    """What differs between the trainings that this one is compared with, such as "width"."""
    size: int
    seed: int
    layer: str
    inside: bool
    """Whether the layer lies inside a residual block."""
    step: int
    log_rms: float
    """ln of the RMS of its change; NaN where the output is not finite."""


def judged_axes(parametrization: str) -> tuple[str, ...]:
    """Return the axes over which features must move alike for the learning rate to transfer.

    Depth is among them for schemes that scale residual branches by it.
    """
    return ("width", DEPTH) if parametrization in BRANCH_POWERS else ("width",)


def with_batch(config: RunConfig, samples: int = PROBE_SAMPLES) -> RunConfig:
    """Return `config` with a batch of so many samples.

    Raises TrainerError for a model or a task that cannot be built, and for a trainer that is not
    one of the loop's.
    """
    kind = registry.kind(config.trainer)
    task_class = kind.task_class()
    kind.sizes(config.shape, config.model)
    task = _asked(config, lambda: task_class(config, torch.device("cpu")))
    sample_tokens = task.sample_tokens
    return replace(config, setting={**config.setting, BATCH_TOKENS: samples * sample_tokens})


def measure(
    config: RunConfig,
    sizes: Mapping[str, Sequence[int]],
    *,
    seeds: int = SEEDS,
    steps: int = STEPS,
) -> Iterator[list[LayerChange]]:
    """Train at each size of each axis with each seed, and give the rows of one training at a time.

    Parameters
    ----------
    config : a run that the check is to speak for: its trainer, parametrization, base shape, model
        options, data and setting. Of the setting only what an optimizer step depends on is used,
        and no decay: in so few steps it moves nothing but layers that wait for a readout that
        starts at zero. Seeds count on from its own.
    sizes : of each axis, a key of the shape; the rest of the shape is that of `config`.
    steps : of the optimizer, a row a layer after each.

    Raises
    ------
    TrainerError
        Before anything trains: for a size that cannot be built, and for a trainer that is not one
        of the loop's. While it trains: where a task of the user's own raises.
    """
    kind = registry.kind(config.trainer)
    kind.task_class()
    setting = kind.complete(config.setting)
    trained = [
        (
            axis,
            replace(
                config,
                shape={**config.shape, axis: size},
                seed=seed,
                setting={**setting, "weight_decay": 0.0},
                tokens=steps * int(setting[BATCH_TOKENS]),
                changes=(),
            ),
        )
        for axis, of_axis in sizes.items()
        for size in of_axis
        for seed in range(config.seed, config.seed + seeds)
    ]
    for _, one in trained:
        kind.check(one)
    for axis in sizes:
        _check_differs(kind, axis, [one for of_axis, one in trained if of_axis == axis])
    return (_rows(one, axis, steps) for axis, one in trained)


def _check_differs(kind: Kind, axis: str, configs: Sequence[RunConfig]) -> None:
    """Refuse an axis that does not change the model, as depth where the user's class ignores it."""
    first_with: dict[int, int] = {}
    for config in configs:
        n_parameters = kind.sizes(config.shape, config.model).params_total
        size = config.shape[axis]
        if (other := first_with.setdefault(n_parameters, size)) != size:
            raise TrainerError(
                f"trainer {kind.name!r}: its model has {n_parameters} parameters at {axis} {other} "
                f"as at {axis} {size}; name sizes of an axis that it grows with"
            )


def _asked(config: RunConfig, measured: Callable[[], _T]) -> _T:
    """Return what is measured; TrainerError where a task of the user's own raises, in one line."""
    name = str(config.trainer)
    return measured() if name in BUILT_IN else ask(f"trainer {name!r}", measured)


def _rows(config: RunConfig, axis: str, steps: int) -> list[LayerChange]:
    return _asked(config, lambda: list(_changes(config, axis, steps)))


def _changes(config: RunConfig, axis: str, steps: int) -> Iterator[LayerChange]:
    """Train once, and give the changes of the layers that have moved after each step."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task_class = registry.kind(config.trainer).task_class()
    task = task_class(config, device)
    with torch.device("meta"):
        base = task_class.model(config.base_shape, config.model)
    model = task_class.model(config.shape, config.model)
    setting = config.setting
    name, options = str(setting["optimizer"]), rule_options(config.parametrization_options)
    generator = torch.Generator().manual_seed(config.seed)
    rules = parametrize(model, base, config.parametrization, name, options, generator)
    model.to(device)
    optimizer = build_optimizer(model, rules, setting, config.seed)
    layers = _layers(model, by_part=axis == DEPTH)
    outputs: dict[str, Tensor] = {}
    for layer in layers:
        model.get_submodule(layer).register_forward_hook(_keep_in(outputs, layer))

    def probed() -> dict[str, Tensor]:
        model.eval()
        with torch.no_grad():
            task.loss(model, probe)
        model.train()
        return dict(outputs)

    generator.manual_seed(config.seed)
    probe = task.draw(PROBE_SAMPLES, generator)
    n_samples = int(setting[BATCH_TOKENS]) // task.sample_tokens
    before = probed()
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss = task.loss(model, task.draw(n_samples, generator))
        if loss.numel() != 1:
            raise TrainerError(
                f"trainer {str(config.trainer)!r}: loss returned a tensor of shape "
                f"{tuple(loss.shape)}; it must be the mean over the batch, a scalar"
            )
        torch.autograd.backward(loss)
        if grad_clip := float(setting["grad_clip"]):
            torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
        optimizer.step()
        for layer, output in probed().items():
            rms = float((output - before[layer]).square().mean().sqrt())
            if rms != 0:
                log_rms = math.log(rms) if math.isfinite(rms) else math.nan
                size, (called, inside) = config.shape[axis], layers[layer]
                yield LayerChange(axis, size, config.seed, called, inside, step, log_rms)


def _keep_in(
    outputs: dict[str, Tensor], layer: str
) -> Callable[[nn.Module, tuple[object, ...], object], None]:
    """Return a forward hook that keeps a layer's output, or the first of its outputs."""

    def hook(_module: nn.Module, _inputs: tuple[object, ...], output: object) -> None:
        first = output[0] if isinstance(output, tuple) else output
        if isinstance(first, Tensor):
            outputs[layer] = first.detach()

    return hook


class _Layer(NamedTuple):
    """What a layer is called, and whether it is inside a residual block."""

    called: str
    inside: bool


def _layers(model: nn.Module, *, by_part: bool) -> dict[str, _Layer]:
    """Return what to call each layer, by the name of its module, and whether it is in a block.

    With `by_part`, as where depth differs, a stack's blocks go by the part of it that lies behind
    them: those at half of it and at its end are kept, as "blocks[half]" and "blocks[last]".
    """
    stacks = _stacks(model)
    layers: dict[str, _Layer] = {}
    for name, module in model.named_modules():
        place = next((found for stack in stacks if (found := _place(name, stack))), None)
        is_block = place is not None and not place.rest
        holds = [tag_of(name, parameter) for parameter in module.parameters(recurse=False)]
        if not holds and not is_block:
            continue
        called = name
        if by_part and place is not None:
            n_blocks = stacks[place.stack]
            part = {n_blocks // 2: "half", n_blocks: "last"}.get(place.number + 1)
            if part is None:
                continue
            called = ".".join(filter(None, (f"{place.stack}[{part}]", place.rest)))
        layers[name] = _Layer(called, not is_block and any(how.blocks for how in holds))
    return layers


class _Place(NamedTuple):
    """Where a module is in a stack of blocks; `rest` is its name within the block."""

    stack: str
    number: int
    rest: str


def _place(name: str, stack: str) -> _Place | None:
    prefix = f"{stack}." if stack else ""
    number, _, rest = name.removeprefix(prefix).partition(".")
    if not name.startswith(prefix) or not number.isdigit():
        return None
    return _Place(stack, int(number), rest)


def _stacks(model: nn.Module) -> dict[str, int]:
    """Return the stacks of residual blocks by the name of the container, and their lengths.

    A stack is what holds as many modules, numbered, as a tag inside says that there are blocks.
    """
    stacks: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        for at, part in enumerate(parts):
            stack, n_blocks = ".".join(parts[:at]), tag_of(name, parameter).blocks
            n_children = len(list(model.get_submodule(stack).children())) if part.isdigit() else 0
            if n_blocks and n_children == n_blocks:
                stacks[stack] = n_blocks
                break
    return stacks
