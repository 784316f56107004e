"""The sweep file: what it means, and that everything wrong with it is one line at the door."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.checks import run_config
from hpo.ladder import resolve_ladder
from hpo.points import Point
from hpo.rows import failed_row, run_row
from hpo.schema import SweepSpec
from hpo.spec import SpecError, changed_keys, check_spec, load_spec, parse_spec
from tests.hpo.conftest import ON_PATH
from trainers.protocol import Report

EXAMPLE = """\
name: source-code-ladder
trainer: gpt
parametrization: mup
data: python-stdlib
scales: {width: [32, 64, 128], depth: 2, tokens_per_param: [5, 20]}
search: {method: transfer}
space:
  lr: {log: [1e-3, 6e-2]}
  batch_tokens: {choices: [512, 1024, 2048, 4096]}
runs: 96
seeds: 1
resources: {cpus: 1, gpus: 0}
"""


def test_the_example_of_the_design() -> None:
    spec = parse_spec(EXAMPLE)
    assert spec.scales.shape == {"width": (32, 64, 128), "depth": (2,)}
    assert spec.scales.tokens_per_param == (5.0, 20.0)
    assert spec.space["lr"].log == (0.001, 0.06)
    assert spec.space["batch_tokens"].choices == (512, 1024, 2048, 4096)
    assert (spec.runs, spec.seeds, spec.seed, spec.reports) == (96, 1, 0, 8)


@pytest.mark.parametrize(
    ("old", "new", "where", "right"),
    [
        ("runs: 96", "rums: 96", "10: rums: unknown key", "did you mean 'runs'?"),
        ("cpus:", "cpu:", "12: resources.cpu: unknown key", "did you mean 'cpus'?"),
        ("log:", "lgo:", "8: space.lr.lgo: unknown key", "did you mean 'log'?"),
        ("width:", "widht:", "5: scales.widht: unknown key", "did you mean 'width'?"),
        ("  lr:", "  lrr:", "8: space.lrr: unknown setting", "did you mean 'lr'?"),
        ("gpt", "gtp", "2: trainer: unknown trainer 'gtp'", "did you mean 'gpt'?"),
        ("gpt", "nothing.here:Trainer", "2: trainer:", "PYTHONPATH"),
        ("gpt", "{command: no-such-program}", "2: trainer.command: no program", "its path"),
        ("mup", "mpu", "3: parametrization: unknown", "did you mean 'mup'?"),
        ("python-stdlib", "/no/such/text", "4: data:", "python-stdlib"),
        ("[32, 64, 128]", "[32, 63, 128]", "5: scales.width[1]: width 63", "48 and 64"),
        ("[32, 64, 128]", "50", "5: scales.width[0]: width 50", "48 and 64"),
        ("[32, 64, 128]", "[32, 32]", "5: scales.width: 32 is given twice", "keep one"),
        ("[32, 64, 128]", "[]", "5: scales.width:", "at least one"),
        ("[32, 64, 128]", "[-32]", "5: scales.width[0]: -32", "at least 1"),
        ("[32, 64, 128]", "[32.5]", "5: scales.width[0]: 32.5", "a whole number"),
        (", depth: 2", "", "5: scales: depth is missing", "positive whole number"),
        (", tokens_per_param: [5, 20]", "", "5: scales: no token budget", "tokens_per_param"),
        ("[5, 20]", "5, tokens: 1e6", "5: scales: both tokens and", "keep one"),
        ("[5, 20]", "[1e-9]", "5: scales.tokens_per_param: tokens is 0", "at least 1"),
        ("transfer", "bayes", "6: search.method: 'bayes' is not a method", "mean 'bayesian'?"),
        ("transfer", "foo", "6: search.method: 'foo' is not a method", "transfer, grid"),
        ("transfer", "grid", "8: space.lr: a grid needs", "'steps'"),
        ("{method: transfer}", "transfer", "6: search: 'transfer' where", "key: value"),
        ("[1e-3, 6e-2]", "[6e-2, 1e-3]", "8: space.lr.log: the bounds", "[0.001, 0.06]"),
        ("[1e-3, 6e-2]", "[1e-3, 1e-3]", "8: space.lr.log: both bounds", "'fixed'"),
        ("[1e-3, 6e-2]", "[0, 6e-2]", "8: space.lr.log: the lower bound 0", "above 0"),
        ("[1e-3, 6e-2]", "[1e-3]", "8: space.lr.log: a list of 1", "[lowest, highest]"),
        ("[1e-3, 6e-2]", "[1e-3, high]", "8: space.lr.log[1]: 'high'", "a number"),
        ("[1e-3, 6e-2]", "[1e-3, .inf]", "8: space.lr.log[1]: inf", "a number"),
        ("log: [1e-3,", "uniform: [-1,", "8: space.lr.uniform[0]: lr is -1", "above 0"),
        ("6e-2]", "6e-2], steps: 4", "8: space.lr.steps: only a grid has steps", "leave it out"),
        ("6e-2]", "6e-2], choices: [1]", "8: space.lr: both log and choices", "one of"),
        (
            "choices: [512, 1024, 2048, 4096]",
            "log: [512, 4096]",
            "9: space.batch_tokens",
            "choices",
        ),
        ("1024", "1000", "9: space.batch_tokens.choices[1]: batch_tokens is 1000", "960 and 1024"),
        ("4096", "409600", "9: space.batch_tokens.choices[3]: batch_tokens is 409600", "at most"),
        ("4096", "true", "9: space.batch_tokens.choices[3]: batch_tokens is True", "whole number"),
        ("runs: 96", "runs: 5", "10: runs: 5 is fewer than one for each of the 6", "6 scales"),
        ("runs: 96", "runs: many", "10: runs: 'many'", "whole number"),
        ("runs: 96\n", "", "1: runs: missing", "how many"),
        ("seeds: 1", "seeds: 0", "11: seeds: 0", "at least 1"),
        ("seeds: 1", "seeds: 1\nseeds: 2", "12: seeds: given twice", "keep one"),
        ("seeds: 1", "model: {head_siz: 8}", "11: model.head_siz", "did you mean 'head_size'?"),
        ("seeds: 1", "model: {head_size: 15}", "11: model.head_size", "even"),
        ("seeds: 1", "model: {mlp: relu}", "11: model.mlp: mlp is 'relu'", "gelu, swiglu"),
        ("seeds: 1", "fixed: {lr: 0.1}", "11: fixed.lr: also searched", "keep one"),
        ("seeds: 1", "fixed: {beta1: 2}", "11: fixed.beta1: beta1 is 2", "below 1"),
        ("seeds: 1", "fixed: {bata1: 0.9}", "11: fixed.bata1", "did you mean 'beta1'?"),
        ("seeds: 1", "base: {width: 33}", "11: base.width: width 33", "32 and 48"),
        ("seeds: 1", "base: {widht: 32}", "11: base.widht", "did you mean 'width'?"),
        ("cpus: 1", "cpus: 1.5", "12: resources: cpus is 1.5", "whole number"),
        ("cpus: 1", "cpus: 0", "12: resources.cpus: 0", "above 0"),
        ("source-code-ladder", "a/b", "1: name: 'a/b' is not a name", "letters"),
        ("source-code-ladder", "", "1: name: nothing is not a name", "letters"),
        ("space:", "spaec:", "7: spaec: unknown key", "did you mean 'space'?"),
    ],
)
def test_what_is_wrong_is_said_with_line_key_and_what_is_right(
    old: str, new: str, where: str, right: str
) -> None:
    assert old in EXAMPLE
    with pytest.raises(SpecError) as caught:
        parse_spec(EXAMPLE.replace(old, new, 1), "sweep.yaml")
    message = str(caught.value)
    assert message.startswith(f"sweep.yaml:{where}")
    assert right in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: the file is empty"),
        ("# nothing\n", "1: the file is empty"),
        ("[]", "1: an empty list where a mapping should be"),
        ("- name: x", "1: a list of 1 where a mapping should be"),
        ("hello", "1: 'hello' where a mapping should be"),
        ("name: [", "1: not YAML"),
    ],
)
def test_what_is_no_mapping_is_refused(text: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "sweep.yaml")
    assert str(caught.value).startswith(f"sweep.yaml:{said}")


OWN = """\
name: own
trainer: trainers_for_tests:Instant
scales: {n: 1000, tokens: 10000}
search: {method: grid}
space:
  lr: {choices: [1, 2]}
  mood: {choices: [low, high]}
fixed: {batch_tokens: 100}
"""

LISTED = """\
name: own
trainer: trainers_for_tests:Instant
search: {method: listed}
points:
  - {scale: {n: 1000, tokens: 10000}, setting: {lr: 1}}
  - {scale: {n: 1000, tokens: 10000}, setting: {lr: 2, mood: low}}
fixed: {batch_tokens: 100}
"""


@pytest.mark.parametrize(
    ("text", "old", "new", "where", "right"),
    [
        (OWN, "fixed: {", "fixed: {seed: 3, ", "8: fixed.seed: the runs table", "rename it, su"),
        (OWN, "mood", "noise_scale", "7: space.noise_scale: the runs table", "noise_scale_"),
        (OWN, "mood", "created", "7: space.created: the runs table", "such as created_"),
        (OWN, "mood", "n", "7: space.n: n is a size of the model as well", "such as n_"),
        (OWN, "n: 1000", "steps: 9, n: 1", "3: scales.steps: the runs table", "such as steps_"),
        (LISTED, "mood", "loss", "6: points[1].setting.loss: the runs table", "such as loss_"),
        (LISTED, "low", "low, depth: 1.5", "6: points[1].setting.depth: depth is 1.5", "whole"),
        (OWN, "mood", "beta1", "7: space.beta1.choices[0]: beta1 is 'low'", "such as beta1_"),
        (OWN, "mood", "warmup_fraction", "7: space.warmup_fraction.choices[0]", "at least 0"),
        (
            OWN,
            "mood: {choices: [low, high]}",
            "depth: {uniform: [1, 6], steps: 3}",
            "7: space.depth.uniform: depth must be a whole number above 0",
            "choices, or add multiple_of; where it is not the depth of runs tables (number of bl",
        ),
        (OWN, "fixed: {", "fixed: {weight_decay: -1, ", "8: fixed.weight_decay", "at least 0; wh"),
    ],
)
def test_settings_that_the_runs_table_cannot_hold_are_refused(
    monkeypatch: pytest.MonkeyPatch, text: str, old: str, new: str, where: str, right: str
) -> None:
    monkeypatch.syspath_prepend(str(ON_PATH))
    parse_spec(text)
    with pytest.raises(SpecError) as caught:
        parse_spec(text.replace(old, new), "sweep.yaml")
    assert str(caught.value).startswith(f"sweep.yaml:{where}")
    assert right in str(caught.value)


def test_every_column_that_a_row_fills_by_itself_is_no_name_of_a_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ON_PATH))
    spec = parse_spec(OWN)
    (scale,) = resolve_ladder(spec)
    given = {"lr": 1.0, "batch_tokens": 100}
    point, config = Point("a", scale, given, 0), run_config(spec, scale, given, 0)
    report = Report(10, 100, 6e5, 1.5, 1.5, 1.0, 0.5, "completed")
    row = run_row("own", point, config, report) | failed_row("own", point, config, "why")
    for name in row.keys() - given.keys() - scale.shape.keys():
        with pytest.raises(SpecError, match=rf"^:7: space.{name}: the runs table .* {name}_$"):
            parse_spec(OWN.replace("mood", name), "")


def test_several_problems_are_counted() -> None:
    text = EXAMPLE.replace("runs: 96", "runs: 0").replace("cpus: 1", "cpus: -1")
    with pytest.raises(SpecError, match=r":10: runs: .* \(and 1 more\)$"):
        parse_spec(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.yaml", tmp_path, binary):
        with pytest.raises(SpecError, match=r"^[^\n]+$") as caught:
            load_spec(path)
        assert str(caught.value).startswith(f"{path}: ")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    assert load_spec(path) == parse_spec(EXAMPLE)


def test_a_spec_made_in_python_is_checked_too() -> None:
    made = SweepSpec.model_validate(
        {
            "name": "made",
            "trainer": "gpt",
            "scales": {"width": 50, "depth": 1, "tokens": 1e5},
            "search": {"method": "random"},
            "space": {"lr": {"log": (1e-3, 1e-2)}},
            "fixed": {"batch_tokens": 512},
            "runs": 3,
        }
    )
    with pytest.raises(SpecError, match=r"^scales.width\[0\]: width 50 .* 48 and 64$"):
        check_spec(made)


def test_what_changed_between_two_files() -> None:
    text = (
        EXAMPLE.replace("runs: 96", "runs: 192")
        .replace("128]", "256]")
        .replace("cpus: 1", "cpus: 2")
    )
    assert changed_keys(EXAMPLE, parse_spec(text)) == [
        "scales.width: [32, 64, 128], now [32, 64, 256]",
        "runs: 96, now 192",
    ]
    assert changed_keys(f"# a comment\n{EXAMPLE}", parse_spec(EXAMPLE)) == []


@given(st.data())
def test_a_mangled_file_is_read_or_refused_in_one_line(data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(EXAMPLE)))
    end = data.draw(st.integers(begin, min(begin + 12, len(EXAMPLE))))
    patch = data.draw(st.sampled_from(["", "0", "-1", "[]", "{}", "~", "x: ", "\n", "'", "1e999"]))
    mangled = EXAMPLE[:begin] + patch + EXAMPLE[end:]
    message = ""
    try:
        parse_spec(mangled, "sweep.yaml")
    except SpecError as error:
        message = str(error)
    assert not message or message.startswith("sweep.yaml:")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("trainer", "data"), [("mlp", "digits"), ("gpt", "python-stdlib"), ("random-features", "")]
)
def test_a_trainer_has_data_of_its_own_where_none_are_named(trainer: str, data: str) -> None:
    text = f"""\
name: unnamed-data
trainer: {trainer}
scales: {{width: 32, {"" if trainer == "random-features" else "depth: 1,"} tokens: 6400}}
search: {{method: random}}
space: {{lr: {{log: [1e-3, 1e-1]}}}}
fixed: {{batch_tokens: 64}}
runs: 1
"""
    spec = parse_spec(text)
    (scale,) = resolve_ladder(spec)
    assert run_config(spec, scale, {"lr": 0.01, "batch_tokens": 64}, seed=0).data == data
