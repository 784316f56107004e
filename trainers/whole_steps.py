"""How many steps a run has, and which batches are too large a part of it; torch-free.

A run takes whole steps, as many as come nearest to its tokens D. Laws are fitted to D, so that a
batch is refused whose steps miss it by more than 5 %. One of at most D / 10 never does.
"""

from collections.abc import Iterator

from trainers.errors import TrainerError

MOST_PERCENT = 5
"""By how much the tokens that a run trains on may differ from those it was given."""
_STEPS_THAT_FIT = 10
"""With as many steps, rounding them can no longer miss by more than MOST_PERCENT."""


def whole_steps(tokens: int, batch_tokens: int) -> int:
    """Return the steps of a run: as many of batch_tokens as come nearest to its tokens, or 1."""
    return max(1, round(tokens / batch_tokens))


def check_whole_steps(tokens: int, batch_tokens: int) -> None:
    """Raise TrainerError where whole steps miss the run's tokens by more than MOST_PERCENT.

    `batch_tokens` is at most `tokens`.
    """
    if _fits(tokens, batch_tokens):
        return
    steps = whole_steps(tokens, batch_tokens)
    trained = steps * batch_tokens
    missed = 100 * abs(trained - tokens) / tokens
    fewer = tokens // batch_tokens
    more = fewer + 1
    below = (100 + MOST_PERCENT) * tokens // (100 * more)
    above = -(-(100 - MOST_PERCENT) * tokens // (100 * fewer))
    # These fit, but where tokens are so few that no whole number is near enough.
    smaller = next(batch for batch in range(below, 0, -1) if _fits(tokens, batch))
    larger = next(batch for batch in range(above, tokens + 1) if _fits(tokens, batch))
    raise TrainerError(
        f"batch_tokens is {batch_tokens}, of which the run's {tokens} tokens are "
        f"{tokens / batch_tokens:.2f} steps; whole steps ({steps}) train on {trained} tokens, "
        f"{missed:.0f} % {'more' if trained > tokens else 'fewer'}, and {MOST_PERCENT} % is the "
        f"most: the nearest that work are {_counted(tokens, smaller)}, {_counted(tokens, larger)} "
        f"and any up to {max(1, tokens // _STEPS_THAT_FIT)}, or else {fewer * batch_tokens} or "
        f"{more * batch_tokens} tokens"
    )


def worst_batches(tokens: int, multiple_of: int) -> Iterator[int]:
    """Give the multiples whose whole steps miss a run's tokens most.

    Of the batches in any range one of these, or an end of it, misses most.
    """
    for steps in range(1, _STEPS_THAT_FIT):
        # At steps + 1/2 steps, rounding misses most.
        below = 2 * tokens // ((2 * steps + 1) * multiple_of) * multiple_of
        yield below
        yield below + multiple_of


def _fits(tokens: int, batch_tokens: int) -> bool:
    missed = abs(whole_steps(tokens, batch_tokens) * batch_tokens - tokens)
    return 100 * missed <= MOST_PERCENT * tokens


def _counted(tokens: int, batch_tokens: int) -> str:
    steps = whole_steps(tokens, batch_tokens)
    return f"{batch_tokens} ({steps} step{'s' * (steps > 1)})"
