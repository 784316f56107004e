"""Does a feature move as much in a wide model as in a narrow one? The measurement of it.

Near-zero slopes of log change on log width under muP, slopes near one under the standard
parametrization, and a rule that is dropped shows.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainers import scaling_rules
from trainers.config import RunConfig, Value
from trainers.coordinate_check import LayerChange, judged_axes, measure, with_batch
from trainers.errors import TrainerError
from trainers.parametrization import Fans, Tag, tag
from trainers.task import Batch

WIDTHS = (32, 64, 128, 256)
GPT = RunConfig(
    trainer="gpt",
    shape={"width": 32, "depth": 2},
    tokens=1,
    setting={"lr": 2.0**-8, "batch_tokens": 512},
    parametrization="mup",
    base={"width": 32, "depth": 2},
    model={"context": 32},
)


def rows(config: RunConfig, sizes: Mapping[str, tuple[int, ...]], **how: int) -> list[LayerChange]:
    return [row for training in measure(config, sizes, **how) for row in training]


def slopes(config: RunConfig, axis: str = "width", sizes: tuple[int, ...] = WIDTHS) -> dict:
    """Return by layer the slope of its mean log change over the steps 2 to 4, of one seed."""
    found = rows(config, {axis: sizes}, seeds=1, steps=4)
    by_layer: dict[str, list[float]] = {}
    for layer in dict.fromkeys(row.layer for row in found if not row.inside or axis == "width"):
        means = [
            np.mean([r.log_rms for r in found if (r.layer, r.size) == (layer, s) and r.step > 1])
            for s in sizes
        ]
        by_layer[layer] = float(np.polyfit(np.log(sizes), means, 1)[0])
    return by_layer


def test_mup_passes_over_width():
    found = slopes(GPT)
    assert "embedding" in found
    assert "readout" in found
    assert max(map(abs, found.values())) <= 0.2


def test_sp_fails():
    assert max(slopes(replace(GPT, parametrization="sp")).values()) > 0.8


@pytest.mark.parametrize(("scheme", "passes"), [("complete-p", True), ("mup", False)])
def test_depth_needs_a_scheme_for_depth(scheme, passes):
    config = replace(GPT, parametrization=scheme)
    found = slopes(config, "depth", (2, 4, 8))
    assert set(found) == {"embedding", "blocks[half]", "blocks[last]", "readout"}
    assert (max(map(abs, found.values())) <= 0.2) is passes


def test_dropping_the_rate_of_hidden_matrices_fails(monkeypatch: pytest.MonkeyPatch):
    adam = scaling_rules.FAMILIES["adamw"]
    mutant = replace(adam, lr={**adam.lr, "hidden": 0.0})
    monkeypatch.setitem(scaling_rules.FAMILIES, "adamw", mutant)
    assert max(map(abs, slopes(GPT).values())) > 0.5


def test_dropping_the_forward_multiplier_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(scaling_rules.FORWARD_POWERS, "output", 0.0)
    assert max(map(abs, slopes(GPT).values())) > 0.5


def test_layers_behind_a_readout_that_starts_at_zero_move_from_the_second_step_on():
    found = rows(GPT, {"width": (32,)}, seeds=1, steps=3)
    assert {row.layer for row in found if row.step == 1} == {"readout"}
    moved = {row.layer for row in found if row.step == 2}
    block = ("", ".attention.qkv", ".attention.out", ".mlp.up", ".mlp.down")
    assert moved == {
        "embedding",
        *(f"blocks.{number}{part}" for number in range(2) for part in block),
        "readout",
    }


def test_what_is_inside_a_block_is_told_from_the_stream():
    found = rows(GPT, {"width": (32,)}, seeds=1, steps=2)
    inside = {row.layer for row in found if row.inside}
    assert {"blocks.0.mlp.up", "blocks.1.attention.out"} <= inside
    assert not {"blocks.0", "blocks.1", "embedding", "readout"} & inside


def test_rows_are_the_same_again_and_of_every_size_and_seed():
    sizes = {"width": (32, 48), "depth": (2, 3)}
    first, again = (rows(GPT, sizes, seeds=2, steps=2) for _ in range(2))
    assert first == again
    assert {(row.axis, row.size, row.seed) for row in first} == {
        (axis, size, seed) for axis, of_axis in sizes.items() for size in of_axis for seed in (0, 1)
    }
    seeds = [[r.log_rms for r in first if (r.size, r.seed) == (32, seed)] for seed in (0, 1)]
    assert seeds[0] != seeds[1]


def test_activations_that_blow_up_are_told():
    config = replace(GPT, parametrization="sp", setting={**GPT.setting, "lr": 1e30})
    found = rows(config, {"width": (32,)}, seeds=1, steps=4)
    assert any(math.isnan(row.log_rms) for row in found)


def test_only_schemes_that_scale_branches_are_judged_over_depth():
    over_depth = {name for name in scaling_rules.SCHEMES if "depth" in judged_axes(name)}
    assert over_depth == {"depth-mup", "complete-p", "u-mup"}
    assert all("width" in judged_axes(name) for name in scaling_rules.SCHEMES)


class OwnModel(nn.Module):
    """Three plain torch layers, tagged."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(8, width, bias=False)
        self.middle = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, 1, bias=False)
        tag(self.first.weight, Tag("input", Fans(8, width), std=8**-0.5))
        tag(self.middle.weight, Tag("hidden", Fans(width, width)))
        tag(self.out.weight, Tag("output", Fans(width, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return a number a sample."""
        y: Tensor = self.out(torch.tanh(self.middle(torch.tanh(self.first(x)))))[..., 0]
        return y


class OwnTask:
    """A regression on random features; a user's class."""

    sample_tokens = 1
    start_loss = 1.0

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self._device = device

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        """Return the model."""
        return OwnModel(shape["width"])

    def draw(self, n_samples: int, generator: torch.Generator) -> Batch:
        """Return random inputs and the targets that go with them."""
        x = torch.randn(n_samples, 8, generator=generator)
        return x.to(self._device), x.sum(1).to(self._device)

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return the mean squared error."""
        return (model(batch[0]) - batch[1]).square().mean()

    def held_out(self, *, final: bool) -> Batch:
        """Return samples of a seed of their own."""
        return self.draw(8, torch.Generator().manual_seed(9))


OWN = RunConfig(f"{__name__}:OwnTask", {"width": 32}, 1, {"lr": 1e-3}, 0, "mup", {"width": 32})


def test_a_model_of_ones_own_is_checked_by_its_tags():
    config = with_batch(OWN)
    assert config.setting["batch_tokens"] == 16
    found = slopes(config)
    assert set(found) == {"first", "middle", "out"}
    assert max(map(abs, found.values())) <= 0.2
    assert max(slopes(replace(config, parametrization="sp")).values()) > 0.5


@pytest.mark.parametrize(
    ("config", "sizes", "said"),
    [
        (GPT, {"width": (32, 40)}, "width 40 does not split into heads"),
        (replace(GPT, parametrization="mpu"), {"width": (32,)}, "did you mean 'mup'"),
        (replace(GPT, setting={"lr": 1e-3, "batch_tokens": 33}), {"width": (32,)}, "32 and 64"),
        (replace(GPT, trainer="simulated"), {"width": (32,)}, "trains by itself"),
        (
            replace(GPT, setting={**GPT.setting, "optimizer": "gravity"}),
            {"width": (32,)},
            "gravity",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_trains(config, sizes, said):
    with pytest.raises(TrainerError, match=said):
        measure(config, sizes)


def test_an_axis_that_the_model_does_not_grow_with_is_refused():
    with pytest.raises(TrainerError, match="has 1312 parameters at depth 2 as at depth 4"):
        measure(with_batch(OWN), {"width": (32, 64), "depth": (2, 4)})


class TwoLosses(OwnTask):
    """A task whose loss is one a sample."""

    def loss(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Return squared errors."""
        return (model(batch[0]) - batch[1]).square()


class NoBatch(OwnTask):
    """A task that raises where it draws."""

    def draw(self, n_samples: int, generator: torch.Generator) -> Batch:
        """Raise what torch raises of shapes that do not fit."""
        return (torch.zeros(3) + torch.zeros(2),)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("TwoLosses", r"loss returned a tensor of shape \(16,\); it must be the mean"),
        ("NoBatch", rf"raised RuntimeError: The size of .* \(.*{__name__.split('.')[-1]}\.py:"),
    ],
)
def test_a_task_of_ones_own_that_raises_is_told_of_in_one_line(task: str, said: str):
    name = f"{__name__}:{task}"
    config = RunConfig(name, {"width": 32}, 1, {"lr": 1e-3}, 0, "mup", {"width": 32})
    with pytest.raises(TrainerError, match=said) as caught:
        rows(with_batch(config), {"width": (32, 64)})
    assert "\n" not in str(caught.value)
