"""A batch that is given: the rule that the runs' optimizer follows, and what fixing it costs."""

import numpy as np
import pandas as pd
import pytest

from scaling.adjusted import Answer, answer
from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.law import Law

TARGET = {"params": 1e9, "tokens": 2e10}
BATCH = 65_536.0


@pytest.fixture(scope="module")
def one_batch(draw, truth) -> pd.DataFrame:
    adam = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8}
    return draw(truth, per_scale=8, noise=0.002).assign(batch_tokens=BATCH, **adam)


@pytest.fixture(scope="module")
def law(one_batch) -> Law:
    return fit_law(one_batch, n_draws=20)


@pytest.mark.parametrize(
    ("optimizers", "lr_factor", "moved"),
    [
        (["adamw"], 4, {"lr", "beta1", "beta2", "eps"}),
        (["AdamW", "adam"], 4, {"lr", "beta1", "beta2", "eps"}),
        (["sgd"], 16, {"lr"}),
        (["sgd", ""], 16, {"lr"}),
    ],
)
def test_the_rate_of_runs_of_one_batch_moves_as_their_optimizer_does(
    law, one_batch, optimizers, lr_factor, moved
):
    # Betas for which the square-root rule does not end before 16 times the batch.
    runs = one_batch.assign(optimizer=np.resize(optimizers, len(one_batch)), beta1=0.95, beta2=0.99)
    tuned = answer(law, runs, **TARGET).prediction.optimum["lr"]
    given = answer(law, runs, **TARGET, batch_tokens=16 * BATCH)
    lr = given.prediction.optimum["lr"]
    for end in ("value", "low", "high"):
        assert getattr(lr, end) == pytest.approx(lr_factor * getattr(tuned, end))
    (rule,) = given.rules
    assert set(rule.values) == moved
    (note,) = given.prediction.notes
    assert f"by the {rule.rule} ({rule.source})" in note
    assert "do not name" not in note


def test_runs_that_name_no_optimizer_are_taken_for_adam_s_and_it_is_said(law, one_batch):
    for runs in (one_batch, one_batch.assign(optimizer="")):
        given = answer(law, runs, **TARGET, batch_tokens=4 * BATCH)
        assert given.rules[0].rule == "square-root batch rule, batch × 4"
        assert "the runs do not name their optimizer" in given.prediction.notes[0]


@pytest.mark.parametrize(
    ("optimizers", "message"),
    [
        (["lion"], "optimizer 'lion': no rule is known"),
        (["adamw", "muon"], "optimizer 'muon': no rule is known"),
        (["adamw", "sgd"], r"different batch rules \(square-root for adamw, linear for sgd\)"),
    ],
)
def test_where_no_one_rule_is_known_another_batch_is_refused(law, one_batch, optimizers, message):
    runs = one_batch.assign(optimizer=np.resize(optimizers, len(one_batch)))
    with pytest.raises(LawError, match=message):
        answer(law, runs, **TARGET, batch_tokens=4 * BATCH)
    assert answer(law, runs, **TARGET, batch_tokens=BATCH) == Answer(law.predict(**TARGET))


def test_a_batch_larger_than_the_training_is_refused(law, one_batch, runs):
    small = {"params": 1e7, "tokens": 8e7}
    of_batches = fit_law(runs, n_draws=20)
    for asked, behind in ((law, one_batch), (of_batches, runs)):
        with pytest.raises(LawError, match="batch_tokens is 80,000,001, more than the 80,000,000"):
            answer(asked, behind, **small, batch_tokens=8e7 + 1)
    assert answer(of_batches, runs, **small, batch_tokens=8e7).prediction.notes


def test_each_note_on_what_is_fixed_says_what_that_alone_costs(draw, truth):
    runs = draw(truth, per_scale=24)
    decay = 0.1 * np.exp(np.random.default_rng(3).uniform(-2, 2, len(runs)))
    loss = runs["loss"] * (1 + 0.003 * np.log(decay / 0.1) ** 2)
    law = fit_law(runs.assign(weight_decay=decay, loss=loss), n_draws=20)
    free = law.predict(**TARGET)
    fixed = {"batch_tokens": 8 * free.optimum["batch_tokens"].value, "weight_decay": 0.1}

    def cost(**settings: float) -> str:
        with_them = law.predict(**TARGET, fixed=settings).loss.value
        return f"costs {100 * (with_them / free.loss.value - 1):.2g} % of loss"

    batch, weight_decay, together = law.predict(**TARGET, fixed=fixed).notes
    assert batch.endswith(f"fixing it alone {cost(batch_tokens=fixed['batch_tokens'])}")
    assert weight_decay.endswith(f"fixing it alone {cost(weight_decay=0.1)}")
    assert together == f"fixing batch size and weight decay together {cost(**fixed)}"
    assert cost(weight_decay=0.1) != cost(**fixed)
