"""What is wrong with a population is one line at the door: where it is, and what would be right."""

import pytest

from hpo.spec import SpecError, parse_spec

GPT = """\
name: pop
trainer: gpt
scales: {width: 32, depth: 1, tokens: 20000}
search: {method: population}
space:
  lr: {log: [1e-3, 1e-1]}
  beta2: {uniform: [0.9, 0.999]}
fixed: {batch_tokens: 512}
model: {context: 32}
runs: 4
reports: 4
"""


def refused(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "f")
    return str(caught.value)


def test_what_is_live_may_be_searched() -> None:
    assert parse_spec(GPT).search.method == "population"


@pytest.mark.parametrize(
    ("old", "new", "where", "right"),
    [
        (
            "beta2: {uniform: [0.9, 0.999]}",
            "warmup_fraction: {uniform: [0, 0.5]}",
            "f:7: space.warmup_fraction: warmup_fraction cannot change in mid-run",
            "these can: lr, weight_decay, beta1, beta2, eps, grad_clip, ema; set it under fixed",
        ),
        (
            "beta2: {uniform: [0.9, 0.999]}",
            "schedule: {choices: [linear, cosine]}",
            "f:7: space.schedule: schedule cannot change",
            "set it under fixed",
        ),
        ("width: 32", "width: [32, 64]", "f:3: scales: 2 scales", "one value of width, in a file"),
        ("20000}", "[20000, 40000]}", "f:3: scales: 2 scales", "one value of tokens"),
        ("runs: 4", "runs: 1", "f:10: runs: 1 is no population", "at least 2"),
        ("runs: 4\n", "", "f:1: runs: missing", "how many runs"),
        ("population}", "population, interval: 4}", "f:4: search.interval: 4 of", "at most 3"),
        ("reports: 4", "reports: 1", "f:4: search.interval: 1 of", "more reports"),
        ("population}", "population, quantile: 0.6}", "f:4: search.quantile: 0.6", "at most 0.5"),
        ("population}", "population, factors: [1.1, 1.2]}", "f:4: search.factors", "[0.8, 1.25]"),
        ("population}", "population, explore: pb3}", "f:4: search.explore: 'pb3'", "'pb2'"),
        ("population}", "population, quantil: 0.2}", "f:4: search.quantil", "'quantile'"),
        ("reports: 4", "changes: [{at: 0.5, lr: 1}]", "f:11: changes: a population", "leave them"),
    ],
)
def test_it_is_refused(old: str, new: str, where: str, right: str) -> None:
    message = refused(GPT.replace(old, new, 1))
    assert message.startswith(where), message
    assert right in message


def test_pb2_needs_a_range() -> None:
    text = GPT.replace("{log: [1e-3, 1e-1]}", "{choices: [0.01, 0.02]}")
    text = text.replace("{uniform: [0.9, 0.999]}", "{choices: [0.9, 0.99]}")
    message = refused(text.replace("population}", "population, explore: pb2}"))
    assert message.startswith("f:4: search.explore: pb2 proposes values of ranges")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ("[{at: 0.5, lrr: 1}]", "f:11: changes[0].lrr: lrr cannot change in mid-run"),
        ("[{at: 0.5, lr: -1}]", "f:11: changes[0].lr: lr is -1"),
        ("[{at: 1.5, lr: 1}]", "f:11: changes[0].at: at is 1.5"),
        ("[{at: 0.5, lr: 1}, {at: 0.5, lr: 2}]", "f:11: changes[1].at: at is 0.5, a part"),
        ("[{lr: 1}]", "f:11: changes[0].at: missing"),
        ("[{at: 0.5}]", "f:11: changes[0]: nothing changes here"),
    ],
)
def test_a_wrong_table_of_changes_is_refused(changes: str, where: str) -> None:
    text = GPT.replace("{method: population}", "{method: random}")
    message = refused(text.replace("reports: 4", f"changes: {changes}"))
    assert message.startswith(where), message
