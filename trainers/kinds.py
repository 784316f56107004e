"""The built-in trainers, by name; torch is imported where one is built."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainers import simulated
from trainers.config import RunConfig, Size, Value
from trainers.errors import TrainerError
from trainers.kind import Kind, nothing_further
from trainers.loop_settings import BATCH_TOKENS, LIVE, LOOP_SETTINGS
from trainers.models import gpt_shape
from trainers.protocol import Trainer

if TYPE_CHECKING:
    from trainers.task import Task


def train_task(config: RunConfig) -> Trainer:
    """Return the loop over the task of `config`."""
    from trainers.loop import TaskTrainer

    return TaskTrainer(config)


def _gpt_sizes(shape: Mapping[str, int], model: Mapping[str, Value]) -> Size:
    gpt = gpt_shape.gpt_shape(shape, model)
    return Size(gpt.n_params, gpt.n_params_total)


def _check_gpt(config: RunConfig) -> None:
    from trainers import data

    context = gpt_shape.gpt_shape(config.shape, config.model).context
    check_batch(config, context, "context")
    data.load(config.data).check_context(context)


def check_batch(config: RunConfig, sample_tokens: int, what: str) -> None:
    """Raise TrainerError unless a batch is a whole number of samples; `what` names their length."""
    batch_tokens = int(config.setting[BATCH_TOKENS])
    if batch_tokens % sample_tokens:
        below = batch_tokens // sample_tokens * sample_tokens
        above = below + sample_tokens
        nearest = f"{below} and {above}" if below else f"{above}"
        raise TrainerError(
            f"batch_tokens is {batch_tokens}, not a multiple of the {what} of {sample_tokens}; "
            f"the nearest that work: {nearest}"
        )


def _load_gpt() -> "type[Task]":
    from trainers.tasks.text import GPTTask

    return GPTTask


BUILT_IN = {
    "gpt": Kind(
        name="gpt",
        settings=LOOP_SETTINGS,
        model_options=gpt_shape.MODEL_OPTIONS,
        shape_keys=("width", "depth"),
        parametrizations=("sp", "mup"),
        sizes=_gpt_sizes,
        make=train_task,
        check_further=_check_gpt,
        live=LIVE,
        load_task=_load_gpt,
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
