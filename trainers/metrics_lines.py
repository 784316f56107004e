"""What a training script says of itself: JSON objects, a line each, among the lines of its log.

    {"step": 100, "tokens": 204800, "loss": 3.2107}

A line counts where it is a JSON object with the name of the loss in it. `step` or `tokens` says how
far the training is; `train_loss`, `lr`, `flops` and `seconds` are kept where they are given.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from trainers.errors import TrainerError

_NO_NUMBERS = ("nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity", "null", "none")


@dataclass(frozen=True)
class Metrics:
    """One line; None stands for what it does not say.

    Attributes
    ----------
    loss : held-out loss, nats a token; NaN where the line has no finite number for it.
    step, tokens : done so far.
    train_loss, lr, flops, seconds : as in `trainers.protocol.Report`.
    """

    loss: float
    step: int | None = None
    tokens: int | None = None
    train_loss: float | None = None
    lr: float | None = None
    flops: float | None = None
    seconds: float | None = None


@dataclass
class MetricsReader:
    """Tells metrics from log.

    Attributes
    ----------
    loss : the name of the loss.
    keys : names in JSON objects without it, the last one's: to say what there was.
    """

    loss: str
    keys: tuple[str, ...] = field(default=())

    def read(self, line: str) -> Metrics | None:
        """Return the metrics of a line, None where it is log.

        Raises TrainerError for a value that cannot be.
        """
        values = _json_object(line)
        if values is None:
            return None
        if self.loss not in values:
            self.keys = tuple(values)
            return None
        step, tokens = (_number(values, name, line) for name in ("step", "tokens"))
        train_loss = values.get("train_loss")
        return Metrics(
            loss=_loss(values[self.loss], self.loss, line),
            step=None if step is None else round(step),
            tokens=None if tokens is None else round(tokens),
            train_loss=None if train_loss is None else _loss(train_loss, "train_loss", line),
            lr=_number(values, "lr", line),
            flops=_number(values, "flops", line),
            seconds=_number(values, "seconds", line),
        )

    def what_was_expected(self) -> str:
        """Say, where no metrics came, what would have been metrics."""
        expected = f'a line such as {{"step": 100, "{self.loss}": 3.21}} on its standard output'
        if not self.keys:
            return expected
        near = get_close_matches(self.loss, self.keys, n=1)
        meant = f"did you mean loss: {near[0]}? " if near else ""
        return f"{expected}; {meant}its JSON lines have {', '.join(self.keys)}"


def _json_object(line: str) -> Mapping[str, object] | None:
    if not (line.startswith("{") and line.endswith("}")):
        return None
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _loss(value: object, name: str, line: str) -> float:
    if value is None or (isinstance(value, str) and value.lower() in _NO_NUMBERS):
        return math.nan
    number = _as_number(value)
    if number is None:
        raise TrainerError(f"{name} is {value!r} in the line {_cut(line)}; it must be a number")
    return number if math.isfinite(number) else math.nan


def _number(values: Mapping[str, object], name: str, line: str) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    number = _as_number(value)
    if number is None or not math.isfinite(number) or number < 0:
        raise TrainerError(
            f"{name} is {value!r} in the line {_cut(line)}; it must be a number of at least 0"
        )
    return number


def _as_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # JSON has integers of any length.
        return math.inf


def _cut(line: str) -> str:
    return line if len(line) <= 120 else f"{line[:117]}..."
