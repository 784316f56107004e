"""Which trainers there are, what each accepts, and how to build one; torch-free until `build`.

A trainer is asked for by name: "gpt", "simulated", or "module:Class" for a class of your own
(see `trainers.protocol.Trainer`). To dry-run a sweep, check every run's configuration first:

    kind(config.trainer).check(config)
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from trainers import changes, simulated
from trainers.config import RunConfig, Size, Value
from trainers.errors import TrainerError, unknown
from trainers.models import gpt_shape
from trainers.protocol import Trainer
from trainers.schedules import SCHEDULES
from trainers.settings import SettingRule, complete

BATCH_TOKENS = "batch_tokens"

GPT_SETTINGS: dict[str, SettingRule] = {
    "lr": SettingRule("float", "peak learning rate", above=0),
    BATCH_TOKENS: SettingRule("int", "tokens a step, a multiple of the context", at_least=1),
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

GPT_LIVE = ("lr", "weight_decay", "beta1", "beta2", "eps", "grad_clip")


@dataclass(frozen=True)
class Kind:
    """What a trainer accepts, and how to build it."""

    name: str
    settings: Mapping[str, SettingRule]
    """Rules by setting; for a class of your own only lr and batch_tokens, others pass freely."""
    model_options: Mapping[str, SettingRule]
    shape_keys: tuple[str, ...]
    """The sizes a shape may give; empty: any."""
    parametrizations: tuple[str, ...]
    """Empty: any."""
    sizes: Callable[[Mapping[str, int], Mapping[str, Value]], Size]
    """(shape, model options) → parameters; TrainerError for a size that cannot be built."""
    make: Callable[[RunConfig], Trainer]
    """Builds without checking; imports what it needs."""
    check_further: Callable[[RunConfig], None]
    """What only this trainer knows to check, on a configuration that passed the rules."""
    accepts_more: bool = False
    """Whether settings and model options without a rule pass through unchecked."""
    live: tuple[str, ...] | None = ()
    """Settings that may change in mid-run: by a state that is taken up (see `Trainer`), and by
    `RunConfig.changes`. None for a class of your own that does not name them."""

    def is_live(self, name: str) -> bool:
        """Whether a run may go on from its state with another value of this setting.

        Of a class that names none, every setting is taken to be but batch_tokens, by which the
        steps of a run are counted.
        """
        return name != BATCH_TOKENS if self.live is None else name in self.live

    def why_not_live(self, name: str) -> str:
        """Say of a setting that is not live what would be right."""
        if self.live is None:
            return f"{name} cannot change in mid-run; any other setting of {self.name!r} can"
        named = ", ".join(self.live) or "none"
        return f"{name} cannot change in mid-run; of trainer {self.name!r} these can: {named}"

    def complete(self, setting: Mapping[str, Value]) -> dict[str, Value]:
        """Return `setting` typed and with the defaults of what it leaves out."""
        return self._complete(self.settings, setting, "setting")

    def complete_model(self, model: Mapping[str, Value]) -> dict[str, Value]:
        """Return the model options typed and with the defaults of what they leave out."""
        return self._complete(self.model_options, model, "model option")

    def check(self, config: RunConfig) -> None:
        """Raise TrainerError unless the run can be built; says all that needs no torch."""
        setting = self.complete(config.setting)
        self.complete_model(config.model)
        for what, value, least in (
            ("tokens", config.tokens, 1),
            ("reports", config.reports, 1),
            ("seed", config.seed, 0),
        ):
            SettingRule("int", what, at_least=least).parse(what, value)
        if self.parametrizations and config.parametrization not in self.parametrizations:
            raise unknown("parametrization", config.parametrization, self.parametrizations)
        for key in self.shape_keys and (*config.shape, *config.base):
            if key not in self.shape_keys:
                raise unknown("shape key", key, self.shape_keys)
        self.sizes(config.shape, config.model)
        if config.base:
            try:
                self.sizes(config.base_shape, config.model)
            except TrainerError as error:
                raise TrainerError(f"base shape: {error}") from error
        if int(setting[BATCH_TOKENS]) > config.tokens:
            raise TrainerError(
                f"batch_tokens is {setting[BATCH_TOKENS]}, more than the run's "
                f"{config.tokens} tokens; it must be at most that"
            )
        for wrong in changes.find_errors(self, config.changes):
            raise TrainerError(f"changes[{wrong.row}]: {wrong.message}")
        self.check_further(replace(config, setting=setting))

    def build(self, config: RunConfig) -> Trainer:
        """Check `config` and return its trainer, at step 0."""
        self.check(config)
        return self.make(config)

    def _complete(
        self, rules: Mapping[str, SettingRule], given: Mapping[str, Value], what: str
    ) -> dict[str, Value]:
        ruled = {name: v for name, v in given.items() if name in rules or not self.accepts_more}
        return {**given, **complete(rules, ruled, what)}


def kind(name: str) -> Kind:
    """Return the trainer called `name`; TrainerError, with what there is, if there is none."""
    if ":" in name:
        return _user_kind(name)
    if name not in _BUILT_IN:
        error = unknown("trainer", name, _BUILT_IN)
        raise TrainerError(f"{error}, or 'module:Class' for your own")
    return _BUILT_IN[name]


def _gpt_sizes(shape: Mapping[str, int], model: Mapping[str, Value]) -> Size:
    gpt = gpt_shape.gpt_shape(shape, model)
    return Size(gpt.n_params, gpt.n_params_total)


def _check_gpt(config: RunConfig) -> None:
    from trainers import data

    context = gpt_shape.gpt_shape(config.shape, config.model).context
    batch_tokens = int(config.setting[BATCH_TOKENS])
    if batch_tokens % context:
        below, above = batch_tokens // context * context, (batch_tokens // context + 1) * context
        nearest = f"{below} and {above}" if below else f"{above}"
        raise TrainerError(
            f"batch_tokens is {batch_tokens}, not a multiple of the context of {context}; "
            f"the nearest that work: {nearest}"
        )
    data.load(config.data).check_context(context)


def _make_gpt(config: RunConfig) -> Trainer:
    from trainers.loop import GPTTrainer

    return GPTTrainer(config)


def _user_kind(name: str) -> Kind:
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise TrainerError(
            f"trainer {name!r}: no module {error.name!r} on Python's path; "
            "run where it can be imported, or set PYTHONPATH"
        ) from error
    if not hasattr(module, class_name):
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise TrainerError(f"trainer {name!r}: {unknown('class', class_name, classes)}")
    trainer = getattr(module, class_name)
    needed = ("step", "state_dict", "load_state_dict", "sizes")
    missing = [method for method in needed if not callable(getattr(trainer, method, None))]
    if missing:
        raise TrainerError(
            f"trainer {name!r} lacks {', '.join(missing)}; it needs step() -> Report, "
            "state_dict(), load_state_dict(state) and the classmethod "
            "sizes(shape, model) -> (params, params_total)"
        )

    def sizes(shape: Mapping[str, int], model: Mapping[str, Value]) -> Size:
        return Size(*trainer.sizes(shape, model))

    return Kind(
        name=name,
        settings={key: GPT_SETTINGS[key] for key in ("lr", BATCH_TOKENS)},
        model_options={},
        shape_keys=(),
        parametrizations=(),
        sizes=sizes,
        make=cast(Callable[[RunConfig], Trainer], trainer),
        check_further=_nothing_further,
        accepts_more=True,
        live=tuple(trainer.live_settings) if hasattr(trainer, "live_settings") else None,
    )


def _nothing_further(config: RunConfig) -> None:
    """Accept a configuration that passed the rules."""


_BUILT_IN = {
    "gpt": Kind(
        name="gpt",
        settings=GPT_SETTINGS,
        model_options=gpt_shape.MODEL_OPTIONS,
        shape_keys=("width", "depth"),
        parametrizations=("sp", "mup"),
        sizes=_gpt_sizes,
        make=_make_gpt,
        check_further=_check_gpt,
        live=GPT_LIVE,
    ),
    "simulated": Kind(
        name="simulated",
        settings=simulated.SETTINGS,
        model_options=simulated.MODEL_OPTIONS,
        shape_keys=("width", "depth", "params"),
        parametrizations=("sp", "mup"),
        sizes=simulated.simulated_size,
        make=simulated.SimulatedTrainer,
        check_further=_nothing_further,
        live=simulated.LIVE,
    ),
}
