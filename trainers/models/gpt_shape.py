"""How big a GPT is, without building it: exact parameter counts and the widths that work."""

from collections.abc import Mapping
from dataclasses import dataclass

from trainers.config import Value
from trainers.errors import TrainerError
from trainers.models.sizes import check_heads, nearest_multiples, read_sizes
from trainers.models.transformer_shape import BlockShape
from trainers.settings import SettingRule, complete

VOCABULARY = 256
"""Tokens are bytes."""

MIX_BLOCKS = 4
"""Of so many blocks one has post-norm in a mix."""

MODEL_OPTIONS: dict[str, SettingRule] = {
    "head_size": SettingRule("int", "width of an attention head", 16, at_least=2),
    "kv_group": SettingRule("int", "query heads to a key and value head", 1, at_least=1),
    "context": SettingRule("int", "tokens a sequence", 64, at_least=2),
    "mlp": SettingRule("choice", "feed-forward layer", "gelu", choices=("gelu", "swiglu")),
    "norm": SettingRule("choice", "where blocks norm", "pre", choices=("pre", "post", "mix")),
    "norm_gains": SettingRule("flag", "train a gain in each RMSNorm", False),
    "tied_embeddings": SettingRule("flag", "one tensor embeds and reads out", False),
}


@dataclass(frozen=True)
class GPTShape:
    """The shape of a decoder-only transformer over bytes."""

    width: int
    depth: int
    head_size: int = 16
    kv_group: int = 1
    context: int = 64
    mlp: str = "gelu"
    norm: str = "pre"
    norm_gains: bool = False
    tied_embeddings: bool = False

    @property
    def block(self) -> BlockShape:
        """The shape of each block."""
        return BlockShape(
            width=self.width,
            head_size=self.head_size,
            n_blocks=self.depth,
            kv_group=self.kv_group,
            mlp=self.mlp,
            norm_gains=self.norm_gains,
        )

    @property
    def n_post_norm(self) -> int:
        """How many of the first blocks norm after adding: none, all, or with `mix` a quarter."""
        return {"pre": 0, "post": self.depth, "mix": self.depth // MIX_BLOCKS}[self.norm]

    @property
    def norms_last(self) -> bool:
        """Whether the stream is normed before the readout: not where every block has done it."""
        return self.norm != "post"

    @property
    def n_params(self) -> int:
        """N: parameters of the blocks; 12·depth·width² exactly by default."""
        return self.depth * self.block.n_params

    @property
    def n_params_total(self) -> int:
        """All parameters: the blocks, the embedding, the readout and the last norm's gain."""
        gain = self.width if self.norm_gains and self.norms_last else 0
        tables = 1 if self.tied_embeddings else 2
        return self.n_params + tables * VOCABULARY * self.width + gain

    @property
    def forward_flops_per_token(self) -> int:
        """FLOPs of a forward pass, a token: see `trainers.flops`."""
        readout = 2 * self.width * VOCABULARY
        return self.depth * self.block.forward_flops(self.context) + readout

    @property
    def data_flops_per_token(self) -> int:
        """Those of them that multiply the data: none, as the embedding is a look-up."""
        return 0


def gpt_shape(shape: Mapping[str, int], model: Mapping[str, Value]) -> GPTShape:
    """Return the shape for `shape` (width, depth) and `model` (see MODEL_OPTIONS).

    Raises TrainerError for a key that is missing or not positive, for a width that does not split
    into heads, and for a depth of norm `mix` without a whole quarter, naming the nearest that do.
    """
    width, depth = read_sizes(shape, ("width", "depth"))
    options = complete(MODEL_OPTIONS, model, "model option")
    head_size, kv_group = int(options["head_size"]), int(options["kv_group"])
    if head_size % 2:
        raise TrainerError(f"head_size is {head_size}; rotary positions need an even one")
    check_heads(width, head_size, kv_group)
    if options["norm"] == "mix" and depth % MIX_BLOCKS:
        raise TrainerError(
            f"depth {depth} has no whole quarter, which norm mix needs to be alike at every depth; "
            f"the nearest that work: {nearest_multiples(depth, MIX_BLOCKS)}"
        )
    return GPTShape(
        width=width,
        depth=depth,
        head_size=head_size,
        kv_group=kv_group,
        context=int(options["context"]),
        mlp=str(options["mlp"]),
        norm=str(options["norm"]),
        norm_gains=bool(options["norm_gains"]),
        tied_embeddings=bool(options["tied_embeddings"]),
    )
