"""The settings that hyperlaw's own loop knows, whatever it trains; torch-free."""

from trainers.schedules import SCHEDULES
from trainers.settings import SettingRule

BATCH_TOKENS = "batch_tokens"

LOOP_SETTINGS: dict[str, SettingRule] = {
    "lr": SettingRule("float", "peak learning rate", above=0),
    BATCH_TOKENS: SettingRule("int", "tokens a step, a multiple of a sample's", at_least=1),
    "weight_decay": SettingRule("float", "AdamW's λ: a step shrinks w by lr·λ·w", 0.1, at_least=0),
    "beta1": SettingRule("float", "decay of the gradient's mean", 0.9, at_least=0, below=1),
    "beta2": SettingRule("float", "decay of its square's mean", 0.95, at_least=0, below=1),
    "eps": SettingRule("float", "added to AdamW's denominator", 1e-8, at_least=0),
    # Long, as proxies are short: over lr at width 32, 400 steps, the loss scattered by 1.5 % about
    # a parabola with 0.1, by 0.6 % with 0.3, by 0.3 % with 0.5; the best loss fell by 3 to 4 %.
    "warmup_fraction": SettingRule("float", "part of the steps", 0.3, at_least=0, below=1),
    "schedule": SettingRule("choice", "shape of the decay", "linear", choices=SCHEDULES),
    "grad_clip": SettingRule("float", "largest norm of the gradient; 0: none", 1.0, at_least=0),
}

LIVE = ("lr", "weight_decay", "beta1", "beta2", "eps", "grad_clip")
"""Those that may change in mid-run."""
