"""Listed sweeps: every run given outright, checked as strictly as a searched one."""

import pytest

from hpo.ladder import base_shape, resolve_ladder
from hpo.planned import plan_points, runs_by_scale
from hpo.spec import SpecError, changed_keys, parse_spec

EXAMPLE = """\
name: ladder-next-1
trainer: gpt
parametrization: mup
base: {width: 32}
search: {method: listed}
points:
- scale: {width: 64, depth: 2, tokens: 2e5}
  setting: {lr: 0.01, batch_tokens: 512}
- {scale: {width: 32, depth: 2, tokens: 100000}, setting: {lr: 0.02, batch_tokens: 256}}
- {scale: {width: 64, depth: 2, tokens: 2e5}, setting: {lr: 0.01, batch_tokens: 512}, seed: 3}
fixed: {weight_decay: 0.2}
seed: 5
"""


def test_points_are_run_as_listed() -> None:
    spec = parse_spec(EXAMPLE)
    ladder = resolve_ladder(spec)
    points = plan_points(spec, ladder)
    assert [point.run_id for point in points] == [f"ladder-next-1-0000{i}" for i in range(3)]
    assert [point.scale.shape["width"] for point in points] == [64, 32, 64]
    assert [point.scale.tokens for point in points] == [200_000, 100_000, 200_000]
    assert [point.seed for point in points] == [5, 5, 3]
    assert points[1].setting == {"lr": 0.02, "batch_tokens": 256, "weight_decay": 0.2}


def test_the_ladder_is_the_scales_of_the_points() -> None:
    spec = parse_spec(EXAMPLE)
    ladder = resolve_ladder(spec)
    assert [scale.shape["width"] for scale in ladder] == [32, 64]
    assert runs_by_scale(spec, ladder) == (1, 2)
    assert base_shape(spec) == {"width": 32, "depth": 2}


@pytest.mark.parametrize(
    ("old", "new", "where", "right"),
    [
        ("seed: 5", "scales: {width: 32, tokens: 1e5}", "12: scales: not in a listed", "leave it"),
        ("seed: 5", "space: {eps: {log: [1e-9, 1e-8]}}", "12: space: not in a listed", "leave it"),
        ("seed: 5", "runs: 3", "12: runs: not in a listed sweep", "as many runs as points"),
        ("seed: 5", "seeds: 2", "12: seeds: not in a listed sweep", "leave it"),
        ("listed", "random", "1: scales: missing", "must be given"),
        ("points:", "point:", "6: point: unknown key", "did you mean 'points'?"),
        ("setting: {lr: 0.01", "seting: {lr: 0.01", "8: points[0].seting", "mean 'setting'?"),
        ("lr: 0.02", "lrr: 0.02", "9: points[1].setting.lrr: unknown setting", "mean 'lr'?"),
        ("lr: 0.02", "lr: -1", "9: points[1].setting.lr: lr is -1", "above 0"),
        ("lr: 0.02, ", "", "9: points[1].setting: lr is missing", "peak learning rate"),
        ("lr: 0.02", "weight_decay: 0, lr: 0.02", "9: points[1].setting.weight_decay", "keep one"),
        ("256}", "257}", "9: points[1].setting.batch_tokens: batch_tokens is 257", "256 and 320"),
        ("256}", "128000}", "9: points[1].setting.batch_tokens: batch_tokens is 128000", "at most"),
        ("100000", "0", "9: points[1].scale.tokens: 0 is not", "at least 1"),
        (", tokens: 100000", "", "9: points[1].scale.tokens: missing", "must be given"),
        ("{width: 32, depth", "{width: 33, depth", "9: points[1].scale.width: width 33", "48"),
        ("{width: 32, depth", "{widht: 32, depth", "9: points[1].scale.widht", "mean 'width'?"),
        ("width: 32, depth: 2,", "width: 32,", "9: points[1].scale: no depth", "the same keys"),
        (", seed: 3", "", "10: points[2]: the same run as points[0]", "another seed"),
        ("seed: 3", "seed: 5", "10: points[2]: the same run as points[0]", "another seed"),
        ("seed: 3", "seed: -3", "10: points[2].seed: -3", "at least 0"),
        ("base: {width: 32}", "base: {widht: 32}", "4: base.widht", "did you mean 'width'?"),
        ("base: {width: 32}", "base: {width: 33}", "4: base: base shape: width 33", "32 and 48"),
        ("weight_decay: 0.2", "weight_dcay: 0.2", "11: fixed.weight_dcay", "mean 'weight_decay'?"),
        ("weight_decay: 0.2", "weight_decay: -1", "11: fixed.weight_decay", "at least 0"),
        ("gpt", "gpt\nmodel: {context: 48}", "9: points[0].setting.batch_tokens", "480 and 528"),
    ],
)
def test_what_is_wrong_is_said_with_line_key_and_what_is_right(
    old: str, new: str, where: str, right: str
) -> None:
    assert old in EXAMPLE
    with pytest.raises(SpecError) as caught:
        parse_spec(EXAMPLE.replace(old, new, 1), "next.yaml")
    message = str(caught.value)
    assert message.startswith(f"next.yaml:{where}")
    assert right in message
    assert "\n" not in message


@pytest.mark.parametrize("points", ["", "points:\n", "points: []\n"])
def test_a_list_without_runs_is_refused(points: str) -> None:
    text = f"name: x\ntrainer: simulated\nsearch: {{method: listed}}\n{points}"
    with pytest.raises(SpecError, match=r"points: (missing; list the runs|empty; name)"):
        parse_spec(text)


def test_only_a_listed_sweep_has_points(ladder_text: str) -> None:
    text = f"{ladder_text}points:\n- {{scale: {{width: 32, tokens: 9}}, setting: {{lr: 1}}}}\n"
    with pytest.raises(SpecError, match=r":11: points: only method 'listed' has points"):
        parse_spec(text)


def test_what_changed_between_two_lists_is_named_by_point() -> None:
    changed = EXAMPLE.replace("lr: 0.02", "lr: 0.03").replace("fixed", "- {}\nfixed")
    longer = changed.replace(
        "- {}", "- {scale: {width: 32, depth: 2, tokens: 9e4}, setting: {lr: 1, batch_tokens: 64}}"
    )
    assert changed_keys(EXAMPLE, parse_spec(longer)) == [
        "points[1].setting.lr: 0.02, now 0.03",
        "points[3]: not given, now {scale: {tokens: 90000, width: 32, depth: 2}, "
        "setting: {lr: 1, batch_tokens: 64}}",
    ]
