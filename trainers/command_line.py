"""A command with places for values, such as ``python train.py --lr {lr}``.

The text is split into arguments once, as a shell would split it, and then each place is filled in
its argument. No shell ever reads it: a value with a space, a quote or ``;`` in it stays one
argument, and so do pipes, redirections and ``$VARIABLES``, which a script is the place for.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from trainers.config import Value
from trainers.errors import TrainerError, unknown

_FOR_A_SHELL = re.compile(r"\|\|?|&&?|;|\d?>>?(&\d)?|<")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_SCRIPT_ENDINGS = (".py", ".sh")


@dataclass(frozen=True)
class CommandLine:
    """The arguments of a command, the program first, with the places in them; see `parse`."""

    arguments: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The values that it asks for, in order of appearance, each once."""
        found = (name for argument in self.arguments for _, name in _pieces(argument) if name)
        return tuple(dict.fromkeys(found))

    @property
    def program(self) -> str:
        """What is run: a name on PATH, or a path."""
        return self.arguments[0]

    @property
    def script(self) -> str | None:
        """The first argument that is a script by its ending, or the program if it is one."""
        plain = (argument for argument in self.arguments if "{" not in argument)
        return next((a for a in plain if a.endswith(_SCRIPT_ENDINGS)), None)

    @property
    def label(self) -> str:
        """A short name: the script's, a module's that Python runs, or the program's.

        >>> parse("torchrun --standalone src/train.py --lr {lr}").label
        'train.py'
        """
        named = self.script or self.program
        if self.script is None and "-m" in self.arguments[:-1]:
            named = self.arguments[self.arguments.index("-m") + 1]
        return named.rpartition("/")[2]

    def fill(self, values: Mapping[str, Value]) -> list[str]:
        """Return the arguments with every place filled.

        Raises TrainerError for a value that is not there, or that no argument can hold.

        >>> parse("train --lr={lr} --note '{note} {{}}'").fill({"lr": 1e-3, "note": "a; b"})
        ['train', '--lr=0.001', '--note', 'a; b {}']
        """
        return [
            "".join(
                literal if name is None else literal + _text(name, values)
                for literal, name in _pieces(argument)
            )
            for argument in self.arguments
        ]


def parse(text: str) -> CommandLine:
    """Split a command into its arguments and check its places.

    Raises TrainerError where nothing is there, a quote or a brace is not closed, a place is not a
    name alone, or the text is written for a shell.
    """
    try:
        arguments = tuple(shlex.split(text))
    except ValueError as error:
        reason = str(error).lower()
        raise TrainerError(
            f"{reason} in {text!r}; close the quote, or write \\' for one that means itself"
        ) from error
    if not arguments or not arguments[0]:
        raise TrainerError("the command is empty; write one such as 'python train.py --lr {lr}'")
    for argument in arguments:
        _pieces(argument)
        if _FOR_A_SHELL.fullmatch(argument):
            raise TrainerError(
                f"{argument!r} is for a shell, and none reads the command; put the steps into a "
                "script and run that"
            )
    if "{" in arguments[0]:
        raise TrainerError(f"the program is {arguments[0]!r}; name it outright")
    if _ASSIGNMENT.match(arguments[0]):
        raise TrainerError(
            f"the program is {arguments[0]!r}; to set a variable begin with 'env {arguments[0]}'"
        )
    return CommandLine(arguments)


def as_argument(value: Value) -> str:
    """Return a value as an argument: numbers in full precision, flags as true and false.

    >>> as_argument(1e-05), as_argument(True), as_argument(4096)
    ('1e-05', 'true', '4096')
    """
    if isinstance(value, bool):
        return str(value).lower()
    # float(): numpy's own floats write their type beside their value.
    return repr(float(value)) if isinstance(value, float) else str(value)


def _text(name: str, values: Mapping[str, Value]) -> str:
    if name not in values:
        raise unknown("value", name, values)
    text = as_argument(values[name])
    if "\0" in text:
        raise TrainerError(f"{name} is {text!r}; an argument cannot hold a zero byte")
    return text


def _pieces(argument: str) -> list[tuple[str, str | None]]:
    """Cut an argument into pairs of (literal text, name of the value after it, None: none)."""
    try:
        parsed = list(Formatter().parse(argument))
    except ValueError as error:
        raise TrainerError(
            f"a brace of {argument!r} lacks its other half; a value is {{name}}, and a brace that "
            "means itself is written twice"
        ) from error
    for _, name, form, conversion in parsed:
        if name is not None and (not name or form or conversion):
            raise TrainerError(
                f"{argument!r} has braces around something else than a name, such as {{lr}}; a "
                "brace that means itself is written twice"
            )
    return [(literal, name) for literal, name, _, _ in parsed]
