"""Checks of how a sweep's runs follow size: parametrization, its options, and the optimizers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hpo.fields import Value
from hpo.problems import Problem, value_problems
from hpo.schema import SweepSpec
from hpo.yaml_lines import KeyPath
from trainers.errors import TrainerError, unknown
from trainers.kind import Kind
from trainers.loop_settings import OPTIMIZER
from trainers.optimizer_names import READ_BY_SOME, settings_read


def problems(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    """What keeps the sweep's runs from having the rules that they ask for."""
    known = trainer.parametrizations
    if known and spec.parametrization not in known:
        error = unknown("parametrization", spec.parametrization, known)
        yield Problem(("parametrization",), str(error))
        return
    wrong = list(_check_options(spec, trainer))
    yield from wrong
    if wrong or trainer.load_task is None:
        return
    optimizers = dict(_optimizers(spec, trainer))
    for name, path in optimizers.items():
        setting: Mapping[str, Value] = {OPTIMIZER: name}
        try:
            trainer.check_rules(spec.parametrization, setting, spec.parametrization_options)
        except TrainerError as error:
            yield Problem(path, str(error))
    yield from _check_searched(spec, list(optimizers))


def _check_options(spec: SweepSpec, trainer: Kind) -> Iterator[Problem]:
    known = trainer.parametrization_options
    for name, value in spec.parametrization_options.items():
        path: KeyPath = ("parametrization_options", name)
        if name in known:
            yield from value_problems(known[name], name, value, path)
        elif not trainer.accepts_more:
            yield Problem(path, str(unknown("parametrization option", name, known)))


def _optimizers(spec: SweepSpec, trainer: Kind) -> Iterator[tuple[str, KeyPath]]:
    """Yield each optimizer that a run may have, and where it is named; those there are not."""
    rule = trainer.settings[OPTIMIZER]
    places: list[tuple[Value, KeyPath]] = []
    if (dimension := spec.space.get(OPTIMIZER)) is not None:
        choices = enumerate(dimension.choices or ())
        places += [(name, ("space", OPTIMIZER, "choices", index)) for index, name in choices]
    if OPTIMIZER in spec.fixed:
        places.append((spec.fixed[OPTIMIZER], ("fixed", OPTIMIZER)))
    for index, point in enumerate(spec.points or ()):
        if OPTIMIZER in point.setting:
            places.append((point.setting[OPTIMIZER], ("points", index, "setting", OPTIMIZER)))
    if not places and rule.default is not None:
        places.append((rule.default, ("parametrization",)))
    for name, path in places:
        if not list(value_problems(rule, OPTIMIZER, name, path)):  # which is said elsewhere
            yield str(name), path


def _check_searched(spec: SweepSpec, optimizers: list[str]) -> Iterator[Problem]:
    """Refuse to search a setting that no optimizer of the sweep reads."""
    reads = {name: settings_read(name) for name in optimizers}
    for name in spec.space:
        if reads and name in READ_BY_SOME and not any(name in read for read in reads.values()):
            listed = ", ".join(f"{key} reads lr, {', '.join(read)}" for key, read in reads.items())
            yield Problem(("space", name), f"no run would read {name}, as {listed}; leave it out")
