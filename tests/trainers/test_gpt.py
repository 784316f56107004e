import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from trainers.errors import TrainerError
from trainers.initialisation import parametrize
from trainers.models.gpt import GPT
from trainers.models.gpt_shape import GPTShape, gpt_shape
from trainers.models.transformer import Rotation
from trainers.parametrization import Fans, RuleOptions, Tag, model_rules, rules, tag_of
from trainers.scaling_rules import FAMILIES
from trainers.tasks.text import next_byte_loss

SHAPES = [
    GPTShape(width, depth, head_size=head_size, mlp=mlp, norm_gains=gains)
    for width, depth, head_size in ((32, 1, 16), (96, 3, 32))
    for mlp in ("gelu", "swiglu")
    for gains in (False, True)
]
FURTHER_SHAPES = [
    GPTShape(96, 5, norm_gains=True, norm="post"),
    GPTShape(64, 4, norm_gains=True, norm="mix"),
    GPTShape(64, 2, kv_group=2),
    GPTShape(64, 2, kv_group=4, mlp="swiglu", norm="post"),
]
TIED = GPTShape(64, 2, tied_embeddings=True)


def initialised(shape: GPTShape, seed: int = 0) -> GPT:
    model = GPT(shape)
    generator = torch.Generator().manual_seed(seed)
    parametrize(model, model, "sp", "adamw", RuleOptions(), generator)
    return model


def awake(shape: GPTShape) -> GPT:
    """A model whose query and readout are not zero any more."""
    model = initialised(shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(1))
    return model


@pytest.mark.parametrize("shape", [*SHAPES, *FURTHER_SHAPES, TIED])
def test_counts_are_exact(shape: GPTShape):
    model = GPT(shape)
    assert sum(p.numel() for p in model.parameters()) == shape.n_params_total
    assert sum(p.numel() for p in model.blocks.parameters()) == shape.n_params


@pytest.mark.parametrize("width", [32, 96, 768])
def test_n_is_12_l_d2(width: int):
    assert GPTShape(width, 2).n_params == 12 * 2 * width**2
    assert GPTShape(width, 2, mlp="swiglu").n_params == pytest.approx(24 * width**2, rel=0.005)


@pytest.mark.parametrize("shape", [*SHAPES, *FURTHER_SHAPES])
def test_an_untrained_model_guesses_uniformly(shape: GPTShape):
    windows = torch.randint(256, (4, 17))
    loss = next_byte_loss(initialised(shape), windows).item()
    assert loss == pytest.approx(math.log(256), rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"kv_group": 2}, {"norm": "mix"}, {"norm": "post"}])
def test_no_token_sees_a_later_one(options: dict[str, int | str]):
    model = awake(replace(GPTShape(32, 4, context=16), **options))
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
    here = attention(x, Rotation(model.cos[:8], model.sin[:8]))
    there = attention(x, Rotation(model.cos[40:48], model.sin[40:48]))
    torch.testing.assert_close(here, there, rtol=0, atol=1e-5)
    assert not torch.allclose(here, attention(x, None))


def test_queries_of_a_group_share_their_keys_and_values():
    """Four heads on one key and value are four heads whose keys and values are copies."""
    grouped = awake(GPTShape(64, 1, kv_group=4)).blocks[0].attention
    own = awake(GPTShape(64, 1)).blocks[0].attention
    with torch.no_grad():
        q, k, v = grouped.qkv.weight.split((64, 16, 16))
        own.qkv.weight.copy_(torch.cat((q, k.repeat(4, 1), v.repeat(4, 1))))
        own.out.weight.copy_(grouped.out.weight)
    x = torch.randn(2, 8, 64)
    torch.testing.assert_close(grouped(x, None), own(x, None))


@pytest.mark.parametrize(
    ("norm", "depth", "n_post"), [("pre", 4, 0), ("post", 4, 4), ("mix", 4, 1), ("mix", 8, 2)]
)
def test_the_first_blocks_are_those_with_post_norm(norm: str, depth: int, n_post: int):
    model = awake(GPTShape(32, depth, norm=norm, context=16))
    rms: list[float] = []

    def keep(_module: torch.nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        rms.append(output.square().mean(-1).sqrt().sub(1).abs().max().item())

    for block in model.blocks:
        block.register_forward_hook(keep)
    model(torch.randint(256, (2, 16)))
    assert [size < 1e-4 for size in rms] == [True] * n_post + [False] * (depth - n_post)


def test_a_tied_tensor_reads_out_and_embeds():
    model = initialised(TIED).double()
    names = dict(model.named_parameters())
    assert "readout.weight" in names
    assert not [name for name in names if "embedding" in name]
    tokens = torch.randint(256, (2, 8))
    before = model(tokens)
    with torch.no_grad():
        model.readout.weight.mul_(2)  # The look-up is normed, so only the product grows.
    torch.testing.assert_close(model(tokens), 2 * before)


def test_under_mup_only_the_readout_of_a_tied_tensor_has_the_multiplier():
    base, wide = (GPT(replace(TIED, width=width)) for width in (16, 64))
    found = parametrize(wide, base, "mup", "adamw", RuleOptions(), torch.Generator().manual_seed(0))
    assert wide.readout.multiplier == 0.25
    assert found["readout.weight"].lr_multiplier == 1.0
    assert wide.readout.weight.std().item() == pytest.approx(16**-0.5, rel=0.05)
    model = awake(TIED)
    tokens = torch.randint(256, (2, 8))
    before = model(tokens)
    model.readout.multiplier = 0.25
    torch.testing.assert_close(model(tokens), before / 4)


@pytest.mark.parametrize("optimizer", FAMILIES)
@pytest.mark.parametrize("scheme", ["mup", "depth-mup", "complete-p"])
def test_a_tied_tensor_keeps_the_rules_of_both_its_roles(scheme: str, optimizer: str):
    """But for the forward multiplier, which is the readout's, input and output agree."""
    as_input = [Tag("input", Fans(256, width), std=0.25) for width in (64, 16)]
    as_output = [Tag("output", Fans(width, 256), std=0.25) for width in (64, 16)]
    of_input, of_output = (rules(scheme, optimizer, *pair) for pair in (as_input, as_output))
    assert replace(of_output, forward_multiplier=1.0) == of_input
    assert of_output.forward_multiplier == 0.25


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


@pytest.mark.parametrize("shape", [GPTShape(64, 2), *FURTHER_SHAPES, TIED])
def test_models_are_fused_as_they_are(shape: GPTShape):
    """Two models of one shape in one call, as fused runs make it."""
    models = [initialised(shape, seed) for seed in (0, 1)]
    with torch.no_grad():
        for model in models:
            model.readout.weight.normal_(std=0.1)
    tokens = torch.randint(256, (2, 3, 8))
    params, buffers = stack_module_state(models)

    def call(params: dict[str, Tensor], buffers: dict[str, Tensor], tokens: Tensor) -> Tensor:
        return functional_call(models[0], (params, buffers), (tokens,))

    with sdpa_kernel(SDPBackend.MATH):
        fused = vmap(call)(params, buffers, tokens)
        for index, model in enumerate(models):
            torch.testing.assert_close(fused[index], model(tokens[index]), rtol=1e-4, atol=1e-5)


def test_model_options_reach_the_shape():
    options = {
        "head_size": 32,
        "kv_group": 2,
        "context": 128,
        "mlp": "swiglu",
        "norm": "mix",
        "norm_gains": True,
        "tied_embeddings": True,
    }
    shape = gpt_shape({"width": 128, "depth": 8}, options)
    assert shape == GPTShape(128, 8, **options)
    assert (shape.block.n_heads, shape.block.n_kv_heads) == (4, 2)


def test_a_mix_needs_a_depth_that_has_quarters():
    with pytest.raises(TrainerError, match=r"depth 6 has no whole quarter.*: 4 and 8"):
        gpt_shape({"width": 32, "depth": 6}, {"norm": "mix"})


def test_heads_must_fill_groups():
    with pytest.raises(TrainerError, match=r"groups of 2 heads of 16; the nearest .* 32 and 64"):
        gpt_shape({"width": 48, "depth": 1}, {"kv_group": 2})
