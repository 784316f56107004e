"""Whether runs of an earlier sweep were trained as a new sweep's are, so that their losses compare.

What is searched may differ; all else that a loss depends on may not: the model and its options, the
data, the parametrization, every setting with its default where a file leaves it out. Of a sweep
that was launched all this is known from its file; of imported runs, what their rows tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from hpo.command_checks import data_of
from hpo.errors import SpecError
from hpo.fields import Value
from hpo.ladder import base_shape
from hpo.points import Setting
from hpo.schema import SweepSpec
from hpo.spec import stored_spec
from storage import columns
from storage.store import Store
from trainers import command_line
from trainers.command_values import BASE
from trainers.config import Command
from trainers.errors import TrainerError
from trainers.registry import kind

_WITHOUT_BASE = ("sp", "u-mup")
"""Parametrizations that do not look at the base shape."""


def launched_spec(store: Store, sweep: str) -> SweepSpec | None:
    """Return a sweep as it was launched; None for imported runs, which no file made."""
    try:
        return stored_spec(store.sweep(sweep).spec_text)
    except SpecError:
        return None


def trained_alike(
    spec: SweepSpec, earlier: SweepSpec | None, setting: Setting, row: Mapping[str, object]
) -> bool:
    """Say whether a run of an earlier sweep was trained as the new sweep would train its setting.

    Parameters
    ----------
    spec : the new sweep, checked.
    earlier : the earlier one; None for imported runs, of which counts as alike what they leave out.
    setting : the part of the run's that the new sweep searches.
    row : the run's, of the runs table.
    """
    trainer = kind(spec.trainer)
    ours = trainer.complete({**spec.fixed, **setting})
    if earlier is None:
        told = {
            columns.MODEL: trainer.name,
            columns.DATA: data_of(spec),
            columns.PARAMETRIZATION: spec.parametrization,
            **ours,
        }
        return all(row[name] == value for name, value in told.items() if is_told(row.get(name)))
    # The hyperparameters of a population's members change while they train.
    if earlier.search.method == "population" or _trainer(earlier) != _trainer(spec):
        return False
    try:
        theirs = trainer.complete(_given(earlier, row))
        recipe = _recipe(earlier)
    except TrainerError:  # It was launched before the trainer became what it is.
        return False
    return recipe == _recipe(spec) and _rest(theirs, setting) == _rest(ours, setting)


def is_told(value: object) -> bool:
    """Say whether a cell of the runs table holds anything."""
    return isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))


def _given(earlier: SweepSpec, row: Mapping[str, object]) -> Setting:
    """Return what the earlier sweep gave a run: of what it searched or listed, as the row tells."""
    listed = (name for point in earlier.points or () for name in point.setting)
    given: Setting = dict(earlier.fixed)
    for name in (*earlier.space, *listed):
        value = row.get(name)
        if isinstance(value, str | int | float) and is_told(value):
            given[name] = value
    return given


def _rest(completed: Mapping[str, Value], setting: Setting) -> Setting:
    return {name: value for name, value in completed.items() if name not in setting}


def _trainer(spec: SweepSpec) -> str | Command:
    """Return what trains; how long a command may take is no part of that."""
    trainer = spec.trainer
    return replace(trainer, timeout_minutes=None) if isinstance(trainer, Command) else trainer


def _recipe(spec: SweepSpec) -> dict[str, object]:
    """Return what is the same for all runs of a sweep and their losses depend on, settings aside.

    Raises TrainerError where the trainer knows no such model option.
    """
    trainer = kind(spec.trainer)
    options = {name: rule.default for name, rule in trainer.parametrization_options.items()}
    return {
        "data": data_of(spec),
        "parametrization": spec.parametrization,
        "parametrization_options": options | spec.parametrization_options,
        "base": base_shape(spec) if _looks_at_base(spec) else None,
        "model": trainer.complete_model(spec.model),
        "changes": [changed.change for changed in spec.changes],
        "start_from": spec.start_from,
    }


def _looks_at_base(spec: SweepSpec) -> bool:
    if isinstance(spec.trainer, Command):
        names = command_line.parse(spec.trainer.command).names
        return any(name.startswith(BASE) for name in names)
    return spec.parametrization not in _WITHOUT_BASE
