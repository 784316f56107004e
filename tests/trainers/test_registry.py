import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainers.running import with_setting
from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.registry import kind


def refused(config: RunConfig) -> str:
    with pytest.raises(TrainerError) as caught:
        kind(config.trainer).check(config)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_nothing_but_build_needs_torch():
    script = """
import sys
from trainers.config import RunConfig
from trainers.registry import kind
import trainers.protocol, trainers.simulated
setting = {"lr": 0.01, "batch_tokens": 2048}
for name in ("gpt", "simulated"):
    kind(name).check(RunConfig(name, {"width": 32, "depth": 2}, 100_000, setting))
for name in ("mlp", "resnet", "vit"):
    shape = {"width": 32, "depth": 2}
    kind(name).check(RunConfig(name, shape, 100_000, setting, data="digits"))
kind("random-features").check(RunConfig("random-features", {"width": 32}, 100_000, setting))
kind("simulated").build(RunConfig("simulated", {"params": 10**6}, 10**7, setting)).step()
assert not {"torch", "sklearn"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_is_left_out_takes_its_default_and_its_type():
    setting = kind("gpt").complete({"lr": 1, "batch_tokens": 2048.0})
    assert setting["weight_decay"] == 0.1
    assert setting["schedule"] == "linear"
    assert isinstance(setting["lr"], float)
    assert isinstance(setting["batch_tokens"], int)


def test_unknown_trainer_lists_the_built_ins():
    with pytest.raises(TrainerError, match=r"'gtp'; did you mean 'gpt'\? .*gpt, mlp, resnet"):
        kind("gtp")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"weigth_decay": 0.1}, "unknown setting 'weigth_decay'; did you mean 'weight_decay'?"),
        ({"beta1": 1.0}, "beta1 is 1.0; it must be a number at least 0 and below 1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"lr": 0}, "lr is 0; it must be a number above 0"),
        ({"lr": math.nan}, "lr is nan"),
        ({"lr": True}, "lr is True"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"batch_tokens": 64.5}, "a whole number"),
        (
            {"batch_tokens": 72},
            "not a multiple of the context of 16; the nearest that work: 64 and",
        ),
        ({"batch_tokens": 8}, "the nearest that work: 16"),
        ({"batch_tokens": 1296}, "more than the run's 1280 tokens"),
        ({"schedule": "cosin"}, "one of linear, cosine, wsd"),
    ],
)
def test_settings_are_refused(config: RunConfig, values: Mapping[str, object], says: str):
    assert says in refused(with_setting(config, **values))


@pytest.mark.parametrize("name", ["lr", "batch_tokens"])
def test_lr_and_batch_are_required(config: RunConfig, name: str):
    setting = {key: value for key, value in config.setting.items() if key != name}
    assert f"setting '{name}' is missing" in refused(replace(config, setting=setting))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": {"width": 40, "depth": 2}}, "heads of 16; the nearest that work: 32 and 48"),
        ({"shape": {"width": 8, "depth": 2}}, "the nearest that work: 16"),
        ({"shape": {"width": 32}}, "depth is missing"),
        ({"shape": {"width": 32, "depth": 0}}, "depth is 0"),
        ({"shape": {"width": 32, "depth": 2, "hieght": 1}}, "unknown shape key 'hieght'"),
        ({"base": {"width": 40}}, "base shape: width 40"),
        ({"model": {"context": 16, "head": 8}}, "unknown model option 'head'; did you mean 'head_"),
        ({"model": {"context": 16, "head_size": 32, "mlp": "relu"}}, "one of gelu, swiglu"),
        ({"parametrization": "mpu"}, "unknown parametrization 'mpu'; did you mean 'mup'?"),
        ({"tokens": 0}, "tokens is 0"),
        ({"reports": 0}, "reports is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"data": "no/such/place"}, "no such file or folder"),
    ],
)
def test_configurations_are_refused(config: RunConfig, change: Mapping[str, object], says: str):
    assert says in refused(replace(config, **change))


USER_TRAINER = """
from trainers.protocol import Report

class Mine:
    def __init__(self, config):
        self.lr = config.setting["lr"]
    @classmethod
    def sizes(cls, shape, model):
        return shape["layers"] * 100, shape["layers"] * 100 + model.get("extra", 0)
    def step(self):
        return Report(1, 10, 60.0, self.lr, self.lr, self.lr, 0.0, "completed")
    def state_dict(self):
        return {}
    def load_state_dict(self, state):
        pass

class Unfinished:
    def step(self):
        pass
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_trainers.py").write_text(USER_TRAINER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_trainers", raising=False)
    return "my_trainers"


def test_a_class_of_ones_own(user_module: str):
    own = kind(f"{user_module}:Mine")
    setting = {"lr": 0.5, "batch_tokens": 10, "momentum": 0.9}
    config = RunConfig(own.name, {"layers": 3}, 100, setting, model={"extra": 7})
    assert own.sizes(config.shape, config.model) == (300, 307)
    assert own.complete(setting) == setting
    assert own.build(config).step().loss == 0.5


def test_a_class_of_ones_own_is_refused_with_what_it_lacks(user_module: str):
    with pytest.raises(TrainerError, match=r"lacks state_dict, load_state_dict, sizes; .*params"):
        kind(f"{user_module}:Unfinished")
    with pytest.raises(TrainerError, match="unknown class 'Mien'; did you mean 'Mine'"):
        kind(f"{user_module}:Mien")
    with pytest.raises(TrainerError, match="no module 'no_such_module'"):
        kind("no_such_module:Mine")
