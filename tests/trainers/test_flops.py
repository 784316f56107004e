import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trainers.flops import forward_flops_per_token, training_flops_per_token
from trainers.models.gpt import GPT
from trainers.models.gpt_shape import GPTShape
from trainers.models.layers import initialise
from trainers.parametrization import model_rules
from trainers.tasks.text import next_byte_loss


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
@pytest.mark.parametrize(("width", "depth", "context"), [(32, 2, 64), (64, 3, 16)])
def test_the_count_is_what_torch_counts(width: int, depth: int, context: int, mlp: str):
    shape = GPTShape(width, depth, context=context, mlp=mlp, norm_gains=True)
    model = GPT(shape)
    initialise(model, model_rules(model, model, "sp", "adamw"), torch.Generator())
    windows = torch.randint(256, (4, context + 1))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        loss = next_byte_loss(model, windows)
        forward = counter.get_total_flops()
        loss.backward()
    assert forward == 4 * context * forward_flops_per_token(shape)
    assert counter.get_total_flops() == 4 * context * training_flops_per_token(shape)


@pytest.mark.parametrize(("width", "ratio"), [(32, 1.67), (1024, 1.03)])
def test_beside_6nd(width: int, ratio: float):
    shape = GPTShape(width, 2)
    assert training_flops_per_token(shape) / (6 * shape.n_params) == pytest.approx(ratio, abs=0.01)
