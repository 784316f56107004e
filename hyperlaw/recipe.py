"""What a new sweep takes over from runs that were done: all but its scales and its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from hyperlaw.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from hpo.schema import SweepSpec
    from trainers.config import Command, Value

DEFAULT_TRAINER: Final = "gpt"
DEFAULT_RESOURCES: Final = {"cpus": 1, "gpus": 0}
_TRAINED_BY: Final = (
    "trainer",
    "parametrization",
    "parametrization_options",
    "base",
    "data",
    "model",
    "changes",
)


@dataclass(frozen=True)
class Recipe:
    """How runs are trained, whatever their scale and setting.

    Attributes
    ----------
    trainer, parametrization, parametrization_options, base, data, model, reports, resources :
        as in a sweep file. The base shape is never left out: under muP it is part of what a
        learning rate means.
    fixed : settings that every run shares.
    changes : settings that change in mid-run, as a sweep file has them.
    searched : names of the settings that differ from run to run.
    shapes : non-embedding parameters N of a measured scale -> the shape that gives it.
    """

    trainer: str | Command
    parametrization: str
    parametrization_options: Mapping[str, Value]
    base: Mapping[str, int]
    data: str
    model: Mapping[str, Value]
    reports: int
    resources: Mapping[str, float]
    fixed: Mapping[str, Value]
    searched: tuple[str, ...]
    shapes: Mapping[int, Mapping[str, int]]
    changes: tuple[Mapping[str, Value], ...] = ()

    def buildable(self, name: str, value: Value) -> Value:
        """Round a setting to what can be trained: a batch is whole sequences, a rate 3 digits."""
        from storage.columns import BATCH_TOKENS, LR
        from trainers.registry import kind

        if isinstance(value, str):
            return value
        trainer = kind(self.trainer)
        if name == BATCH_TOKENS:
            context = int(trainer.complete_model(self.model).get("context", 1))
            return max(1, round(value / context)) * context
        rule = trainer.settings.get(name)
        if rule is not None and rule.kind == "int":
            return round(value)
        return float(f"{value:.{3 if name == LR else 6}g}")

    def file(self, name: str, parts: Mapping[str, object]) -> str:
        """Return the text of a sweep file: `parts` (scales, space, points, …) and all the rest."""
        import yaml

        sweep = {
            "name": name,
            "trainer": _as_key(self.trainer),
            "parametrization": self.parametrization,
            "parametrization_options": dict(self.parametrization_options),
            "base": dict(self.base),
            **({"data": self.data} if self.data else {}),
            **({"changes": [dict(change) for change in self.changes]} if self.changes else {}),
            **parts,
            "fixed": dict(self.fixed),
            "model": dict(self.model),
            "reports": self.reports,
            "resources": dict(self.resources),
        }
        written = {key: value for key, value in sweep.items() if value != {}}
        return yaml.safe_dump(written, sort_keys=False, default_flow_style=None, width=100)


def _as_key(trainer: str | Command) -> str | dict[str, object]:
    """Return a trainer as a sweep file has it: of a command all that is not as by default."""
    if isinstance(trainer, str):
        return trainer
    return {
        field.name: getattr(trainer, field.name)
        for field in fields(trainer)
        if getattr(trainer, field.name) != field.default
    }


def recipe_of(spec: SweepSpec) -> Recipe:
    """Return the recipe of a sweep's runs."""
    from hpo.command_checks import data_of
    from hpo.ladder import base_shape, resolve_ladder

    listed = [name for point in spec.points or () for name in point.setting]
    return Recipe(
        trainer=spec.trainer,
        parametrization=spec.parametrization,
        parametrization_options=dict(spec.parametrization_options),
        base=base_shape(spec),
        data=data_of(spec),
        model=dict(spec.model),
        reports=spec.reports,
        resources=spec.resources.model_dump(),
        fixed=dict(spec.fixed),
        searched=tuple(dict.fromkeys([*spec.space, *listed])),
        shapes={scale.params: scale.shape for scale in resolve_ladder(spec)},
        changes=tuple({"at": changed.at, **changed.change.setting} for changed in spec.changes),
    )


def common_recipe(recipes: Mapping[str, Recipe]) -> Recipe:
    """Return the one recipe of several sweeps, by name; the first says what may differ.

    A setting that is fixed in one sweep and not, or otherwise, in another counts as searched.

    Raises
    ------
    InputError : they train different things, so that no one file can hold their next runs.
    """
    (first_name, first), *others = recipes.items()
    for name, other in others:
        for key in _TRAINED_BY:
            ours, theirs = getattr(first, key), getattr(other, key)
            if ours != theirs and not (key == "base" and first.parametrization == "sp"):
                raise InputError(
                    f"sweeps '{first_name}' and '{name}' differ in {key} ({ours} and {theirs}), so "
                    "no one sweep file can hold their next runs; plan from one of them"
                )
    every = recipes.values()
    fixed = {
        name: value
        for name, value in first.fixed.items()
        if all(other.fixed.get(name) == value for other in every)
    }
    named = [name for recipe in every for name in (*recipe.searched, *recipe.fixed)]
    shapes = {params: shape for recipe in every for params, shape in recipe.shapes.items()}
    searched = tuple(dict.fromkeys(name for name in named if name not in fixed))
    return replace(first, fixed=fixed, searched=searched, shapes=shapes)


def recipe_of_runs(runs: pd.DataFrame, source: str) -> Recipe:
    """Return the recipe of runs that no sweep file made, as far as their columns tell it.

    Parameters
    ----------
    runs : a runs table with the columns of the shape (width, depth). The trainer is read from its
        column `model`, the built-in gpt where there is none.
    source : what to call the runs in errors.

    Raises
    ------
    InputError : the shapes are not known, give another N than the runs say, or the runs differ in
        what a sweep has one of.
    """
    from storage.columns import DATA, MODEL, PARAMETRIZATION, PARAMS
    from trainers.errors import TrainerError
    from trainers.registry import kind

    cannot = f"{source}: no sweep file can be written"
    name = _only(runs, MODEL, DEFAULT_TRAINER, cannot)
    try:
        trainer = kind(name)
    except TrainerError as error:
        raise InputError(
            f"{cannot}: its column 'model' is to name what trains it; {error}"
        ) from error
    keys = _shape_keys(runs, trainer.shape_keys, cannot)
    shapes = {}
    for row in runs[[*dict.fromkeys([PARAMS, *keys])]].drop_duplicates(PARAMS).to_dict("records"):
        params, shape = round(row[PARAMS]), {key: int(row[key]) for key in keys}
        try:
            built = trainer.sizes(shape, {}).params
        except TrainerError as error:
            raise InputError(f"{cannot}: {error}") from error
        if built != params:
            raise InputError(
                f"{cannot}: trainer '{name}' makes N = {built:,} of {_words(shape)}, and the runs "
                f"say {params:,}; name their trainer in a column 'model', or plan from the sweep "
                "that they are from (--sweep NAME)"
            )
        shapes[params] = shape
    fixed: dict[str, Value] = {}
    searched = []
    for setting in trainer.settings:
        values = runs[setting].dropna().unique().tolist() if setting in runs.columns else []
        if len(values) == 1:
            fixed[setting] = values[0]
        elif values:
            searched.append(setting)
    return Recipe(
        trainer=name,
        parametrization=_only(runs, PARAMETRIZATION, "sp", cannot),
        parametrization_options={},
        base={key: min(shape[key] for shape in shapes.values()) for key in keys},
        data=_only(runs, DATA, "python-stdlib", cannot),
        model={},
        reports=8,
        resources=DEFAULT_RESOURCES,
        fixed=fixed,
        searched=tuple(searched),
        shapes=shapes,
    )


def _shape_keys(runs: pd.DataFrame, known: Sequence[str], cannot: str) -> tuple[str, ...]:
    from storage.columns import DEPTH, PARAMS, WIDTH

    keys = (WIDTH, DEPTH)
    if all(key in runs.columns and runs[key].notna().all() for key in keys):
        return keys
    if PARAMS in known:
        return (PARAMS,)
    raise InputError(
        f"{cannot}: without the columns width and depth the shape of its scales is not known; add "
        "them, or plan from the sweep that the runs are from (--sweep NAME)"
    )


def _only(runs: pd.DataFrame, column: str, otherwise: str, cannot: str) -> str:
    """Return the one value of a column of text, `otherwise` where it has none."""
    values = sorted(set(runs[column].dropna()) - {""}) if column in runs.columns else []
    if len(values) > 1:
        raise InputError(f"{cannot}: a sweep has one {column}, these runs {', '.join(values)}")
    return str(values[0]) if values else otherwise


def _words(shape: Mapping[str, int]) -> str:
    return ", ".join(f"{key} {value}" for key, value in shape.items())
