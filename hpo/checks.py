"""Holds a sweep against its trainer: names, values and sizes, before anything is started.

`find_problems` says all that can be said without torch or Ray. What depends on the machine
(its cores and GPUs) is checked by `hpo.runner`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from hpo import (
    column_checks,
    command_checks,
    fused_checks,
    listed,
    rule_checks,
    scheduler_checks,
)
from hpo.conditions import check_conditions
from hpo.fields import Value
from hpo.ladder import Scale, base_shape, resolve_ladder, resolve_scale, shapes
from hpo.planned import grid_size
from hpo.points import Point
from hpo.problems import Problem, blame, dimension_problems, value_problems
from hpo.rows import own_columns
from hpo.schema import Scales, SweepSpec
from hpo.yaml_lines import KeyPath
from trainers.changes import find_errors
from trainers.config import Command, RunConfig
from trainers.errors import TrainerError, unknown
from trainers.kind import Kind
from trainers.registry import kind
from trainers.whole_steps import worst_batches


def _check_law_guided(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    from hpo.law_guided import problems

    yield from problems(spec)


def _check_bayesian(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    from hpo.bayesian.checks import problems

    yield from problems(spec, trainer)


def _check_population(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    from hpo.population.checks import problems

    yield from problems(spec, trainer)


def _check_freeze_thaw(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    from hpo.frozen_runs import problems

    yield from problems(spec)


METHOD_CHECKS: Mapping[str, Callable[[SweepSpec, Kind], Iterable[Problem]]] = {
    "bayesian": _check_bayesian,
    "freeze-thaw": _check_freeze_thaw,
    "law-guided": _check_law_guided,
    "population": _check_population,
}
"""What a search method asks of a sweep beyond what every method does, by its name."""


def find_problems(spec: SweepSpec) -> list[Problem]:
    """Everything that keeps `spec` from being run, the first to fix first."""
    try:
        trainer = kind(spec.trainer)
    except TrainerError as error:
        path = command_checks.COMMAND if isinstance(spec.trainer, Command) else ("trainer",)
        return [Problem(path, str(error))]
    if problems := list(listed.check_keys(spec)):
        return problems
    problems = [
        *command_checks.problems(spec),
        *scheduler_checks.problems(spec),
        *rule_checks.problems(spec, trainer),
        *fused_checks.problems(spec, trainer),
        *_check_model(spec, trainer),
        *_check_fixed(spec, trainer),
        *_check_changes(spec, trainer),
        *_check_states(spec, trainer),
    ]
    if spec.scales is None:
        problems += listed.check_points(spec, trainer)
        problems = problems or list(listed.check_sizes(spec, trainer))
        problems = problems or list(_check_columns(spec))
        return problems or list(_check_listed_configurations(spec, trainer))
    problems += [
        *_check_shape_keys(spec, spec.scales, trainer),
        *_check_names(spec, trainer),
        *_check_space(spec, trainer),
        *check_conditions(spec, trainer),
        *_check_steps(spec),
    ]
    if not problems:
        problems += _check_sizes(spec, spec.scales, trainer)
    if not problems:
        problems += _check_columns(spec)
    if not problems and (check := METHOD_CHECKS.get(spec.search.method)):
        problems += check(spec, trainer)
    if not problems:
        ladder = resolve_ladder(spec)
        problems += _check_runs(spec, len(ladder))
        problems += _check_configurations(spec, spec.scales, trainer, ladder)
    return problems


def run_config(spec: SweepSpec, scale: Scale, setting: Mapping[str, Value], seed: int) -> RunConfig:
    """The trainer's configuration of one run of the sweep."""
    return RunConfig(
        trainer=spec.trainer,
        shape=dict(scale.shape),
        tokens=scale.tokens,
        setting=dict(setting),
        seed=seed,
        parametrization=spec.parametrization,
        parametrization_options=dict(spec.parametrization_options),
        base=base_shape(spec),
        data=command_checks.data_of(spec),
        model=dict(spec.model),
        reports=spec.reports,
        changes=tuple(changed.change for changed in spec.changes),
    )


def _check_model(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    for name, value in spec.model.items():
        rule = trainer.model_options.get(name)
        if rule is not None:
            yield from value_problems(rule, name, value, ("model", name))
        elif not trainer.accepts_more:
            error = unknown("model option", name, trainer.model_options)
            yield Problem(("model", name), str(error))


def _check_shape_keys(spec: SweepSpec, scales: Scales, trainer: Kind) -> Iterator[Problem]:
    if not scales.shape:
        keys = ", ".join(trainer.shape_keys) or "the trainer's own"
        yield Problem(("scales",), f"no size is given; add the model's shape ({keys})")
    known = trainer.shape_keys
    for key in scales.shape:
        if known and key not in known:
            error = unknown("key", key, (*known, "tokens", "tokens_per_param"))
            yield Problem(("scales", key), str(error))
    for key in spec.base or {}:
        if key not in scales.shape:
            yield Problem(("base", key), str(unknown("key", key, scales.shape)))


def _check_fixed(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    for name, value in spec.fixed.items():
        path: KeyPath = ("fixed", name)
        if name in trainer.settings:
            yield from value_problems(trainer.settings[name], name, value, path)
        elif not trainer.accepts_more:
            yield Problem(path, str(trainer.unknown_setting(name)))


def _check_changes(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    changes = [changed.change for changed in spec.changes]
    for row, key, message in find_errors(trainer, changes):
        yield Problem(("changes", row) if key is None else ("changes", row, key), message)


def _check_states(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    """Final states are for soups of, and for training on, what hyperlaw's own loop trains."""
    for key, given in (("final_states", spec.final_states), ("start_from", spec.start_from)):
        if given and trainer.load_task is None:
            yield Problem(
                (key,),
                f"trainer {trainer.name!r} trains by itself; only for a built-in model, or a class "
                "of your own with model, draw, loss and held_out, are final states of use",
            )


def _check_names(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    unknown_names = [
        name
        for name in (*spec.space, *spec.fixed)
        if name not in trainer.settings and not trainer.accepts_more
    ]
    for name in spec.space:
        if name in unknown_names:
            yield Problem(("space", name), str(trainer.unknown_setting(name)))
        if name in spec.fixed:
            yield Problem(("fixed", name), "also searched under space; keep one of the two")
    if unknown_names:
        return  # A required name that is missing is most likely the mistyped one.
    for name, rule in trainer.settings.items():
        if rule.required and name not in spec.space and name not in spec.fixed:
            yield Problem(
                ("space",),
                f"{name} is missing ({rule.meaning}); search it here or set it under fixed",
            )


def _check_space(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    for name, dimension in spec.space.items():
        if name in trainer.settings:
            rule = trainer.settings[name]
            yield from dimension_problems(rule, name, dimension, ("space", name))


def _check_steps(spec: SweepSpec) -> Iterator[Problem]:
    is_grid = spec.search.method == "grid"
    for name, dimension in spec.space.items():
        if is_grid and dimension.bounds is not None and (dimension.steps or 0) < 2:
            yield Problem(
                ("space", name),
                "a grid needs the number of values of a range; add 'steps', at least 2",
            )
        if not is_grid and dimension.steps is not None:
            yield Problem(
                ("space", name, "steps"),
                f"only a grid has steps, not {spec.search.method}; leave it out",
            )


def _check_sizes(spec: SweepSpec, scales: Scales, trainer: Kind) -> Iterator[Problem]:
    """Blame each size that cannot be built on the axis value that fails with all others."""
    errors: list[tuple[dict[str, int], str]] = []
    built: list[dict[str, int]] = []
    for shape in [*shapes(spec), base_shape(spec)]:
        try:
            trainer.sizes(shape, spec.model)
            built.append(shape)
        except TrainerError as error:
            errors.append((shape, str(error)))
    seen: set[KeyPath] = set()
    for shape, message in errors:
        words: dict[str, KeyPath] = {key: ("model", key) for key in spec.model}
        for key, value in shape.items():
            if any(other[key] == value for other in built):
                continue
            values = scales.shape[key]
            in_ladder = value in values
            words[key] = ("scales", key, values.index(value)) if in_ladder else ("base", key)
        path = blame(message, words, ("scales",))
        if path not in seen:
            seen.add(path)
            yield Problem(path, message)


def _check_columns(spec: SweepSpec) -> Iterator[Problem]:
    """Hold names and values against the runs table, by one run of a ladder that can be built."""
    scale = resolve_ladder(spec)[0]
    point = Point("", scale, {}, spec.seed)
    yield from column_checks.problems(
        spec, own_columns(point, run_config(spec, scale, point.setting, point.seed))
    )


def _check_runs(spec: SweepSpec, n_scales: int) -> Iterator[Problem]:
    if spec.search.method == "grid":
        full = grid_size(spec) * n_scales * spec.seeds
        if spec.runs is not None and spec.runs > full:
            yield Problem(
                ("runs",), f"{spec.runs} is more than the full grid has; at most {full}, or none"
            )
    elif spec.runs is None and spec.search.method != "law-guided":
        yield Problem(("runs",), "missing; say how many runs the sweep has in all")
    if spec.runs is not None and spec.runs < n_scales:
        yield Problem(("runs",), f"{spec.runs} is fewer than one for each of the {n_scales} scales")


def _check_configurations(
    spec: SweepSpec, scales: Scales, trainer: Kind, ladder: Sequence[Scale]
) -> Iterator[Problem]:
    """Ask the trainer about every scale with every batch; the rest of a setting stays typical."""
    typical: dict[str, Value] = dict(spec.fixed)
    for name, dimension in spec.space.items():
        typical[name] = (dimension.choices or dimension.bounds or ())[0]
    budget = "tokens" if scales.tokens is not None else "tokens_per_param"
    seen: set[KeyPath] = set()
    for scale in ladder:
        for batch, batch_path in _batches_to_check(spec, scale.tokens):
            config = run_config(spec, scale, {**typical, "batch_tokens": batch}, spec.seed)
            try:
                trainer.check(config)
            except TrainerError as error:
                words: dict[str, KeyPath] = {
                    "batch_tokens": batch_path,
                    "base": ("base",),
                    "data": ("data",),
                    "tokens": ("scales", budget),
                    **{name: ("space", name) for name in spec.space if name != "batch_tokens"},
                    **{name: ("fixed", name) for name in spec.fixed if name != "batch_tokens"},
                    **{name: ("model", name) for name in spec.model},
                }
                where = blame(str(error), words, ("scales",))
                if where not in seen:
                    seen.add(where)
                    yield Problem(where, str(error))


def _batches_to_check(spec: SweepSpec, tokens: int) -> Iterator[tuple[Value, KeyPath]]:
    """Give every batch that is named; of a range those which tell of all others.

    These are both ends, the next value, and those of which whole steps miss the tokens most.
    """
    if "batch_tokens" not in spec.space:
        yield spec.fixed["batch_tokens"], ("fixed", "batch_tokens")
        return
    dimension = spec.space["batch_tokens"]
    path: KeyPath = ("space", "batch_tokens")
    if dimension.choices is not None:
        for index, choice in enumerate(dimension.choices):
            yield choice, (*path, "choices", index)
        return
    assert dimension.bounds is not None
    low, high = dimension.bounds
    axis = "log" if dimension.log is not None else "uniform"
    if spec.search.method == "grid":
        for batch in dimension.grid():
            yield batch, (*path, axis)
        return
    step = dimension.multiple_of or 1
    yield low, (*path, axis, 0)
    yield low + step, (*path, "multiple_of") if dimension.multiple_of else (*path, axis)
    yield high, (*path, axis, 1)
    for batch in worst_batches(tokens, step):
        if low < batch < high:
            yield batch, (*path, axis, 1)


def _check_listed_configurations(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    """Ask the trainer about every listed run."""
    for index, point in enumerate(spec.points or ()):
        here: KeyPath = ("points", index)
        setting = {**spec.fixed, **point.setting}
        scale = resolve_scale(spec, point.scale.shape, point.scale.tokens)
        try:
            trainer.check(run_config(spec, scale, setting, spec.seed))
        except TrainerError as error:
            words: dict[str, KeyPath] = {
                "base": ("base",),
                "data": ("data",),
                "tokens": (*here, "scale", "tokens"),
                **{name: (*here, "setting", name) for name in point.setting},
                **{name: ("fixed", name) for name in spec.fixed},
                **{name: ("model", name) for name in spec.model},
            }
            yield Problem(blame(str(error), words, here), str(error))
