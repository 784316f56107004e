"""`hyperlaw emit`: the predicted optimum as a framework is told it."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.hyperlaw.conftest import Invoke

TARGET = ("--params", 1e9, "--tokens", 2e10)


def test_it_says_what_predict_says(invoke: Invoke, runs_file: Path) -> None:
    ask = ("--runs", runs_file, *TARGET)
    emitted = json.loads(invoke("emit", "--framework", "torchtitan", *ask, "--json").out)
    predicted = json.loads(invoke("predict", *ask, "--json").out)
    del predicted["schema_version"]
    assert emitted["prediction"] | {"schema_version": 1} == predicted | {"schema_version": 1}
    assert f"lr = {predicted['optimum']['lr']['value']:.3g}  #" in emitted["text"]
    plain = invoke("emit", "--framework", "torchtitan", *ask)
    assert (plain.code, plain.out, plain.err) == (0, emitted["text"], "")


def test_batch_context_and_warm_up_are_given(invoke: Invoke, runs_file: Path) -> None:
    ran = invoke(
        *("emit", "--framework", "megatron", "--runs", runs_file, *TARGET),
        *("--batch-tokens", 2**20, "--context", 4096, "--devices", 16, "--device-batch", 4),
        *("--warmup-tokens", 100 * 2**20),
    )
    assert "--global-batch-size 256  # batch of 1,048,576 tokens, given" in ran.out
    assert "--micro-batch-size 4" in ran.out
    assert "--lr-warmup-iters 100 " in ran.out


def test_a_batch_that_the_runs_have_is_taken_from_them(
    invoke: Invoke, known_runs: pd.DataFrame, tmp_path: Path
) -> None:
    known_runs.assign(batch_tokens=32768, weight_decay=0.1).to_csv(tmp_path / "one.csv")
    ran = invoke("emit", "--framework", "litgpt", "--runs", "one.csv", *TARGET)
    assert "global_batch_size: 16  # batch of 32,768 tokens, as in the runs" in ran.out
    assert "weight_decay" in ran.out
    assert "AdamW timescale" in ran.out


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--framework", "torchtitn", *TARGET), 2, "did you mean 'torchtitan'?"),
        (("--framework", "pytorch", *TARGET, "--context", 0), 2, "--context"),
        (("--framework", "pytorch", *TARGET, "--warmup-tokens", -1), 2, "warmup_tokens is -1"),
        (("--framework", "pytorch", "--params", -1, "--tokens", 1), 2, "params of the target"),
        (("--framework", "pytorch", *TARGET, "--runs", "none.csv"), 2, "none.csv"),
    ],
)
def test_what_cannot_be_written_is_refused(
    invoke: Invoke, runs_file: Path, flags: tuple[object, ...], code: int, message: str
) -> None:
    source = () if "--runs" in flags else ("--runs", runs_file)
    ran = invoke("emit", *source, *flags)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
