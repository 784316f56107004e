"""A decoder-only transformer over bytes, every parameter tagged with its role.

RMSNorm (without trained gains by default), rotary positions, the blocks of
`trainers.models.transformer`. The readout starts at zero: the first loss is ln 256 at any width.

Norms are placed by `norm`. `pre` is what schemes for depth are proved and measured for. `post`
norms after adding, so that the stream needs no norm before the readout. `mix` has post-norm in the
first quarter of the blocks and pre-norm in the others: Mix-LN (arXiv 2412.13795), of which the
abstract was read; that the part is a quarter is not checked.

With `tied_embeddings` the readout's tensor embeds, too. It is tagged output: of the two roles of a
tied tensor this is the one with a forward multiplier, 1/r_n under muP, and the multiplier is on
the readout's product alone. In all else, spread at the start, learning rate, λ and ε, the rules of
input and output are the same under muP, so both roles have theirs. The look-up is normed, as the
tensor's entries are of the size that a readout needs, and cannot start at zero.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.models.gpt_shape import VOCABULARY, GPTShape
from trainers.models.layers import Embedding, Linear, Norm
from trainers.models.transformer import Block, Rotation

ROTARY_BASE = 10_000.0


class GPT(nn.Module):
    """The model; its values are undefined until they are drawn."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        width = shape.width
        self.embedding = None if shape.tied_embeddings else Embedding(VOCABULARY, width)
        self.blocks = nn.ModuleList(
            Block(shape.block, causal=True, post_norm=index < shape.n_post_norm)
            for index in range(shape.depth)
        )
        self.norm = Norm(width, gain=shape.norm_gains) if shape.norms_last else nn.Identity()
        zero_rows = 0 if shape.tied_embeddings else VOCABULARY
        self.readout = Linear(width, VOCABULARY, "output", zero_rows=zero_rows)
        frequencies = ROTARY_BASE ** -(torch.arange(0, shape.head_size, 2) / shape.head_size)
        angles = torch.outer(torch.arange(shape.context), frequencies)[:, None, :]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (batch, time ≤ context), int64 → logits (batch, time, 256)."""
        time = tokens.shape[1]
        rotation = Rotation(self.cos[:time], self.sin[:time])
        x = self._embed(tokens)
        for block in self.blocks:
            x = block(x, rotation)
        logits: Tensor = self.readout(self.norm(x))
        return logits

    def _embed(self, tokens: Tensor) -> Tensor:
        if self.embedding is None:
            x = F.embedding(tokens, self.readout.weight)
            return F.rms_norm(x, x.shape[-1:])
        embedded: Tensor = self.embedding(tokens)
        return embedded
