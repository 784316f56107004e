"""The models of images: multilayer perceptron, residual convolutional net, vision transformer."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from trainers.config import Size
from trainers.initialisation import parametrize
from trainers.models.mlp import MLP
from trainers.models.mlp_shape import MLPShape
from trainers.models.resnet import ResNet
from trainers.models.resnet_shape import ResNetShape
from trainers.models.vit import ViT
from trainers.models.vit_shape import ViTShape
from trainers.parametrization import RuleOptions, tag_of
from trainers.registry import kind
from trainers.task import count_parameters

MODELS = {
    "mlp": lambda width, depth: MLP(MLPShape(width, depth)),
    "resnet": lambda width, depth: ResNet(ResNetShape(width, depth)),
    "vit": lambda width, depth: ViT(ViTShape(width, depth)),
}
NAMES = pytest.mark.parametrize("name", MODELS)


def initialised(name: str, width: int = 32, depth: int = 3, seed: int = 0) -> nn.Module:
    model = MODELS[name](width, depth)
    generator = torch.Generator().manual_seed(seed)
    parametrize(model, model, "sp", "adamw", RuleOptions(), generator)
    return model


def awake(name: str, seed: int = 0) -> nn.Module:
    """A model no tensor of which is zero any more."""
    model = initialised(name)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2, generator=generator)
    return model


@NAMES
@pytest.mark.parametrize(("width", "depth"), [(16, 1), (48, 4)])
def test_counts_are_exact(name: str, width: int, depth: int):
    model = MODELS[name](width, depth)
    sizes: Size = kind(name).sizes({"width": width, "depth": depth}, {})
    assert sizes == count_parameters(model)
    assert sizes.params_total == sum(p.numel() for p in model.parameters())


@NAMES
def test_an_untrained_model_guesses_uniformly(name: str):
    logits = initialised(name)(torch.randn(5, 8, 8))
    loss = F.cross_entropy(logits, torch.arange(5))
    assert loss.item() == pytest.approx(math.log(10), rel=1e-6)


@NAMES
def test_an_image_is_judged_by_itself(name: str):
    model, images = awake(name), torch.randn(4, 8, 8)
    together = model(images)
    torch.testing.assert_close(together[1:2], model(images[1:2]))
    assert not torch.allclose(together[0], together[1])


@NAMES
def test_models_are_fused_as_they_are(name: str):
    """Two models of one shape in one call, as fused runs make it."""
    models, images = [awake(name, seed) for seed in (0, 1)], torch.randn(2, 4, 8, 8)
    params, buffers = stack_module_state(models)

    def call(params: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Tensor:
        return functional_call(models[0], (params, buffers), (images,))

    with sdpa_kernel(SDPBackend.MATH):
        fused = vmap(call)(params, buffers, images)
    for index, model in enumerate(models):
        torch.testing.assert_close(fused[index], model(images[index]), rtol=1e-4, atol=1e-5)


@NAMES
def test_the_stream_starts_as_large_at_every_width_and_depth_of_depth_mup(name: str):
    sizes = []
    for width, depth in ((32, 2), (128, 2), (32, 16)):
        model, base = MODELS[name](width, depth), MODELS[name](32, 2)
        generator = torch.Generator().manual_seed(0)
        parametrize(model, base, "depth-mup", "adamw", RuleOptions(), generator)
        stream: list[Tensor] = []
        last_block = model.layers[-1] if name == "mlp" else model.blocks[-1]
        last_block.register_forward_hook(
            lambda _module, _inputs, output, kept=stream: kept.append(output)
        )
        model(torch.randn(16, 8, 8, generator=torch.Generator().manual_seed(1)))
        sizes.append(stream[0].square().mean().sqrt().item())
    assert sizes == pytest.approx([sizes[0]] * 3, rel=0.2)


@NAMES
def test_every_branch_is_closed_by_its_last_tensors(name: str):
    """Multiplying what closes branches by zero leaves the stream as it came in."""
    model, images = awake(name), torch.randn(2, 8, 8)
    without = MODELS[name](32, 0) if name != "resnet" else None
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if tag_of(key, parameter).closes_branch:
                parameter.zero_()
    after = model(images)
    if without is not None:
        own = dict(model.named_parameters())
        without.load_state_dict({key: own[key] for key in without.state_dict()})
        torch.testing.assert_close(after, without(images))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            how = tag_of(key, parameter)
            if how.blocks and not how.closes_branch:
                parameter.normal_()
    torch.testing.assert_close(model(images), after)


def test_a_patch_is_four_neighbours():
    model = ViT(ViTShape(16, 1))
    seen: list[Tensor] = []
    model.embedding.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    model(torch.arange(64.0).reshape(1, 8, 8))
    assert seen[0][0, 0].tolist() == [0.0, 1.0, 8.0, 9.0]
    assert seen[0][0, 5].tolist() == [18.0, 19.0, 26.0, 27.0]
