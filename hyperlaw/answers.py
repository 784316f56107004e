"""The answer that `predict` and `emit` give: the law that is asked for, asked for the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hyperlaw.errors import MissingError
from hyperlaw.sources import Asked, axes_for, find_law_and_runs

if TYPE_CHECKING:
    import pandas as pd

    from scaling.adjusted import Answer
    from scaling.law import Law


@dataclass(frozen=True)
class Question:
    """What is asked of a law on the command line.

    Attributes
    ----------
    params, tokens, width, depth : the target.
    level : coverage of the intervals.
    batch_tokens : the batch that the target will have; the law's, or that of the runs, if None.
    decay : the weight decay of the runs; that of their column if None.
    """

    params: float
    tokens: float
    width: float | None = None
    depth: float | None = None
    level: float = 0.9
    batch_tokens: float | None = None
    decay: float | None = None


def answer_from(asked: Asked, question: Question) -> tuple[Answer, Law, pd.DataFrame | None]:
    """Return the answer, the law that gave it, and its runs where they are at hand.

    A law that is fitted here stands on width or depth where the question names them.

    Raises
    ------
    MissingError : a rule needs the runs behind a stored law, and the database does not have them.
    scaling.errors.LawError : a question that the runs leave no answer for, or that makes no sense.
    """
    from scaling.errors import MissingRunsError

    law, runs = find_law_and_runs(asked, axes_for(question.width, question.depth))
    try:
        return ask(law, runs, question), law, runs
    except MissingRunsError as error:
        raise MissingError(f"{error}; give them with --runs") from error


def ask(law: Law, runs: pd.DataFrame | None, question: Question) -> Answer:
    """Ask a law, and the rules that look at its runs; errors are those of `scaling.adjusted`."""
    from scaling.adjusted import answer

    return answer(
        law,
        runs,
        params=question.params,
        tokens=question.tokens,
        width=question.width,
        depth=question.depth,
        level=question.level,
        batch_tokens=question.batch_tokens,
        decay=question.decay,
    )
