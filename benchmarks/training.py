"""Tokens a second of the training loop, beside a plain PyTorch loop over the same shape.

    python benchmarks/training.py [--data FILE] [--json]

Both sides train the same GPT (same operations of torch, fused AdamW, clipping, the same schedule,
batches drawn from the same text) for the same steps on one thread or on the GPU that torch sees,
and evaluate the same held-out windows once at the end; the clock runs over all of that, not over
building. The product's side goes through the Trainer protocol, so its reports, counters and watch
for divergence are paid for. Repeats are interleaved, the side that goes first alternating; the
ratio is the median over the pairs. The bar is 0.95.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers import data
from trainers.config import RunConfig
from trainers.registry import kind
from trainers.tasks.text import FINAL_HELD_OUT_TOKENS

CONTEXT, HEAD_SIZE, VOCABULARY = 64, 16, 256
STEPS, WARMUP_STEPS, BATCH_TOKENS = 40, 12, 2048
LR = 2.0**-7
EVALUATION_SEQUENCES = 64
SHAPES = ((32, 2), (64, 2), (96, 2), (128, 2))
REPEATS = 7
BAR = 0.95


@dataclass(frozen=True)
class Row:
    """What one shape gave."""

    width: int
    depth: int
    hyperlaw_tokens_per_second: float
    plain_tokens_per_second: float
    hyperlaw_loss: float
    plain_loss: float
    ratio: float


class PlainBlock(nn.Module):
    """A pre-norm block as one would write it for this benchmark alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: (batch, time, width)."""
        batch, time_, width = x.shape
        heads = width // HEAD_SIZE
        qk, v = self.qkv(F.rms_norm(x, (width,))).split((2 * width, width), dim=-1)
        a, b = qk.view(batch, time_, 2 * heads, HEAD_SIZE).chunk(2, dim=-1)
        qk = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
        q, k = qk.transpose(1, 2).chunk(2, dim=1)
        v = v.view(batch, time_, heads, HEAD_SIZE).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, time_, width))
        return x + self.down(F.gelu(self.up(F.rms_norm(x, (width,)))))


class PlainGPT(nn.Module):
    """The same model without tags, rules or multipliers."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.blocks = nn.ModuleList(PlainBlock(width) for _ in range(depth))
        self.readout = nn.Linear(width, VOCABULARY, bias=False)
        for name, parameter in self.named_parameters():
            if "blocks" in name:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
            if "qkv" in name:
                nn.init.zeros_(parameter[:width])
        nn.init.zeros_(self.readout.weight)
        frequencies = 10_000.0 ** -(torch.arange(0, HEAD_SIZE, 2) / HEAD_SIZE)
        angles = torch.outer(torch.arange(CONTEXT), frequencies)[:, None, :]
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (batch, time) → logits."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.readout(F.rms_norm(x, (self.width,)))


def windows_loss(model: nn.Module, windows: Tensor) -> Tensor:
    """Return the mean next-byte loss over windows (n, context + 1)."""
    logits = model(windows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


def time_plain(corpus: data.Corpus, width: int, depth: int, seed: int) -> tuple[float, float]:
    """Return (seconds, held-out loss) of the plain loop."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(seed)
    model = PlainGPT(width, depth).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LR, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True
    )
    text = torch.from_numpy(corpus.train).to(device)
    held_out = torch.from_numpy(corpus.held_out).to(device)
    offsets = torch.arange(CONTEXT + 1, device=device)
    starts = data.even_windows(len(corpus.held_out), CONTEXT, FINAL_HELD_OUT_TOKENS // CONTEXT)
    held_out_windows = held_out[torch.from_numpy(starts).to(device)[:, None] + offsets].long()

    started = time.perf_counter()
    for step in range(STEPS):
        warm = (step + 1) / WARMUP_STEPS
        lr = LR * min(warm, (STEPS - step) / (STEPS - WARMUP_STEPS))
        for group in optimizer.param_groups:
            group["lr"] = lr
        starts = torch.randint(len(text) - CONTEXT, (BATCH_TOKENS // CONTEXT, 1), device=device)
        loss = windows_loss(model, text[starts + offsets].long())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        batches = held_out_windows.split(EVALUATION_SEQUENCES)
        total = sum(windows_loss(model, batch).item() * len(batch) for batch in batches)
    return time.perf_counter() - started, total / len(held_out_windows)


def time_hyperlaw(name: str, width: int, depth: int, seed: int) -> tuple[float, float]:
    """Return (seconds, held-out loss) of the same run through the Trainer protocol."""
    trainer = kind("gpt").build(
        RunConfig(
            trainer="gpt",
            shape={"width": width, "depth": depth},
            tokens=STEPS * BATCH_TOKENS,
            setting={"lr": LR, "batch_tokens": BATCH_TOKENS},
            seed=seed,
            data=name,
            model={"context": CONTEXT, "head_size": HEAD_SIZE},
            reports=1,
        )
    )
    started = time.perf_counter()
    report = trainer.step()
    seconds = time.perf_counter() - started
    if report.status != "completed":
        raise RuntimeError(f"the run of width {width} ended as {report.status}")
    return seconds, report.loss


def measure(name: str, width: int, depth: int) -> Row:
    """Measure one shape: a repeat to warm up, then REPEATS pairs, the first side alternating."""
    corpus = data.load(name)
    pairs = []
    for repeat in range(REPEATS + 1):
        if repeat % 2:
            plain = time_plain(corpus, width, depth, repeat)
            ours = time_hyperlaw(name, width, depth, repeat)
        else:
            ours = time_hyperlaw(name, width, depth, repeat)
            plain = time_plain(corpus, width, depth, repeat)
        pairs.append((ours, plain))
    pairs = pairs[1:]
    tokens = STEPS * BATCH_TOKENS
    return Row(
        width=width,
        depth=depth,
        hyperlaw_tokens_per_second=tokens / statistics.median(ours[0] for ours, _ in pairs),
        plain_tokens_per_second=tokens / statistics.median(plain[0] for _, plain in pairs),
        hyperlaw_loss=statistics.median(ours[1] for ours, _ in pairs),
        plain_loss=statistics.median(plain[1] for _, plain in pairs),
        ratio=statistics.median(plain[0] / ours[0] for ours, plain in pairs),
    )


def main() -> None:
    """Measure every shape and print the table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=data.STDLIB, metavar="FILE", help="text to train on")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for width, depth in SHAPES:
        print(f"width {width}, depth {depth} …", file=sys.stderr)
        rows.append(measure(arguments.data, width, depth))
    ratio = statistics.geometric_mean(row.ratio for row in rows)
    if arguments.json:
        result = {
            "schema_version": 1,
            "rows": [asdict(row) for row in rows],
            "ratio": ratio,
            "bar": BAR,
        }
        print(json.dumps(result, indent=1))
        return
    print("width  depth  hyperlaw tok/s  plain tok/s  hyperlaw loss  plain loss  ratio")
    for row in rows:
        print(
            f"{row.width:5d}  {row.depth:5d}  {row.hyperlaw_tokens_per_second:14,.0f}  "
            f"{row.plain_tokens_per_second:11,.0f}  {row.hyperlaw_loss:13.3f}  "
            f"{row.plain_loss:10.3f}  {row.ratio:5.3f}"
        )
    print(f"{'geometric mean (bar ' + format(BAR, '.2f') + ')':>71s}  {ratio:5.3f}")


if __name__ == "__main__":
    main()
