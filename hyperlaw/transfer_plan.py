"""What a check of transfer is asked of: a model named on the command line, or that of a sweep."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperlaw.errors import InputError

if TYPE_CHECKING:
    from hpo.schema import SweepSpec
    from hpo.space import Dimension
    from scaling.transfer_check import Subject
    from trainers.config import RunConfig, Value

WIDTH, DEPTH = "width", "depth"
DEFAULT_SIZES: Final[Mapping[str, tuple[int, ...]]] = {
    WIDTH: (64, 128, 256, 512),
    DEPTH: (2, 4, 8, 16),
}
LEAST_SIZES: Final = 4
"""A ladder of fewer sizes is continued by doubling: a slope over fewer says little."""
DEFAULT_LR: Final = 2.0**-8
DEFAULT_RATES: Final = (2.0**-10, 2.0**-4)
BASIN_SIZES: Final = 3
"""Of an axis, from the smallest: their runs are whole ones."""
BASIN_STEPS: Final = 300


@dataclass(frozen=True)
class CheckPlan:
    """A check before it is made.

    Attributes
    ----------
    stem : what it is called unless told otherwise.
    config : a run that it speaks for, at the smallest size of each axis.
    sizes : of each axis that is checked.
    rates : the lowest and highest learning rate of a basin check.
    tokens : budget of its runs.
    """

    stem: str
    config: RunConfig
    sizes: Mapping[str, tuple[int, ...]]
    rates: tuple[float, float]
    tokens: int

    @property
    def subject(self) -> Subject:
        """What the check will be true of."""
        return subject_of(self.config)


def subject_of(config: RunConfig) -> Subject:
    """Return what a check of this run's model would be true of."""
    from scaling.transfer_check import Subject
    from trainers.optimizer_names import DEFAULT
    from trainers.registry import kind
    from trainers.scaling_rules import rule_options

    trainer = kind(config.trainer)
    return Subject(
        trainer=str(config.trainer),
        parametrization=config.parametrization,
        optimizer=str(config.setting.get("optimizer", DEFAULT)),
        model=trainer.complete_model(config.model),
        options=asdict(rule_options(config.parametrization_options)),
    )


@dataclass(frozen=True)
class AskedCheck:
    """What the command line was given; None or empty where nothing was.

    Attributes
    ----------
    file, sweep : a sweep file, or the name of a sweep of the database, whose model is checked.
    trainer, parametrization, optimizer, data, model, rules, setting : or the model by itself; as in
        a sweep file, `rules` being its parametrization_options.
    lr : of the coordinate check.
    sizes : by axis.
    rates, tokens : the ends of a basin check's grid, and the budget of its runs.
    """

    file: Path | None = None
    sweep: str | None = None
    trainer: str | None = None
    parametrization: str | None = None
    optimizer: str | None = None
    data: str | None = None
    model: Mapping[str, Value] = field(default_factory=dict)
    rules: Mapping[str, Value] = field(default_factory=dict)
    setting: Mapping[str, Value] = field(default_factory=dict)
    lr: float | None = None
    sizes: Mapping[str, tuple[int, ...] | None] = field(default_factory=dict)
    rates: tuple[float, float] | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        """Refuse two sources at once, or none."""
        flags = {
            "a sweep file": self.file,
            "--sweep": self.sweep,
            "--trainer": self.trainer,
            "--parametrization": self.parametrization,
            "--optimizer": self.optimizer,
            "--data": self.data,
            "--model": self.model,
            "--rule": self.rules,
            "--set": self.setting,
        }
        given = [flag for flag, value in flags.items() if value]
        if len(given) > 1 and (self.file or self.sweep):
            raise InputError(
                f"{given[0]} and {given[1]} are given; the model is that of one of them, name one"
            )
        if not (self.file or self.sweep or self.trainer):
            raise InputError("name what to check: a sweep file, --sweep NAME or --trainer gpt")

    @property
    def chosen_sizes(self) -> dict[str, tuple[int, ...]]:
        """The sizes of the axes that were given any."""
        return {axis: sizes for axis, sizes in self.sizes.items() if sizes is not None}


def plan_check(asked: AskedCheck, db: str) -> CheckPlan:
    """Plan a check; an error of the sweep file or the trainer where it cannot be made."""
    from hyperlaw.sources import open_store
    from hyperlaw.sweeps import plan_file, stored_plan

    if asked.file is not None:
        return _plan_sweep(plan_file(asked.file).spec, asked)
    if asked.sweep is not None:
        with open_store(db) as store:
            return _plan_sweep(stored_plan(store, asked.sweep).spec, asked)
    return _plan_model(asked)


def _plan_model(asked: AskedCheck) -> CheckPlan:
    """Plan the check of a model by itself, at the usual sizes of what is judged if none is given.

    Its base shape is the smallest of each.
    """
    from trainers.config import RunConfig
    from trainers.coordinate_check import judged_axes, with_batch
    from trainers.registry import kind

    assert asked.trainer is not None
    scheme = asked.parametrization or "mup"
    trainer = kind(asked.trainer)
    trainer.task_class()
    keys = trainer.shape_keys or (WIDTH, DEPTH)
    given = asked.chosen_sizes
    for axis in given:
        if axis not in keys:
            raise InputError(f"--{axis}s: trainer '{asked.trainer}' has no {axis}")
    sizes = given or {axis: DEFAULT_SIZES[axis] for axis in judged_axes(scheme) if axis in keys}
    _check_sizes(sizes)
    smallest = {axis: min(sizes.get(axis, DEFAULT_SIZES[axis])) for axis in keys}
    optimizer: dict[str, Value] = {} if asked.optimizer is None else {"optimizer": asked.optimizer}
    config = RunConfig(
        trainer=asked.trainer,
        shape=smallest,
        tokens=1,
        setting={"lr": asked.lr or DEFAULT_LR, **optimizer, **asked.setting},
        parametrization=scheme,
        parametrization_options=asked.rules,
        base=smallest,
        data=asked.data or kind(asked.trainer).default_data,
        model=asked.model,
    )
    if "batch_tokens" not in config.setting:
        config = with_batch(config)
    tokens = asked.tokens or BASIN_STEPS * int(config.setting["batch_tokens"])
    stem = "-".join(filter(None, (asked.trainer, scheme, asked.optimizer)))
    return CheckPlan(stem, config, sizes, asked.rates or DEFAULT_RATES, tokens)


def _plan_sweep(spec: SweepSpec, asked: AskedCheck) -> CheckPlan:
    """Plan the check of a sweep's model, at a setting from the middle of its space.

    Sizes that are not given are those of the ladder, continued by doubling where they are few.
    """
    from hpo.checks import run_config
    from hpo.ladder import resolve_ladder, resolve_scale

    ladder = resolve_ladder(spec)
    of_ladder = {
        axis: tuple(sorted({scale.shape[axis] for scale in ladder}))
        for axis in (WIDTH, DEPTH)
        if axis in ladder[0].shape
    }
    varying = {axis: found for axis, found in of_ladder.items() if len(found) > 1}
    for axis in asked.chosen_sizes:
        if axis not in of_ladder:
            raise InputError(f"--{axis}s: the scales of sweep '{spec.name}' have no {axis}")
    sizes = asked.chosen_sizes or {
        axis: _continued(found) for axis, found in (varying or of_ladder).items()
    }
    if not sizes:
        raise InputError(
            f"sweep '{spec.name}' has neither width nor depth among its scales; there is no size "
            "to check the transfer over"
        )
    _check_sizes(sizes)
    smallest = {axis: min(sizes.get(axis, found)) for axis, found in of_ladder.items()}
    tokens = asked.tokens or ladder[0].tokens
    scale = resolve_scale(spec, {**ladder[0].shape, **smallest}, tokens)
    setting = typical_setting(spec) | ({} if asked.lr is None else {"lr": asked.lr})
    config = run_config(spec, scale, setting, spec.seed)
    searched = _bounds(spec.space["lr"]) if "lr" in spec.space else DEFAULT_RATES
    return CheckPlan(spec.name, config, sizes, asked.rates or searched, tokens)


def basin_sweep(plan: CheckPlan, name: str, *, seeds: int) -> str:
    """Return the file of a sweep over the learning rate at the smallest sizes of each axis."""
    from hyperlaw.recipe import DEFAULT_RESOURCES, Recipe

    config = plan.config
    low, high = plan.rates
    n_rates = math.ceil(math.log2(high / low) - 1e-9) + 1  # an octave apart at most
    rates = [float(f"{low * (high / low) ** (i / (n_rates - 1)):.4g}") for i in range(n_rates)]
    shapes = [
        {**config.shape, axis: size}
        for axis, of_axis in plan.sizes.items()
        for size in sorted(of_axis)[:BASIN_SIZES]
    ]
    points = [
        {
            "scale": {**shape, "tokens": plan.tokens},
            "setting": {"lr": lr},
            **({"seed": config.seed + number} if config.seed + number else {}),
        }
        for number in range(seeds)
        for at, shape in enumerate(shapes)
        if shape not in shapes[:at]
        for lr in rates
    ]
    recipe = Recipe(
        trainer=config.trainer,
        parametrization=config.parametrization,
        parametrization_options=config.parametrization_options,
        base=config.base,
        data=config.data,
        model=config.model,
        reports=2,
        resources=DEFAULT_RESOURCES,
        fixed={key: value for key, value in config.setting.items() if key != "lr"},
        searched=("lr",),
        shapes={},
    )
    return recipe.file(name, {"search": {"method": "listed"}, "points": points})


def _check_sizes(sizes: Mapping[str, Sequence[int]]) -> None:
    for axis, of_axis in sizes.items():
        if len(set(of_axis)) < 2:
            raise InputError(f"--{axis}s: a slope needs two sizes at least, such as 64,128,256,512")


def _continued(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return sizes with doublings of the largest, until there are enough of them."""
    more = tuple(sizes[-1] * 2**k for k in range(1, 1 + max(0, LEAST_SIZES - len(sizes))))
    return (*sizes, *more)


def typical_setting(spec: SweepSpec) -> dict[str, Value]:
    """Return a setting from the middle of a sweep's space, or the first of its points."""
    from hpo.space import present

    if spec.points is not None:
        return {**spec.fixed, **spec.points[0].setting}
    middle = {name: _middle(dimension) for name, dimension in spec.space.items()}
    return {**spec.fixed, **present(spec.space, middle)}


def _middle(dimension: Dimension) -> Value:
    if dimension.choices is not None:
        return dimension.choices[len(dimension.choices) // 2]
    low, high = _bounds(dimension)
    value = math.sqrt(low * high) if dimension.log is not None else (low + high) / 2
    step = dimension.multiple_of
    return value if step is None else round(value / step) * step


def _bounds(dimension: Dimension) -> tuple[float, float]:
    if dimension.bounds is not None:
        return dimension.bounds
    values = [float(value) for value in dimension.choices or ()]
    return min(values), max(values)
