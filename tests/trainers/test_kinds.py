"""What every built-in model and its data do alike: learn, resume, and be `sp` at the base."""

import io
import math
from dataclasses import replace

import pytest
import torch

from tests.trainers.running import finish
from trainers.config import RunConfig
from trainers.models.random_features_shape import IRREDUCIBLE_LOSS
from trainers.registry import kind

SMALL = {
    "mlp": ({"width": 32, "depth": 2}, 64, {"lr": 0.03, "batch_tokens": 32}, "digits", 1.3),
    "resnet": ({"width": 12, "depth": 2}, 64, {"lr": 0.03, "batch_tokens": 32}, "digits", 1.8),
    "vit": ({"width": 32, "depth": 1}, 96, {"lr": 0.02, "batch_tokens": 64}, "digits", 1.7),
    "random-features": (
        {"width": 32},
        64,
        {"lr": 0.01, "batch_tokens": 32},
        "none",
        IRREDUCIBLE_LOSS + 0.1,
    ),
}
"""Shape, steps, setting, data, and a loss that the run must get below."""
NAMES = pytest.mark.parametrize("name", SMALL)


def config_of(name: str, steps: int = 12) -> RunConfig:
    shape, _, setting, data, _ = SMALL[name]
    return RunConfig(name, shape, steps * setting["batch_tokens"], setting, data=data, reports=4)


@NAMES
def test_it_learns(name: str):
    _, steps, _, _, below = SMALL[name]
    config = config_of(name, steps)
    last = finish(kind(name).build(config))[-1]
    task = kind(name).task_class()(config, torch.device("cpu"))
    assert last.status == "completed"
    assert last.loss < below < task.start_loss
    assert last.flops == task.flops_per_token * last.tokens


@NAMES
def test_a_run_that_was_saved_goes_on_bit_for_bit(name: str):
    config = config_of(name)
    straight = finish(kind(name).build(config))
    first, second = (kind(name).build(config) for _ in range(2))
    before = [replace(first.step(), seconds=0.0) for _ in range(2)]
    saved = io.BytesIO()
    torch.save(first.state_dict(), saved)
    saved.seek(0)
    second.step()  # nothing of what it did before must remain
    second.load_state_dict(torch.load(saved))
    assert before + finish(second) == straight


@NAMES
def test_at_the_base_every_scheme_is_sp_bit_for_bit(name: str):
    config = config_of(name)
    sp = finish(kind(name).build(config))
    for scheme in ("mup", "depth-mup", "complete-p"):
        at_base = replace(config, parametrization=scheme, base=dict(config.shape))
        assert finish(kind(name).build(at_base)) == sp
    narrower = replace(config, parametrization="mup", base={"width": config.shape["width"] // 2})
    if name != "vit":  # of one head at least
        assert finish(kind(name).build(narrower))[-1].loss != sp[-1].loss


@NAMES
def test_a_wild_rate_diverges(name: str):
    config = config_of(name)
    wild = replace(config, setting={**config.setting, "lr": 1e4, "grad_clip": 0})
    last = finish(kind(name).build(wild))[-1]
    assert last.status == "diverged"
    assert math.isnan(last.loss)


@pytest.mark.parametrize(
    "options",
    [{"norm": "post"}, {"norm": "mix"}, {"tied_embeddings": True}, {"kv_group": 2}],
    ids=["post", "mix", "tied", "grouped"],
)
def test_a_gpt_with_options_learns_and_is_sp_at_the_base(
    options: dict[str, int | str], text_file: str
):
    config = RunConfig(
        "gpt",
        {"width": 32, "depth": 4},
        60 * 256,
        {"lr": 0.01, "batch_tokens": 256},
        data=text_file,
        model={"context": 16, **options},
        reports=2,
    )
    sp = finish(kind("gpt").build(config))
    assert sp[-1].loss < 3.2 < math.log(256)
    at_base = replace(config, parametrization="complete-p", base={"width": 32, "depth": 4})
    assert finish(kind("gpt").build(at_base)) == sp
