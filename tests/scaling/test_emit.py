"""Configurations: each text is read by its own language, and says what was predicted."""

import ast
import shlex
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from scaling.adjusted import Answer, answer
from scaling.emit import FRAMEWORKS, emit
from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.law import Law
from scaling.planned_training import GIVEN, OF_THE_RUNS, plan_training

TARGET = {"params": 1e9, "tokens": 2e10}
CONTEXT = 4096


@pytest.fixture(scope="module")
def runs(draw, truth) -> pd.DataFrame:
    adamw = {"weight_decay": 0.1, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8}
    return draw(truth, per_scale=8, noise=0.002).assign(**adamw)


@pytest.fixture(scope="module")
def law(runs) -> Law:
    return fit_law(runs, n_draws=30)


@pytest.fixture(scope="module")
def answered(law, runs) -> Answer:
    return answer(law, runs, **TARGET)


@pytest.fixture(scope="module")
def planned(answered, runs):
    return plan_training(
        answered, runs, context=CONTEXT, devices=4, device_batch=2, given={"warmup_tokens": 1e9}
    )


def literals(text: str) -> dict[str, object]:
    """Return the names that Python text gives literal values to, as arguments or at its top."""
    named = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.keyword) and node.arg is not None:
            named[node.arg] = ast.literal_eval(node.value)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            named[node.targets[0].id] = node.value.value
    return named


def flags(text: str) -> dict[str, str]:
    words = shlex.split(text.split("(", 1)[1], comments=True)[:-1]
    return {
        name.removeprefix("--"): word for name, word in zip(words[::2], words[1::2], strict=True)
    }


READ = {
    "pytorch": literals,
    "huggingface": literals,
    "nanogpt": literals,
    "torchtitan": lambda text: {
        key: value for part in tomllib.loads(text).values() for key, value in part.items()
    },
    "megatron": lambda text: flags(text),
    "litgpt": lambda text: (
        yaml.safe_load(text)["train"] | yaml.safe_load(text)["optimizer"]["init_args"]
    ),
}
LR = {"huggingface": "learning_rate", "nanogpt": "learning_rate"}
DECAY = {"megatron": "weight-decay"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_text_is_read_by_its_language_and_has_the_predicted_numbers(
    framework, planned, answered
):
    text = emit(framework, planned)
    read = READ[framework](text)
    best = answered.prediction.optimum["lr"]
    lr = read[LR.get(framework, "lr")]
    assert float(lr) == pytest.approx(best.value, rel=5e-3)
    (rule,) = answered.rules
    decay = read[DECAY.get(framework, "weight_decay")]
    assert float(decay) == pytest.approx(rule.adjusted("weight_decay"), rel=5e-3)
    assert f"predicted, 90%: {best.low:.3g} to {best.high:.3g}" in text
    assert "by the AdamW timescale" in text
    assert text.startswith("# ")
    assert text.endswith("\n")


def test_steps_and_sequences_see_the_target_s_tokens(planned):
    run = literals(emit("pytorch", planned))
    assert run["sequences_per_step"] % (4 * 2) == 0
    seen = run["sequences_per_step"] * run["sequence_length"] * run["steps"]
    assert TARGET["tokens"] <= seen < TARGET["tokens"] + CONTEXT * run["sequences_per_step"]
    hugging_face = literals(emit("huggingface", planned))
    over_all = (
        4
        * hugging_face["per_device_train_batch_size"]
        * hugging_face["gradient_accumulation_steps"]
    )
    nanogpt = literals(emit("nanogpt", planned))
    assert over_all == run["sequences_per_step"]
    assert nanogpt["batch_size"] * nanogpt["gradient_accumulation_steps"] == over_all
    tokens_a_step = run["sequences_per_step"] * CONTEXT
    assert run["warmup_steps"] == pytest.approx(1e9 / tokens_a_step, abs=0.5)


def test_where_a_number_comes_from_is_told_apart(planned, answered, runs):
    assert planned.beta2.origin == OF_THE_RUNS
    assert planned.warmup_tokens.origin == GIVEN
    alone = plan_training(answered, None, context=CONTEXT, given={"beta2": 0.98})
    assert (alone.beta1, alone.eps, alone.warmup_tokens) == (None, None, None)
    assert alone.beta2.origin == GIVEN
    assert "the framework's own: beta1, eps, warm-up" in emit("torchtitan", alone)


def test_a_given_batch_is_kept_and_said(law, runs):
    fixed = answer(law, runs, **TARGET, batch_tokens=2**20)
    run = plan_training(fixed, runs, context=CONTEXT, given={"batch_tokens": 2**20})
    assert run.sequences.value == 2**20 // CONTEXT
    assert "batch of 1,048,576 tokens, given" in emit("litgpt", run)


def test_a_batch_of_the_runs_is_moved_with_its_betas(runs):
    one = runs.assign(batch_tokens=65_536.0)
    law = fit_law(one, n_draws=20)
    moved = answer(law, one, **TARGET, batch_tokens=4 * 65_536)
    run = plan_training(moved, one, context=CONTEXT, given={"batch_tokens": 4 * 65_536})
    assert run.beta1.value == pytest.approx(0.6)
    assert run.lr.origin == "by the square-root batch rule, batch × 4"
    assert run.lr.value == moved.prediction.optimum["lr"].value
    own = plan_training(answer(law, one, **TARGET), one, context=CONTEXT)
    assert own.batch_tokens == (65_536.0, OF_THE_RUNS)


def test_a_batch_that_the_devices_cannot_hold_is_cautioned(planned):
    wide = replace(planned, devices=1024)
    tokens = 1024 * 2 * CONTEXT
    assert f"caution: a batch of {tokens:,} tokens stands for" in emit("megatron", wide)
    assert "stands for" not in emit("megatron", planned)


def test_what_keys_do_not_carry_is_cautioned(answered, runs):
    under_mup = runs.assign(parametrization="mup", optimizer="muon")
    text = emit("pytorch", plan_training(answered, under_mup, context=CONTEXT))
    assert "# caution: the runs were trained with muon" in text
    assert "parametrized by mup: the rate is the base rate" in text


def test_small_numbers_stay_numbers_in_yaml(planned):
    tiny = replace(planned, lr=planned.lr._replace(value=9e-5))
    assert READ["litgpt"](emit("litgpt", tiny))["lr"] == 9e-5


def test_wrong_questions_are_refused_in_one_line(law, runs, answered, planned):
    with pytest.raises(LawError, match="did you mean 'megatron'"):
        emit("megatrn", planned)
    with pytest.raises(LawError, match="context is 0"):
        plan_training(answered, runs, context=0)
    with pytest.raises(LawError, match="'lr' cannot be given"):
        plan_training(answered, runs, context=1, given={"lr": 1e-3})
    two = runs.assign(batch_tokens=np.resize([65_536.0, 131_072.0], len(runs)))
    of_two = answer(fit_law(two, n_draws=20), None, **TARGET)
    with pytest.raises(LawError, match="nor the runs tell one batch"):
        plan_training(of_two, two, context=CONTEXT)
