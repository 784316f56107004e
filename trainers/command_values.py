"""What a command can ask for by name: a run's scale, its setting, and what belongs to every run."""

from collections.abc import Mapping
from pathlib import Path

from trainers.config import Command, RunConfig, Size, Value
from trainers.errors import TrainerError
from trainers.loop_settings import BATCH_TOKENS

OWN_VALUES = {
    "tokens": "D, the budget of the run",
    "steps": "optimizer steps, as many as the run's batches make its budget",
    "params": "N, parameters without embeddings",
    "seed": "of the initial weights and the order of the data",
    "reports": "how many metrics, evenly spaced, are of use",
    "parametrization": "as the sweep file has it",
    "data": "as the sweep file has it; a path that exists is made absolute",
    "run_id": "the run's name",
    "folder": "a folder of the run's own, the same when it is begun again",
}
"""What every run has beside shape, base shape, model options and setting: names and meanings."""

BASE = "base_"
"""Before a name of the shape: its value at the base shape, as muP needs it."""


def values_of(config: RunConfig, size: Size) -> dict[str, Value]:
    """Return all that a run's command can ask for, by name.

    Raises TrainerError where two of them have the same name.
    """
    batch_tokens = int(config.setting[BATCH_TOKENS])
    groups: dict[str, Mapping[str, Value]] = {
        "a value of every run": {
            "tokens": config.tokens,
            "steps": steps_of(config.tokens, batch_tokens),
            "params": size.params,
            "seed": config.seed,
            "reports": config.reports,
            "parametrization": config.parametrization,
            "data": config.data,
            "run_id": Path(config.folder).name,
            "folder": config.folder,
        },
        "a size of the base shape": {f"{BASE}{k}": v for k, v in config.base_shape.items()},
        "a size of the shape": {k: v for k, v in config.shape.items() if k != "params"},
        "a model option": config.model,
        "a setting": config.setting,
    }
    origins: dict[str, str] = {}
    for origin, group in groups.items():
        for name in group:
            if name in origins:
                raise TrainerError(f"{name} is {origins[name]} and {origin}; rename one of them")
            origins[name] = origin
    return {name: value for group in groups.values() for name, value in group.items()}


def size_of(command: Command, shape: Mapping[str, int], model: Mapping[str, Value]) -> Size:
    """N is what the shape says, or that of `depth` blocks; what surrounds them is not known."""
    for key, value in shape.items():
        if value < 1:
            raise TrainerError(f"{key} is {value}; it must be a positive whole number")
    if "params" in shape:
        return Size(shape["params"], shape["params"])
    if not {"width", "depth"} <= shape.keys():
        raise TrainerError(
            f"the shape is {', '.join(shape) or 'empty'}, which does not give N; add width and "
            "depth (N = block_params·depth·width²), or params, N itself"
        )
    params = round(command.block_params * shape["depth"] * shape["width"] ** 2)
    if params < 1:
        raise TrainerError(f"block_params is {command.block_params:g}; it must be above 0")
    return Size(params, params)


def steps_of(tokens: int, batch_tokens: int) -> int:
    """Return how many batches come nearest to the budget, at least one."""
    return max(1, round(tokens / batch_tokens))
