"""What a trainer accepts, how big its models are and how it is built; torch-free."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trainers import changes
from trainers.config import RunConfig, Size, Value
from trainers.data import STDLIB
from trainers.errors import TrainerError, unknown
from trainers.loop_settings import BATCH_TOKENS, IN_CHANGES, LOOP_SETTINGS, OPTIMIZER
from trainers.optimizer_names import DEFAULT, own_defaults
from trainers.protocol import Trainer
from trainers.scaling_rules import RULE_OPTIONS, check_scheme, rule_options
from trainers.settings import SettingRule, complete
from trainers.whole_steps import check_whole_steps

if TYPE_CHECKING:
    from trainers.task import Task


def nothing_further(config: RunConfig) -> None:
    """Accept a configuration that passed the rules."""


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
    default_data: str = STDLIB
    """What is trained on where nothing is named; empty: a trainer that brings its own data."""
    accepts_more: bool = False
    """Whether settings and model options without a rule pass through unchecked."""
    live: tuple[str, ...] | None = ()
    """Settings that may change in mid-run: by a state that is taken up (see `Trainer`), and by
    `RunConfig.changes`. None for a class of your own that does not name them."""
    load_task: Callable[[], "type[Task]"] | None = None
    """Imports torch and returns the task that hyperlaw's own loop trains; None: another trains."""

    def task_class(self) -> "type[Task]":
        """Return the model and data that hyperlaw's own loop trains.

        Raises TrainerError for a trainer that is not one of the loop's.
        """
        if self.load_task is None:
            raise TrainerError(
                f"trainer {self.name!r} trains by itself; a built-in model or a class of your own "
                "with model, draw, loss and held_out (trainers.task.Task) is needed here"
            )
        return self.load_task()

    @property
    def parametrization_options(self) -> Mapping[str, SettingRule]:
        """Rules of what `RunConfig.parametrization_options` may give."""
        return {} if self.load_task is None else RULE_OPTIONS

    @property
    def in_changes(self) -> Mapping[str, SettingRule]:
        """Rules of what `RunConfig.changes` may give beside settings that are live."""
        return {} if self.load_task is None else IN_CHANGES

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

    def unknown_setting(self, name: str) -> TrainerError:
        """Return the error for a setting that there is not, or not at the start of a run."""
        if name in self.in_changes:
            start = self.in_changes[name].default
            return TrainerError(
                f"{name} is {start} at first; change it in the table `changes` only"
            )
        return unknown("setting", name, self.settings)

    def complete(self, setting: Mapping[str, Value]) -> dict[str, Value]:
        """Return `setting` typed and with the defaults of what it leaves out.

        These are the optimizer's where it has its own, but for settings that the trainer has a rule
        of its own for.
        """
        for name in setting:
            if name in self.in_changes:
                raise self.unknown_setting(name)
        completed = self._complete(self.settings, setting, "setting")
        if OPTIMIZER in self.settings:
            left = [name for name in LOOP_SETTINGS if name not in setting]
            of_loop = {name for name in left if self.settings.get(name) == LOOP_SETTINGS[name]}
            own = own_defaults(str(completed[OPTIMIZER]))
            completed |= {name: value for name, value in own.items() if name in of_loop}
        return completed

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
        self.check_rules(config.parametrization, setting, config.parametrization_options)
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
        if self.load_task is not None:
            check_whole_steps(config.tokens, int(setting[BATCH_TOKENS]))
        for wrong in changes.find_errors(self, config.changes):
            raise TrainerError(f"changes[{wrong.row}]: {wrong.message}")
        self.check_further(replace(config, setting=setting))

    def check_rules(
        self, parametrization: str, setting: Mapping[str, Value], options: Mapping[str, Value]
    ) -> None:
        """Raise TrainerError for wrong options, and for an optimizer that has no rules."""
        self._complete(self.parametrization_options, options, "parametrization option")
        if self.load_task is not None:
            optimizer = str(setting.get(OPTIMIZER, DEFAULT))
            check_scheme(parametrization, optimizer, rule_options(options))

    def build(self, config: RunConfig) -> Trainer:
        """Check `config` and return its trainer, at step 0."""
        self.check(config)
        return self.make(config)

    def _complete(
        self, rules: Mapping[str, SettingRule], given: Mapping[str, Value], what: str
    ) -> dict[str, Value]:
        ruled = {name: v for name, v in given.items() if name in rules or not self.accepts_more}
        return {**given, **complete(rules, ruled, what)}
