"""Does a feature move as much in a wide model as in a narrow one?

The slope of log RMS of each layer's change after a few steps against log width: near zero under
muP, near one under the standard parametrization (see Tensor Programs V, appendix D).
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainers import data, parametrization
from trainers.models.gpt import GPT
from trainers.models.gpt_shape import GPTShape
from trainers.models.layers import initialise
from trainers.optimizers import adamw, set_lr
from trainers.parametrization import model_rules
from trainers.tasks.text import next_byte_loss

WIDTHS = (32, 64, 128, 256)
STEPS = (2, 3, 4)  # hidden layers wait for the readout, which starts at zero, to move first
LR = 2.0**-6
SETTING = {"lr": LR, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8}


def changes(scheme: str, width: int, seed: int) -> dict[tuple[str, int], float]:
    """Return the log RMS change of each layer's output after each of STEPS."""
    generator = torch.Generator().manual_seed(seed)
    model = GPT(GPTShape(width, 2, context=32))
    rules = model_rules(model, GPT(GPTShape(WIDTHS[0], 2)), scheme, "adamw")
    initialise(model, rules, generator)
    optimizer = adamw(model, rules, SETTING)
    set_lr(optimizer, LR)
    text = torch.from_numpy(data.load(data.STDLIB).train)
    offsets = torch.arange(33)

    def windows() -> Tensor:
        starts = torch.randint(len(text) - 32, (16, 1), generator=generator)
        return text[starts + offsets].long()

    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[name] = output.detach()

        return hook

    for name, module in model.named_modules():
        if name.endswith(("attention", "mlp", "readout")):
            module.register_forward_hook(keep(name))
    probe = windows()[:, :-1]
    model(probe)
    before = dict(outputs)
    logs = {}
    for step in range(1, max(STEPS) + 1):
        loss = next_byte_loss(model, windows())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in STEPS:
            model(probe)
            for name, output in outputs.items():
                rms = (output - before[name]).square().mean().sqrt()
                logs[name, step] = math.log(rms.item())
    return logs


def slopes(scheme: str, seeds: int = 3) -> list[float]:
    """Return the slope of each layer at each step, against log width."""
    runs = [[changes(scheme, width, seed) for seed in range(seeds)] for width in WIDTHS]
    means = [{key: np.mean([run[key] for run in same]) for key in same[0]} for same in runs]
    return [
        float(np.polyfit(np.log(WIDTHS), [mean[key] for mean in means], 1)[0]) for key in means[0]
    ]


def test_mup_passes():
    assert max(abs(slope) for slope in slopes("mup")) <= 0.2


def test_sp_fails():
    assert max(slopes("sp", seeds=1)) > 0.8


@pytest.mark.parametrize(("role", "field"), [("hidden", "lr"), ("output", "forward")])
def test_dropping_a_rule_fails(role: str, field: str, monkeypatch: pytest.MonkeyPatch):
    mup = parametrization._TABLE["mup", "adamw"]
    mutant = {**mup, role: replace(mup[role], **{field: 0.0})}
    monkeypatch.setitem(parametrization._TABLE, ("mup", "adamw"), mutant)
    assert max(abs(slope) for slope in slopes("mup", seeds=1)) > 0.5
