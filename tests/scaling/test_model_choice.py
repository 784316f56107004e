import numpy as np
import pandas as pd
import pytest

from scaling.axes import COMPUTE, SIZE_AND_TOKENS
from scaling.errors import InsufficientDataError, LawError
from scaling.fitting import fit_law
from scaling.law import Law

SCALES = [(n, ratio * n) for n in (1e7, 4e7, 1.6e8) for ratio in (8, 40, 200)]


def runs_whose_rate_follows(exponents: dict[str, float], seed: int = 0) -> pd.DataFrame:
    """Draw runs whose optimal rate is a power law in N, D and C."""
    rng = np.random.default_rng(seed)
    frames = []
    for n, d in SCALES:
        axes = {"params": n / 4e7, "tokens": d / 1.6e9, "flops": n * d / 6.4e16}
        best = 2e-3 * np.prod([axes[name] ** power for name, power in exponents.items()])
        lr = best * np.exp(rng.uniform(-2, 2, 20))
        batch = 2e5 * np.exp(rng.uniform(-1.5, 1.5, 20))
        height = 0.02 * np.log(lr / best) ** 2 + 0.01 * np.log(batch / 2e5) ** 2
        loss = (1.7 + (n / 4e7) ** -0.35 + (d / 1.6e9) ** -0.35) * np.exp(height)
        loss *= np.exp(0.001 * rng.normal(size=20))
        frames.append(
            pd.DataFrame({"params": n, "tokens": d, "lr": lr, "batch_tokens": batch, "loss": loss})
        )
    return pd.concat(frames, ignore_index=True)


def test_the_form_that_does_best_on_scales_left_out_is_used():
    law = fit_law(runs_whose_rate_follows({"params": -0.6, "tokens": 0.3}), n_draws=2)
    errors = {form.axes: form.error_pct for form in law.forms}
    assert law.axes == SIZE_AND_TOKENS
    assert errors[SIZE_AND_TOKENS] < errors[COMPUTE] / 2
    assert not any("scale is measured" in text for text in law.warnings)


def test_the_user_may_choose_the_axes():
    runs = runs_whose_rate_follows({"flops": -0.2})
    law = fit_law(runs, axes=["flops"], n_draws=20)
    assert law.axes == COMPUTE
    terms = law.terms().set_index("term")
    assert terms.loc["lr: exponent of C", "value"] == pytest.approx(-0.2, abs=0.02)
    expected = 2e-3 * (1e9 * 1e11 / 6.4e16) ** -0.2
    assert law.predict(1e9, 1e11).optimum["lr"].value == pytest.approx(expected, rel=0.15)
    assert "C^-0." in law.formula("lr")
    again = Law.from_dict(law.to_dict())
    assert again.predict(1e9, 1e11) == law.predict(1e9, 1e11)


def test_too_few_runs_of_the_largest_scales_to_choose_by_are_not_asked():
    runs = runs_whose_rate_follows({"flops": -0.2})
    n, d = SCALES[-1]
    largest = runs[(runs["params"] == n) & (runs["tokens"] == d)]
    three_left, four_left = runs.drop(largest.index[3:]), runs.drop(largest.index[4:])
    assert [form.error_pct for form in fit_law(three_left, n_draws=2).forms] == [None]
    assert len(fit_law(four_left, n_draws=2).forms) == 2


def test_too_few_scales_to_choose_by_are_not_asked(runs):
    two = runs[runs["params"] == 1e7]
    assert [form.error_pct for form in fit_law(two, n_draws=2).forms] == [None]


@pytest.fixture(scope="module")
def with_decay() -> pd.DataFrame:
    """Runs that also vary weight decay, whose optimum falls with the tokens."""
    runs = runs_whose_rate_follows({"params": -0.5})
    rng = np.random.default_rng(9)
    decay = 0.1 * np.exp(rng.uniform(-2, 2, len(runs)))
    best = 0.1 * (runs["tokens"] / 1.6e9) ** -0.4
    cost = 0.008 * np.log(decay / best) ** 2
    return runs.assign(weight_decay=decay, loss=runs["loss"] * np.exp(cost))


def test_weight_decay_is_placed_where_the_runs_vary_it(with_decay):
    law = fit_law(with_decay, n_draws=40)
    assert law.settings == ("lr", "batch_tokens", "weight_decay")
    interval = law.predict(1e9, 2e10).optimum["weight_decay"]
    assert interval.value == pytest.approx(0.1 * (2e10 / 1.6e9) ** -0.4, rel=0.15)
    assert interval.low < interval.value < interval.high
    residuals = law.residuals(with_decay)
    assert residuals["residual_pct"].abs().median() < 0.3


def test_settings_may_be_chosen(with_decay):
    law = fit_law(with_decay, settings=["lr", "weight_decay"], n_draws=2)
    assert set(law.predict(1e9, 2e10).optimum) == {"lr", "weight_decay"}
    one_decay = with_decay.assign(weight_decay=0.1)
    assert fit_law(one_decay, n_draws=2).settings == ("lr", "batch_tokens")
    with pytest.raises(InsufficientDataError, match="weight decay takes one value"):
        fit_law(one_decay, settings=["lr", "weight_decay"])
    with pytest.raises(LawError, match="no column 'beta2'"):
        fit_law(with_decay, settings=["lr", "beta2"])
    with pytest.raises(LawError, match="it has no log"):
        fit_law(with_decay.assign(weight_decay=0.0), settings=["lr", "weight_decay"])
    with pytest.raises(LawError, match="'lr' among them"):
        fit_law(with_decay, settings=["batch_tokens"])


def test_a_fixed_batch_moves_the_rate_and_says_what_it_costs(runs):
    law = fit_law(runs, n_draws=40)
    free = law.predict(1e9, 2e10)
    batch = 4 * free.optimum["batch_tokens"].value
    fixed = law.predict(1e9, 2e10, fixed={"batch_tokens": batch})
    assert set(fixed.optimum) == {"lr"}
    rates = fixed.optimum["lr"].value * 2.0 ** np.arange(-3, 4)
    losses = law.loss(1e9, 2e10, rates, batch)
    assert losses.argmin() == 3
    assert fixed.loss.value == pytest.approx(float(losses[3]))
    assert fixed.loss.value > free.loss.value
    assert "batch size fixed at" in fixed.notes[0]
    at_optimum = law.predict(1e9, 2e10, fixed={"batch_tokens": free.optimum["batch_tokens"].value})
    assert at_optimum.optimum["lr"].value == pytest.approx(free.optimum["lr"].value)
    with pytest.raises(LawError, match="cannot fix 'weight_decay'"):
        law.predict(1e9, 2e10, fixed={"weight_decay": 0.1})
