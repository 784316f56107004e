"""What a parametrization must know of a tensor, to scale it: its `Tag`."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from trainers.errors import TrainerError, unknown

Role = Literal["input", "hidden", "output", "vector"]
"""Which fans grow with the model's width: input, only out; hidden, both; output, only in. Biases
and gains are vectors."""
ROLES: tuple[Role, ...] = get_args(Role)

INPUT_STD = 1.0
"""Initial standard deviation of embeddings, whatever the width."""


class Fans(NamedTuple):
    """Fan-in and fan-out of a tensor; a vector's length is its fan-out, its fan-in 1."""

    fan_in: int
    fan_out: int


@dataclass(frozen=True)
class Tag:
    """What a parametrization must know about a parameter."""

    role: Role
    fans: Fans
    zero_rows: int = 0
    """How many of its first rows (of fan-out) start at zero instead of at random."""
    blocks: int = 0
    """How many residual blocks the stack has that it is in; 0: it is outside of one."""
    closes_branch: bool = False
    """Whether what it computes is added to the residual stream, so that the branch multiplier is
    its forward multiplier."""
    std: float | None = None
    """Its initial standard deviation in the standard parametrization. None: fan_in^-1/2, but for
    an input INPUT_STD: it is then a table of embeddings, not a matrix that is multiplied by."""
    start: float = 0.0
    """What a vector starts at: 1 for gains, 0 for biases."""

    def __post_init__(self) -> None:
        """Raise TrainerError for an unknown role and for a branch outside of a stack."""
        if self.role not in ROLES:
            raise unknown("role", self.role, ROLES)
        if self.closes_branch and not self.blocks:
            raise TrainerError("closes_branch is set and blocks is 0; give the stack's blocks")

    @property
    def is_table(self) -> bool:
        """Whether it is a table of embeddings."""
        return self.role == "input" and self.std is None

    @property
    def standard_std(self) -> float:
        """Its initial standard deviation under `sp`; 0 for vectors, which start at a constant."""
        if self.role == "vector":
            return 0.0
        if self.std is not None:
            return self.std
        return INPUT_STD if self.role == "input" else self.fans.fan_in**-0.5
