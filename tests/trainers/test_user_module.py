"""A model of a user's own: the README's example learns, and what is wrong is told at the door."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.registry import kind

EXAMPLE = """
import math

import torch
from torch import nn

from trainers.parametrization import Fans, Tag, tag


class CountOnes:
    sample_tokens = 1  # a token is an example
    start_loss = math.log(17)  # nats of a guess that knows nothing

    def __init__(self, config, device):
        self.device = device

    @staticmethod
    def model(shape, options):
        width = shape["width"]
        first, middle, last = nn.Linear(16, width), nn.Linear(width, width), nn.Linear(width, 17)
        for layer, role in ((first, "input"), (middle, "hidden"), (last, "output")):
            fans = Fans(layer.in_features, layer.out_features)
            tag(layer.weight, Tag(role, fans, std=fans.fan_in**-0.5))
            tag(layer.bias, Tag("vector", Fans(1, layer.out_features)))
        return nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), last)

    def draw(self, n_samples, generator):  # a batch to train on
        bits = torch.randint(2, (n_samples, 16), generator=generator).to(self.device)
        return bits.float(), bits.sum(1)

    def loss(self, model, batch):  # calls the model it is given, and nothing else of it
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    def held_out(self, *, final):  # what reports are judged by
        return self.draw(4096 if final else 512, torch.Generator().manual_seed(1))
"""
TAG_OF_BIAS = 'tag(layer.bias, Tag("vector", Fans(1, layer.out_features)))'
RETURN = "return nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), last)"

CONFIG = RunConfig(
    "my_task:CountOnes",
    {"width": 64},
    300 * 64,
    {"lr": 0.01, "batch_tokens": 64},
    parametrization="mup",
    base={"width": 32},
    reports=2,
)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the example as the module my_task, with some of its code replaced."""

    def written(**replaced: str) -> None:
        source = EXAMPLE
        for old, new in ((TAG_OF_BIAS, replaced.get("bias")), (RETURN, replaced.get("model"))):
            assert old in source
            source = source if new is None else source.replace(old, new)
        (tmp_path / "my_task.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "my_task", raising=False)

    return written


def refused(config: RunConfig) -> str:
    with pytest.raises(TrainerError) as caught:
        kind(config.trainer).check(config)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("scheme", ["sp", "mup", "u-mup", "complete-p"])
def test_the_example_learns_under_any_scheme(write: Callable[..., None], scheme: str):
    write()
    # Under u-mup rates are of the order of 1, as every weight is.
    setting = {**CONFIG.setting, "lr": 0.2} if scheme == "u-mup" else CONFIG.setting
    trainer = kind(CONFIG.trainer).build(replace(CONFIG, parametrization=scheme, setting=setting))
    assert trainer.step().status == "running"
    last = trainer.step()
    assert last.status == "completed"
    assert last.loss < 1.2 < sys.modules["my_task"].CountOnes.start_loss


def test_its_size_leaves_out_the_first_layer_and_the_readout(write: Callable[..., None]):
    write()
    size = kind(CONFIG.trainer).sizes({"width": 8}, {})
    assert size == (8 * 8 + 8 + 8 + 17, 16 * 8 + 8 * 8 + 8 * 17 + 8 + 8 + 17)


def test_a_model_without_anything_between_its_first_layer_and_its_readout_is_refused(
    write: Callable[..., None],
):
    """A law of N has no logarithm of 0, and the runs table no row for it."""
    write(bias="layer.bias = None", model="return nn.Sequential(first, nn.ReLU(), last)")
    says = refused(CONFIG)
    assert "no parameter has the role hidden or vector, so N, the parameters between" in says
    assert "is 0 (of 2112 in all); give the model a layer between" in says
    write(model="return nn.Sequential(first, nn.ReLU(), last)")
    assert kind(CONFIG.trainer).sizes({"width": 8}, {}).params == 8 + 17


def test_parameters_without_a_role_are_named(write: Callable[..., None]):
    write(bias="pass")
    says = refused(CONFIG)
    assert "no role is given to '0.bias', '2.bias', '4.bias'; tag each parameter" in says


def test_of_many_parameters_without_a_role_the_rest_is_counted(write: Callable[..., None]):
    write(model="return nn.Sequential(first, *(nn.Linear(9, 9) for _ in range(6)))")
    assert "'1.weight', '1.bias', '2.weight', '2.bias', '3.weight' and 7 more" in refused(CONFIG)


NAMED = 'return nn.ModuleDict({"first": first, "middle": middle, "last": last%s})'
NORM = 'tag(nn.Parameter(torch.empty(width)), Tag("vector", Fans(1, width)))'


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("width > 32", "the model there has nothing like 'gain.0' of the run's"),
        ("width <= 32", "the run's model has nothing like 'gain.0' of the one there"),
    ],
)
def test_a_base_shape_of_another_kind_of_model_is_refused(
    write: Callable[..., None], more: str, says: str
):
    gain = f', **({{"gain": nn.ParameterList([{NORM}])}} if {more} else {{}})'
    write(model=NAMED % gain)
    assert f"base shape: {says}; the two must be one model, in two sizes" in refused(CONFIG)


def test_a_base_shape_may_have_fewer_blocks(write: Callable[..., None]):
    gains = f', "gains": nn.ParameterList([{NORM} for _ in range(shape["depth"])])'
    write(model=NAMED % gains)
    deeper = replace(CONFIG, shape={"width": 64, "depth": 5}, base={"width": 32, "depth": 2})
    kind(CONFIG.trainer).check(deeper)


def test_a_size_that_cannot_be_built_is_refused(write: Callable[..., None]):
    write(model=f"nn.MultiheadAttention(width, 16); {RETURN}")
    kind(CONFIG.trainer).check(CONFIG)
    says = refused(replace(CONFIG, shape={"width": 40}))
    assert (
        "my_task:CountOnes: model({'width': 40}) raised AssertionError: embed_dim must be div"
        in says
    )
    says = refused(replace(CONFIG, base={"width": 24}))
    assert "base shape: my_task:CountOnes: model({'width': 24}) raised AssertionError" in says
    says = refused(replace(CONFIG, shape={"hidden": 64}, base={}))
    assert "model({'hidden': 64}) raised KeyError: 'width'" in says
