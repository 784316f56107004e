import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.trainers.running import finish
from trainers.config import RunConfig, Value
from trainers.errors import TrainerError
from trainers.loop_settings import LOOP_SETTINGS
from trainers.models.gpt import GPT
from trainers.models.gpt_shape import GPTShape
from trainers.optimizer_names import OPTIMIZERS, check_name, settings_read
from trainers.optimizers import Together, build_optimizer, load_moments, set_hyperparameters, set_lr
from trainers.parametrization import Fans, Role, Rule, Tag, model_rules, tag
from trainers.protocol import Trainer
from trainers.registry import kind

SETTING: dict[str, Value] = {
    "lr": 0.01,
    "weight_decay": 0.0,
    "beta1": 0.9,
    "beta2": 0.95,
    "eps": 1e-8,
}
PLAIN = Rule(1.0, 1.0, 1.0, 1.0, 1.0)
FURTHER = ["adan", "prodigy", "ranger", "scalableshampoo"]
"""Some of pytorch-optimizer's by name: moments, counters in groups, slow weights, objects."""


class One(nn.Module):
    """A single tensor of a role."""

    def __init__(self, values: torch.Tensor, role: Role = "hidden") -> None:
        super().__init__()
        how = Tag(role, Fans(values.shape[-1], values.shape[0]))
        self.weight = tag(nn.Parameter(values.clone()), how)


def stepped(
    optimizer: str, gradients: list[torch.Tensor], rule: Rule = PLAIN, **setting: Value
) -> torch.Tensor:
    """How a tensor of ones has moved after steps along `gradients`."""
    model = One(torch.ones_like(gradients[0]))
    built = build_optimizer(model, {"weight": rule}, {**SETTING, "optimizer": optimizer, **setting})
    for gradient in gradients:
        model.weight.grad = gradient.clone()
        built.step()
    return model.weight.detach() - 1


GRADIENT = torch.tensor([[1.0, -2.0], [-0.5, 4.0]])


def test_first_steps_are_known():
    sign = GRADIENT.sign()
    torch.testing.assert_close(stepped("adamw", [GRADIENT]), -0.01 * sign)
    torch.testing.assert_close(stepped("lion", [GRADIENT]), -0.01 * sign)
    torch.testing.assert_close(stepped("sgd", [GRADIENT]), -0.01 * GRADIENT)
    heavy = stepped("sgd", [GRADIENT, GRADIENT], beta1=0.5)
    torch.testing.assert_close(heavy, -0.01 * (1 + 1.5) * GRADIENT)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion", "adafactor", "muon", "adabelief"])
@pytest.mark.parametrize("n_steps", [1, 100])
def test_decay_shrinks_by_lr_times_lambda(optimizer: str, n_steps: int):
    """The multipliers of lr and λ both count; a gradient of zero leaves decay alone."""
    rule = Rule(1.0, 1.0, 3.0, 5.0, 1.0)
    nothing = torch.zeros(2, 2)
    moved = stepped(optimizer, [nothing] * n_steps, rule, weight_decay=0.1)
    torch.testing.assert_close(moved, torch.full((2, 2), (1 - 0.01 * 3 * 0.1 * 5) ** n_steps - 1))


def test_decay_of_sgd_is_apart_from_its_momentum():
    gradients = [GRADIENT * factor for factor in torch.linspace(-1, 2, 50)]
    weights, momentum = torch.ones(2, 2), torch.zeros(2, 2)
    for gradient in gradients:
        momentum = 0.9 * momentum + gradient
        weights = weights - 0.01 * 0.5 * weights - 0.01 * momentum
    torch.testing.assert_close(stepped("sgd", gradients, weight_decay=0.5), weights - 1)


def test_vectors_are_not_decayed():
    model = One(torch.ones(4), "vector")
    optimizer = build_optimizer(
        model, {"weight": PLAIN}, {**SETTING, "optimizer": "adamw", "weight_decay": 0.5}
    )
    model.weight.grad = torch.zeros(4)
    optimizer.step()
    assert torch.all(model.weight == 1)


def test_steps_of_adafactor_are_not_relative():
    """Neither to the tensor's size nor to 1/√step, unlike those of torch's by default."""
    gradient = torch.ones(3, 3)
    model = One(torch.zeros(3, 3))
    optimizer = build_optimizer(
        model, {"weight": PLAIN}, {**SETTING, "optimizer": "adafactor", "lr": 0.5}
    )
    for n_steps in range(1, 30):
        model.weight.grad = gradient.clone()
        optimizer.step()
        torch.testing.assert_close(model.weight, torch.full((3, 3), -0.5 * n_steps))


def test_muon_trains_hidden_matrices_and_adamw_the_rest():
    model = GPT(GPTShape(32, 1, norm_gains=True))
    rules = model_rules(model, GPT(GPTShape(16, 1, norm_gains=True)), "mup", "muon")
    optimizer = build_optimizer(model, rules, {**SETTING, "optimizer": "muon"})
    assert isinstance(optimizer, Together)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    by_muon = {
        names[id(parameter)]
        for group in optimizer.param_groups
        for parameter in group["params"]
        if "nesterov" in group
    }
    assert by_muon == {name for name in names.values() if ".attention." in name or ".mlp." in name}
    lr = {name: rule.lr_multiplier for name, rule in rules.items()}
    assert {lr[name] for name in by_muon} == {1.0}  # Muon's rule for hidden matrices
    assert lr["embedding.weight"] == 1.0  # AdamW's for inputs, where Muon's would be √2


@pytest.mark.parametrize(("optimizer", "rms"), [("muon", 4**-0.5), ("muon-rms", 0.2)])
def test_the_size_of_muons_steps(optimizer: str, rms: float):
    """A square matrix steps with all singular values near 1, or as AdamW's usual RMS of 0.2."""
    gradient = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    moved = stepped(optimizer, [gradient]).square().mean().sqrt().item()
    assert moved == pytest.approx(0.01 * rms, rel=0.3)


def test_epsilon_is_in_the_gradients_unit_also_where_it_is_added_to_its_square():
    half_way = torch.full((2, 2), 1e-3)
    moved = stepped("adamw", [half_way], eps=1e-3)
    torch.testing.assert_close(moved, torch.full((2, 2), -0.005), rtol=1e-3, atol=0)
    adabelief = stepped("adabelief", [half_way], eps=1e-3, beta1=0.0)
    # The gradient is as foretold, so what is left of its variance is ε², bias-corrected.
    belief = 1e-3 / ((1e-3**2 / (1 - 0.95)) ** 0.5 + 1e-3**2)
    torch.testing.assert_close(adabelief, torch.full((2, 2), -0.01 * belief), rtol=1e-3, atol=0)


def test_shampoos_epsilon_is_in_its_preconditioners():
    optimizer = build_optimizer(
        One(GRADIENT), {"weight": PLAIN}, {**SETTING, "optimizer": "shampoo", "eps": 0.125}
    )
    (group,) = optimizer.param_groups
    assert (group["matrix_eps"], group["momentum"]) == (0.125, 0.0)


def test_soap_leaves_vectors_to_adam_whatever_their_dimensions():
    model = One(torch.ones(8, 1, 1), "vector")
    optimizer = build_optimizer(model, {"weight": PLAIN}, {**SETTING, "optimizer": "soap"})
    gradient = torch.linspace(1, 8, 8)[:, None, None]
    for _ in range(2):  # the first step only looks at the gradient
        model.weight.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(model.weight.detach() - 1, torch.full((8, 1, 1), -0.01))


def start(config: RunConfig, **setting: Value) -> Trainer:
    return kind("gpt").build(replace(config, setting={**config.setting, **setting}))


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, *FURTHER])
def test_a_run_that_was_saved_goes_on_bit_for_bit(config: RunConfig, optimizer: str):
    if optimizer in ("gravity", *FURTHER):
        config = replace(config, parametrization="sp")
    else:
        config = replace(config, parametrization="complete-p", base={"width": 16, "depth": 1})
    straight = finish(start(config, optimizer=optimizer))
    assert straight[-1].status == "completed"
    first, second = start(config, optimizer=optimizer), start(config, optimizer=optimizer)
    before = [replace(first.step(), seconds=0.0) for _ in range(2)]
    second.step()  # nothing of what it did before must remain
    second.load_state_dict(first.state_dict())
    torch.rand(1)  # nor must it depend on the global random numbers
    assert before + finish(second) == straight


def test_what_an_optimizer_draws_is_its_own(config: RunConfig):
    optimizer = "gravity"  # its velocity starts at random
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first = finish(start(config, optimizer=optimizer))
    assert torch.equal(torch.rand(3), expected)
    assert finish(start(config, optimizer=optimizer)) == first
    other = start(replace(config, seed=1), optimizer=optimizer)
    assert finish(other) != first


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS])
def test_each_learns(config: RunConfig, optimizer: str):
    rates = {"sgd": 0.5, "lion": 0.003, "shampoo": 0.3, "gravity": 3.0}
    setting = {"optimizer": optimizer, "batch_tokens": 256, "lr": rates.get(optimizer, 0.01)}
    last = finish(start(replace(config, tokens=30 * 256), **setting))[-1]
    assert last.loss < 4.5  # of ln 256 = 5.5


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS])
def test_an_optimizer_reads_what_it_says_it_reads(config: RunConfig, optimizer: str):
    base = finish(start(config, optimizer=optimizer))[-1].loss
    for name, value in {"weight_decay": 0.9, "beta1": 0.5, "beta2": 0.5, "eps": 1e-2}.items():
        changed = finish(start(config, optimizer=optimizer, **{name: value}))[-1].loss
        assert (changed != base) == (name in settings_read(optimizer)), name


def test_sgd_decays_only_where_it_is_told_to(config: RunConfig):
    """At the rates that serve it AdamW's λ is too large."""
    setting = {**config.setting, "optimizer": "sgd"}
    assert kind("gpt").complete(setting)["weight_decay"] == 0.0
    assert kind("gpt").complete({**setting, "weight_decay": 0.1})["weight_decay"] == 0.1
    config = replace(config, tokens=100 * 256)
    plain = finish(start(config, optimizer="sgd", batch_tokens=256, lr=1.0))[-1].loss
    decayed = start(config, optimizer="sgd", batch_tokens=256, lr=1.0, weight_decay=0.1)
    assert plain < finish(decayed)[-1].loss


def test_a_trainer_s_own_default_comes_before_the_optimizer_s():
    rule = replace(LOOP_SETTINGS["weight_decay"], default=5e-4)
    own = replace(kind("gpt"), settings={**LOOP_SETTINGS, "weight_decay": rule})
    setting = own.complete({"lr": 1.0, "batch_tokens": 256, "optimizer": "sgd"})
    assert setting["weight_decay"] == 5e-4


def test_of_others_what_is_not_given_is_their_own(config: RunConfig):
    gpt = kind("gpt")
    assert gpt.complete({"lr": 1, "batch_tokens": 64})["beta2"] == 0.95
    adan = gpt.complete({"lr": 1, "batch_tokens": 64, "optimizer": "adan", "beta2": 0.5})
    assert (adan["beta1"], adan["beta2"], adan["eps"]) == (0.98, 0.5, 1e-8)
    assert settings_read("adan") == ("weight_decay", "beta1", "beta2", "eps")
    model = One(GRADIENT)
    (group,) = build_optimizer(model, {"weight": PLAIN}, adan).param_groups
    assert group["betas"] == (0.98, 0.5, 0.99)


def test_hyperparameters_are_the_runs_own_and_counters_the_states():
    def built(**setting: Value) -> tuple[One, object]:
        model = One(GRADIENT)
        return model, build_optimizer(
            model, {"weight": PLAIN}, {**SETTING, "optimizer": "adabelief", **setting}
        )

    model, first = built()
    for _ in range(3):
        model.weight.grad = GRADIENT.clone()
        first.step()
    _, second = built(lr=0.5, beta1=0.1, eps=1e-3, weight_decay=0.25)
    load_moments(second, first.state_dict())
    (group,) = second.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.5, (0.1, 0.95), 0.25)
    assert group["step"] == 3
    set_lr(second, 0.125)
    set_hyperparameters(second, {**SETTING, "beta1": 0.2})
    assert (group["lr"], group["betas"]) == (0.125, (0.2, 0.95))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adamww", r"unknown optimizer 'adamww'; did you mean 'adamw'\?"),
        ("AdamP", r"unknown optimizer 'AdamP'; did you mean 'adamp'\?"),
        ("lomo", "'lomo' of pytorch-optimizer needs model"),
        ("ranger21", "needs num_iterations"),
        ("sophiah", "needs second derivatives"),
        ("schedulefreeadamw", "has weights to be judged that are not those it trains"),
        ("kron", "could not be repeated"),
        ("adamuon", "must be told tensor by tensor"),
        ("alig", "takes no learning rate"),
    ],
)
def test_names_that_are_wrong(name: str, message: str):
    with pytest.raises(TrainerError, match=message):
        check_name(name)


def test_an_optimizer_is_checked_before_a_run_is_built(config: RunConfig):
    with pytest.raises(TrainerError, match=r"did you mean 'lion'\?"):
        start(config, optimizer="lions")
    with pytest.raises(TrainerError, match=r"'gravity' .* is not known; use parametrization sp"):
        start(replace(config, parametrization="mup"), optimizer="gravity")
    told: Mapping[str, Value] = {"optimizer_rules": "sgd"}
    mup = replace(config, parametrization="mup", parametrization_options=told)
    assert finish(start(mup, optimizer="gravity"))[-1].status == "completed"


def test_without_pytorch_optimizer_its_names_say_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    check_name("adamw")
    for name in ("lion", "adan"):
        with pytest.raises(TrainerError, match="pip install pytorch-optimizer"):
            check_name(name)
