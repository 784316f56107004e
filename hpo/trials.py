"""Tune's trials as the driver needs them: why one failed, and the end of its actor."""

from __future__ import annotations

from pathlib import Path

import ray
from ray import cloudpickle
from ray.exceptions import RayTaskError
from ray.tune.experiment import Trial

from hpo.trainable import one_line
from hpo.trial_legs import RunFailedError


def end_actor(trial: Trial) -> None:
    """End a trial's process in the middle of what it does."""
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        ray.kill(actor)


def tell_actor(trial: Trial, method: str, *arguments: object) -> None:
    """Call a method of a trial's `RunTrainable`: before its next step, if it has one."""
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        getattr(actor, method).remote(*arguments)


def error_of(trial: Trial) -> Exception:
    """Why Tune gave a run up: what its trainer raised, or Ray's error where its process died.

    Tune keeps the exception in a file.
    """
    if trial.pickled_error_file is None:
        return RunFailedError(
            Path(trial.error_file).read_text(encoding="utf-8").strip().splitlines()[-1]
        )
    error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    assert isinstance(error, Exception)
    if not isinstance(error, RayTaskError):
        return error
    cause = error.cause
    return cause if isinstance(cause, RunFailedError) else RunFailedError(one_line(cause))
