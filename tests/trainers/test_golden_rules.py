"""Every scheme × optimizer × role, with the numbers that the sources' tables give.

They are worked out by hand at four times the base width and twice the base depth, from
CompleteP's Table 1 and the tables of μP, u-μP and the spectral condition; none is computed by a
formula of the product's. √2 stands where a power of depth is a half.
"""

from dataclasses import replace
from typing import NamedTuple

import pytest

from trainers import scaling_rules
from trainers.scaling_rules import FAMILIES, RuleOptions, rules
from trainers.tags import Fans, Role, Tag

R2 = 2**0.5


class Pair(NamedTuple):
    """A tensor's tag, and its counterpart's at the base shape."""

    tag: Tag
    base: Tag


TENSORS: dict[str, Pair] = {
    "embedding": Pair(Tag("input", Fans(256, 64)), Tag("input", Fans(256, 16))),
    "first": Pair(Tag("input", Fans(16, 64), std=0.25), Tag("input", Fans(16, 16), std=0.25)),
    "hidden": Pair(Tag("hidden", Fans(64, 256), blocks=4), Tag("hidden", Fans(16, 64), blocks=2)),
    "closing": Pair(
        Tag("hidden", Fans(256, 64), blocks=4, closes_branch=True),
        Tag("hidden", Fans(64, 16), blocks=2, closes_branch=True),
    ),
    "stackless": Pair(Tag("hidden", Fans(64, 64)), Tag("hidden", Fans(16, 16))),
    "output": Pair(Tag("output", Fans(64, 256)), Tag("output", Fans(16, 256))),
    "gain": Pair(Tag("vector", Fans(1, 64)), Tag("vector", Fans(1, 16))),
    "bias": Pair(Tag("vector", Fans(1, 64), blocks=4), Tag("vector", Fans(1, 16), blocks=2)),
    "output bias": Pair(Tag("vector", Fans(1, 10)), Tag("vector", Fans(1, 10))),
}
Column = dict[str, float]
"""A number a tensor, in the order of TENSORS."""


def column(*numbers: float) -> Column:
    return dict(zip(TENSORS, numbers, strict=True))


ONES = column(*[1] * 9)
STD = {
    "sp": column(1, 1 / 4, 1 / 8, 1 / 16, 1 / 8, 1 / 8, 0, 0, 0),
    "mup": column(1, 1 / 4, 1 / 8, 1 / 16, 1 / 8, 1 / 4, 0, 0, 0),
    "u-mup": column(1, 1, 1, 1, 1, 1, 0, 0, 0),
}
STD["complete-p"] = STD["depth-mup"] = STD["mup"]
FORWARD = {
    "sp": ONES,
    "mup": column(1, 1, 1, 1, 1, 1 / 4, 1, 1, 1),
    "depth-mup": column(1, 1, 1, 1 / R2, 1, 1 / 4, 1, 1, 1),
    "complete-p": column(1, 1, 1, 1 / 2, 1, 1 / 4, 1, 1, 1),
    "u-mup": column(1, 1 / 4, 1 / 8, 1 / 32, 1 / 8, 1 / 64, 1, 1, 1),
}
LR: dict[str, dict[str, Column]] = {
    "sp": dict.fromkeys(FAMILIES, ONES),
    "mup": {
        "sgd": column(4, 4, 1, 1, 1, 4, 4, 4, 1),
        "adamw": column(1, 1, 1 / 4, 1 / 4, 1 / 4, 1, 1, 1, 1),
        "muon": column(2, 2, 1, 1, 1, 2, 1, 1, 1),
        "muon-rms": column(1, 1, 1 / 2, 1 / 2, 1 / 2, 1, 1, 1, 1),
        "shampoo": column(2, 2, 1, 1, 1, 2, 2, 2, 1),
        "soap-spectral": column(2, 2, 1, 1, 1, 2, 1, 1, 1),
    },
    "depth-mup": {
        "sgd": column(4, 4, 1, 1, 1, 4, 4, 4, 1),
        "adamw": column(1, 1, 1 / (4 * R2), 1 / (4 * R2), 1 / 4, 1, 1, 1 / R2, 1),
        "muon": column(2, 2, 1 / R2, 1 / R2, 1, 2, 1, 1 / R2, 1),
        "muon-rms": column(1, 1, 1 / (2 * R2), 1 / (2 * R2), 1 / 2, 1, 1, 1 / R2, 1),
        "shampoo": column(2, 2, 1 / R2, 1 / R2, 1, 2, 2, R2, 1),
        "soap-spectral": column(2, 2, 1 / R2, 1 / R2, 1, 2, 1, 1 / R2, 1),
    },
    "complete-p": {
        "sgd": column(4, 4, 2, 2, 1, 4, 4, 8, 1),
        "adamw": column(1, 1, 1 / 4, 1 / 4, 1 / 4, 1, 1, 1, 1),
        "muon": column(2, 2, 1, 1, 1, 2, 1, 1, 1),
        "muon-rms": column(1, 1, 1 / 2, 1 / 2, 1 / 2, 1, 1, 1, 1),
        "shampoo": column(2, 2, 1, 1, 1, 2, 2, 2, 1),
        "soap-spectral": column(2, 2, 1, 1, 1, 2, 1, 1, 1),
    },
    "u-mup": {
        "sgd": column(64, 64, 64, 256, 64, 64, 64, 64, 10),
        "adamw": column(1, 1 / 4, 1 / 16, 1 / 32, 1 / 8, 1, 1, 1 / 2, 1),
        "muon": column(8, 8, 4, 8, 8, 8, 1, 1 / 2, 1),
        "muon-rms": column(1, 1, 1 / 2, 1 / 2, 1, 1, 1, 1 / 2, 1),
        "shampoo": column(8, 8, 4, 8, 8, 8, 8, 4, 10**0.5),
        "soap-spectral": column(8, 8, 4, 8, 8, 8, 1, 1 / 2, 1),
    },
}
EPS: dict[str, dict[str, Column]] = {
    "sp": {},
    "mup": {
        "adamw": column(1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1),
        "shampoo": column(1 / 4, 1 / 4, 1, 1, 1, 1 / 4, 1 / 4, 1 / 4, 1),
        "soap-spectral": column(1 / 2, 1 / 2, 1, 1, 1, 1 / 2, 1 / 4, 1 / 4, 1),
    },
    "depth-mup": {
        "adamw": column(1 / 4, 1 / 4, 1 / (4 * R2), 1 / (4 * R2), 1 / 4, 1 / 4, 1 / 4, R2 / 8, 1),
        "shampoo": column(1 / 4, 1 / 4, 1 / 2, 1 / 2, 1, 1 / 4, 1 / 4, 1 / 8, 1),
        "soap-spectral": column(1 / 2, 1 / 2, 1 / R2, 1 / R2, 1, 1 / 2, 1 / 4, 1 / (4 * R2), 1),
    },
    "complete-p": {
        "adamw": column(1 / 4, 1 / 4, 1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8, 1),
        "shampoo": column(1 / 4, 1 / 4, 1 / 4, 1 / 4, 1, 1 / 4, 1 / 4, 1 / 16, 1),
        "soap-spectral": column(1 / 2, 1 / 2, 1 / 2, 1 / 2, 1, 1 / 2, 1 / 4, 1 / 8, 1),
    },
    "u-mup": {
        "adamw": column(
            *(1 / 64, 1 / 256, 1 / 1024, 1 / 8192, 1 / 512, 1 / 64, 1 / 64, 1 / 128, 1 / 10)
        ),
        "shampoo": column(
            *(1 / 64, 1 / 64, 1 / 256, 1 / 1024, 1 / 64, 1 / 64, 1 / 64, 1 / 256, 1 / 10)
        ),
        "soap-spectral": column(
            1 / 8, 1 / 8, 1 / 16, 1 / 32, 1 / 8, 1 / 8, 1 / 64, 1 / 128, 1 / 10
        ),
    },
}
AS_ADAM = ("adabelief", "adafactor", "soap", "lion")
"""Lion has no ε."""
for of_scheme in LR.values():
    of_scheme |= dict.fromkeys(AS_ADAM, of_scheme["adamw"])
for of_scheme in EPS.values():
    if of_scheme:
        of_scheme |= dict.fromkeys(AS_ADAM[:-1], of_scheme["adamw"])

CASES = [(scheme, optimizer) for scheme in LR for optimizer in FAMILIES]


def wrong(scheme: str, optimizer: str) -> list[str]:
    """What of the golden table does not hold."""
    found = []
    eps = EPS[scheme].get(optimizer, ONES)
    spectral = optimizer == "soap-spectral"
    options = RuleOptions(soap_rules="spectral" if spectral else "adam")
    for name, pair in TENSORS.items():
        rule = rules(scheme, "soap" if spectral else optimizer, pair.tag, pair.base, options)
        lr = LR[scheme][optimizer][name]
        expected = {
            "init_std": STD[scheme][name],
            "forward_multiplier": FORWARD[scheme][name],
            "lr_multiplier": lr,
            "weight_decay_multiplier": 1 / lr,
            "eps_multiplier": eps[name],
        }
        for field, value in expected.items():
            if getattr(rule, field) != pytest.approx(value, rel=1e-12):
                found.append(f"{name} {field}: {getattr(rule, field)}, not {value}")
    return found


def test_the_table_is_whole():
    assert {scheme for scheme, _ in CASES} == set(scaling_rules.SCHEMES)
    assert all(of_scheme.keys() == FAMILIES.keys() for of_scheme in LR.values())


@pytest.mark.parametrize(("scheme", "optimizer"), CASES)
def test_golden(scheme: str, optimizer: str):
    assert wrong(scheme, optimizer) == []


POWERS = [
    (optimizer, field, role)
    for optimizer, family in FAMILIES.items()
    for field in ("lr", "eps")
    for role, power in getattr(family, field).items()
    if power
]


@pytest.mark.parametrize(("optimizer", "field", "role"), POWERS)
@pytest.mark.parametrize("scheme", ["mup", "u-mup", "depth-mup", "complete-p"])
def test_a_width_rule_that_is_dropped_is_noticed(
    scheme: str, optimizer: str, field: str, role: Role, monkeypatch: pytest.MonkeyPatch
):
    family = FAMILIES[optimizer]
    mutant = replace(family, **{field: {**getattr(family, field), role: 0.0}})
    monkeypatch.setitem(FAMILIES, optimizer, mutant)
    assert any(field in line for line in wrong(scheme, optimizer))


@pytest.mark.parametrize("scheme", ["mup", "u-mup", "depth-mup", "complete-p"])
@pytest.mark.parametrize(
    ("table", "role"), [("INIT_POWERS", "hidden"), ("FORWARD_POWERS", "output")]
)
def test_a_start_or_a_multiplier_that_is_dropped_is_noticed(
    scheme: str, table: str, role: Role, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(getattr(scaling_rules, table), role, 0.0)
    assert wrong(scheme, "adamw")


@pytest.mark.parametrize("scheme", ["u-mup", "depth-mup", "complete-p"])
@pytest.mark.parametrize("optimizer", FAMILIES)
def test_depth_that_is_left_alone_is_noticed(
    scheme: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(scaling_rules.BRANCH_POWERS, scheme)
    assert any(line.startswith("closing forward") for line in wrong(scheme, optimizer))


@pytest.mark.parametrize(
    ("optimizer", "field"),
    [
        (optimizer, field)
        for optimizer, family in FAMILIES.items()
        for field in ("step_power", "eps_power")
        if getattr(family, field)
    ],
)
def test_a_power_of_the_gradient_that_is_dropped_is_noticed(
    optimizer: str, field: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(FAMILIES, optimizer, replace(FAMILIES[optimizer], **{field: 0}))
    assert wrong("complete-p", optimizer)
    assert wrong("u-mup", optimizer)


def test_decay_of_hidden_matrices_that_is_dropped_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(scaling_rules._HIDDEN_DECAY_POWERS, "linear", 0.0)
    assert any("hidden weight_decay" in line for line in wrong("mup", "adamw"))


@pytest.mark.parametrize(
    ("options", "optimizer", "tensor", "lr", "decay"),
    [
        (RuleOptions(hidden_decay="linear"), "adamw", "hidden", 1 / 4, 4),
        (RuleOptions(hidden_decay="sqrt"), "adamw", "hidden", 1 / 4, 2),
        (RuleOptions(hidden_decay="constant"), "adamw", "hidden", 1 / 4, 1),
        (RuleOptions(hidden_decay="sqrt"), "muon-rms", "hidden", 1 / 2, R2),
        (RuleOptions(hidden_decay="constant"), "sgd", "output", 4, 1 / 4),
        (RuleOptions(embedding_lr="constant"), "adamw", "embedding", 1, 1),
        (RuleOptions(embedding_lr="sqrt"), "adamw", "embedding", 1 / 2, 2),
        (RuleOptions(embedding_lr="sqrt"), "adamw", "first", 1, 1),
        (RuleOptions(optimizer_rules="sgd"), "gravity", "embedding", 4, 1 / 4),
        (RuleOptions(optimizer_rules="sgd"), "adamw", "embedding", 1, 1),
    ],
)
def test_where_sources_disagree(
    options: RuleOptions, optimizer: str, tensor: str, lr: float, decay: float
):
    rule = rules("mup", optimizer, *TENSORS[tensor], options)
    assert (rule.lr_multiplier, rule.weight_decay_multiplier) == pytest.approx((lr, decay))


def test_u_mup_with_its_own_rate_of_embeddings():
    published = RuleOptions(embedding_lr="sqrt")
    assert rules("u-mup", "adamw", *TENSORS["embedding"], published).lr_multiplier == 1 / 8
