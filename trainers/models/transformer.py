"""The blocks that GPT and vision transformer are stacks of.

Heads have a fixed size, so that 1/√head_size is the right attention scale at every width. The
query starts at zero: attention starts uniform.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.models.layers import Linear, Norm
from trainers.models.transformer_shape import BlockShape


class Rotation(NamedTuple):
    """The angles of rotary positions (arXiv 2104.09864), (time, 1, head_size / 2) each."""

    cos: Tensor
    sin: Tensor

    def rotate(self, heads: Tensor) -> Tensor:
        """Turn heads, (batch, time, heads, head_size), each by the angles of its time."""
        first, second = heads.chunk(2, dim=-1)
        return torch.cat(
            (first * self.cos - second * self.sin, second * self.cos + first * self.sin), dim=-1
        )


class Attention(nn.Module):
    """Self-attention; where `kv_group` is above 1, that many queries share a key and a value."""

    def __init__(self, shape: BlockShape, *, causal: bool) -> None:
        super().__init__()
        self.shape, self.causal = shape, causal
        width, blocks = shape.width, shape.n_blocks
        kv_width = shape.n_kv_heads * shape.head_size
        # The query is the first of the rows: zero at the start.
        self.qkv = Linear(width, width + 2 * kv_width, "hidden", zero_rows=width, blocks=blocks)
        self.out = Linear(width, width, "hidden", blocks=blocks, closes_branch=True)

    def forward(self, x: Tensor, rotation: Rotation | None) -> Tensor:
        """x: (batch, time, width); no `rotation`: positions are in x."""
        batch, time, width = x.shape
        n_heads, n_kv_heads = self.shape.n_heads, self.shape.n_kv_heads
        head_size = self.shape.head_size
        kv_width = n_kv_heads * head_size
        qk, v = self.qkv(x).split((width + kv_width, kv_width), dim=-1)
        qk = qk.view(batch, time, n_heads + n_kv_heads, head_size)
        if rotation is not None:
            qk = rotation.rotate(qk)
        # Each (batch, heads, time, head_size).
        q, k = qk.transpose(1, 2).split((n_heads, n_kv_heads), dim=1)
        v = v.view(batch, time, n_kv_heads, head_size).transpose(1, 2)
        if self.shape.kv_group > 1:
            k, v = (heads.repeat_interleave(self.shape.kv_group, dim=1) for heads in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, scale=head_size**-0.5)
        out: Tensor = self.out(y.transpose(1, 2).reshape(batch, time, width))
        return out


class GELUMLP(nn.Module):
    """Two matrices with a GELU between."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        width, hidden, blocks = shape.width, shape.mlp_hidden, shape.n_blocks
        self.up = Linear(width, hidden, "hidden", blocks=blocks)
        self.down = Linear(hidden, width, "hidden", blocks=blocks, closes_branch=True)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width)."""
        out: Tensor = self.down(F.gelu(self.up(x)))
        return out


class SwiGLUMLP(nn.Module):
    """Three matrices: silu(gate) · up, then down (arXiv 2002.05202)."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        width, hidden, blocks = shape.width, shape.mlp_hidden, shape.n_blocks
        self.gate = Linear(width, hidden, "hidden", blocks=blocks)
        self.up = Linear(width, hidden, "hidden", blocks=blocks)
        self.down = Linear(hidden, width, "hidden", blocks=blocks, closes_branch=True)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width)."""
        out: Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return out


class Block(nn.Module):
    """Attention and MLP, each added to the residual stream.

    Pre-norm norms what a branch reads: x + f(norm(x)). Post-norm norms the sum: norm(x + f(x)).
    Where a scheme scales branches by depth, m·f stands in place of f in both: the stream of
    pre-norm stays of the size of its start however deep it is, and each post-norm block turns the
    stream by a part m only. DeepNorm does so with norm(α·x + f(x)), α = (2·blocks)^1/4 in a
    decoder (arXiv 2203.00555; second-hand, from code after it).
    """

    def __init__(self, shape: BlockShape, *, causal: bool, post_norm: bool = False) -> None:
        super().__init__()
        gain, blocks = shape.norm_gains, shape.n_blocks
        self.post_norm = post_norm
        self.attention_norm = Norm(shape.width, gain=gain, blocks=blocks)
        self.attention = Attention(shape, causal=causal)
        self.mlp_norm = Norm(shape.width, gain=gain, blocks=blocks)
        self.mlp = SwiGLUMLP(shape) if shape.mlp == "swiglu" else GELUMLP(shape)

    def forward(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        """x: (batch, time, width)."""
        if self.post_norm:
            x = self.attention_norm(x + self.attention(x, rotation))
            normed: Tensor = self.mlp_norm(x + self.mlp(x))
            return normed
        x = x + self.attention(self.attention_norm(x), rotation)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out
