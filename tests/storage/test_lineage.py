"""Whose weights a run ended with: followed back through other runs, and refused where lost."""

import subprocess
import sys

import pytest

from storage.lineage import State, ancestry

LEGS: list[tuple[State, State | None]] = [
    (("a", 1), None),
    (("b", 1), None),
    (("a", 2), ("a", 1)),
    (("b", 2), ("a", 1)),
    (("a", 3), ("b", 2)),
]


def test_weights_are_followed_through_other_runs() -> None:
    assert ancestry(LEGS, "a") == [("a", 1), ("b", 2), ("a", 3)]
    assert ancestry(LEGS, "b") == [("a", 1), ("b", 2)]


def test_a_run_that_has_not_come_anywhere_has_none() -> None:
    assert ancestry(LEGS, "c") == []


def test_of_two_legs_to_one_state_the_later_counts() -> None:
    assert ancestry([*LEGS, (("a", 3), ("a", 2))], "a") == [("a", 1), ("a", 2), ("a", 3)]


def test_a_state_that_was_lost_is_no_start_of_training() -> None:
    with pytest.raises(KeyError):
        ancestry(LEGS[2:], "a")


def test_it_needs_no_database() -> None:
    code = "import sys, storage.lineage; print('sqlalchemy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
