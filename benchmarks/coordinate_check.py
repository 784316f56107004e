"""The coordinate check of every parametrization, beside the standard one: GPT on source code.

    python benchmarks/coordinate_check.py [--optimizer adamw] [--seeds 3] [--layers] [--json]

For each scheme the same model takes ten optimizer steps at widths 64 to 512 (depth 2) and at depths
2 to 16 (width 64), three seeds each, and the slope of log RMS of each layer's change on log size is
fitted (`trainers.coordinate_check`, `scaling.coordinate_slopes`). The peer is `sp`. The bar: under
each scheme of the muP family every judged layer has |slope| at most 0.2, and `sp` fails.

Over width every layer is judged. Over depth, the schemes that scale residual branches by depth are
judged, on all layers outside of the residual blocks: embedding, residual stream at half of the
stack and at its end, readout. Inside the blocks a branch is scaled down on purpose.

`u-mup` is checked twice: with the rate of embeddings held, as muP has it and as is the default
here, and as published (`embedding_lr: sqrt`), where it falls as width^-1/2, so that embeddings are
meant to move less in wide models; that one is outside of the bar.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch

from scaling.coordinate_slopes import CHANGES, TOLERANCE, LayerSlope, coordinate_slopes, worst
from trainers.config import RunConfig, Value
from trainers.coordinate_check import judged_axes, measure, with_batch
from trainers.scaling_rules import SCHEMES

SIZES = {"width": (64, 128, 256, 512), "depth": (2, 4, 8, 16)}
BASE = {"width": 64, "depth": 2}
CONTEXT = 32
LR = 2.0**-8
PUBLISHED: dict[str, Value] = {"embedding_lr": "sqrt"}
CASES: tuple[tuple[str, dict[str, Value]], ...] = (
    *((scheme, {}) for scheme in SCHEMES),
    ("u-mup", PUBLISHED),
)


class Case(NamedTuple):
    """One scheme's slopes."""

    scheme: str
    options: dict[str, Value]
    slopes: tuple[LayerSlope, ...]
    seconds: float

    @property
    def name(self) -> str:
        """The scheme, with its options where it has any."""
        options = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return f"{self.scheme} ({options})" if options else self.scheme

    def over(self, axis: str) -> tuple[LayerSlope, ...]:
        """The slopes that are judged over one axis."""
        return tuple(one for one in self.slopes if one.axis == axis and one.judged)

    @property
    def passes(self) -> bool:
        """Whether every judged layer holds."""
        return all(one.holds for one in self.slopes if one.judged)

    @property
    def steepest(self) -> float:
        """The largest absolute slope of a judged layer."""
        found = worst(self.slopes)
        assert found is not None
        return found.steepness


def check(scheme: str, options: dict[str, Value], arguments: argparse.Namespace) -> Case:
    """Measure one scheme over width and depth."""
    started = time.perf_counter()
    config = with_batch(
        RunConfig(
            trainer="gpt",
            shape=BASE,
            tokens=1,
            setting={"lr": LR, "optimizer": arguments.optimizer, "grad_clip": arguments.grad_clip},
            parametrization=scheme,
            parametrization_options=options,
            base=BASE,
            model={"context": CONTEXT},
        )
    )
    rows = [row for training in measure(config, SIZES, seeds=arguments.seeds) for row in training]
    changes = pd.DataFrame(rows, columns=list(CHANGES))
    slopes = coordinate_slopes(changes, judged_axes(scheme))
    return Case(scheme, options, slopes, time.perf_counter() - started)


def print_cases(cases: Sequence[Case], *, layers: bool) -> None:
    """Print a row a scheme and axis, and every layer where asked for."""
    names = [case.name for case in cases]
    wide = max(map(len, names))
    print(
        f"{'scheme':<{wide}}  {'over':<6}{'judged':>7}{'hold':>6}  {'worst layer':<24}{'slope':>8}"
    )
    for case in cases:
        for axis in SIZES:
            judged = case.over(axis)
            holding = sum(bool(one.holds) for one in judged)
            steepest = worst(judged)
            said = "not judged: the scheme leaves depth alone"
            if steepest is not None:
                slope = steepest.slope
                ends = f"{slope.low:+.3f} to {slope.high:+.3f}"
                said = f"{steepest.layer:<24}{slope.value:>+8.3f}  {ends}"
            print(f"{case.name:<{wide}}  {axis:<6}{len(judged):>7}{holding:>6}  {said}")
        for one in case.slopes if layers else ():
            verdict = {True: "holds", False: "fails", None: "not judged"}[one.holds]
            print(f"    {one.axis:<6}{one.layer:<32}{one.slope.value:>+8.3f}  {verdict}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="The coordinate check of every parametrization.")
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--grad-clip", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--layers", action="store_true", help="print every layer's slope")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = [check(scheme, options, arguments) for scheme, options in CASES]
    by_name = {case.name: case for case in cases}
    sp = by_name.pop("sp")
    failing = [case for case in by_name.values() if not case.passes]
    ratio = sp.steepest / max(case.steepest for case in by_name.values() if case.passes)
    if arguments.json:
        document = {
            "schema_version": 1,
            "optimizer": arguments.optimizer,
            "tolerance": TOLERANCE,
            "cases": [
                {
                    "scheme": case.scheme,
                    "options": case.options,
                    "passes": case.passes,
                    "seconds": case.seconds,
                    "slopes": [
                        {
                            "axis": one.axis,
                            "layer": one.layer,
                            "slope": one.slope.value,
                            "low": one.slope.low,
                            "high": one.slope.high,
                            "judged": one.judged,
                        }
                        for one in case.slopes
                    ],
                }
                for case in cases
            ],
            "ratio": ratio,
        }
        print(json.dumps(document))
        return
    print(f"{arguments.optimizer}, lr {LR:g}, {arguments.seeds} seeds; 90 % intervals over seeds")
    print_cases(cases, layers=arguments.layers)
    print(f"sp fails: {'yes' if not sp.passes else 'NO'}")
    for what, among in (("by default", False), ("as published", True)):
        beyond = [case.name for case in failing if bool(case.options) is among]
        said = ", ".join(beyond) or "none"
        print(f"muP family {what}, with a judged layer beyond {TOLERANCE:g}: {said}")
    seconds = sum(case.seconds for case in cases)
    print(f"ratio, worst slope of sp over that of those that pass: {ratio:.1f} ({seconds:.0f} s)")


if __name__ == "__main__":
    main()
