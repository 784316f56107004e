from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.config import Value
from trainers.initialisation import initialise, parametrize
from trainers.models.gpt import GPT
from trainers.models.gpt_shape import GPTShape
from trainers.models.layers import Linear
from trainers.optimizer_names import OPTIMIZERS
from trainers.optimizers import build_optimizer
from trainers.parametrization import Fans, Rule, RuleOptions, Tag, model_rules, tag, tag_of
from trainers.scaling_rules import FAMILIES, rescaled
from trainers.tasks.text import next_byte_loss

OPTIONS = RuleOptions()
SETTING: dict[str, Value] = {
    "optimizer": "adamw",
    "lr": 0.01,
    "weight_decay": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "eps": 1e-6,
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("scheme", ["sp", "mup", "u-mup", "complete-p"])
def test_every_parameter_starts_as_its_rule_and_tag_say(scheme: str):
    shape = GPTShape(96, 2, norm_gains=True)
    model, base = GPT(shape), GPT(replace(shape, width=48))
    applied = parametrize(model, base, scheme, "adamw", OPTIONS, seeded())
    found = model_rules(model, base, scheme, "adamw")
    modules = dict(model.named_modules())
    for name, parameter in model.named_parameters():
        how = tag_of(name, parameter)
        assert applied[name] == found[name]
        if how.role == "vector":
            assert torch.all(parameter == 1)
            continue
        layer = modules[name.removesuffix(".weight")]
        assert layer.multiplier == found[name].forward_multiplier
        assert torch.all(parameter[: how.zero_rows] == 0)
        drawn = parameter[how.zero_rows :].flatten()
        if drawn.numel():
            assert drawn.std().item() == pytest.approx(found[name].init_std, rel=0.03)
            assert abs(drawn.mean().item()) < 4 * found[name].init_std / len(drawn) ** 0.5
            within = (drawn.abs() < found[name].init_std).float().mean().item()
            assert within == pytest.approx(0.683, abs=0.02)  # of a normal distribution


def test_a_seed_gives_the_same_model():
    def embedding(seed: int) -> Tensor:
        model = GPT(GPTShape(32, 1))
        parametrize(model, model, "sp", "adamw", OPTIONS, seeded(seed))
        return model.embedding.weight

    assert torch.equal(embedding(0), embedding(0))
    assert not torch.equal(embedding(0), embedding(1))


class Branch(nn.Module):
    """x + W₂ gelu(W₁ x), by layers that `linear` makes."""

    def __init__(self, linear: Callable[..., nn.Module], width: int, blocks: int) -> None:
        super().__init__()
        self.up = linear(width, 2 * width, "hidden", blocks=blocks)
        self.down = linear(2 * width, width, "hidden", blocks=blocks, closes_branch=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(x)))


class Net(nn.Module):
    """A small residual net over 6 numbers, by layers that `linear` makes."""

    def __init__(self, linear: Callable[..., nn.Module], width: int, blocks: int) -> None:
        super().__init__()
        self.first = linear(6, width, "input", std=6**-0.5)
        self.blocks = nn.Sequential(*(Branch(linear, width, blocks) for _ in range(blocks)))
        self.last = linear(width, 3, "output")

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.blocks(self.first(x)))


def plain_linear(fan_in: int, fan_out: int, role: str, **further: object) -> nn.Linear:
    """torch's own, tagged, as a user's model has it: it knows no multiplier."""
    layer = nn.Linear(fan_in, fan_out, bias=False)
    tag(layer.weight, Tag(role, Fans(fan_in, fan_out), **further))
    return layer


NO_POWERS_OF_TWO = ("u-mup", "depth-mup")


def losses_of_net(
    linear: Callable[..., nn.Module], scheme: str, optimizer: str, steps: int = 8
) -> list[float]:
    model, base = Net(linear, 16, 4).double(), Net(linear, 8, 2)
    rules = parametrize(model, base, scheme, optimizer, OPTIONS, seeded())
    optimizer_ = build_optimizer(model, rules, {**SETTING, "optimizer": optimizer})
    generator = seeded(1)
    found = []
    for _ in range(steps):
        x = torch.randn(32, 6, dtype=torch.float64, generator=generator)
        loss = F.cross_entropy(model(x), (x.sum(1) > 0).long())
        optimizer_.zero_grad()
        loss.backward()
        optimizer_.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize(
    ("optimizer", "scheme"),
    [
        (optimizer, scheme)
        for optimizer in FAMILIES
        for scheme in ("mup", "u-mup", "depth-mup", "complete-p")
        if optimizer in OPTIMIZERS and (optimizer != "soap" or scheme not in NO_POWERS_OF_TWO)
    ],
)
def test_a_model_without_multipliers_trains_as_one_with_them(scheme: str, optimizer: str):
    """Also with ε, decay and momentum: what is folded away is exact, not only where ε is 0.

    Muon is looser, as its step is computed in half precision, AdaBelief as it adds ε twice. SOAP's
    eigenvectors of what has no gradient yet are a matter of rounding: its multipliers must be exact
    powers of two, as those of u-mup and depth-mup are not here.
    """
    exact = 1e-3 if optimizer.startswith("muon") else 1e-6 if optimizer == "adabelief" else 1e-9
    with_them = losses_of_net(Linear, scheme, optimizer)
    assert losses_of_net(plain_linear, scheme, optimizer) == pytest.approx(with_them, rel=exact)


def test_a_folded_bias_starts_where_its_branch_would_have_it():
    class Shift(nn.Module):
        def __init__(self, blocks: int) -> None:
            super().__init__()
            how = Tag("vector", Fans(1, 4), blocks=blocks, closes_branch=True, start=1.0)
            self.shift = tag(nn.Parameter(torch.empty(4)), how)

    model = Shift(8)
    rules = parametrize(model, Shift(2), "complete-p", "adamw", OPTIONS, seeded())
    assert torch.all(model.shift == 1 / 4)
    assert rules["shift"].lr_multiplier == 1 / 4


def losses_of_gpt(rules: Mapping[str, Rule], optimizer: str, steps: int) -> list[float]:
    model = GPT(GPTShape(32, 2, context=16)).double()
    applied = initialise(model, rules, optimizer, OPTIONS, seeded())
    # ε = 0 up to what keeps bytes that do not occur from dividing 0 by 0.
    setting = {**SETTING, "optimizer": optimizer, "eps": 1e-300}
    optimizer_ = build_optimizer(model, applied, setting)
    generator = seeded(1)
    found = []
    for _ in range(steps):
        loss = next_byte_loss(model, torch.randint(64, (4, 17), generator=generator))
        optimizer_.zero_grad()
        loss.backward()
        optimizer_.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize(("optimizer", "power"), [("adamw", 1), ("lion", 1), ("sgd", 2)])
@pytest.mark.parametrize("layer", ["embedding", "attention", "mlp", "readout"])
def test_abc_symmetry(layer: str, optimizer: str, power: int):
    """(multiplier, init, lr, λ) and (m/θ, θ·init, θ·lr, λ/θ) train the same model; SGD: θ²·lr."""
    model = GPT(GPTShape(32, 2, context=16))
    rules = model_rules(model, model, "sp", optimizer)

    def scaled(rule: Rule, theta: float) -> Rule:
        return replace(
            rule,
            init_std=rule.init_std * theta,
            forward_multiplier=rule.forward_multiplier / theta,
            lr_multiplier=rule.lr_multiplier * theta**power,
            weight_decay_multiplier=rule.weight_decay_multiplier / theta**power,
        )

    twin = {name: scaled(r, 7.0) if layer in name else r for name, r in rules.items()}
    expected = losses_of_gpt(rules, optimizer, 12)
    assert losses_of_gpt(twin, optimizer, 12) == pytest.approx(expected, rel=1e-9)
    half = {
        name: replace(twin[name], lr_multiplier=rule.lr_multiplier) for name, rule in rules.items()
    }
    assert losses_of_gpt(half, optimizer, 12) != pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_rescaling_is_the_abc_symmetry(optimizer: str):
    rule = Rule(0.5, 1.0, 3.0, 2.0, 0.1)
    twice = rescaled(rule, FAMILIES[optimizer], 2.0)
    rate = 4 if optimizer == "sgd" else 2
    assert (twice.init_std, twice.forward_multiplier) == (1.0, 0.5)
    assert twice.lr_multiplier == 3.0 * rate
    assert twice.weight_decay_multiplier == 2.0 / rate
