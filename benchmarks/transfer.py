"""Does a small model's best learning rate serve a larger one? Basins of the source-code GPT.

    python benchmarks/transfer.py [--db FILE] [--figure FILE.html] [--json]

Grids of learning rates, seven an octave apart, three seeds, through `hpo.runner.run_sweep`: over
width 64, 128 and 256 under `mup`, and over depth 2, 4 and 8 under `complete-p`, each beside `sp`,
the peer. All runs of a grid see the same number of tokens. What counts is the regret: the loss that
the largest model pays, in %, for the rate at which the smallest one was best. The bars: at most
0.5 % under the transferring scheme, and more than that under `sp`.

The runs are kept in `--db`, so that a benchmark that was stopped goes on where it was. About half
an hour on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hpo.runner import run_sweep
from hpo.spec import parse_spec
from scaling.basin_check import REGRET_PCT, BasinCheck, check_basins
from storage.store import Store

SWEEP = """\
name: {scheme}-over-{axis}
trainer: gpt
parametrization: {scheme}
data: python-stdlib
base: {{width: 64, depth: 2}}
scales: {{width: {widths}, depth: {depths}, tokens: {tokens}}}
search: {{method: grid}}
space:
  lr: {{choices: {rates}}}
fixed: {{batch_tokens: 512}}
seeds: {seeds}
reports: 1
"""
WIDTHS, DEPTHS = (64, 128, 256), (2, 4, 8)
TOKENS = 200 * 512
RATES = tuple(2.0**octave for octave in range(-11, -4))
SEEDS = 3


@dataclass(frozen=True)
class Grid:
    """One sweep: a scheme over one axis of size."""

    scheme: str
    axis: str

    @property
    def text(self) -> str:
        """Return its sweep file."""
        over_width = self.axis == "width"
        return SWEEP.format(
            scheme=self.scheme,
            axis=self.axis,
            widths=list(WIDTHS if over_width else WIDTHS[:1]),
            depths=list(DEPTHS[:1] if over_width else DEPTHS),
            tokens=TOKENS,
            rates=list(RATES),
            seeds=SEEDS,
        )


PAIRS = (
    (Grid("mup", "width"), Grid("sp", "width")),
    (Grid("complete-p", "depth"), Grid("sp", "depth")),
)
"""What transfers by its rules, and the peer."""


def measure(grid: Grid, store: Store) -> BasinCheck:
    """Train what is not trained yet, and check the basins."""
    spec = parse_spec(grid.text)
    run_sweep(spec, store, spec_text=grid.text)
    (check,) = check_basins(store.runs(spec.name))
    return check


def draw(checks: dict[Grid, BasinCheck]) -> go.Figure:
    """Draw loss against learning rate, a panel a grid and a line a size."""
    titles = [f"{grid.scheme}, over {grid.axis}" for grid in checks]
    drawn = make_subplots(
        rows=len(PAIRS),
        cols=2,
        subplot_titles=titles,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        vertical_spacing=0.14,
    )
    for number, (grid, check) in enumerate(checks.items()):
        row, column = number // 2 + 1, number % 2 + 1
        for basin, colour in zip(check.basins, ("#56b4e9", "#0072b2", "#222222"), strict=True):
            line = go.Scatter(
                x=basin.lrs,
                y=basin.losses,
                mode="lines+markers",
                line={"color": colour},
                name=f"{grid.axis} {basin.size:g}",
                showlegend=column == 1,
                legend="legend" if row == 1 else "legend2",
            )
            drawn.add_trace(line, row, column)
            optimum = go.Scatter(
                x=[basin.lr],
                y=[basin.loss],
                mode="markers",
                marker={"symbol": "star", "size": 13, "color": "#d55e00"},
                showlegend=False,
            )
            drawn.add_trace(optimum, row, column)
    drawn.update_xaxes(type="log", title="learning rate", dtick=1)
    drawn.update_yaxes(title="held-out loss (nats a byte)", col=1)
    drawn.update_layout(
        template="plotly_white",
        width=1000,
        height=760,
        margin={"l": 60, "r": 20, "t": 40, "b": 60},
        legend={"y": 1.0, "yanchor": "top"},
        legend2={"y": 0.43, "yanchor": "top"},
    )
    return drawn


def show(checks: dict[Grid, BasinCheck]) -> None:
    """Print a row a grid, and the bars."""
    print(f"{TOKENS:,} tokens a run, {len(RATES)} rates, {SEEDS} seeds")
    print(f"{'scheme':<12}{'over':<8}{'best log2 lr':<28}{'octaves a doubling':>22}{'regret':>24}")
    for grid, check in checks.items():
        best = ", ".join(
            f"{math.log2(basin.lr):.2f}" + "*" * basin.at_edge for basin in check.basins
        )
        octaves, regret = check.octaves, check.regret_pct
        drift = f"{octaves.value:+.2f} [{octaves.low:+.2f}, {octaves.high:+.2f}]"
        paid = f"{regret.value:.2f} % [{regret.low:.2f}, {regret.high:.2f}]"
        print(f"{grid.scheme:<12}{grid.axis:<8}{best:<28}{drift:>22}{paid:>24}")
    print("* the lowest or highest rate at which it has a loss")
    for ours, peer in PAIRS:
        own, other = checks[ours].regret_pct.value, checks[peer].regret_pct.value
        met = own <= REGRET_PCT and other > own
        print(
            f"over {ours.axis}: {ours.scheme} pays {own:.2f} % (bar {REGRET_PCT} %), sp "
            f"{other:.2f} %: {'met' if met else 'missed'}; ratio {own / other:.3f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--db", type=Path, help="where the runs are kept, and found again")
    parser.add_argument("--figure", type=Path, help="an HTML file to draw the basins to")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    logging.getLogger("ray").setLevel(logging.ERROR)
    began = time.perf_counter()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hl-")))
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        store = stack.enter_context(Store.open(arguments.db or folder / "runs.db"))
        checks = {grid: measure(grid, store) for pair in PAIRS for grid in pair}
    if arguments.figure is not None:
        draw(checks).write_html(arguments.figure)
    if arguments.json:
        rows = [
            {"scheme": grid.scheme, "axis": grid.axis, **check.to_dict()}
            for grid, check in checks.items()
        ]
        seconds = time.perf_counter() - began
        print(json.dumps({"schema_version": 1, "grids": rows, "seconds": seconds}))
    else:
        show(checks)


if __name__ == "__main__":
    main()
