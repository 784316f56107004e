"""Which runs can be fused into one batched computation; torch-free."""

from collections.abc import Mapping, Sequence

from trainers import registry
from trainers.config import RunConfig
from trainers.loop_settings import (
    BATCH_MULTIPLE,
    BATCH_TOKENS,
    LOOP_SETTINGS,
    OPTIMIZER,
    measures_every,
)

FUSED_OPTIMIZERS = ("adamw", "sgd", "lion", "muon", "muon-rms")


def why_not_fused(configs: Sequence[RunConfig]) -> str | None:
    """Say why these runs, each of them checked by its kind, cannot be fused; None where they can.

    All that changes shapes or operations must be equal: the trainer, shape, model options,
    parametrization and base, data, optimizer, batch_tokens, and the settings that a task has beside
    the loop's own. The loop's other settings, the seed, the tokens, reports and changes are each
    run's own.
    """
    for config in configs:
        if reason := _why_alone(config):
            return reason
    if not configs:
        return None
    first = shared_part(configs[0])
    for number, config in enumerate(configs[1:], start=1):
        other = shared_part(config)
        for key in [*first, *(other.keys() - first.keys())]:
            if first.get(key) != other.get(key):
                return (
                    f"{key} is {_shown(first.get(key))} in run 0 and {_shown(other.get(key))} in "
                    f"run {number}; runs that are fused must have the same"
                )
    return None


def shared_part(config: RunConfig) -> dict[str, object]:
    """Return what of a run must be equal in all runs that it is fused with, by name."""
    kind = registry.kind(config.trainer)
    setting = kind.complete(config.setting)
    own = {name: value for name, value in setting.items() if name not in LOOP_SETTINGS}
    return {
        "trainer": config.trainer,
        "shape": dict(config.shape),
        "model options": kind.complete_model(config.model),
        "parametrization": config.parametrization,
        "base shape": config.base_shape,
        "parametrization options": dict(config.parametrization_options),
        "data": config.data,
        OPTIMIZER: setting[OPTIMIZER],
        BATCH_TOKENS: setting[BATCH_TOKENS],
        **own,
    }


def _why_alone(config: RunConfig) -> str | None:
    """Say why this run can be fused with no other at all."""
    kind = registry.kind(config.trainer)
    if kind.load_task is None:
        return f"trainer {kind.name!r} trains by itself; only runs of hyperlaw's own loop are fused"
    setting = kind.complete(config.setting)
    optimizer = str(setting[OPTIMIZER])
    if optimizer not in FUSED_OPTIMIZERS:
        return (
            f"optimizer {optimizer!r} steps one run at a time; those that step several are "
            f"{', '.join(FUSED_OPTIMIZERS)}"
        )
    if measures_every(setting):
        return "noise_every and norm_test measure the gradients of one run at a time"
    if any(BATCH_MULTIPLE in change.setting for change in config.changes):
        return f"{BATCH_MULTIPLE} changes the batch in mid-run, which must be of one size for all"
    return None


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {of_key}" for key, of_key in value.items()) + "}"
    return "not given" if value is None else repr(value)
