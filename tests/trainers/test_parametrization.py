from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.trainers.linear_task import LinearTask
from trainers.config import RunConfig, Value
from trainers.errors import TrainerError
from trainers.models.gpt import GPT
from trainers.models.gpt_shape import GPTShape
from trainers.parametrization import (
    SCHEMES,
    Fans,
    Role,
    RuleOptions,
    Tag,
    folded,
    model_rules,
    rule_options,
    rules,
    tag,
)
from trainers.protocol import Report
from trainers.registry import kind
from trainers.scaling_rules import FAMILIES, RULE_OPTIONS
from trainers.tags import ROLES

WITH_A_BASE = [scheme for scheme in SCHEMES if scheme not in ("sp", "u-mup")]

sizes = st.integers(1, 10**5)
tags = st.builds(
    Tag,
    role=st.sampled_from(ROLES),
    fans=st.builds(Fans, sizes, sizes),
    blocks=st.integers(1, 200),
    closes_branch=st.booleans(),
    std=st.none() | st.floats(1e-3, 10),
)
options = st.builds(
    RuleOptions,
    **{name: st.sampled_from(rule.choices) for name, rule in RULE_OPTIONS.items()},
)


@given(
    scheme=st.sampled_from(WITH_A_BASE),
    optimizer=st.sampled_from([*FAMILIES]),
    own=tags,
    options=options,
)
def test_at_the_base_shape_every_scheme_is_sp_exactly(
    scheme: str, optimizer: str, own: Tag, options: RuleOptions
):
    assert rules(scheme, optimizer, own, own, options) == rules("sp", optimizer, own, own)


@given(own=tags, base=tags)
def test_sp_depends_on_neither_the_base_shape_nor_the_optimizer(own: Tag, base: Tag):
    assert rules("sp", "adamw", own, base) == rules("sp", "anything", own, own)


@given(optimizer=st.sampled_from([*FAMILIES]), own=tags, base=tags)
def test_u_mup_has_no_base_and_starts_with_unit_variance(optimizer: str, own: Tag, base: Tag):
    rule = rules("u-mup", optimizer, own, replace(base, role=own.role))
    assert rule == rules("u-mup", optimizer, own, own)
    assert rule.init_std == (0 if own.role == "vector" else pytest.approx(1))


@given(
    scheme=st.sampled_from(SCHEMES),
    optimizer=st.sampled_from([*FAMILIES]),
    own=tags,
    base=tags,
    options=options,
)
def test_without_a_choice_decay_holds_lr_times_lambda(
    scheme: str, optimizer: str, own: Tag, base: Tag, options: RuleOptions
):
    options = replace(options, hidden_decay="linear")
    rule = rules(scheme, optimizer, own, replace(base, role=own.role), options)
    assert rule.lr_multiplier * rule.weight_decay_multiplier == pytest.approx(1)


@given(scheme=st.sampled_from(SCHEMES), optimizer=st.sampled_from([*FAMILIES]), own=tags, base=tags)
def test_folding_leaves_no_forward_multiplier_and_the_same_decay(
    scheme: str, optimizer: str, own: Tag, base: Tag
):
    rule = rules(scheme, optimizer, own, replace(base, role=own.role))
    found = folded(rule, optimizer)
    assert found.forward_multiplier == 1
    assert found.init_std == pytest.approx(rule.init_std * rule.forward_multiplier)
    assert folded(found, optimizer) == found


def test_a_spread_of_ones_own_is_taken_from_the_base():
    own = Tag("hidden", Fans(64, 64), std=0.02)
    base = Tag("hidden", Fans(16, 16), std=0.04)
    assert rules("sp", "adamw", own, base).init_std == 0.02
    assert rules("mup", "adamw", own, base).init_std == 0.02  # 0.04 / √4
    assert rules("u-mup", "adamw", own, base).forward_multiplier == pytest.approx(0.02)


def test_unknown_names_say_what_there_is():
    own = Tag("hidden", Fans(8, 8))
    with pytest.raises(TrainerError, match=r"parametrization 'mupp'; did you mean 'mup'\?"):
        rules("mupp", "adamw", own, own)
    with pytest.raises(TrainerError, match=r"unknown role 'hiden'; did you mean 'hidden'\?"):
        Tag("hiden", Fans(8, 8))
    with pytest.raises(TrainerError, match=r"blocks is 0; give the stack's blocks"):
        Tag("hidden", Fans(8, 8), closes_branch=True)


def test_an_optimizer_without_rules_is_refused_with_what_would_be_right():
    own = Tag("hidden", Fans(8, 8))
    assert rules("sp", "gravity", own, own).lr_multiplier == 1
    refused = r"'gravity' .* not known; use parametrization sp, or say by .*optimizer_rules"
    with pytest.raises(TrainerError, match=refused):
        rules("mup", "gravity", own, own)


def test_options_are_checked():
    assert rule_options({}) == RuleOptions()
    assert rule_options({"hidden_decay": "sqrt"}) == RuleOptions(hidden_decay="sqrt")
    with pytest.raises(TrainerError, match=r"option 'hiden_decay'; did you mean 'hidden_decay'\?"):
        rule_options({"hiden_decay": "sqrt"})
    with pytest.raises(TrainerError, match="hidden_decay is 'cubic'; it must be one of linear"):
        rule_options({"hidden_decay": "cubic"})


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
def test_every_parameter_of_the_model_has_the_rule_of_its_role(mlp: str):
    model, base = (GPT(GPTShape(w, 1, mlp=mlp, norm_gains=True)) for w in (48, 16))
    found = model_rules(model, base, "mup", "adamw")
    assert found.keys() == dict(model.named_parameters()).keys()
    lr = {name: rule.lr_multiplier for name, rule in found.items()}
    assert lr.pop("blocks.0.mlp.down.weight") == pytest.approx(1 / 3, rel=0.02)  # 8/3·d, rounded
    hidden = {"attention.qkv", "attention.out", "mlp.up", "mlp.gate"}
    for name, multiplier in lr.items():
        inside = name.removeprefix("blocks.0.").removesuffix(".weight")
        assert multiplier == (1 / 3 if inside in hidden else 1.0), name


def test_a_deeper_model_is_held_against_the_blocks_of_the_base():
    model, base = GPT(GPTShape(16, 12)), GPT(GPTShape(16, 3))
    found = model_rules(model, base, "complete-p", "sgd")
    assert found["blocks.11.mlp.down.weight"].forward_multiplier == 1 / 4
    assert found["blocks.11.mlp.up.weight"].forward_multiplier == 1
    assert {rule.lr_multiplier for name, rule in found.items() if "blocks" in name} == {4.0}
    assert found["embedding.weight"].lr_multiplier == 1


class Stages(nn.Module):
    """Two stacks of different widths: their blocks' names differ by numbers only."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.ModuleList(nn.Linear(w, w, bias=False) for _ in range(depth))
            for w in (width, 2 * width)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                fans = Fans(layer.in_features, layer.out_features)
                tag(layer.weight, Tag("hidden", fans, blocks=depth))


def test_of_several_stacks_the_right_one_is_the_counterpart():
    found = model_rules(Stages(32, 11), Stages(8, 1), "mup", "adamw")
    assert {rule.lr_multiplier for rule in found.values()} == {1 / 4}


def test_in_a_plain_sequence_the_counterpart_has_the_role():
    def net(width: int, depth: int) -> nn.Module:
        roles: list[Role] = ["input", *["hidden"] * depth, "output"]
        sizes = [8, *[width] * (depth + 1), 4]
        layers = [nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)]
        for role, layer in zip(roles, layers, strict=True):
            fans = Fans(layer.in_features, layer.out_features)
            tag(layer.weight, Tag(role, fans, std=fans.fan_in**-0.5))
        return nn.Sequential(*layers)

    found = model_rules(net(64, 4), net(16, 1), "mup", "adamw")
    assert [rule.lr_multiplier for rule in found.values()] == [1, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1]
    assert [rule.forward_multiplier for rule in found.values()] == [1, 1, 1, 1, 1, 1 / 4]


def layers_of(width: int, depth: int) -> list[nn.Linear]:
    """A first layer, two of `depth` blocks each, and a last."""
    roles: list[Role] = ["input", *["hidden", "hidden"] * depth, "output"]
    sizes = [8, width, *[4 * width, width] * depth, 4]
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    for role, layer in zip(roles, layers, strict=True):
        fans = Fans(layer.in_features, layer.out_features)
        tag(layer.weight, Tag(role, fans, std=fans.fan_in**-0.5))
        tag(layer.bias, Tag("vector", Fans(1, fans.fan_out)))
    return layers


def flat(width: int, depth: int) -> nn.Module:
    return nn.Sequential(*layers_of(width, depth))


def in_blocks(width: int, depth: int) -> nn.Module:
    first, *middle, last = layers_of(width, depth)
    pairs = zip(middle[::2], middle[1::2], strict=True)
    blocks = nn.ModuleList(nn.Sequential(up, down) for up, down in pairs)
    return nn.ModuleDict({"first": first, "blocks": blocks, "last": last})


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "sgd"])
@pytest.mark.parametrize(("depth", "base_depth"), [(3, 1), (1, 3), (3, 2)])
def test_where_names_do_not_tell_counterparts_apart_depth_may_not_change(
    optimizer: str, depth: int, base_depth: int
):
    """Lion's rules of biases are all one, so that its matrices are the first to be refused."""
    name = r"'1.weight' may be '1.weight' or '2.weight'"
    name = name if optimizer == "lion" else r"'0.bias' may be '0.bias' or '1.bias'"
    with pytest.raises(TrainerError, match=rf"{name}, .* into a module of its own, in an nn.Mod"):
        model_rules(flat(16, depth), flat(16, base_depth), "mup", optimizer)
    for scheme in ("sp", "u-mup"):
        model_rules(flat(16, depth), flat(16, base_depth), scheme, optimizer)
    wider = model_rules(flat(64, depth), flat(16, depth), "mup", optimizer)
    assert {rule.lr_multiplier for rule in wider.values()} == {1, 4 if optimizer == "sgd" else 0.25}


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "sgd"])
@pytest.mark.parametrize(("depth", "base_depth"), [(3, 1), (1, 3), (3, 2)])
def test_in_blocks_every_layer_has_its_counterpart(optimizer: str, depth: int, base_depth: int):
    found = model_rules(in_blocks(16, depth), in_blocks(16, base_depth), "mup", optimizer)
    standard = model_rules(in_blocks(16, depth), in_blocks(16, depth), "sp", optimizer)
    assert found == standard


class FlatTask(LinearTask):
    """A task whose blocks are no modules."""

    @staticmethod
    def model(shape: Mapping[str, int], options: Mapping[str, Value]) -> nn.Module:
        return flat(shape["width"], shape["depth"])


def test_a_stack_without_blocks_is_refused_before_it_trains():
    shape, base = {"width": 16, "depth": 3}, {"width": 16, "depth": 1}
    name = f"{__name__}:{FlatTask.__name__}"
    config = RunConfig(name, shape, 64, {"lr": 0.01, "batch_tokens": 8}, base=base)
    kind(name).check(config)
    with pytest.raises(TrainerError, match=r"'0.bias' may be '0.bias' or '1.bias'"):
        kind(name).check(replace(config, parametrization="mup"))


def test_a_parameter_without_a_role_is_refused():
    model = GPT(GPTShape(16, 1))
    model.register_parameter("bias", nn.Parameter(torch.zeros(4)))
    with pytest.raises(TrainerError, match="parameter 'bias' has no role"):
        model_rules(model, model, "sp", "adamw")


def test_a_base_of_another_kind_of_model_is_refused():
    model, base = GPT(GPTShape(16, 1, mlp="swiglu")), GPT(GPTShape(16, 1))
    refused = r"base shape: .* no counterpart of parameter 'blocks.0.mlp.gate.weight'"
    with pytest.raises(TrainerError, match=refused):
        model_rules(model, base, "mup", "adamw")


def trained(config: RunConfig, **changes: object) -> list[Report]:
    trainer = kind("gpt").build(replace(config, **changes))
    reports = [trainer.step()]
    while reports[-1].status == "running":
        reports.append(trainer.step())
    return [replace(report, seconds=0.0) for report in reports]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion", "muon", "soap"])
def test_at_the_base_shape_training_is_that_of_sp_bit_for_bit(config: RunConfig, optimizer: str):
    config = replace(config, setting={**config.setting, "optimizer": optimizer})
    sp = trained(config)
    for scheme in WITH_A_BASE:
        assert trained(config, parametrization=scheme) == sp
    narrower = trained(config, parametrization="mup", base={"width": 16})
    assert narrower[-1].loss != sp[-1].loss


def test_depth_counts_where_a_scheme_says_so(config: RunConfig):
    shallower = {"base": {"depth": 1}}
    assert trained(config, parametrization="mup", **shallower) == trained(config)
    losses = {
        trained(config, parametrization=scheme, **shallower)[-1].loss
        for scheme in ("sp", "depth-mup", "complete-p", "u-mup")
    }
    assert len(losses) == 4


def test_options_reach_the_run(config: RunConfig):
    config = replace(config, parametrization="mup", base={"width": 16})
    options = {"embedding_lr": "sqrt"}
    assert trained(config, parametrization_options=options) != trained(config)
    with pytest.raises(TrainerError, match=r"option 'embeding_lr'; did you mean 'embedding_lr'\?"):
        trained(config, parametrization_options={"embeding_lr": "sqrt"})
