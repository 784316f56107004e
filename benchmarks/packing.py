"""A whole sweep that packs its runs by itself, beside the same sweep one run at a time.

    python benchmarks/packing.py [--widths N …] [--runs N] [--tokens N] [--batch-tokens N] [--json]

GPTs of depth 2 and context 64 on source code, random learning rates, through
`hpo.runner.run_sweep`: once as it is, and once with `resources: {fused: 1}`. Timed is the wall from
the launch to its end, all that the packing sweep measures for itself counted; a Ray session that is
already there serves both. The bar: packing is never slower than 0.95 of one at a time, whether it
pays (width 32) or not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hpo.launch import ray_session
from hpo.runner import run_sweep
from hpo.schema import Resources
from hpo.spec import parse_spec
from storage.columns import LOSS, LR
from storage.store import Store

SWEEP = """\
name: {name}
trainer: gpt
data: python-stdlib
scales: {{width: {width}, depth: 2, tokens: {tokens}}}
search: {{method: random}}
space:
  lr: {{log: [1e-4, 1e-2]}}
fixed: {{batch_tokens: {batch_tokens}}}
model: {{context: 64}}
runs: {runs}
reports: 4
{resources}"""
ALONE, PACKED = "resources: {fused: 1}\n", ""
WIDTHS = (32, 128)
RUNS = 32
TOKENS = 640_000
BATCH_TOKENS = 128
BAR = 0.95


@dataclass(frozen=True)
class Row:
    """What one width gave: seconds of two launches each."""

    width: int
    packed_seconds: float
    alone_seconds: float
    ratio: float
    """Time of one run at a time over that of the sweep that packs."""
    loss_difference: float
    """The largest between the two of a run, relative."""


def timed(text: str, store: Store) -> tuple[float, np.ndarray]:
    """Launch a sweep; return its seconds and its losses, by learning rate."""
    spec = parse_spec(text)
    began = time.perf_counter()
    run_sweep(spec, store, spec_text=text)
    seconds = time.perf_counter() - began
    return seconds, store.runs(spec.name).sort_values(LR)[LOSS].to_numpy(float)


def measure(width: int, arguments: argparse.Namespace, store: Store) -> Row:
    """Launch the sweep of one width both ways, twice each."""
    common = {
        "width": width,
        "tokens": arguments.tokens,
        "runs": arguments.runs,
        "batch_tokens": arguments.batch_tokens,
    }
    seconds = {ALONE: 0.0, PACKED: 0.0}
    losses: dict[str, np.ndarray] = {}
    # In this order a machine that becomes slower or faster all the time does so to both.
    for number, way in enumerate((ALONE, PACKED, PACKED, ALONE)):
        text = SWEEP.format(name=f"width-{width}-{number}", resources=way, **common)
        took, losses[way] = timed(text, store)
        seconds[way] += took
    return Row(
        width,
        seconds[PACKED],
        seconds[ALONE],
        seconds[ALONE] / seconds[PACKED],
        float(np.max(np.abs(losses[PACKED] / losses[ALONE] - 1))),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS, metavar="N")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hl-")))
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        store = stack.enter_context(Store.open(folder / "runs.db"))
        stack.enter_context(ray_session(Resources(), None))
        rows = [measure(width, arguments, store) for width in arguments.widths]
    if arguments.json:
        print(json.dumps({"schema_version": 1, "rows": [asdict(row) for row in rows]}))
        return
    print("width  packed s  one at a time s  ratio  largest difference of a loss")
    for row in rows:
        print(
            f"{row.width:5d}  {row.packed_seconds:8.1f}  {row.alone_seconds:15.1f}  "
            f"{row.ratio:5.2f}  {row.loss_difference:.1e}"
        )
    worst = min(row.ratio for row in rows)
    print(f"bar: no width below {BAR}: {'met' if worst >= BAR else 'missed'}")


if __name__ == "__main__":
    main()
