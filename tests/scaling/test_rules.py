import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.errors import LawError
from scaling.rules import (
    BATCH_RULES,
    adamw_timescale,
    batch_rule,
    hold_timescale,
    linear_batch_rule,
    longer_horizon_rule,
    power_lines_timescale,
    power_lines_weight_decay,
    square_root_batch_rule,
)
from trainers.scaling_rules import FAMILIES

factors = st.floats(0.05, 4)
positive = st.floats(1e-6, 1e6)


def test_square_root_rule():
    adjusted = square_root_batch_rule(4, lr=1e-3, beta1=0.9, beta2=0.95, eps=1e-8)
    assert adjusted.values == pytest.approx({"lr": 2e-3, "beta1": 0.6, "beta2": 0.8, "eps": 5e-9})
    assert adjusted.rule == "square-root batch rule, batch × 4"
    assert "2205.10287" in adjusted.source
    assert square_root_batch_rule(4, lr=1e-3).values == {"lr": 2e-3}


@given(first=factors, second=factors)
def test_square_root_steps_compose(first, second):
    tuned = {"lr": 1e-3, "beta1": 0.99, "beta2": 0.999, "eps": 1e-8}
    twice = square_root_batch_rule(second, **square_root_batch_rule(first, **tuned).values)
    assert twice.values == pytest.approx(square_root_batch_rule(first * second, **tuned).values)


def test_square_root_rule_ends_where_a_beta_does():
    assert square_root_batch_rule(9.9, lr=1e-3, beta1=0.9).values["beta1"] > 0
    with pytest.raises(LawError, match=r"beta1 = 0\.9 to 0: the square-root rule ends at 10 times"):
        square_root_batch_rule(1 / (1 - 0.9), lr=1e-3, beta1=0.9)
    with pytest.raises(LawError, match=r"beta2 = 0\.95"):
        square_root_batch_rule(32, lr=1e-3, beta1=0.0, beta2=0.95)
    assert square_root_batch_rule(2, lr=1e-3, beta1=0.0).values["beta1"] == 0


def test_linear_rule_and_longer_horizon():
    assert linear_batch_rule(8, lr=0.1).values == pytest.approx({"lr": 0.8})
    longer = longer_horizon_rule(16, lr=0.1)
    assert longer.values == pytest.approx({"lr": 0.025})
    assert not longer.checked
    assert "second-hand" in longer.source


def test_an_optimizer_follows_the_batch_rule_of_its_kind():
    tuned = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8}
    for none_or_adam in ((), ("adamw",), ("AdamW", "adam"), ("adamw_torch_fused",)):
        assert batch_rule(none_or_adam, 4, **tuned) == square_root_batch_rule(4, **tuned)
    assert batch_rule(["SGD"], 4, **tuned) == linear_batch_rule(4, lr=1e-3)
    # As the rules of width have it, so those of the batch: what is no kin of Adam or SGD has none.
    for name, family in FAMILIES.items():
        kin = {"square-root": FAMILIES["adamw"], "linear": FAMILIES["sgd"]}
        rules = [rule for rule, of_kin in kin.items() if family is of_kin]
        assert [BATCH_RULES.get(name)] == (rules or [None])
    with pytest.raises(LawError, match="optimizer 'muon': no rule is known"):
        batch_rule(["muon"], 4, **tuned)
    with pytest.raises(LawError, match="linear for sgd, square-root for adamw"):
        batch_rule(["sgd", "adamw"], 4, **tuned)


@given(batch=positive, lr=positive, decay=positive, tokens=positive, factor=factors)
def test_holding_the_timescale_of_a_run_gives_its_own_decay_back(batch, lr, decay, tokens, factor):
    timescale = adamw_timescale(batch_tokens=batch, lr=lr, weight_decay=decay, tokens=tokens)
    same = hold_timescale(timescale, batch_tokens=batch, lr=lr, tokens=tokens)
    assert same.values["weight_decay"] == pytest.approx(decay)
    longer = hold_timescale(timescale, batch_tokens=batch, lr=lr, tokens=factor * tokens)
    assert longer.values["weight_decay"] == pytest.approx(decay / factor)


def test_power_lines():
    assert power_lines_timescale(1e8, 1e8) == pytest.approx(1.084)
    assert power_lines_timescale(1e8, 2e9) == pytest.approx(1.084 * 20**-0.527)
    adjusted = power_lines_weight_decay(params=1e8, batch_tokens=2**18, lr=3e-3, tokens=2e9)
    timescale = adamw_timescale(
        batch_tokens=2**18, lr=3e-3, weight_decay=adjusted.values["weight_decay"], tokens=2e9
    )
    assert timescale == pytest.approx(power_lines_timescale(1e8, 2e9))
    assert not adjusted.checked


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: square_root_batch_rule(0, lr=1e-3), "batch_factor is 0"),
        (lambda: linear_batch_rule(2, lr=-1), "lr is -1"),
        (lambda: square_root_batch_rule(2, lr=1e-3, beta2=1.0), "beta2 is 1; it must lie"),
        (lambda: longer_horizon_rule(float("inf"), lr=1e-3), "horizon_factor is inf"),
        (lambda: hold_timescale(0, batch_tokens=1, lr=1, tokens=1), "timescale is 0"),
        (
            lambda: adamw_timescale(batch_tokens=1, lr=1, weight_decay=0, tokens=1),
            "weight_decay is 0",
        ),
    ],
)
def test_impossible_values_are_refused(call, message):
    with pytest.raises(LawError, match=message):
        call()
