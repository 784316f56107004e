"""A loss surface with a known law, as instant runs: for tests, benchmarks and dry runs of a sweep.

`SimulatedLaw` is the truth (its optimum is a formula); `SimulatedTrainer` reports runs on it with
noise and a divergence cliff. numpy only.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from trainers.changes import timeline
from trainers.config import RunConfig, Size, Value
from trainers.errors import TrainerError
from trainers.protocol import Report, Status
from trainers.settings import SettingRule, complete

Array = npt.NDArray[np.float64]
Numbers = npt.ArrayLike


class Optimum(NamedTuple):
    """The best setting of a scale and what it reaches."""

    lr: Array
    batch_tokens: Array
    loss: Array


@dataclass(frozen=True)
class SimulatedLaw:
    """L(N, D, lr, B) = (E + A·N^-α + B·D^-β) · (1 + basin), without noise.

    The basin is quadratic in ln lr and ln B about a centre that follows power laws:
    lr* = c·N^p·D^q and B* = c'·N^p'·D^q'. The defaults give byte-level losses (nats) like those
    of small language models on source code, and exponents near those of Step Law
    (arXiv 2503.04715).
    """

    irreducible: float = 0.7
    params_coefficient: float = 12.0
    params_exponent: float = 0.3
    tokens_coefficient: float = 40.0
    tokens_exponent: float = 0.3
    lr_coefficient: float = 1.8
    lr_params_exponent: float = -0.7
    lr_tokens_exponent: float = 0.3
    lr_curvature: float = 0.02
    batch_coefficient: float = 0.8
    batch_params_exponent: float = 0.0
    batch_tokens_exponent: float = 0.57
    batch_curvature: float = 0.008
    cliff_octaves: float = 3.0
    """A run whose lr is more than this many octaves above lr* diverges."""
    noise: float = 0.002
    """Standard deviation of ln loss from run to run."""

    def optimum(self, params: Numbers, tokens: Numbers) -> Optimum:
        """Return the best lr, batch (tokens) and loss at each scale, broadcast together."""
        n, d = np.asarray(params, np.float64), np.asarray(tokens, np.float64)
        return Optimum(
            lr=self.lr_coefficient * n**self.lr_params_exponent * d**self.lr_tokens_exponent,
            batch_tokens=self.batch_coefficient
            * n**self.batch_params_exponent
            * d**self.batch_tokens_exponent,
            loss=self.irreducible
            + self.params_coefficient * n**-self.params_exponent
            + self.tokens_coefficient * d**-self.tokens_exponent,
        )

    def loss(self, params: Numbers, tokens: Numbers, lr: Numbers, batch_tokens: Numbers) -> Array:
        """Return the loss at each setting (nats a token), the cliff and the noise left out."""
        best = self.optimum(params, tokens)
        lr_distance = np.log(np.asarray(lr, np.float64) / best.lr)
        batch_distance = np.log(np.asarray(batch_tokens, np.float64) / best.batch_tokens)
        basin = self.lr_curvature * lr_distance**2 + self.batch_curvature * batch_distance**2
        return np.asarray(best.loss * (1 + basin))

    def diverges(self, params: Numbers, tokens: Numbers, lr: Numbers) -> npt.NDArray[np.bool_]:
        """Return whether a run at each lr goes over the cliff."""
        octaves = np.log2(np.asarray(lr, np.float64) / self.optimum(params, tokens).lr)
        return np.asarray(octaves > self.cliff_octaves)


MODEL_OPTIONS: dict[str, SettingRule] = {
    field.name: SettingRule(
        "float",
        "a constant of SimulatedLaw",
        cast(float, field.default),
        at_least=0 if field.name in ("noise", "cliff_octaves") else None,
    )
    for field in fields(SimulatedLaw)
}

SETTINGS: dict[str, SettingRule] = {
    "lr": SettingRule("float", "learning rate", above=0),
    "batch_tokens": SettingRule("int", "tokens a step", at_least=1),
}

LIVE = ("lr",)


def simulated_law(model: Mapping[str, Value]) -> SimulatedLaw:
    """Return the law whose constants are the model options `model`."""
    constants = complete(MODEL_OPTIONS, model, "model option")
    return SimulatedLaw(**{name: float(value) for name, value in constants.items()})


def simulated_size(shape: Mapping[str, int], model: Mapping[str, Value]) -> Size:
    """Return N = shape["params"], or 12·depth·width²; there is no embedding."""
    simulated_law(model)
    if "params" in shape:
        if len(shape) > 1:
            raise TrainerError("shape gives params and also width or depth; give one or the other")
        n_params = shape["params"]
    elif {"width", "depth"} <= shape.keys():
        n_params = 12 * shape["depth"] * shape["width"] ** 2
    else:
        raise TrainerError("a simulated shape is width and depth, or params")
    if min(shape.values()) < 1:
        raise TrainerError(f"shape is {dict(shape)}; sizes must be positive whole numbers")
    return Size(n_params, n_params)


class SimulatedTrainer:
    """A run on a `SimulatedLaw`: the same configuration always gives the same reports.

    The curve falls as a run of the budget so far would, from ln 256 at most, and ends at the
    law's loss times the noise. Under `mup` the optimal lr stays that of the base shape; `sp`
    follows the law in N.

    Where lr changes in mid-run, the basin is that of the path: the mean over the steps so far of
    the squared distance from the optimum. A state that is taken up brings that mean and its noise.
    """

    def __init__(self, config: RunConfig) -> None:
        setting = complete(SETTINGS, config.setting, "setting")
        self._law = simulated_law(config.model)
        self._params = simulated_size(config.shape, config.model).params
        self._tokens = config.tokens
        self._batch_tokens = int(setting["batch_tokens"])
        self._steps = max(1, round(config.tokens / self._batch_tokens))
        self._timeline = timeline(setting, config.changes, self._steps)
        self._reports = min(config.reports, self._steps)
        self._reported = 0
        self._seconds = 0.0
        # What the law sees of lr: under muP, as far from the optimum as at the base shape.
        self._lr_multiplier = 1.0
        if config.parametrization == "mup":
            base = simulated_size(config.base_shape, config.model).params
            own_best = self._law.optimum(self._params, self._tokens).lr
            base_best = self._law.optimum(base, self._tokens).lr
            self._lr_multiplier = float(own_best / base_best)
        self._noise = self._law.noise * _standard_normal(config, setting)
        self._path_square = self._square(float(setting["lr"]))

    def step(self) -> Report:
        """Return the next report."""
        started = time.perf_counter()
        if self._reported == self._reports:
            raise TrainerError("the run is over; it has no further report")
        before = self._steps_taken()
        self._reported += 1
        step = self._steps_taken()
        over_cliff = False
        for stop, setting in self._timeline.stretches(before, step):
            lr = float(setting["lr"])
            # An incremental mean: on a path of one lr it stays what it is to the last bit.
            self._path_square += (stop - before) / stop * (self._square(lr) - self._path_square)
            over_cliff |= bool(self._law.diverges(self._params, self._tokens, self._law_lr(lr)))
            before = stop
        tokens = step * self._batch_tokens
        fraction = step / self._steps
        # A run goes over the cliff once its warm-up is past, at the first report after a quarter.
        status: Status = "completed" if self._reported == self._reports else "running"
        if over_cliff and (fraction >= 0.25 or status == "completed"):
            status, self._reported = "diverged", self._reports
        loss = self._loss(fraction * self._tokens, lr)
        loss = min(loss * math.exp(self._noise), math.log(256) if status == "running" else math.inf)
        self._seconds += time.perf_counter() - started
        return Report(
            step=step,
            tokens=tokens,
            flops=6.0 * self._params * tokens,
            loss=math.nan if status == "diverged" else loss,
            train_loss=loss,
            lr=lr,
            seconds=self._seconds,
            status=status,
        )

    def _steps_taken(self) -> int:
        """Return how many steps the run has taken."""
        return round(self._steps * self._reported / self._reports)

    def _law_lr(self, lr: float) -> float:
        return lr * self._lr_multiplier

    def _square(self, lr: float) -> float:
        """Return the squared distance of `lr` from the optimum, in ln lr."""
        best = self._law.optimum(self._params, self._tokens).lr
        return float(np.log(self._law_lr(lr) / best)) ** 2

    def _loss(self, budget: float, lr: float) -> float:
        """Return the loss after `budget` tokens, the last at `lr`, without noise."""
        now, end = (self._law.optimum(self._params, tokens) for tokens in (budget, self._tokens))
        # As far from the optimum at `budget` as the run's lr is from that at its end.
        scaled = self._law_lr(lr) * now.lr / end.lr
        at_lr = self._law.loss(self._params, budget, scaled, self._batch_tokens)
        of_path = self._law.lr_curvature * (self._path_square - self._square(lr))
        return float(at_lr + now.loss * of_path)

    def state_dict(self) -> dict[str, object]:
        """Return how far the run is, and by which path; the rest follows from the configuration."""
        return {
            "reported": self._reported,
            "seconds": self._seconds,
            "noise": self._noise,
            "path_square": self._path_square,
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from `state`."""
        self._reported = cast(int, state["reported"])
        self._seconds = cast(float, state["seconds"])
        self._noise = cast(float, state["noise"])
        self._path_square = cast(float, state["path_square"])


def _standard_normal(config: RunConfig, setting: Mapping[str, Value]) -> float:
    """Draw from N(0, 1), seeded by all that makes the run what it is."""
    identity = repr((sorted(config.shape.items()), config.tokens, setting, config.seed))
    digest = blake2b(identity.encode(), digest_size=8).digest()
    return float(np.random.default_rng(int.from_bytes(digest, "little")).standard_normal())
