"""How much memory a run takes by estimate, and what would fit: for a run that ran out of it.

A run of P parameters in all, with B tokens a step, takes at its peak about

    PROCESS_BYTES + 16·P + 4·W·A·B bytes

16·P are weights, gradients and the two moments of AdamW in float32. A is how many numbers a token
leaves behind for the backward pass, counted from the layers:

    a block of a transformer   10·width + 2·hidden (GELU), or 4·hidden (SwiGLU)
    a layer of the MLP         2·width
    a block of the ResNet      6·width for each position of the image that it sees
    a readout                  2 for each class

and W = 1.5 is what is in use beside them while gradients are formed. What torch keeps is within
15 % of these counts (tests/trainers/test_memory.py), but for the ResNet's, where it is 4·width and
the rest are copies that its convolutions unfold. Beyond 16·P, the peak of a training step on a CPU
was 0.8 to 1.2 times the formula, for GPTs of width 128 to 512, an MLP, a ResNet and a vision
transformer; on a GPU it has not been measured. No torch is needed here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from trainers.config import RunConfig, Size, Value
from trainers.errors import TrainerError
from trainers.loop_settings import BATCH_TOKENS
from trainers.models.gpt_shape import VOCABULARY, gpt_shape
from trainers.models.images import IMAGE_SIDE, N_CLASSES, N_PIXELS
from trainers.models.mlp_shape import mlp_shape
from trainers.models.resnet_shape import resnet_shape
from trainers.models.transformer_shape import BlockShape
from trainers.models.vit_shape import N_PATCHES, vit_shape

PROCESS_BYTES = 0.4 * 2**30
"""Python and torch, before anything is trained."""
BYTES_PER_PARAMETER = 16
BYTES_PER_NUMBER = 4
WORKING = 1.5
"""W of the formula."""

_PHRASES = (
    "out of memory",
    "outofmemory",
    "memoryerror",
    "can't allocate memory",
    "cannot allocate memory",
    "unable to allocate",
    "alloc_failed",
    "std::bad_alloc",
)
"""How Python, numpy, torch, CUDA, cuBLAS and C++ say it, in lower case."""


def says_out_of_memory(text: str) -> bool:
    """Whether an error's text says that memory ran out.

    >>> says_out_of_memory("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")
    True
    """
    lower = text.lower()
    return any(phrase in lower for phrase in _PHRASES)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, by its type or by its text."""
    types = " ".join(kind.__name__ for kind in type(error).__mro__)
    return isinstance(error, MemoryError | RuntimeError) and says_out_of_memory(f"{types} {error}")


def machine_bytes() -> int:
    """Return the memory that this machine has, or that its container may use, where that is less.

    0 where the system does not tell it.
    """
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return 0
    total = int(meminfo.read_text(encoding="ascii").split()[1]) * 1024  # "MemTotal: N kB …"
    limits = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    for file in map(Path, limits):
        if file.is_file() and (limit := file.read_text(encoding="ascii").strip()).isdigit():
            total = min(total, int(limit))
    return total


@dataclass(frozen=True)
class Footprint:
    """The memory of a run, bytes.

    Attributes
    ----------
    fixed : whatever its batch is.
    per_token : for each token of a step; None where the model is not one that is counted here.
    """

    fixed: float
    per_token: float | None

    def at(self, batch_tokens: int) -> float:
        """Return all of it; without what a step keeps where that is not known."""
        return self.fixed + (self.per_token or 0.0) * batch_tokens


Sizes = Callable[[Mapping[str, int], Mapping[str, Value]], Size]
"""From shape and model options to parameters: that of the run's kind."""


def footprint(config: RunConfig, sizes: Sizes) -> Footprint:
    """Estimate the memory of a run."""
    params = sizes(config.shape, config.model).params_total
    kept = kept_numbers(config)
    per_token = None if kept is None else BYTES_PER_NUMBER * WORKING * kept
    return Footprint(PROCESS_BYTES + BYTES_PER_PARAMETER * params, per_token)


def kept_numbers(config: RunConfig) -> float | None:
    """Return A of the formula; None for a trainer that is not counted here."""
    kept = _KEPT.get(config.trainer) if isinstance(config.trainer, str) else None
    return None if kept is None else kept(config.shape, config.model)


def what_fits(config: RunConfig, sizes: Sizes, memory: float) -> str:
    """Say how much a run takes by estimate, of `memory` bytes that it has, and what would fit."""
    needs = footprint(config, sizes)
    batch_tokens = int(config.setting[BATCH_TOKENS])
    params = sizes(config.shape, config.model).params_total
    if needs.per_token is None:
        return (
            f"it has {_gib(memory)}, and {params:,} parameters alone take about "
            f"{_gib(needs.fixed)} with AdamW in float32; a step takes more the larger batch_tokens "
            "is: take less of either"
        )
    about = f"it has {_gib(memory)}, and by estimate takes {_gib(needs.at(batch_tokens))}"
    if needs.at(batch_tokens) < memory:
        return (
            f"{about}, so that other processes must take the rest; run fewer at once, by more "
            "resources for each"
        )
    fitting = list(_fitting(config, sizes, memory))
    return f"{about}; {' or '.join(fitting) or 'a model of fewer parameters'} would fit"


def _fitting(config: RunConfig, sizes: Sizes, memory: float) -> Iterator[str]:
    batch_tokens = int(config.setting[BATCH_TOKENS])
    needs = footprint(config, sizes)
    assert needs.per_token is not None
    sample = int(gpt_shape(config.shape, config.model).context) if config.trainer == "gpt" else 1
    samples = int((memory - needs.fixed) / needs.per_token / sample)
    if samples >= 1:
        yield f"batch_tokens up to {samples * sample:,}"
    for width in range(config.shape["width"] - 1, 0, -1):
        narrower = replace(config, shape={**config.shape, "width": width})
        try:
            fits = footprint(narrower, sizes).at(batch_tokens) <= memory
        except TrainerError:
            continue  # A width that no model has.
        if fits:
            yield f"width up to {width:,}"
            return


def _block(block: BlockShape) -> int:
    hidden = (4 if block.mlp == "swiglu" else 2) * block.mlp_hidden
    return 10 * block.width + hidden


def _gpt(shape: Mapping[str, int], model: Mapping[str, Value]) -> float:
    gpt = gpt_shape(shape, model)
    return gpt.depth * _block(gpt.block) + 2 * VOCABULARY


def _vit(shape: Mapping[str, int], model: Mapping[str, Value]) -> float:
    vit = vit_shape(shape, model)
    return N_PATCHES * vit.depth * _block(vit.block) + 2 * N_CLASSES


def _mlp(shape: Mapping[str, int], model: Mapping[str, Value]) -> float:
    mlp = mlp_shape(shape, model)
    return 2 * mlp.width * (mlp.depth + 1) + N_PIXELS + 2 * N_CLASSES


def _resnet(shape: Mapping[str, int], model: Mapping[str, Value]) -> float:
    resnet = resnet_shape(shape, model)
    coarse_blocks = resnet.depth - resnet.n_fine_blocks
    positions = IMAGE_SIDE**2 * (resnet.n_fine_blocks + coarse_blocks / 4)
    return 6 * resnet.width * positions + N_PIXELS * resnet.width + 2 * N_CLASSES


_KEPT: dict[str, Callable[[Mapping[str, int], Mapping[str, Value]], float]] = {
    "gpt": _gpt,
    "mlp": _mlp,
    "resnet": _resnet,
    "vit": _vit,
}


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.3g} GiB"
