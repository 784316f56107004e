import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from trainers.models.gpt import GPT, parameter_count
from trainers.models.gpt_shape import GPTShape, gpt_shape
from trainers.models.layers import initialise
from trainers.optimizers import adamw, set_lr
from trainers.parametrization import Rule, model_rules, tag_of
from trainers.tasks.text import next_byte_loss

SHAPES = [
    GPTShape(width, depth, head_size=head_size, mlp=mlp, norm_gains=gains)
    for width, depth, head_size in ((32, 1, 16), (96, 3, 32))
    for mlp in ("gelu", "swiglu")
    for gains in (False, True)
]


def initialised(shape: GPTShape, seed: int = 0) -> GPT:
    model = GPT(shape)
    rules = model_rules(model, model, "sp", "adamw")
    initialise(model, rules, torch.Generator().manual_seed(seed))
    return model


def awake(shape: GPTShape) -> GPT:
    """A model whose query and readout are not zero any more."""
    model = initialised(shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(1))
    return model


@pytest.mark.parametrize("shape", SHAPES)
def test_counts_are_exact(shape: GPTShape):
    model = GPT(shape)
    assert parameter_count(model) == shape.n_params_total
    assert parameter_count(model.blocks) == shape.n_params


@pytest.mark.parametrize("width", [32, 96, 768])
def test_n_is_12_l_d2(width: int):
    assert GPTShape(width, 2).n_params == 12 * 2 * width**2
    assert GPTShape(width, 2, mlp="swiglu").n_params == pytest.approx(24 * width**2, rel=0.005)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_untrained_model_guesses_uniformly(shape: GPTShape):
    windows = torch.randint(256, (4, 17))
    loss = next_byte_loss(initialised(shape), windows).item()
    assert loss == pytest.approx(math.log(256), rel=1e-6)


def test_no_token_sees_a_later_one():
    model = awake(GPTShape(32, 2, context=16))
    tokens = torch.randint(256, (1, 16))
    other = tokens.clone()
    other[0, 9:] = (other[0, 9:] + 1) % 256
    before, after = model(tokens), model(other)
    assert torch.equal(before[0, :9], after[0, :9])
    assert not torch.allclose(before[0, 9:], after[0, 9:])


def test_attention_depends_on_distance_not_on_place():
    attention = awake(GPTShape(32, 1, context=16)).double().blocks[0].attention
    model = GPT(GPTShape(32, 1, context=64)).double()
    x = torch.randn(1, 8, 32, dtype=torch.float64)
    here = attention(x, model.cos[:8], model.sin[:8])
    there = attention(x, model.cos[40:48], model.sin[40:48])
    torch.testing.assert_close(here, there, rtol=0, atol=1e-6)
    assert not torch.allclose(here, attention(x, model.cos[:8] * 0 + 1, model.sin[:8] * 0))


def test_every_parameter_starts_as_its_tag_says():
    model = initialised(GPTShape(96, 2, norm_gains=True))
    rules = model_rules(model, model, "sp", "adamw")
    for name, parameter in model.named_parameters():
        how = tag_of(name, parameter)
        if how.role == "vector":
            assert torch.all(parameter == 1)
            continue
        assert torch.all(parameter[: how.zero_rows] == 0)
        drawn = parameter[how.zero_rows :]
        if drawn.numel():
            assert drawn.std().item() == pytest.approx(rules[name].init_std, rel=0.05)


def test_a_seed_gives_the_same_model():
    first, again, other = (
        initialised(GPTShape(32, 1), seed).embedding.weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def losses(rules: Mapping[str, Rule], steps: int) -> list[float]:
    model = GPT(GPTShape(32, 2, context=16)).double()
    initialise(model, rules, torch.Generator().manual_seed(0))
    # ε = 0 up to what keeps bytes that do not occur from dividing 0 by 0.
    setting = {"lr": 0.01, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.95, "eps": 1e-300}
    optimizer = adamw(model, rules, setting)
    set_lr(optimizer, 0.01)
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(steps):
        loss = next_byte_loss(model, torch.randint(64, (4, 17), generator=generator))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("layer", ["embedding", "attention", "mlp", "readout"])
def test_abc_symmetry(layer: str):
    """With Adam, (multiplier, init, lr, λ) and (m/θ, θ·init, θ·lr, λ/θ) train the same model."""
    model = GPT(GPTShape(32, 2, context=16))
    rules = model_rules(model, model, "sp", "adamw")

    def scaled(rule: Rule, theta: float) -> Rule:
        return replace(
            rule,
            init_std=rule.init_std * theta,
            forward_multiplier=rule.forward_multiplier / theta,
            lr_multiplier=rule.lr_multiplier * theta,
            weight_decay_multiplier=rule.weight_decay_multiplier / theta,
        )

    twin = {name: scaled(r, 7.0) if layer in name else r for name, r in rules.items()}
    expected = losses(rules, 12)
    assert losses(twin, 12) == pytest.approx(expected, rel=1e-9)
    half = {
        name: replace(scaled(r, 7.0), lr_multiplier=r.lr_multiplier) if layer in name else r
        for name, r in rules.items()
    }
    assert losses(half, 12) != pytest.approx(expected, rel=1e-4)


def test_model_options_reach_the_shape():
    shape = gpt_shape({"width": 64, "depth": 3}, {"head_size": 32, "context": 128, "mlp": "swiglu"})
    assert shape == GPTShape(64, 3, head_size=32, context=128, mlp="swiglu")
    assert shape.n_heads == 2
