"""Trainers of a user's own, named "module:Class"."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from trainers.config import RunConfig, Size, Value
from trainers.errors import TrainerError, unknown
from trainers.kind import Kind, nothing_further
from trainers.kinds import check_batch, train_task
from trainers.loop_settings import BATCH_TOKENS, LIVE, LOOP_SETTINGS, OPTIMIZER
from trainers.model_checks import check_base, check_inner, check_roles
from trainers.protocol import Trainer
from trainers.scaling_rules import SCHEMES, rule_options

if TYPE_CHECKING:
    from torch import nn

    from trainers.task import Task

_T = TypeVar("_T")
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
    if not all(part.isidentifier() for part in (*module_name.split("."), class_name)):
        raise TrainerError(
            f"trainer {name!r}: write 'module:Class', the module as Python imports it"
        )
    module = _import(name, module_name)
    if not hasattr(module, class_name):
        classes = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module_name
        ]
        raise TrainerError(f"trainer {name!r}: {unknown('class', class_name, classes)}")
    found = getattr(module, class_name)
    if not isinstance(found, type):
        raise TrainerError(f"trainer {name!r} is a {type(found).__name__}; it must be a class")
    return found


def _import(name: str, module_name: str) -> ModuleType:
    """Import a module, also of the working folder.

    That is not on the path of a console script, as it is on that of `python -m`.
    """
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.append(here)
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise TrainerError(
                f"trainer {name!r}: no module {missing!r} in the working folder or on Python's "
                "path; run in the folder where it is, or set PYTHONPATH"
            ) from error
        guard = "; what it runs belongs under if __name__ == '__main__':"
        hint = guard if isinstance(error, SystemExit) else ""
        raise TrainerError(
            f"trainer {name!r}: importing {module_name} raised {_told(error)}{hint}"
        ) from error


def ask(what: str, asked: Callable[[], _T]) -> _T:
    """Return what the user's code answers; TrainerError, saying `what` was asked, if it raises."""
    try:
        return asked()
    except TrainerError:
        raise
    except Exception as error:
        raise TrainerError(f"{what} raised {_told(error)}") from error


def _told(error: BaseException) -> str:
    """Return an exception of the user's code in one line, with where in that code it was raised."""
    what = " ".join(traceback.format_exception_only(error)[-1].split())
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in Path(frame.filename).parts]
    last = (own or frames)[-1]
    if isinstance(error, SyntaxError):
        return f"{what} ({error.filename}:{error.lineno})"
    return f"{what} ({last.filename}:{last.lineno})"


def _check_methods(name: str, found: object, needed: tuple[str, ...]) -> None:
    missing = [method for method in needed if not callable(getattr(found, method, None))]
    if missing:
        raise TrainerError(
            f"trainer {name!r} lacks {', '.join(missing)}; it needs either step() -> Report, "
            "state_dict(), load_state_dict(state) and the classmethod sizes(shape, model) -> "
            "(params, params_total), or, to be trained by hyperlaw's loop, model, draw, loss and "
            "held_out (trainers.task.Task)"
        )


def _check_call(name: str, called: Callable[..., object], arguments: str, n: int) -> None:
    try:
        inspect.signature(called).bind(*[None] * n)
    except TypeError as error:
        raise TrainerError(f"trainer {name!r} is called with {arguments}: {error}") from error


def _trainer_kind(name: str, trainer: Any) -> Kind:
    _check_call(name, trainer, "one argument, the run's RunConfig", 1)

    def sizes(shape: Mapping[str, int], model: Mapping[str, Value]) -> Size:
        asked = f"{name}: sizes({dict(shape)})"
        return _checked_size(asked, ask(asked, lambda: trainer.sizes(shape, model)))

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


def _checked_size(what: str, found: object) -> Size:
    if isinstance(found, tuple | list) and len(found) == 2:
        params, total = found
        whole = all(isinstance(number, Integral) for number in found)
        if whole and 0 < params <= total:
            return Size(int(params), int(total))
    raise TrainerError(
        f"{what} returned {found!r}; it must be (params, params_total), whole numbers above 0, the "
        "second at least the first"
    )


def _task_kind(name: str, task: "type[Task]") -> Kind:
    _check_call(name, task, "two arguments, the run's RunConfig and its torch.device", 2)

    def built(shape: Mapping[str, int], model: Mapping[str, Value]) -> "nn.Module":
        """Return the model on the meta device: its sizes without its values."""
        import torch

        with torch.device("meta"):
            found = ask(f"{name}: model({dict(shape)})", lambda: task.model(shape, model))
        check_roles(name, found)
        return found

    def sizes(shape: Mapping[str, int], model: Mapping[str, Value]) -> Size:
        from trainers.task import count_parameters

        size = count_parameters(built(shape, model))
        check_inner(name, size)
        return size

    def check_further(config: RunConfig) -> None:
        check_batch(config, task.sample_tokens, "sample")
        check_base(
            built(config.shape, config.model),
            built(config.base_shape, config.model),
            config.parametrization,
            str(config.setting[OPTIMIZER]),
            rule_options(config.parametrization_options),
        )

    return Kind(
        name=name,
        settings={**LOOP_SETTINGS, **getattr(task, "settings", {})},
        model_options=getattr(task, "model_options", {}),
        shape_keys=(),
        parametrizations=SCHEMES,
        sizes=sizes,
        make=train_task,
        check_further=check_further,
        live=LIVE,
        load_task=lambda: task,
    )
