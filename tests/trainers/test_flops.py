import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trainers.flops import training_flops_per_token
from trainers.initialisation import parametrize
from trainers.models.gpt import GPT
from trainers.models.gpt_shape import GPTShape
from trainers.models.mlp import MLP
from trainers.models.mlp_shape import MLPShape
from trainers.models.random_features_shape import RandomFeaturesShape
from trainers.models.resnet import ResNet
from trainers.models.resnet_shape import ResNetShape
from trainers.models.sizes import ModelShape
from trainers.models.vit import ViT
from trainers.models.vit_shape import ViTShape
from trainers.parametrization import RuleOptions
from trainers.tasks.random_features import RandomFeaturesModel

SAMPLES = 4


def check_count(model: nn.Module, shape: ModelShape, inputs: Tensor, n_tokens: int) -> None:
    """Hold the shape's count against torch's, forward and backward."""
    parametrize(model, model, "sp", "adamw", RuleOptions(), torch.Generator())
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        outputs = model(inputs).square().sum()
        forward = counter.get_total_flops()
        outputs.backward()
    assert forward == n_tokens * shape.forward_flops_per_token
    assert counter.get_total_flops() == n_tokens * training_flops_per_token(shape)


@pytest.mark.parametrize(
    "shape",
    [
        GPTShape(width, depth, context=context, mlp=mlp, norm_gains=True)
        for mlp in ("gelu", "swiglu")
        for width, depth, context in ((32, 2, 64), (64, 3, 16))
    ]
    + [
        GPTShape(64, 4, kv_group=2, norm="mix", context=32),
        GPTShape(64, 2, tied_embeddings=True, norm="post", context=32),
    ],
)
def test_the_count_of_a_gpt_is_what_torch_counts(shape: GPTShape):
    tokens = torch.randint(256, (SAMPLES, shape.context))
    check_count(GPT(shape), shape, tokens, SAMPLES * shape.context)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (MLP, MLPShape(24, 3)),
        (ResNet, ResNetShape(8, 1)),
        (ResNet, ResNetShape(8, 5)),
        (ViT, ViTShape(32, 2)),
    ],
)
def test_the_count_of_an_image_model_is_what_torch_counts(
    model: type[nn.Module], shape: ModelShape
):
    check_count(model(shape), shape, torch.randn(SAMPLES, 8, 8), SAMPLES)


def test_the_count_of_random_features_is_what_torch_counts():
    shape = RandomFeaturesShape(16)
    check_count(RandomFeaturesModel(16), shape, torch.randn(SAMPLES, 16), SAMPLES)


@pytest.mark.parametrize(("width", "ratio"), [(32, 1.67), (1024, 1.03)])
def test_beside_6nd(width: int, ratio: float):
    shape = GPTShape(width, 2)
    assert training_flops_per_token(shape) / (6 * shape.n_params) == pytest.approx(ratio, abs=0.01)
