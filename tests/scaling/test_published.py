"""Published laws: their formulas by hand, what they need, and the ranges that they claim."""

import math
from dataclasses import replace

import numpy as np
import pytest

from scaling.fitting import fit_law
from scaling.published import PUBLISHED, published_optima, silent_laws
from scaling.published_law import Range, Situation, experts_of, situation

AT = Situation(
    1e9,
    2e10,
    loss=2.5,
    experts=8,
    lr=1e-3,
    anchor_params=1e8,
    anchor_tokens=2e9,
    anchor_lr=3e-3,
    anchor_batch_tokens=65536,
)
BY_NAME = {law.name: law for law in PUBLISHED}
SETTINGS = ("lr", "batch_tokens", "weight_decay")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # By hand from the published formulas, at N = 1e9, D = 2e10 (C = 1.2e20).
        (
            "Step Law",
            {"lr": 1.79 * 1e9**-0.713 * 2e10**0.307, "batch_tokens": 0.58 * 2e10**0.571},
        ),
        ("DeepSeek LLM", {"lr": 0.3118 * 1.2e20**-0.125, "batch_tokens": 0.292 * 1.2e20**0.3271}),
        (
            "Porian et al.",
            {
                "lr": 0.0047 / (1e9 / 108e6) ** (1 / 3),
                "batch_tokens": 327680 * (1e9 / 108e6) ** (2 / 3),
            },
        ),
        ("Porian, by Step Law", {"lr": 3.7 * 1e9**-0.36, "batch_tokens": 0.7576 * 1e9**0.703}),
        ("Kaplan et al.", {"lr": 3.239e-3 - 1.395e-4 * np.log(1e9), "batch_tokens": 2.552e6}),
        ("MiniCPM", {"batch_tokens": 3.977e6}),
        (
            "Bjorck et al., anchored",
            {"lr": 3e-3 * 10**-0.23 * 10**-0.32, "batch_tokens": 65536},
        ),
        ("Power Lines", {"batch_tokens": 5.525e5, "weight_decay": 0.1236}),
        ("Joint MoE", {"lr": math.exp(8.39 - 0.81 * math.log(1e9) - 0.25 * math.log(8))}),
        ("Power scheduler", {}),
    ],
)
def test_formulas(name, expected):
    assert BY_NAME[name].optimum(AT) == pytest.approx(expected, rel=1e-3)


def test_two_quotations_of_one_law_agree_roughly():
    ours, quoted = (BY_NAME[name].optimum(AT) for name in ("Porian et al.", "Porian, by Step Law"))
    assert quoted == pytest.approx(ours, rel=0.15)


def test_every_law_says_where_it_is_from():
    assert len(BY_NAME) == len(PUBLISHED)
    for law in PUBLISHED:
        assert "arXiv" in law.source
        assert law.checked != law.citation.endswith("second-hand")


@pytest.mark.parametrize(
    ("name", "lacking", "reason"),
    [
        ("MiniCPM", "loss", "the loss that is reached"),
        ("Joint MoE", "experts", "the number of experts"),
        ("Bjorck et al., anchored", "anchor_lr", "a smaller measured scale"),
    ],
)
def test_a_law_says_what_it_needs(name, lacking, reason):
    law, lacks = BY_NAME[name], replace(AT, **{lacking: math.nan})
    settings = ("batch_tokens",) if name == "MiniCPM" else ("lr",)
    assert law.why_silent(AT, settings) == ""
    assert reason in law.why_silent(lacks, settings)


def test_a_rate_needs_no_loss_where_only_the_batch_does():
    kaplan, lacks = BY_NAME["Kaplan et al."], replace(AT, loss=math.nan)
    assert set(kaplan.optimum(lacks)) == {"lr"}
    assert kaplan.why_silent(lacks, SETTINGS) == ""


def test_a_rate_below_zero_is_none():
    far = Situation(1e11, 2e12)
    assert BY_NAME["Kaplan et al."].optimum(far) == {}
    assert "no positive value" in BY_NAME["Kaplan et al."].why_silent(far, ("lr",))


def test_no_law_is_dropped_without_a_reason():
    for at in (AT, Situation(1e9, 2e10)):
        silent = silent_laws(at, SETTINGS)
        assert {*published_optima(at)["law"], *silent} == set(BY_NAME)
        assert not set(published_optima(at)["law"]) & set(silent)
        assert all(silent.values())


@pytest.mark.parametrize(
    ("fitted_to", "params", "tokens", "holds"),
    [
        (Range((1e8, 1e9), (1e9, 1e11)), 5e8, 1e10, True),
        (Range((1e8, 1e9), (1e9, 1e11)), 5e9, 1e10, False),
        (Range((1e8, 1e9)), 5e8, 1e10, None),
        (Range((1e8, 1e9)), 5e7, 1e10, False),
        (Range((math.nan, 1e9)), 5e9, 1e10, False),
        (Range(), 5e8, 1e10, None),
    ],
)
def test_a_range_claims_no_more_than_is_known(fitted_to, params, tokens, holds):
    assert fitted_to.holds(params, tokens) is holds


def test_a_range_in_words():
    assert str(Range()) == "range not known here"
    assert str(Range((math.nan, 2e9))) == "fitted to N up to 2e+09, D not known here"


def test_the_anchor_is_ones_own_optimum_at_the_smallest_scale(runs):
    law = fit_law(runs, n_draws=2)
    at = situation(law, 1e9, 2e10)
    assert (at.anchor_params, at.anchor_tokens) == (1e7, 8e7)
    assert BY_NAME["Bjorck et al., anchored"].optimum(situation(law, 1e7, 8e7)) == pytest.approx(
        {name: float(value) for name, value in law.optimum(1e7, 8e7).items()}
    )


def test_experts_are_known_where_all_runs_agree(runs):
    assert experts_of(runs.assign(experts=8)) == 8
    assert math.isnan(experts_of(runs))
    assert math.isnan(experts_of(None))
    assert math.isnan(experts_of(runs.assign(experts=range(len(runs)))))
