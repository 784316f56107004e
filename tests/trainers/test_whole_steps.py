"""A run trains on its tokens to within 5 %: what whole steps miss by more is refused."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainers.running import finish, start
from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.registry import kind
from trainers.whole_steps import MOST_PERCENT, check_whole_steps, whole_steps, worst_batches

GPT = RunConfig("gpt", {"width": 32, "depth": 2}, 24_576, {"lr": 0.01, "batch_tokens": 1024})
TOKENS = st.one_of(st.integers(1, 300), st.integers(1, 10**9))
RUNS = TOKENS.flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


def missed_percent(tokens: int, batch_tokens: int) -> float:
    return 100 * abs(whole_steps(tokens, batch_tokens) * batch_tokens / tokens - 1)


@pytest.mark.parametrize(
    ("batch_tokens", "says"),
    [
        (16_448, "are 1.49 steps; whole steps (1) train on 16448 tokens, 33 % fewer, and 5 % is"),
        (15_680, "are 1.57 steps; whole steps (2) train on 31360 tokens, 28 % more, and 5 % is"),
        (16_448, "are 12902 (2 steps), 23348 (1 step) and any up to 2457, or else 16448 or 32896"),
    ],
)
def test_a_batch_that_misses_the_tokens_is_refused(batch_tokens: int, says: str):
    config = replace(GPT, setting={"lr": 0.01, "batch_tokens": batch_tokens})
    with pytest.raises(TrainerError, match=re.escape(says)) as caught:
        kind("gpt").check(config)
    assert str(caught.value).startswith(f"batch_tokens is {batch_tokens}, of which the run's 24576")


@pytest.mark.parametrize("batch_tokens", [64, 1024, 2432, 12_288, 12_800, 23_360, 24_576])
def test_a_batch_that_comes_near_them_is_not(batch_tokens: int):
    kind("gpt").check(replace(GPT, setting={"lr": 0.01, "batch_tokens": batch_tokens}))


def test_a_trainer_that_counts_by_itself_is_not_asked():
    config = RunConfig("simulated", {"params": 1_000_000}, 24_576, {"lr": 1e-3})
    kind("simulated").check(replace(config, setting={"lr": 1e-3, "batch_tokens": 16_448}))


def test_a_run_takes_the_steps_that_were_checked(config: RunConfig):
    run = replace(config, tokens=10 * 64 - 30, setting={"lr": 0.01, "batch_tokens": 64})
    assert finish(start(run))[-1].step == whole_steps(run.tokens, 64) == 10


@given(RUNS)
def test_what_the_refusal_names_is_accepted(run: tuple[int, int]):
    tokens, batch_tokens = run
    if missed_percent(tokens, batch_tokens) <= MOST_PERCENT:
        check_whole_steps(tokens, batch_tokens)
        return
    with pytest.raises(TrainerError) as caught:
        check_whole_steps(tokens, batch_tokens)
    named = re.search(
        r"are (\d+) \((\d+) steps?\), (\d+) \((\d+) steps?\) and any up to (\d+), or else (\d+) or "
        r"(\d+) tokens$",
        str(caught.value),
    )
    assert named
    smaller, more, larger, fewer, any_to, *other_tokens = map(int, named.groups())
    assert any_to <= smaller < batch_tokens < larger <= tokens
    assert (whole_steps(tokens, smaller), whole_steps(tokens, larger)) == (more, fewer)
    for batch in (smaller, larger, any_to):
        check_whole_steps(tokens, batch)
    for between in (smaller + 1, larger - 1):
        assert missed_percent(tokens, between) > MOST_PERCENT
    for other in other_tokens:
        check_whole_steps(other, batch_tokens)


@given(st.integers(100, 10**6), st.integers(1, 50), st.integers(1, 10**4), st.integers(1, 10**4))
def test_the_worst_batch_of_a_range_is_an_end_or_among_the_worst(
    tokens: int, step: int, one: int, other: int
):
    low, high = sorted((step * (1 + one % 300), step * (1 + other % 300)))
    batches = [batch for batch in range(low, high + 1, step) if batch <= tokens]
    told = {low, high, *worst_batches(tokens, step)}
    worst = max((missed_percent(tokens, batch) for batch in batches), default=0.0)
    if worst > MOST_PERCENT:
        assert worst == max(missed_percent(tokens, b) for b in batches if b in told)
