"""A decoder-only transformer over bytes, every parameter tagged with its role.

Pre-norm blocks, RMSNorm (without trained gains by default), rotary positions (arXiv 2104.09864),
heads of a fixed size, so that 1/√head_size is the right attention scale at every width. The
readout and the query start at zero: the first loss is ln 256 at any width, and attention starts
uniform.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.models.gpt_shape import VOCABULARY, GPTShape
from trainers.models.layers import Embedding, Linear, Norm

ROTARY_BASE = 10_000.0


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.n_heads, self.head_size = shape.n_heads, shape.head_size
        # The query is the first third of the rows: zero at the start.
        self.qkv = Linear(shape.width, 3 * shape.width, "hidden", zero_rows=shape.width)
        self.out = Linear(shape.width, shape.width, "hidden")

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: (batch, time, width); cos, sin: (time, 1, head_size / 2)."""
        batch, time, width = x.shape
        qk, v = self.qkv(x).split((2 * width, width), dim=-1)
        first, second = qk.view(batch, time, 2 * self.n_heads, self.head_size).chunk(2, dim=-1)
        rotated = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
        q, k = rotated.transpose(1, 2).chunk(2, dim=1)  # each (batch, heads, time, head_size)
        v = v.view(batch, time, self.n_heads, self.head_size).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.head_size**-0.5)
        out: Tensor = self.out(y.transpose(1, 2).reshape(batch, time, width))
        return out


class GELUMLP(nn.Module):
    """Two matrices with a GELU between."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.up = Linear(shape.width, shape.mlp_hidden, "hidden")
        self.down = Linear(shape.mlp_hidden, shape.width, "hidden")

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width)."""
        out: Tensor = self.down(F.gelu(self.up(x)))
        return out


class SwiGLUMLP(nn.Module):
    """Three matrices: silu(gate) · up, then down (arXiv 2002.05202)."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.gate = Linear(shape.width, shape.mlp_hidden, "hidden")
        self.up = Linear(shape.width, shape.mlp_hidden, "hidden")
        self.down = Linear(shape.mlp_hidden, shape.width, "hidden")

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width)."""
        out: Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return out


class Block(nn.Module):
    """Attention and MLP, each normed before and added to the residual stream."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.attention_norm = Norm(shape.width, gain=shape.norm_gains)
        self.attention = Attention(shape)
        self.mlp_norm = Norm(shape.width, gain=shape.norm_gains)
        self.mlp = SwiGLUMLP(shape) if shape.mlp == "swiglu" else GELUMLP(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: (batch, time, width)."""
        x = x + self.attention(self.attention_norm(x), cos, sin)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class GPT(nn.Module):
    """The model; its values are undefined until they are drawn."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.embedding = Embedding(VOCABULARY, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.norm = Norm(shape.width, gain=shape.norm_gains)
        self.readout = Linear(shape.width, VOCABULARY, "output", zero_rows=VOCABULARY)
        frequencies = ROTARY_BASE ** -(torch.arange(0, shape.head_size, 2) / shape.head_size)
        angles = torch.outer(torch.arange(shape.context), frequencies)[:, None, :]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (batch, time ≤ context), int64 → logits (batch, time, 256)."""
        time = tokens.shape[1]
        cos, sin = self.cos[:time], self.sin[:time]
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, cos, sin)
        logits: Tensor = self.readout(self.norm(x))
        return logits


def parameter_count(model: nn.Module) -> int:
    """Return how many values `model` trains."""
    return sum(parameter.numel() for parameter in model.parameters())
