"""Checks of `search: {method: listed}`: every run is given outright under `points`.

Such a file has neither scales, space nor runs of its own: its points say all of it. It is what
`hyperlaw plan --out` writes.
"""

from __future__ import annotations

from collections.abc import Iterator

from hpo.fields import Value
from hpo.problems import Problem, blame, value_problems
from hpo.schema import ListedPoint, ListedScale, SweepSpec
from hpo.yaml_lines import KeyPath
from trainers.errors import TrainerError, unknown
from trainers.kind import Kind

LISTED = "listed"
NOT_BESIDE_POINTS = {
    "scales": "each point has its own scale",
    "space": "each point has its own setting",
    "runs": "there are as many runs as points",
    "seeds": "each point is one run, with a seed of its own where it gives one",
}


def check_keys(spec: SweepSpec) -> Iterator[Problem]:
    """Which of the keys that depend on the method must be there, and which must not."""
    if spec.search.method == LISTED:
        if spec.points is None:
            yield Problem(("points",), "missing; list the runs: '- {scale: {…}, setting: {…}}'")
        for key, reason in NOT_BESIDE_POINTS.items():
            if key in spec.model_fields_set:
                yield Problem((key,), f"not in a listed sweep, where {reason}; leave it out")
        return
    if spec.points is not None:
        yield Problem(
            ("points",),
            f"only method 'listed' has points, not '{spec.search.method}'; leave them out, "
            "or write search: {method: listed}",
        )
    for key, value in (("scales", spec.scales), ("space", spec.space)):
        if not value:
            yield Problem((key,), "missing; this key must be given")


def check_points(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    """Hold the points' names and values against the trainer, and against each other."""
    points = spec.points or ()
    first = points[0].scale.shape
    seen: list[tuple[ListedScale, dict[str, Value], int]] = []
    for key in spec.base or {}:
        if key not in first:
            yield Problem(("base", key), str(unknown("key", key, first)))
    for index, point in enumerate(points):
        path: KeyPath = ("points", index)
        yield from _check_shape(point, trainer, (*path, "scale"))
        for key in first:
            if key not in point.scale.shape:
                message = f"no {key}, which points[0] has; give every point the same keys"
                yield Problem((*path, "scale"), message)
        yield from _check_setting(spec, point, trainer, path)
        run = (point.scale, point.setting, spec.seed if point.seed is None else point.seed)
        if run in seen:
            yield Problem(
                path,
                f"the same run as points[{seen.index(run)}]; give it another seed, or leave it out",
            )
        seen.append(run)


def check_sizes(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    """Blame a size that cannot be built on the key that the trainer names."""
    for index, point in enumerate(spec.points or ()):
        scale: KeyPath = ("points", index, "scale")
        try:
            trainer.sizes(point.scale.shape, spec.model)
        except TrainerError as error:
            words: dict[str, KeyPath] = {key: ("model", key) for key in spec.model}
            words |= {key: (*scale, key) for key in point.scale.shape}
            yield Problem(blame(str(error), words, scale), str(error))


def _check_shape(point: ListedPoint, trainer: Kind, path: KeyPath) -> Iterator[Problem]:
    known = trainer.shape_keys
    if not point.scale.shape:
        keys = ", ".join(known) or "the trainer's own"
        yield Problem(path, f"no size is given; add the model's shape ({keys})")
    for key in point.scale.shape:
        if known and key not in known:
            yield Problem((*path, key), str(unknown("key", key, (*known, "tokens"))))


def _check_setting(
    spec: SweepSpec, point: ListedPoint, trainer: Kind, path: KeyPath
) -> Iterator[Problem]:
    setting: KeyPath = (*path, "setting")
    mistyped = not trainer.accepts_more and any(
        name not in trainer.settings for name in (*spec.fixed, *point.setting)
    )
    for name, value in point.setting.items():
        if name in spec.fixed:
            message = "also given under fixed; keep one of the two"
            yield Problem((*setting, name), message)
        if name in trainer.settings:
            yield from value_problems(trainer.settings[name], name, value, (*setting, name))
        elif not trainer.accepts_more:
            yield Problem((*setting, name), str(trainer.unknown_setting(name)))
    # A required name that is missing is most likely the mistyped one.
    for name, rule in trainer.settings.items():
        given = name in point.setting or name in spec.fixed
        if rule.required and not given and not mistyped:
            yield Problem(setting, f"{name} is missing ({rule.meaning}); give it here or as fixed")
