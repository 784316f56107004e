"""Estimates of memory: against what torch keeps for the backward pass, and what would fit."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainers.config import RunConfig
from trainers.memory import (
    BYTES_PER_PARAMETER,
    PROCESS_BYTES,
    footprint,
    is_out_of_memory,
    kept_numbers,
    machine_bytes,
    says_out_of_memory,
    what_fits,
)
from trainers.registry import kind

GIB = 2**30


def of(
    trainer: str, width: int, depth: int, batch_tokens: int = 64, **model: float | str
) -> RunConfig:
    setting = {"lr": 0.01, "batch_tokens": batch_tokens}
    shape = {"width": width, "depth": depth}
    return RunConfig(trainer, shape, 10**9, setting, model=model)


def kept_for_backward(model: nn.Module, loss: Callable[[], Tensor]) -> int:
    """How many numbers torch keeps between the forward and the backward pass, parameters not."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes() // 4
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss()
    return sum(kept.values())


@pytest.mark.parametrize(
    ("trainer", "width", "depth", "model"),
    [
        ("gpt", 64, 2, {}),
        ("gpt", 128, 4, {}),
        ("gpt", 96, 2, {"mlp": "swiglu"}),
        ("gpt", 64, 2, {"context": 256}),
        ("mlp", 64, 3, {}),
        ("mlp", 256, 2, {}),
        ("vit", 64, 2, {}),
        ("vit", 32, 4, {}),
    ],
)
def test_what_torch_keeps_is_near_the_count(
    trainer: str, width: int, depth: int, model: Mapping[str, float | str]
):
    config = of(trainer, width, depth, **model)
    task = kind(trainer).task_class()(config, torch.device("cpu"))
    net = task.model(config.shape, config.model)
    batch = task.draw(16, torch.Generator().manual_seed(0))
    tokens = 16 * task.sample_tokens
    assert kept_for_backward(net, lambda: task.loss(net, batch)) / tokens == pytest.approx(
        kept_numbers(config), rel=0.15
    )


def test_parameters_take_sixteen_bytes_each():
    config = of("gpt", 64, 2)
    params = kind("gpt").sizes(config.shape, {}).params_total
    needs = footprint(config, kind("gpt").sizes)
    assert needs.fixed == PROCESS_BYTES + BYTES_PER_PARAMETER * params
    assert needs.at(128) - needs.at(64) == needs.at(64) - needs.fixed > 0


def numbers_behind(text: str, words: str) -> int:
    return int(text.split(words)[1].split()[0].replace(",", ""))


@pytest.mark.parametrize("trainer", ["gpt", "mlp", "resnet", "vit"])
def test_what_is_said_to_fit_does_and_the_next_does_not(trainer: str):
    sizes, config = kind(trainer).sizes, of(trainer, 512, 8, 2**16)
    memory = footprint(config, sizes).at(2**16) / 2
    said = what_fits(config, sizes, memory)
    assert said.startswith("it has ")
    assert " GiB, and by estimate takes " in said

    batch = numbers_behind(said, "batch_tokens up to ")
    sample = 64 if trainer == "gpt" else 1
    assert batch % sample == 0
    assert (
        footprint(config, sizes).at(batch) <= memory < footprint(config, sizes).at(batch + sample)
    )

    width = numbers_behind(said, "width up to ")
    head = 16 if trainer in ("gpt", "vit") else 1
    assert width % head == 0
    narrow, wider = (footprint(of(trainer, w, 8), sizes).at(2**16) for w in (width, width + head))
    assert narrow <= memory < wider


def test_where_nothing_fits_a_smaller_model_is_asked_for():
    said = what_fits(of("gpt", 512, 8, 4096), kind("gpt").sizes, PROCESS_BYTES)
    assert said.endswith("a model of fewer parameters would fit")


def test_where_there_is_room_others_have_taken_it():
    said = what_fits(of("gpt", 32, 2), kind("gpt").sizes, 64 * GIB)
    assert "other processes must take the rest" in said


def test_of_a_model_that_is_not_counted_the_parameters_are():
    config = RunConfig("simulated", {"params": 10**9}, 10**10, {"lr": 0.1, "batch_tokens": 10})
    said = what_fits(config, kind("simulated").sizes, 8 * GIB)
    assert said.startswith("it has 8 GiB, and 1,000,000,000 parameters alone take about 15.3 GiB")


@pytest.mark.parametrize(
    "allocate",
    [lambda: torch.empty(10**15), lambda: np.empty(10**15), lambda: bytearray(2**62)],
)
def test_running_out_of_memory_is_recognised(allocate: Callable[[], object]):
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        allocate()
    assert is_out_of_memory(caught.value)


def test_a_full_gpu_is_recognised():
    assert is_out_of_memory(torch.OutOfMemoryError("Tried to allocate 20 MiB"))


@pytest.mark.parametrize("error", [ValueError("out of memory"), RuntimeError("shapes differ")])
def test_other_errors_are_not(error: Exception):
    assert not is_out_of_memory(error)


def test_the_words_for_it():
    assert says_out_of_memory("torch.OutOfMemoryError: CUDA out of memory.")
    assert says_out_of_memory("terminate called after throwing 'std::bad_alloc'")
    assert not says_out_of_memory("KeyError: 'memory'")


def test_the_machine_has_memory():
    assert machine_bytes() > GIB
