"""How a sweep's runs follow size is checked at the door: scheme, options, optimizers."""

import pytest

from hpo.checks import run_config
from hpo.ladder import resolve_ladder
from hpo.spec import SpecError, check_spec, parse_spec

SWEEP = """\
name: rules
trainer: gpt
parametrization: mup
parametrization_options: {hidden_decay: sqrt}
base: {width: 32}
scales: {width: 32, depth: 2, tokens_per_param: 1}
search: {method: random}
space:
  lr: {log: [1e-3, 6e-2]}
  optimizer: {choices: [adamw, muon]}
fixed: {batch_tokens: 512}
runs: 2
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sqrt", "linear"),
        ("mup", "complete-p"),
        ("[adamw, muon]", "[sgd, lion, adafactor, adabelief, muon-rms, shampoo, soap]"),
        ("hidden_decay: sqrt}", "optimizer_rules: sgd}\nseed: 0"),
        ("{choices: [adamw, muon]}", "{choices: [adamw, sgd]}\n  eps: {log: [1e-9, 1e-6]}"),
    ],
)
def test_what_is_right(old: str, new: str) -> None:
    check_spec(parse_spec(SWEEP.replace(old, new)))


def test_the_options_reach_the_runs() -> None:
    spec = parse_spec(SWEEP)
    config = run_config(spec, resolve_ladder(spec)[0], {"lr": 0.01}, 0)
    assert config.parametrization_options == {"hidden_decay": "sqrt"}


@pytest.mark.parametrize(
    ("old", "new", "where", "right"),
    [
        ("mup", "complete-q", "3: parametrization: unknown", "did you mean 'complete-p'?"),
        ("hidden_", "hiden_", "4: parametrization_options.hiden_decay:", "mean 'hidden_decay'?"),
        ("sqrt", "cubic", "4: parametrization_options.hidden_decay:", "linear, sqrt, constant"),
        ("{hidden_decay: sqrt}", "sqrt", "4: parametrization_options:", "key: value"),
        ("trainer: gpt", "trainer: simulated", "4: parametrization_options.", "there are none"),
        ("muon]", "moun]", "10: space.optimizer.choices[1]: unknown", "did you mean 'muon'?"),
        ("muon]", "gravity]", "10: space.optimizer.choices[1]: how the", "parametrization sp, or"),
        ("fixed: {", "fixed: {beta1: 2, ", "11: fixed.beta1: beta1 is 2", "below 1"),
        (
            "{choices: [adamw, muon]}",
            "{choices: [sgd, lion]}\n  eps: {log: [1e-9, 1e-6]}",
            "11: space.eps: no run would read eps, as sgd reads lr, weight_decay, beta1",
            "leave it out",
        ),
        (
            "  optimizer: {choices: [adamw, muon]}\nfixed: {",
            "fixed: {optimizer: gravity, ",
            "10: fixed.optimizer: how the learning rate of optimizer 'gravity'",
            "optimizer_rules",
        ),
    ],
)
def test_what_is_wrong(old: str, new: str, where: str, right: str) -> None:
    with pytest.raises(SpecError) as error:
        check_spec(parse_spec(SWEEP.replace(old, new)))
    assert where in str(error.value)
    assert right in str(error.value)
