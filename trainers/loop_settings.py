"""The settings that hyperlaw's own loop knows, whatever it trains; torch-free."""

from collections.abc import Mapping

from trainers.config import Value
from trainers.optimizer_names import DEFAULT, OPTIMIZERS, check_name
from trainers.schedules import (
    DECAY_FRACTION,
    POWER_COEFFICIENT,
    POWER_EXPONENT,
    SCHEDULES,
)
from trainers.settings import SettingRule

BATCH_TOKENS = "batch_tokens"
OPTIMIZER = "optimizer"

LOOP_SETTINGS: dict[str, SettingRule] = {
    "lr": SettingRule("float", "peak learning rate", above=0),
    BATCH_TOKENS: SettingRule("int", "tokens a step, a multiple of a sample's", at_least=1),
    OPTIMIZER: SettingRule(
        "choice",
        "how a step is made of gradients",
        DEFAULT,
        choices=tuple(OPTIMIZERS),
        accept=check_name,
    ),
    "weight_decay": SettingRule(
        "float", "λ: a step shrinks w by lr·λ·w; of sgd 0 if not given", 0.1, at_least=0
    ),
    "beta1": SettingRule("float", "decay of the gradient's mean", 0.9, at_least=0, below=1),
    "beta2": SettingRule("float", "decay of its square's mean", 0.95, at_least=0, below=1),
    "eps": SettingRule("float", "added to the root of that in AdamW", 1e-8, at_least=0),
    # Long, as proxies are short: over lr at width 32, 400 steps, the loss scattered by 1.5 % about
    # a parabola with 0.1, by 0.6 % with 0.3, by 0.3 % with 0.5; the best loss fell by 3 to 4 %.
    "warmup_fraction": SettingRule("float", "part of the steps", 0.3, at_least=0, below=1),
    "schedule": SettingRule("choice", "shape of the decay", "linear", choices=SCHEDULES),
    "decay_fraction": SettingRule(
        "float",
        "part of the steps: the decay of wsd and power",
        DECAY_FRACTION,
        at_least=0,
        at_most=1,
    ),
    "power_coefficient": SettingRule(
        "float",
        "of power: lr = batch in samples · this · tokens^exponent",
        POWER_COEFFICIENT,
        above=0,
    ),
    "power_exponent": SettingRule("float", "of the tokens, for power", POWER_EXPONENT, below=0),
    "rewarm_at": SettingRule(
        "float",
        "part of the steps after which the schedule begins again, for training on; 0: never",
        0.0,
        at_least=0,
        below=1,
    ),
    "grad_clip": SettingRule("float", "largest norm of the gradient; 0: none", 1.0, at_least=0),
    "ema": SettingRule(
        "float",
        "half-life of averaged weights, part of the steps; 0: the last weights are judged",
        0.0,
        at_least=0,
    ),
    "noise_every": SettingRule(
        "int", "steps between measurements of the gradient noise scale; 0: none", 0, at_least=0
    ),
    "norm_test": SettingRule(
        "float",
        "θ: the batch grows where its gradient's noise is above θ of its norm; 0: never",
        0.0,
        at_least=0,
        below=1,
    ),
    "max_batch_multiple": SettingRule(
        "int", "how many times batch_tokens the norm test may grow the batch to", 16, at_least=1
    ),
}

BATCH_MULTIPLE = "batch_multiple"
IN_CHANGES: dict[str, SettingRule] = {
    BATCH_MULTIPLE: SettingRule("int", "tokens a step, in multiples of batch_tokens", 1, at_least=1)
}
"""What only a table of changes gives, beside live settings: a run begins with a multiple of 1."""

LIVE = ("lr", "weight_decay", "beta1", "beta2", "eps", "grad_clip", "ema")
"""Those that may change in mid-run."""

NORM_TEST_EVERY = 10
"""Steps between norm tests where noise_every does not say."""


def measures_every(setting: Mapping[str, Value]) -> int:
    """Return the steps between measurements of the gradient's noise; 0 for none."""
    return int(setting["noise_every"]) or (NORM_TEST_EVERY if float(setting["norm_test"]) else 0)
