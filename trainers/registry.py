"""Which trainers there are: the built-in ones by name, classes of your own, and commands.

A trainer is asked for by name: "gpt", "simulated", …, or "module:Class" for a class of your own,
which is either a whole trainer (`trainers.protocol.Trainer`) or a model and its data that
hyperlaw's loop trains (`trainers.task.Task`); or it is a `Command`, any script. To dry-run a sweep,
check every run's configuration first:

    kind(config.trainer).check(config)
"""

from trainers.command import command_kind
from trainers.config import Command
from trainers.errors import TrainerError, unknown
from trainers.kind import Kind
from trainers.kinds import BUILT_IN
from trainers.user_kinds import user_kind


def kind(name: str | Command) -> Kind:
    """Return the trainer called `name`; TrainerError, with what there is, if there is none."""
    if isinstance(name, Command):
        return command_kind(name)
    if ":" in name:
        return user_kind(name)
    if name not in BUILT_IN:
        error = unknown("trainer", name, BUILT_IN)
        raise TrainerError(f"{error}, 'module:Class' for your own, or {{command: …}} for a script")
    return BUILT_IN[name]
