"""Training on from a run that is finished: the key `start_from`, held against that run.

Every run of such a sweep begins with the final state of one run, of this database, which was kept
(`final_states`). Its `tokens` are those of the whole training, the finished run's included. Where
the schedule is to begin again there, `rewarm_at` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hpo.checkpoints import Kept
from hpo.checks import run_config
from hpo.errors import SpecError
from hpo.final_states import read_final
from hpo.ladder import resolve_ladder
from hpo.schema import StartFrom, SweepSpec
from trainers.config import RunConfig
from trainers.registry import kind

_REWARM_AT, _OPTIMIZER = "rewarm_at", "optimizer"
_KEPT_KEYS = ("trainer", "parametrization", "parametrization_options")


def start_folder(start: StartFrom, folder: Path) -> Path:
    """Return where the run is kept that a sweep goes on from; `folder` is that of all sweeps."""
    return folder / start.sweep / start.run


def check_start(spec: SweepSpec, folder: Path) -> None:
    """Raise SpecError unless every run of the sweep can go on from the run that it names.

    Parameters
    ----------
    folder : where the runs of all sweeps keep what they keep, a folder a sweep.
    """
    if spec.start_from is None:
        return
    kept = read_final(start_folder(spec.start_from, folder))
    if kept is None:
        raise SpecError(
            f"start_from: no final state of run {spec.start_from.run!r} of sweep "
            f"{spec.start_from.sweep!r} is kept in {folder}; name a run that completed, of a sweep "
            "with final_states"
        )
    _check_optimizer(spec, kept)
    was = kept.config
    for scale in resolve_ladder(spec):
        ours = run_config(spec, scale, spec.fixed, spec.seed)
        _check_model(ours, was)
        if scale.tokens <= was.tokens:
            raise SpecError(
                f"scales.tokens: {scale.tokens} in all, of which the run to start from has had "
                f"{was.tokens}; give more than those"
            )
        _check_rewarming(spec, was.tokens, scale.tokens)


def _check_model(ours: RunConfig, was: RunConfig) -> None:
    """Refuse another model, or one in which the same weights would mean something else."""
    if dict(ours.shape) != dict(was.shape):
        raise SpecError(
            f"scales: {_words(ours.shape)}, and the run to start from is {_words(was.shape)}; give "
            "that shape alone"
        )
    if ours.base_shape != was.base_shape:
        raise SpecError(
            f"base: {_words(ours.base_shape)}, and the run to start from had "
            f"{_words(was.base_shape)}; write base: {{{_words(was.base_shape, ': ')}}}"
        )
    for key in _KEPT_KEYS:
        mine, theirs = getattr(ours, key), getattr(was, key)
        if mine != theirs:
            raise SpecError(f"{key}: {mine}, and the run to start from had {theirs}; keep to that")
    options, theirs = (kind(run.trainer).complete_model(run.model) for run in (ours, was))
    for name, value in options.items():
        if value != theirs.get(name):
            raise SpecError(
                f"model.{name}: {value}, and the run to start from had {theirs.get(name)}; keep to "
                "that"
            )


def _check_optimizer(spec: SweepSpec, kept: Kept) -> None:
    rule = kind(spec.trainer).settings.get(_OPTIMIZER)
    if rule is None:
        return
    theirs = kept.config.setting.get(_OPTIMIZER, rule.default)
    searched = spec.space[_OPTIMIZER].choices if _OPTIMIZER in spec.space else None
    for ours in searched or (spec.fixed.get(_OPTIMIZER, rule.default),):
        if ours != theirs:
            raise SpecError(
                f"optimizer: {ours}, and the moments of the run to start from are {theirs}'s; "
                f"keep to {theirs}"
            )


def _check_rewarming(spec: SweepSpec, tokens_before: int, tokens: int) -> None:
    """Refuse a schedule that would begin again elsewhere than where the finished run ends."""
    given = spec.fixed.get(_REWARM_AT)
    right = tokens_before / tokens
    if isinstance(given, int | float) and given and abs(given - right) > 0.01:
        raise SpecError(
            f"fixed.rewarm_at: {given:g}, and the run to start from has had {tokens_before} of "
            f"{tokens} tokens; write {right:.4g}, or 0 to keep to one schedule"
        )


def _words(shape: Mapping[str, int], between: str = " ") -> str:
    return ", ".join(f"{key}{between}{value}" for key, value in shape.items())
