"""Plans: which points a sweep has, whoever makes the plan and whenever."""

import math
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.ladder import resolve_ladder
from hpo.planned import plan_points
from hpo.points import Point
from hpo.spec import parse_spec


def plan(text: str) -> list[Point]:
    spec = parse_spec(text)
    return plan_points(spec, resolve_ladder(spec))


def grid(text: str) -> str:
    return (
        text.replace("transfer", "grid").replace("[1e-2, 1e0]", "[1e-2, 1e0], steps: 3")
    ).replace("runs: 24\n", "")


def random(text: str) -> str:
    return text.replace("transfer", "random")


def test_transfer_has_the_same_settings_at_every_scale(ladder_text: str) -> None:
    points = plan(ladder_text)
    assert len(points) == 24
    rungs: dict[float, list[object]] = {}
    for point in points:
        rungs.setdefault(point.scale.flops, []).append(point.setting)
    assert len(rungs) == 6
    first = next(iter(rungs.values()))
    assert len(first) == 4
    assert all(settings == first for settings in rungs.values())


def test_transfer_covers_the_space_evenly(ladder_text: str) -> None:
    points = plan(ladder_text.replace("runs: 24", f"runs: {6 * 16}"))[::6]
    octiles = [int(8 * (math.log10(float(point.setting["lr"])) + 2) / 2) for point in points]
    assert Counter(octiles) == dict.fromkeys(range(8), 2)
    batches = Counter(point.setting["batch_tokens"] for point in points)
    assert batches == dict.fromkeys((512, 1024, 2048, 4096), 4)


def test_random_draws_each_scale_its_own(ladder_text: str) -> None:
    points = plan(random(ladder_text))
    assert len({point.setting["lr"] for point in points}) == 24
    assert all(1e-2 <= float(point.setting["lr"]) <= 1 for point in points)


def test_a_grid_has_every_combination_once_at_every_scale(ladder_text: str) -> None:
    points = plan(grid(ladder_text))
    assert len(points) == 6 * 12
    for flops in {point.scale.flops for point in points}:
        settings = [
            (round(math.log10(float(point.setting["lr"])), 9), point.setting["batch_tokens"])
            for point in points
            if point.scale.flops == flops
        ]
        assert sorted(settings) == sorted(product((-2, -1, 0), (512, 1024, 2048, 4096)))


def test_a_linear_grid_divides_its_range(ladder_text: str) -> None:
    text = grid(ladder_text).replace("log: [1e-2, 1e0]", "uniform: [1, 3]")
    assert {point.setting["lr"] for point in plan(text)} == {1.0, 2.0, 3.0}


def test_what_is_fixed_is_in_every_setting(ladder_text: str) -> None:
    text = ladder_text.replace("  batch_tokens: {choices: [512, 1024, 2048, 4096]}\n", "")
    points = plan(f"{text}fixed: {{batch_tokens: 512}}\n")
    assert {point.setting["batch_tokens"] for point in points} == {512}


def test_seeds_repeat_settings(ladder_text: str) -> None:
    points = plan(f"{ladder_text}seeds: 2\nseed: 7\n")
    assert len(points) == 24
    smallest = [point for point in points if point.scale == points[0].scale]
    assert [point.seed for point in smallest] == [7, 8, 7, 8]
    assert smallest[0].setting == smallest[1].setting != smallest[2].setting


@given(runs=st.integers(6, 60), method=st.sampled_from(["transfer", "random"]))
def test_every_run_counts_and_smaller_scales_get_the_remainder(runs: int, method: str) -> None:
    text = (
        "{name: x, trainer: simulated, scales: {width: [32, 64, 128], depth: 2, "
        f"tokens_per_param: [5, 20]}}, search: {{method: {method}}}, "
        f"space: {{lr: {{log: [1e-2, 1]}}}}, fixed: {{batch_tokens: 512}}, runs: {runs}}}"
    )
    points = plan(text)
    assert [point.run_id for point in points] == [f"x-{index:05d}" for index in range(runs)]
    counts = Counter(point.scale.flops for point in points)
    by_size = [counts[flops] for flops in sorted(counts)]
    assert sum(by_size) == runs
    assert by_size == sorted(by_size, reverse=True)
    assert max(by_size) - min(by_size) <= 1


@pytest.mark.parametrize("method", ["transfer", "random", "grid"])
def test_a_plan_begins_any_longer_plan(ladder_text: str, method: str) -> None:
    text = grid(ladder_text) + "runs: 24\n" if method == "grid" else ladder_text
    text = text.replace("transfer", method)
    assert plan(text) == plan(text.replace("runs: 24", "runs: 50"))[:24]


def test_another_seed_is_another_plan(ladder_text: str) -> None:
    for text in (ladder_text, random(ladder_text)):
        lrs = [{point.setting["lr"] for point in plan(f"{text}seed: {seed}")} for seed in (0, 1)]
        assert not lrs[0] & lrs[1]


def test_another_process_makes_the_same_plan_and_says_nothing(
    ladder_text: str, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(ladder_text, encoding="utf-8")
    script = (
        "import sys\n"
        "from hpo.ladder import resolve_ladder\n"
        "from hpo.planned import plan_points\n"
        "from hpo.spec import load_spec\n"
        "spec = load_spec(sys.argv[1])\n"
        "print(plan_points(spec, resolve_ladder(spec)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always::UserWarning", "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == repr(plan(ladder_text))
    assert done.stderr == ""
