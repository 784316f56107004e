"""Configurations: each text is read by its own language, and says what was predicted."""

import ast
import inspect
import shlex
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
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


CALLED = {
    "lr": ["learning_rate"],
    "weight_decay": ["weight-decay"],
    "beta1": ["adam_beta1", "adam-beta1"],
    "beta2": ["adam_beta2", "adam-beta2"],
    "eps": ["adam_epsilon", "adam-eps"],
    "steps": ["max_steps", "max_iters", "train-iters"],
    "warm-up": ["warmup_steps", "warmup_iters", "lr-warmup-iters", "lr_warmup_steps"],
    "context": ["sequence_length", "block_size", "seq_len", "seq-length", "max_seq_length"],
    "sequences": ["sequences_per_step", "global_batch_size", "global-batch-size"],
}
NAMES = {key: name for name, keys in CALLED.items() for key in keys}
"""What frameworks call a number -> what it is."""


def carried(framework: str, text: str, devices: int) -> dict[str, float]:
    """Return the numbers of a training run that a framework's text carries."""
    read = READ[framework](text)
    if "betas" in read:
        read["beta1"], read["beta2"] = read.pop("betas")
    if framework == "litgpt":
        a_step = read["global_batch_size"] * read["max_seq_length"]
        read["steps"] = -(-read["max_tokens"] // a_step)
    if framework == "nanogpt":
        read["sequences"] = read["batch_size"] * read["gradient_accumulation_steps"]
    if framework == "huggingface":
        on_device = read["per_device_train_batch_size"] * read["gradient_accumulation_steps"]
        read["sequences"] = devices * on_device
    named = {NAMES.get(key, key): value for key, value in read.items()}
    return {name: float(named[name]) for name in CALLED.keys() & named.keys()}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_known_number_is_in_the_text_or_named_as_without_a_key(framework, planned):
    text = emit(framework, planned)
    heading = [line for line in text.splitlines() if "without a key here" in line]
    numbers = {
        "lr": planned.lr.value,
        "weight_decay": planned.weight_decay.value,
        "beta1": planned.beta1.value,
        "beta2": planned.beta2.value,
        "eps": planned.eps.value,
        "warm-up": planned.warmup_steps.value,
        "steps": planned.steps.value,
        "sequences": planned.sequences.value,
        "context": planned.context,
    }
    found = carried(framework, text, planned.devices)
    for name, value in numbers.items():
        if name in found:
            assert found[name] == pytest.approx(value, rel=5e-3), name
        else:
            assert f" {name} {value:g} (" in heading[0], name
    assert bool(heading) == (not numbers.keys() <= found.keys())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_one_beta_is_told_where_the_other_is_not_known(framework, planned):
    assert inspect.signature(torch.optim.AdamW).parameters["betas"].default == (0.9, 0.999)
    for known, own in (("beta1", 0.999), ("beta2", 0.9)):
        other = {"beta1": "beta2", "beta2": "beta1"}[known]
        text = emit(
            framework, replace(planned, **{known: planned.beta1._replace(value=0.8), other: None})
        )
        found = carried(framework, text, planned.devices)
        assert found[known] == 0.8
        assert found.get(other, own) == own
        assert f"the framework's own: {other}" in text
        if framework in ("pytorch", "litgpt"):
            assert f"{known} {planned.beta1.origin}" in text
            assert f"{other} torch's own" in text


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


def test_a_decay_that_leaves_nothing_of_a_weight_is_cautioned(planned):
    assert "take all of a weight away" not in emit("pytorch", planned)
    heavy = replace(planned, weight_decay=planned.lr._replace(value=1.1 / planned.lr.value))
    assert "# caution: lr × weight decay is 1.1, so that each step" in emit("pytorch", heavy)
    assert "weight away" not in emit("pytorch", replace(planned, weight_decay=None))


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
    with pytest.raises(LawError, match=r"batch_tokens is 30,000,000,000, more than the 20,000,000"):
        plan_training(answered, runs, context=1, given={"batch_tokens": 3e10})
    two = runs.assign(batch_tokens=np.resize([65_536.0, 131_072.0], len(runs)))
    of_two = answer(fit_law(two, n_draws=20), None, **TARGET)
    with pytest.raises(LawError, match="nor the runs tell one batch"):
        plan_training(of_two, two, context=CONTEXT)
