"""The built-in trainers, by name; torch is imported where one is built."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from trainers import simulated
from trainers.config import RunConfig, Size, Value
from trainers.data import DIGITS, STDLIB
from trainers.errors import TrainerError
from trainers.kind import Kind, nothing_further
from trainers.loop_settings import BATCH_TOKENS, LIVE, LOOP_SETTINGS, measures_every
from trainers.models import gpt_shape, mlp_shape, random_features_shape, resnet_shape, vit_shape
from trainers.models.sizes import ModelShape, nearest_multiples
from trainers.protocol import Trainer
from trainers.scaling_rules import SCHEMES
from trainers.settings import SettingRule

if TYPE_CHECKING:
    from trainers.task import Task

PLAIN_SGD: dict[str, Value] = {
    "optimizer": "sgd",
    "beta1": 0.0,
    "weight_decay": 0.0,
    "warmup_fraction": 0.0,
    "schedule": "constant",
    "grad_clip": 0.0,
}
"""Defaults of random features: their law is that of plain SGD."""


def train_task(config: RunConfig) -> Trainer:
    """Return the loop over the task of `config`."""
    from trainers.loop import TaskTrainer

    return TaskTrainer(config)


def check_batch(config: RunConfig, sample_tokens: int, what: str) -> None:
    """Raise TrainerError unless a batch is a whole number of samples; `what` names their length."""
    batch_tokens = int(config.setting[BATCH_TOKENS])
    if batch_tokens % sample_tokens:
        raise TrainerError(
            f"batch_tokens is {batch_tokens}, not a multiple of the {what} of {sample_tokens}; "
            f"the nearest that work: {nearest_multiples(batch_tokens, sample_tokens)}"
        )
    if batch_tokens == sample_tokens and measures_every(config.setting):
        raise TrainerError(
            f"batch_tokens is {batch_tokens}, a single {what}; noise_every and norm_test compare "
            f"gradients of parts of a batch, so it must be at least {2 * sample_tokens}"
        )


def _loop_kind(
    name: str,
    read: Callable[[Mapping[str, int], Mapping[str, Value]], ModelShape],
    model_options: Mapping[str, SettingRule],
    check_further: Callable[[RunConfig], None],
    load_task: Callable[[], "type[Task]"],
    *,
    shape_keys: tuple[str, ...] = ("width", "depth"),
    default_data: str,
    defaults: Mapping[str, Value] | None = None,
) -> Kind:
    """Return the kind of a built-in model that hyperlaw's own loop trains.

    `read` gives its shape; `defaults` are of settings whose default is another than the loop's.
    """

    def sizes(shape: Mapping[str, int], model: Mapping[str, Value]) -> Size:
        counted = read(shape, model)
        return Size(counted.n_params, counted.n_params_total)

    own = {key: replace(LOOP_SETTINGS[key], default=v) for key, v in (defaults or {}).items()}
    return Kind(
        name=name,
        settings={**LOOP_SETTINGS, **own},
        model_options=model_options,
        shape_keys=shape_keys,
        parametrizations=SCHEMES,
        sizes=sizes,
        make=train_task,
        check_further=check_further,
        live=LIVE,
        load_task=load_task,
        default_data=default_data,
    )


def _check_gpt(config: RunConfig) -> None:
    from trainers import data

    context = gpt_shape.gpt_shape(config.shape, config.model).context
    check_batch(config, context, "context")
    data.load(config.data).check_context(context)


def _check_digits(config: RunConfig) -> None:
    from trainers.tasks import digit_images

    check_batch(config, 1, "image")
    if config.data != DIGITS:
        raise TrainerError(
            f"data is {config.data!r}; trainer {config.trainer!r} trains on {DIGITS!r} only"
        )
    digit_images.check_installed()


def _check_random_features(config: RunConfig) -> None:
    check_batch(config, 1, "sample")


def _load_gpt() -> "type[Task]":
    from trainers.tasks.text import GPTTask

    return GPTTask


def _load_mlp() -> "type[Task]":
    from trainers.tasks.digits import MLPTask

    return MLPTask


def _load_resnet() -> "type[Task]":
    from trainers.tasks.digits import ResNetTask

    return ResNetTask


def _load_vit() -> "type[Task]":
    from trainers.tasks.digits import ViTTask

    return ViTTask


def _load_random_features() -> "type[Task]":
    from trainers.tasks.random_features import RandomFeaturesTask

    return RandomFeaturesTask


BUILT_IN = {
    "gpt": _loop_kind(
        "gpt",
        gpt_shape.gpt_shape,
        gpt_shape.MODEL_OPTIONS,
        _check_gpt,
        _load_gpt,
        default_data=STDLIB,
    ),
    "mlp": _loop_kind(
        "mlp",
        mlp_shape.mlp_shape,
        mlp_shape.MODEL_OPTIONS,
        _check_digits,
        _load_mlp,
        default_data=DIGITS,
    ),
    "resnet": _loop_kind(
        "resnet",
        resnet_shape.resnet_shape,
        resnet_shape.MODEL_OPTIONS,
        _check_digits,
        _load_resnet,
        default_data=DIGITS,
    ),
    "vit": _loop_kind(
        "vit",
        vit_shape.vit_shape,
        vit_shape.MODEL_OPTIONS,
        _check_digits,
        _load_vit,
        default_data=DIGITS,
    ),
    "random-features": _loop_kind(
        "random-features",
        random_features_shape.random_features_shape,
        random_features_shape.MODEL_OPTIONS,
        _check_random_features,
        _load_random_features,
        shape_keys=("width",),
        default_data="",
        defaults=PLAIN_SGD,
    ),
    "simulated": Kind(
        name="simulated",
        settings=simulated.SETTINGS,
        model_options=simulated.MODEL_OPTIONS,
        shape_keys=("width", "depth", "params"),
        parametrizations=("sp", "mup"),
        sizes=simulated.simulated_size,
        make=simulated.SimulatedTrainer,
        check_further=nothing_further,
        live=simulated.LIVE,
    ),
}
