"""Sweep files that no sampler, or not this one, can search: one line, and what would be right."""

import subprocess
import sys

import pytest

from hpo.spec import SpecError, parse_spec

SEARCH = "startup: 6}"
CHOICES = "  batch_tokens: {choices: [512, 1024, 2048, 4096, 8192]}"
NAMES = f"{CHOICES}\n  optimizer: {{choices: [adam, sgd]}}"
CONDITION = f"{NAMES}\n  momentum: {{uniform: [0, 1], when: {{optimizer: sgd}}}}"


@pytest.mark.parametrize(
    ("changes", "where", "right"),
    [
        ({"tpe": "tep"}, "4: search.sampler: 'tep'", "did you mean 'tpe'?"),
        ({"tpe": "grid"}, "4: search.sampler: 'grid'", "there are: tpe, gp, cma-es"),
        ({"tpe": "cma-es", CHOICES: NAMES}, "8: space.optimizer", "tpe, gp, nsga-ii, qmc, random"),
        ({"tpe": "gp", CHOICES: CONDITION}, "9: space.momentum.when: gp", "tpe, qmc, random"),
        ({"tpe": "nsga-ii", CHOICES: CONDITION}, "9: space.momentum.when", "tpe, qmc, random"),
        (
            {"tpe": "cma-es", SEARCH: "objectives: [loss, flops]}"},
            "4: search.objectives: cma-es minimises one value",
            "tpe, gp, nsga-ii",
        ),
        ({SEARCH: "objectives: [los]}"}, "4: search.objectives[0]: 'los'", "mean 'loss'?"),
        ({SEARCH: "objectives: [loss, loss]}"}, "4: search.objectives: loss is given", "keep one"),
        ({SEARCH: "objectives: []}"}, "4: search.objectives: the list is empty", "at least one"),
        (
            {"tpe": "cma-es", SEARCH: "constraints: {seconds: 3}}"},
            "4: search.constraints: cma-es knows no constraints",
            "tpe, gp, nsga-ii",
        ),
        ({SEARCH: "constraints: {secs: 3}}"}, "4: search.constraints.secs: unknown", "'seconds'?"),
        ({SEARCH: "constraints: {seconds: -1}}"}, "4: search.constraints.seconds: -1", "above 0"),
        ({SEARCH: "per_cost: seconds}"}, "4: search.per_cost: tpe does not weigh", "take gp"),
        (
            {"tpe": "gp", SEARCH: "per_cost: flops}", "X:Y": "simulated"},
            "4: search.per_cost: all settings of trainer simulated cost the same FLOPs",
            "take seconds",
        ),
        (
            {"tpe": "gp", SEARCH: "per_cost: flops, objectives: [loss, flops]}"},
            "4: search.per_cost: with several objectives",
            "leave per_cost out",
        ),
        ({"tpe": "random", SEARCH: "prior: [a]}"}, "4: search.prior: random learns", "tpe, gp"),
        ({SEARCH: "prior: [one]}"}, "4: search.prior[0]: this very sweep", "an earlier one"),
        ({SEARCH: "prior: [a, a]}"}, "4: search.prior[1]: 'a' is named twice", "keep one"),
        ({"tpe": "qmc", SEARCH: "published: true}"}, "4: search.published: qmc has a plan", "tpe"),
        (
            {SEARCH: "published: true}", "runs: 40": "runs: 40\nparametrization: mup"},
            "4: search.published: published laws are for parametrization sp",
            "leave it out",
        ),
        ({SEARCH: "startup: 0}"}, "4: search.startup: 0", "at least 1"),
        ({SEARCH: "restarts: 2}"}, "4: search.restarts: unknown key", "keys here: "),
        ({"runs: 40": ""}, "runs: missing", "how many runs"),
    ],
)
def test_one_line_says_what_is_wrong_and_what_would_be_right(
    one_scale_text: str, own_trainer: str, changes: dict[str, str], where: str, right: str
) -> None:
    if "X:Y" not in changes:
        changes = {"simulated": own_trainer, "params: 100000": "n: 1000", **changes}
    text = one_scale_text
    for old, new in changes.items():
        text = text.replace(old, new)
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    message = str(caught.value)
    assert where in message
    assert right in message
    assert "\n" not in message


def test_a_file_is_checked_without_torch_and_ray(one_scale_text: str) -> None:
    text = one_scale_text.replace("tpe", "gp")
    code = (
        f"import sys; from hpo.spec import parse_spec; parse_spec({text!r});"
        "sys.exit(any(name in sys.modules for name in ('torch', 'ray')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
