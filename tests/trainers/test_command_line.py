"""Commands with places for values: how their text becomes arguments, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.command_line import as_argument, parse
from trainers.errors import TrainerError


def test_a_command_is_split_as_a_shell_would_and_then_filled():
    line = parse("python 'my train.py' --lr={lr} --note 'a {note}'")
    assert line.names == ("lr", "note")
    assert line.fill({"lr": 1e-05, "note": "b"}) == [
        "python",
        "my train.py",
        "--lr=1e-05",
        "--note",
        "a b",
    ]


@given(st.text().filter(lambda text: "\0" not in text))
def test_no_value_breaks_out_of_its_argument(value: str):
    filled = parse("run --name {name} --both={name}{name} --end").fill({"name": value})
    assert filled == ["run", "--name", value, f"--both={value}{value}", "--end"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_full_precision(value: float):
    assert float(as_argument(value)) == value


def test_braces_written_twice_mean_themselves():
    assert parse("run '{{\"lr\": {lr}}}'").fill({"lr": 0.5}) == ["run", '{"lr": 0.5}']


def test_a_value_that_is_a_place_is_not_filled_again():
    assert parse("run {a}").fill({"a": "{b}", "b": 1}) == ["run", "{b}"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the command is empty"),
        ("''", "the command is empty"),
        ("run 'a", "no closing quotation"),
        ("run {lr", "lacks its other half"),
        ("run lr}", "lacks its other half"),
        ("run {}", "something else than a name"),
        ("run {lr:.3f}", "something else than a name"),
        ("run {lr!r}", "something else than a name"),
        ("{program} run", "name it outright"),
        ("cd there && run", "'&&' is for a shell"),
        ("run > log", "'>' is for a shell"),
        ("run 2>&1", "'2>&1' is for a shell"),
        ("GPU=1 run", "begin with 'env GPU=1'"),
    ],
)
def test_commands_are_refused(text: str, says: str):
    with pytest.raises(TrainerError) as caught:
        parse(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_was_quoted_is_not_taken_for_a_shell():
    assert parse("run '>5' 'a && b'").arguments == ("run", ">5", "a && b")


def test_a_value_that_is_not_there_is_named_with_its_neighbour():
    with pytest.raises(TrainerError, match="unknown value 'weigth'; did you mean 'weight'"):
        parse("run {weigth}").fill({"weight": 1})


def test_a_value_that_no_argument_can_hold():
    with pytest.raises(TrainerError, match="zero byte"):
        parse("run {name}").fill({"name": "a\0b"})


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("python src/train.py --lr {lr}", "train.py"),
        ("torchrun --nproc-per-node 2 train.py", "train.py"),
        ("python -m project.train", "project.train"),
        ("/opt/bin/trainer --lr {lr}", "trainer"),
    ],
)
def test_a_short_name(text: str, label: str):
    assert parse(text).label == label
