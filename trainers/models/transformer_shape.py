"""How big a block of a transformer is, for GPT and vision transformer alike; torch-free."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BlockShape:
    """The shape of each block: attention and a feed-forward layer, in a residual stream."""

    width: int
    head_size: int
    n_blocks: int
    """How many blocks the stack has that this one is in."""
    kv_group: int = 1
    """Query heads that share a key head and a value head. A part of the heads, not a number of
    them, so that keys and values grow with the width as all hidden tensors do."""
    mlp: str = "gelu"
    norm_gains: bool = False

    @property
    def n_heads(self) -> int:
        """Query heads."""
        return self.width // self.head_size

    @property
    def n_kv_heads(self) -> int:
        """Key heads, and value heads."""
        return self.n_heads // self.kv_group

    @property
    def mlp_hidden(self) -> int:
        """Hidden units of the MLP: 4·width, or 8/3·width for SwiGLU's three matrices."""
        return round(8 * self.width / 3) if self.mlp == "swiglu" else 4 * self.width

    @property
    def n_params(self) -> int:
        """Parameters of a block; 12·width² exactly with one key a query and the GELU MLP."""
        return self._matrices + (2 * self.width if self.norm_gains else 0)

    def forward_flops(self, context: int) -> int:
        """Return the FLOPs of a forward pass, a token of a sequence of `context`.

        Both products of attention count over the whole context: see `trainers.flops`.
        """
        return 2 * self._matrices + 2 * (2 * context * self.width)

    @property
    def _matrices(self) -> int:
        attention = 2 * self.width**2 + 2 * self.width * self.n_kv_heads * self.head_size
        mlp_matrices = 3 if self.mlp == "swiglu" else 2
        return attention + mlp_matrices * self.width * self.mlp_hidden
