"""Settings on a condition and ranges of whole multiples, in the file and in the plans."""

from collections import Counter
from pathlib import Path

import pytest

from hpo.ladder import resolve_ladder
from hpo.planned import grid_size, plan_points
from hpo.spec import SpecError, parse_spec

SPACE = """\
name: own
trainer: trainers_for_tests:Instant
scales: {n: 1000, tokens: 10000}
search: {method: random}
space:
  lr: {choices: [1, 2, 3]}
  optimizer: {choices: [adam, sgd]}
  momentum: {uniform: [0, 1], when: {optimizer: sgd}}
  layers: {uniform: [2, 8], multiple_of: 2}
fixed: {batch_tokens: 100}
runs: 60
"""


@pytest.fixture(autouse=True)
def own_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent / "on_path")


@pytest.mark.parametrize("method", ["random", "transfer", "grid"])
def test_plans_keep_to_conditions_and_multiples(method: str) -> None:
    text = SPACE.replace("random", method)
    if method == "grid":
        text = text.replace("[0, 1],", "[0, 1], steps: 3,").replace("_of: 2", "_of: 2, steps: 4")
        text = text.replace("runs: 60\n", "")
    spec = parse_spec(text)
    settings = [point.setting for point in plan_points(spec, resolve_ladder(spec))]
    assert {setting["layers"] for setting in settings} == {2, 4, 6, 8}
    assert all(type(setting["layers"]) is int for setting in settings)
    for setting in settings:
        assert ("momentum" in setting) == (setting["optimizer"] == "sgd")
    if method == "grid":
        # 3 rates × 4 layers, with adam once and with sgd once for each of three momenta.
        assert len(settings) == grid_size(spec) == 3 * 4 * (1 + 3)
        assert set(Counter(str(setting) for setting in settings).values()) == {1}


def test_a_grid_on_multiples_has_each_value_once() -> None:
    text = SPACE.replace("random", "grid").replace("_of: 2", "_of: 2, steps: 9")
    spec = parse_spec(text.replace("[0, 1],", "[0, 1], steps: 2,").replace("runs: 60\n", ""))
    assert spec.space["layers"].grid() == (2, 4, 6, 8)


@pytest.mark.parametrize(
    ("old", "new", "where", "right"),
    [
        ("{optimizer: sgd}", "{optimiser: sgd}", "8: space.momentum.when.optimiser", "'optimizer'"),
        ("{optimizer: sgd}", "{optimizer: sdg}", "8: space.momentum.when.optimizer", "'sgd'"),
        ("{optimizer: sgd}", "{layers: 2}", "when.layers: layers is a range", "with choices"),
        ("{optimizer: sgd}", "{momentum: 2}", "momentum would be a condition of itself", "leave"),
        ("[1, 2, 3]", "[1, 2], when: {optimizer: sgd}", "6: space.lr.when: every run", "leave"),
        ("sgd]", "sgd], when: {lr: 9}", "7: space.optimizer.when.lr: unknown choice", "1, 2, 3"),
        ("[2, 8]", "[2, 7]", "9: space.layers: the bound 7", "the nearest are 6 and 8"),
        ("_of: 2", "_of: 0", "9: space.layers.multiple_of: 0", "at least 1"),
        ("_of: 2", "_of: 2, choices: [1]", "9: space.layers: both uniform and choices", "one of"),
        ("method: random", "method: freeze-thaw", "8: space.momentum.when: freeze-thaw", "random"),
    ],
)
def test_what_makes_no_sense_is_refused(old: str, new: str, where: str, right: str) -> None:
    assert old in SPACE
    with pytest.raises(SpecError) as caught:
        parse_spec(SPACE.replace(old, new))
    assert where in str(caught.value)
    assert right in str(caught.value)


def test_a_circle_of_conditions_is_refused() -> None:
    text = SPACE.replace(
        "choices: [1, 2, 3]}", "choices: [1, 2, 3]}\n  a: {choices: [1, 2], when: {b: 1}}"
    )
    text = text.replace("fixed:", "  b: {choices: [1, 2], when: {a: 1}}\nfixed:")
    with pytest.raises(SpecError, match="would be a condition of itself"):
        parse_spec(text)


def test_a_batch_may_be_a_range_of_multiples_of_the_context() -> None:
    text = """\
name: bytes
trainer: gpt
scales: {width: 16, depth: 1, tokens: 20_000}
search: {method: random}
space: {lr: {log: [1e-3, 1e-1]}, batch_tokens: {log: [64, 1024], multiple_of: 32}}
model: {context: 32}
runs: 8
"""
    spec = parse_spec(text)
    batches = [p.setting["batch_tokens"] for p in plan_points(spec, resolve_ladder(spec))]
    assert all(type(batch) is int and batch % 32 == 0 for batch in batches)
    for old, new, said in (
        (
            "multiple_of: 32",
            "multiple_of: 16",
            "5: space.batch_tokens.multiple_of: batch_tokens is 80",
        ),
        (
            ", multiple_of: 32",
            "",
            "5: space.batch_tokens.log: .*list them as choices, or add multiple_of",
        ),
        ("1024", "40960", r"5: space.batch_tokens.log\[1\]: batch_tokens is 40960, more than"),
    ):
        with pytest.raises(SpecError, match=said):
            parse_spec(text.replace(old, new))
