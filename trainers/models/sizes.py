"""What every model's shape counts, and how its sizes are read and refused; torch-free."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from trainers.errors import TrainerError


class ModelShape(Protocol):
    """The shape of a built-in model: what it counts without being built."""

    @property
    def n_params(self) -> int:
        """N: all parameters but those of the first layer and the readout."""
        ...

    @property
    def n_params_total(self) -> int:
        """All parameters."""
        ...

    @property
    def forward_flops_per_token(self) -> int:
        """FLOPs of a forward pass, a token (or image): see `trainers.flops`."""
        ...

    @property
    def data_flops_per_token(self) -> int:
        """Those of them that multiply the data itself."""
        ...


def read_sizes(shape: Mapping[str, int], keys: Sequence[str]) -> tuple[int, ...]:
    """Return the values of `keys`; TrainerError for one that is missing or not positive."""
    for key in keys:
        if shape.get(key, 0) < 1:
            raise TrainerError(
                f"{key} is {shape.get(key, 'missing')}; it must be a positive whole number"
            )
    return tuple(shape[key] for key in keys)


def nearest_multiples(value: int, step: int) -> str:
    """Return the nearest positive multiples of `step` beside `value`, in words.

    >>> nearest_multiples(40, 16), nearest_multiples(8, 16)
    ('32 and 48', '16')
    """
    below = value // step * step
    above = below + step
    return f"{below} and {above}" if below else f"{above}"


def check_heads(width: int, head_size: int, kv_group: int = 1) -> None:
    """Raise TrainerError unless `width` splits into groups of `kv_group` heads of `head_size`."""
    group = head_size * kv_group
    if width % group:
        heads = f"heads of {head_size}"
        what = heads if kv_group == 1 else f"groups of {kv_group} {heads}"
        raise TrainerError(
            f"width {width} does not split into {what}; the nearest that work: "
            f"{nearest_multiples(width, group)}"
        )
