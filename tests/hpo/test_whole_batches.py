"""Batches whose whole steps miss a run's tokens: refused with their line, also within a range."""

import pytest

from hpo.errors import SpecError
from hpo.spec import parse_spec

SWEEP = """\
name: rounding
trainer: gpt
scales: {width: 32, depth: 2, tokens: 24576}
search: {method: transfer}
space:
  lr: {log: [1e-3, 1e-2]}
  batch_tokens: {choices: [1024, 2048]}
runs: 4
"""
CHOICES = "{choices: [1024, 2048]}"


@pytest.mark.parametrize(
    ("batches", "where", "right"),
    [
        ("{choices: [1024, 9600]}", "choices[1]: batch_tokens is 9600", "8601 (3 steps), 11674"),
        ("{choices: [15680, 1024]}", "choices[0]: batch_tokens is 15680", "12902 (2 steps), 23348"),
        ("{log: [1024, 24576], multiple_of: 1024}", "log[1]: batch_tokens is 16384", "up to 2457"),
        ("{log: [1024, 8960], multiple_of: 64}", "log[1]: batch_tokens is 8960", "8601 (3 steps)"),
        ("{uniform: [1024, 4096], multiple_of: 64}", "uniform[1]: batch_tokens is ", "up to 2457"),
    ],
)
def test_a_batch_that_misses_the_tokens_is_named(batches: str, where: str, right: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(SWEEP.replace(CHOICES, batches), "sweep.yaml")
    assert str(caught.value).startswith(f"sweep.yaml:7: space.batch_tokens.{where}")
    assert right in str(caught.value)


@pytest.mark.parametrize(
    "batches",
    [
        "{choices: [1024, 12288, 24576]}",
        "{log: [64, 2432], multiple_of: 64}",
        "{log: [12288, 24576], multiple_of: 12288}",
    ],
)
def test_batches_that_come_near_the_tokens_are_not(batches: str) -> None:
    parse_spec(SWEEP.replace(CHOICES, batches))


def test_of_a_range_a_grid_is_asked_for_its_own_values_only() -> None:
    """Of 3,072 to 12,288 these are its ends and 6,144, though 7,680 would be refused."""
    grid = SWEEP.replace("transfer", "grid").replace("1e-2]", "1e-2], steps: 2")
    ends = "{log: [3072, 12288], multiple_of: 512, steps: 3}"
    parse_spec(grid.replace(CHOICES, ends))
    with pytest.raises(SpecError, match=r":7: space\.batch_tokens\.log: batch_tokens is 7680"):
        parse_spec(grid.replace(CHOICES, ends.replace("steps: 3", "steps: 4")))
