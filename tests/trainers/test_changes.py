"""Settings that change in mid-run: the timeline, what is refused, and that runs obey it."""

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.changes import timeline
from trainers.config import Change, RunConfig
from trainers.errors import TrainerError
from trainers.loop_settings import LIVE
from trainers.protocol import Report
from trainers.registry import kind

HALFWAY = 0.5
SIMULATED = RunConfig(
    "simulated",
    {"width": 64, "depth": 2},
    8 * 512,
    {"lr": 0.01, "batch_tokens": 512},
    model={"cliff_octaves": 3},
    reports=4,
)


def finish(config: RunConfig) -> list[Report]:
    trainer = kind(config.trainer).build(config)
    reports = [trainer.step()]
    while reports[-1].status == "running":
        reports.append(trainer.step())
    return [replace(report, seconds=0.0) for report in reports]


def changing(config: RunConfig, at: float = HALFWAY, **values: float) -> RunConfig:
    return replace(config, changes=(Change(at, values),))


def refused(config: RunConfig) -> str:
    with pytest.raises(TrainerError) as caught:
        kind(config.trainer).check(config)
    return str(caught.value)


def test_a_change_holds_from_the_nearest_step_until_the_next_one():
    found = timeline(
        {"lr": 1.0, "eps": 0.1}, [Change(0.24, {"lr": 2.0}), Change(0.5, {"eps": 0.2})], 8
    )
    assert [found.at(step)["lr"] for step in range(8)] == [1, 1, 2, 2, 2, 2, 2, 2]
    assert [found.at(step)["eps"] for step in range(8)] == [0.1] * 4 + [0.2] * 4
    assert [(stop, dict(s)) for stop, s in found.stretches(1, 5)] == [
        (2, {"lr": 1.0, "eps": 0.1}),
        (4, {"lr": 2.0, "eps": 0.1}),
        (5, {"lr": 2.0, "eps": 0.2}),
    ]


@given(
    steps=st.integers(1, 60),
    parts=st.lists(st.floats(0.001, 0.999), max_size=5, unique=True),
    cut=st.integers(0, 60),
)
def test_stretches_cover_the_steps_with_their_settings(
    steps: int, parts: list[float], cut: int
) -> None:
    changes = [Change(at, {"lr": float(i)}) for i, at in enumerate(sorted(parts), start=1)]
    found = timeline({"lr": 0.0}, changes, steps)
    first = min(cut, steps - 1)
    walked = []
    for stop, setting in found.stretches(first, steps):
        walked += [setting["lr"]] * (stop - first - len(walked))
    assert walked == [found.at(step)["lr"] for step in range(first, steps)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([Change(0.5, {"batch_tokens": 32})], "batch_tokens cannot change in mid-run; of trainer"),
        ([Change(0.5, {"warmup_fraction": 0})], "these can: lr, weight_decay, beta1, beta2, eps"),
        ([Change(0.5, {"schedule": "cosine"})], "schedule cannot change in mid-run"),
        ([Change(0.5, {"lr": -1})], "lr is -1; it must be a number above 0"),
        ([Change(0.0, {"lr": 1})], "at is 0, a part of the steps; it must be above 0"),
        ([Change(1.0, {"lr": 1})], "at is 1, a part of the steps"),
        ([Change(math.nan, {"lr": 1})], "at is nan"),
        ([Change(0.5, {})], "nothing changes here"),
        ([Change(0.5, {"lr": 1}), Change(0.4, {"lr": 2})], "changes[1]: at is 0.4, a part"),
    ],
)
def test_changes_are_refused(config: RunConfig, changes: list[Change], says: str):
    assert says in refused(replace(config, changes=tuple(changes)))


def test_the_rate_is_the_one_of_the_table(config: RunConfig):
    flat = replace(
        config, setting={**config.setting, "schedule": "constant", "warmup_fraction": 0.0}
    )
    table = (Change(0.25, {"lr": 0.02}), Change(0.5, {"lr": 0.04}), Change(0.75, {"lr": 0.001}))
    reports = finish(replace(flat, changes=table))
    assert [report.lr for report in reports] == [0.01, 0.02, 0.04, 0.001]


def test_the_shape_of_the_schedule_stays_over_a_table(config: RunConfig):
    plain, changed = finish(config), finish(changing(config, lr=0.04))
    assert changed[1] == plain[1]
    assert [b.lr / a.lr for a, b in zip(plain, changed, strict=True)] == pytest.approx([1, 1, 4, 4])


@pytest.mark.parametrize("name", LIVE)
def test_every_live_setting_acts_from_its_change_on(config: RunConfig, name: str):
    plain = finish(config)
    changed = finish(changing(config, **{name: 0.02}))
    assert changed[:2] == plain[:2]
    assert changed[-1].loss != plain[-1].loss


def test_a_change_to_what_it_is_changes_nothing(config: RunConfig):
    same = changing(config, lr=0.01, weight_decay=0.1, beta2=0.95)
    assert finish(same) == finish(config)
    assert finish(changing(SIMULATED, lr=0.01)) == finish(SIMULATED)


def test_a_simulated_loss_is_that_of_its_path():
    """Half the steps at each of two rates: the mean of both basins, whichever came first."""
    quiet = replace(SIMULATED, model={"noise": 0.0, "cliff_octaves": 100})
    low, high = 0.003, 0.1
    at_low, at_high, up, down = (
        finish(run)[-1].loss
        for run in (
            replace(quiet, setting={**quiet.setting, "lr": low}),
            replace(quiet, setting={**quiet.setting, "lr": high}),
            changing(replace(quiet, setting={**quiet.setting, "lr": low}), lr=high),
            changing(replace(quiet, setting={**quiet.setting, "lr": high}), lr=low),
        )
    )
    assert up == pytest.approx((at_low + at_high) / 2, rel=1e-12)
    assert down == pytest.approx(up, rel=1e-12)


def test_a_simulated_run_goes_over_the_cliff_where_its_table_does():
    reports = finish(changing(SIMULATED, lr=1e3))
    assert [report.status for report in reports] == ["running", "running", "diverged"]


OWN = """
from trainers.changes import timeline
from trainers.protocol import Report

class Silent:
    def __init__(self, config):
        self.lr = config.setting["lr"]
    @classmethod
    def sizes(cls, shape, model):
        return 100, 100
    def step(self):
        return Report(1, 10, 60.0, self.lr, self.lr, self.lr, 0.0, "completed")
    def state_dict(self):
        return {}
    def load_state_dict(self, state):
        pass

class Outspoken(Silent):
    live_settings = ("momentum", "lr")
    def __init__(self, config):
        self.lr = timeline(config.setting, config.changes, 10).at(9)["lr"]
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "changing_trainers.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "changing_trainers", raising=False)
    return "changing_trainers"


def own_config(name: str, change: Mapping[str, float]) -> RunConfig:
    setting = {"lr": 0.5, "batch_tokens": 10, "momentum": 0.9}
    return RunConfig(name, {"layers": 3}, 100, setting, changes=(Change(0.5, change),))


def test_a_class_of_ones_own_says_what_is_live(own_module: str):
    own = kind(f"{own_module}:Outspoken")
    assert [own.is_live(name) for name in ("lr", "momentum", "dropout")] == [True, True, False]
    assert own.build(own_config(own.name, {"lr": 0.25})).step().loss == 0.25
    assert "dropout cannot change in mid-run; of trainer" in refused(
        own_config(own.name, {"dropout": 0.1})
    )
    assert "lr is 0; it must be" in refused(own_config(own.name, {"lr": 0}))


def test_a_class_that_does_not_say_may_change_by_states_but_not_by_a_table(own_module: str):
    own = kind(f"{own_module}:Silent")
    assert [own.is_live(name) for name in ("lr", "momentum", "batch_tokens")] == [True, True, False]
    assert "live_settings" in refused(own_config(own.name, {"lr": 0.25}))
