"""The space as samplers see it: ordered choices, whole multiples, settings on a condition."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.bayesian import space as axes
from hpo.planned import quiet_optuna
from hpo.space import Dimension

SPACE = {
    "layers": Dimension(uniform=(2, 8), multiple_of=2, when={"kind": ("deep",)}),
    "kind": Dimension(choices=("deep", "wide")),
    "lr": Dimension(log=(1e-3, 1e-1)),
    "batch": Dimension(log=(64, 4096), multiple_of=64),
    "heads": Dimension(choices=(8, 2, 4)),
    "skip": Dimension(choices=(True, False)),
}


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("layers", IntDistribution(1, 4)),
        ("kind", CategoricalDistribution(("deep", "wide"))),
        ("lr", FloatDistribution(1e-3, 1e-1, log=True)),
        ("batch", IntDistribution(1, 64, log=True)),
        ("heads", IntDistribution(0, 2)),
        ("skip", CategoricalDistribution((True, False))),
    ],
)
def test_what_a_sampler_draws_from(name: str, distribution: object) -> None:
    assert axes.distribution(SPACE[name]) == distribution


@pytest.mark.parametrize(
    ("name", "value", "drawn"),
    [
        ("layers", 6, 3),
        ("kind", "wide", "wide"),
        ("lr", 0.02, 0.02),
        ("batch", 640, 10),
        ("heads", 2, 0),
        ("heads", 4, 1),
        ("heads", 8, 2),
    ],
)
def test_values_go_to_the_sampler_and_back(name: str, value: object, drawn: object) -> None:
    assert axes.drawn(SPACE[name], value) == drawn
    assert axes.value_of(SPACE[name], drawn) == value


def test_suggested_settings_lie_in_the_space_and_meet_every_value() -> None:
    space = {name: SPACE[name] for name in ("layers", "kind", "batch", "heads")}
    with quiet_optuna():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        settings = [axes.suggest(study.ask(), space) for _ in range(200)]
    assert all(axes.holds(space, setting) for setting in settings)
    assert all(list(setting) == [n for n in space if n in setting] for setting in settings)
    assert {setting.get("layers") for setting in settings} == {2, 4, 6, 8, None}
    assert {setting["heads"] for setting in settings} == {2, 4, 8}
    assert all(type(setting["batch"]) is int and setting["batch"] % 64 == 0 for setting in settings)


@pytest.mark.parametrize(
    "setting",
    [
        {"kind": "wide", "lr": 0.01, "layers": 4},  # layers only where deep
        {"kind": "deep", "lr": 0.01},  # and there it must be
        {"kind": "deep", "lr": 0.01, "layers": 3},
        {"kind": "tall", "lr": 0.01},
        {"kind": "wide", "lr": 0.2},
        {"kind": "wide", "lr": "high"},
    ],
)
def test_what_does_not_lie_in_the_space(setting: dict[str, float | int | str]) -> None:
    space = {name: SPACE[name] for name in ("layers", "kind", "lr")}
    assert axes.holds(space, {"kind": "wide", "lr": 0.01})
    assert not axes.holds(space, setting)
