"""Steps a second of runs that are fused, beside the same runs one at a time.

    python benchmarks/fused.py [--batch-tokens N …] [--widths N …] [--runs N …]
                               [--optimizer NAME] [--data FILE] [--json]

Both sides train GPTs of depth 2 and context 64 through their public interfaces, on one thread or on
the GPU that torch sees: `FusedTrainer` with K runs, and `TaskTrainer` with one, for as many steps
in all. Building and recording are not timed; the held-out loss is of one window, so that hardly
anything but training is. Rounds of both sides alternate, and the ratio is the median over them. On
a CPU the clock is that of the process, which other processes do not slow as they do the wall's.

A K is left out where a step of so many runs would take more than MOST_SECONDS. Bars: a fused batch
of one is no slower than the loop (0.95), and on a GPU the best K of each width up to 256 makes ten
times as many steps.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch

from trainers import data
from trainers.config import RunConfig
from trainers.fused.compatible import FUSED_OPTIMIZERS
from trainers.fused.trainer import FusedTrainer
from trainers.loop import TaskTrainer
from trainers.models.gpt_shape import MODEL_OPTIONS
from trainers.task import Batch
from trainers.tasks.text import GPTTask

DEPTH, CONTEXT = 2, 64
WIDTHS = (32, 64, 128, 256, 512)
RUNS = (1, 2, 4, 8, 16, 32, 64)
BATCH_TOKENS = (128, 512)
LR = 2.0**-9
ROUNDS = 5
ROUND_SECONDS = 0.4
LEAST_STEPS = 2
MOST_SECONDS = 0.5
BAR_OF_ONE, BAR_ON_GPU, GPU_WIDTH = 0.95, 10.0, 256


@dataclass(frozen=True)
class Row:
    """What one shape and number of runs gave."""

    batch_tokens: int
    width: int
    runs: int
    alone_steps_per_second: float
    fused_steps_per_second: float
    """Of all runs together."""
    ratio: float


class BarelyJudged(GPTTask):
    """A GPT's task whose held-out sample is one window."""

    sample_tokens = CONTEXT
    model_options = MODEL_OPTIONS

    def held_out(self, *, final: bool) -> Batch:
        """Return one window."""
        return tuple(part[:1] for part in super().held_out(final=final))


def clock() -> float:
    """Return seconds: of the process on a CPU, and of the wall on a GPU once its work is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def seconds(train: Callable[[], object]) -> float:
    """Return how long `train` takes."""
    started = clock()
    train()
    return clock() - started


def by_rounds(config: RunConfig, steps: int) -> RunConfig:
    """Return a run that reports every `steps` steps, as often as rounds need, and goes on."""
    n_reports = ROUNDS + 3
    return replace(
        config,
        tokens=n_reports * steps * int(config.setting["batch_tokens"]),
        reports=n_reports,
    )


def measure(config: RunConfig, n_runs: int, alone_seconds: float) -> tuple[float, float, float]:
    """Return (steps a second alone, the same fused, ratio); `alone_seconds`: of a step, roughly."""
    steps = max(LEAST_STEPS, round(ROUND_SECONDS / (n_runs * alone_seconds)))
    fused = FusedTrainer([replace(by_rounds(config, steps), seed=seed) for seed in range(n_runs)])
    alone = TaskTrainer(by_rounds(config, n_runs * steps))
    fused.step()
    alone.step()
    pairs = [(seconds(alone.step), seconds(fused.step)) for _ in range(ROUNDS)]
    return (
        n_runs * steps / statistics.median(of_alone for of_alone, _ in pairs),
        n_runs * steps / statistics.median(of_fused for _, of_fused in pairs),
        statistics.median(of_alone / of_fused for of_alone, of_fused in pairs),
    )


def measure_width(config: RunConfig, runs: list[int]) -> list[Row]:
    """Measure one shape with each number of runs, as far as there is time and memory."""
    probe = TaskTrainer(by_rounds(config, LEAST_STEPS))
    probe.step()
    alone_seconds = seconds(probe.step) / LEAST_STEPS
    batch_tokens, width = int(config.setting["batch_tokens"]), config.shape["width"]
    rows = []
    for n_runs in runs:
        if n_runs > 1 and n_runs * alone_seconds > MOST_SECONDS:
            break
        print(f"batch {batch_tokens}, width {width}, {n_runs} runs …", file=sys.stderr)
        try:
            rows.append(Row(batch_tokens, width, n_runs, *measure(config, n_runs, alone_seconds)))
        except torch.OutOfMemoryError:
            print(f"{n_runs} runs of width {width} do not fit in memory", file=sys.stderr)
            break
    return rows


def print_table(rows: list[Row]) -> None:
    """Print a row a shape and number of runs, and at the end the ratios that the bars are on."""
    print("batch  width  runs  alone steps/s  fused steps/s  ratio")
    for row in rows:
        print(
            f"{row.batch_tokens:5d}  {row.width:5d}  {row.runs:4d}  "
            f"{row.alone_steps_per_second:13,.1f}  {row.fused_steps_per_second:13,.1f}  "
            f"{row.ratio:5.2f}"
        )
    for name, value in ratios(rows).items():
        print(f"{name:>46s}  {value:5.2f}")


def ratios(rows: list[Row]) -> dict[str, float]:
    """Return what the bars are on, and how far it is from them to the best."""
    found = {}
    if of_one := [row.ratio for row in rows if row.runs == 1]:
        found[f"one run, geometric mean (bar {BAR_OF_ONE})"] = statistics.geometric_mean(of_one)
    best: dict[tuple[int, int], float] = {}
    for row in rows:
        key = row.batch_tokens, row.width
        best[key] = max(best.get(key, 0.0), row.ratio)
    found["best of all"] = max(best.values())
    if torch.cuda.is_available():
        to_bar = [ratio for (_, width), ratio in best.items() if width <= GPU_WIDTH]
        found[f"least best up to width {GPU_WIDTH} (bar {BAR_ON_GPU:g})"] = min(to_bar)
    return found


def main() -> None:
    """Measure every shape and print the table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-tokens", type=int, nargs="+", default=BATCH_TOKENS, metavar="N")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS, metavar="N")
    parser.add_argument("--runs", type=int, nargs="+", default=RUNS, metavar="N")
    parser.add_argument("--optimizer", default="adamw", choices=FUSED_OPTIMIZERS)
    parser.add_argument("--data", default=data.STDLIB, metavar="FILE", help="text to train on")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    for batch_tokens in arguments.batch_tokens:
        for width in arguments.widths:
            config = RunConfig(
                trainer=f"{__name__}:BarelyJudged",
                shape={"width": width, "depth": DEPTH},
                tokens=batch_tokens,
                setting={
                    "lr": LR,
                    "batch_tokens": batch_tokens,
                    "optimizer": arguments.optimizer,
                },
                data=arguments.data,
                model={"context": CONTEXT},
            )
            rows += measure_width(config, list(arguments.runs))
    if arguments.json:
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "one CPU core"
        result = {
            "schema_version": 1,
            "device": device,
            "optimizer": arguments.optimizer,
            "rows": [asdict(row) for row in rows],
            "ratios": ratios(rows),
        }
        print(json.dumps(result, indent=1))
        return
    print_table(rows)


if __name__ == "__main__":
    main()
