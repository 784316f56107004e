"""Trainers of a user's own, named "module:Class"."""

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from trainers.config import RunConfig, Size, Value
from trainers.errors import TrainerError, unknown
from trainers.kind import Kind, nothing_further
from trainers.kinds import check_batch, train_task
from trainers.loop_settings import BATCH_TOKENS, LIVE, LOOP_SETTINGS
from trainers.protocol import Trainer

if TYPE_CHECKING:
    from trainers.task import Task

_TRAINER_NEEDS = ("step", "state_dict", "load_state_dict", "sizes")
_TASK_NEEDS = ("model", "draw", "loss", "held_out")


def user_kind(name: str) -> Kind:
    """Return what the class `name` ("module:Class") accepts.

    Raises TrainerError where there is no such class, or it is neither a `Trainer` nor a `Task`.
    """
    found = _find_class(name)
    is_task = any(callable(getattr(found, method, None)) for method in _TASK_NEEDS)
    if callable(getattr(found, "step", None)) or not is_task:
        _check_methods(name, found, _TRAINER_NEEDS)
        return _trainer_kind(name, found)
    _check_methods(name, found, _TASK_NEEDS)
    for attribute in ("sample_tokens", "start_loss"):
        if not hasattr(found, attribute):
            raise TrainerError(f"trainer {name!r} lacks the class attribute {attribute}")
    return _task_kind(name, found)


def _find_class(name: str) -> Any:
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise TrainerError(
            f"trainer {name!r}: no module {error.name!r} on Python's path; "
            "run where it can be imported, or set PYTHONPATH"
        ) from error
    if not hasattr(module, class_name):
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise TrainerError(f"trainer {name!r}: {unknown('class', class_name, classes)}")
    return getattr(module, class_name)


def _check_methods(name: str, found: object, needed: tuple[str, ...]) -> None:
    missing = [method for method in needed if not callable(getattr(found, method, None))]
    if missing:
        raise TrainerError(
            f"trainer {name!r} lacks {', '.join(missing)}; it needs either step() -> Report, "
            "state_dict(), load_state_dict(state) and the classmethod sizes(shape, model) -> "
            "(params, params_total), or, to be trained by hyperlaw's loop, model, draw, loss and "
            "held_out (trainers.task.Task)"
        )


def _trainer_kind(name: str, trainer: Any) -> Kind:
    def sizes(shape: Mapping[str, int], model: Mapping[str, Value]) -> Size:
        return Size(*trainer.sizes(shape, model))

    return Kind(
        name=name,
        settings={key: LOOP_SETTINGS[key] for key in ("lr", BATCH_TOKENS)},
        model_options={},
        shape_keys=(),
        parametrizations=(),
        sizes=sizes,
        make=cast(Callable[[RunConfig], Trainer], trainer),
        check_further=nothing_further,
        accepts_more=True,
        live=tuple(trainer.live_settings) if hasattr(trainer, "live_settings") else None,
    )


def _task_kind(name: str, task: "type[Task]") -> Kind:
    def sizes(shape: Mapping[str, int], model: Mapping[str, Value]) -> Size:
        import torch

        from trainers.task import count_parameters

        with torch.device("meta"):
            return count_parameters(task.model(shape, model))

    def check_further(config: RunConfig) -> None:
        check_batch(config, task.sample_tokens, "sample")

    return Kind(
        name=name,
        settings={**LOOP_SETTINGS, **getattr(task, "settings", {})},
        model_options=getattr(task, "model_options", {}),
        shape_keys=(),
        parametrizations=("sp", "mup"),
        sizes=sizes,
        make=train_task,
        check_further=check_further,
        live=LIVE,
        load_task=lambda: task,
    )
