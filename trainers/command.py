"""Any training script: a run is a process, its reports are JSON lines that it prints.

    trainer: {command: "python train.py --lr {lr} --width {width} --tokens {tokens}"}

What a script is given, and what it is asked to print, is written down in docs/trainers.md. How its
text becomes arguments is in `trainers.command_line`, what they can be in `trainers.command_values`,
what it says in `trainers.metrics_lines`, how a run goes on in `trainers.command_trainer`, and what
keeps its processes from outliving it in `trainers.keeper`.
"""

import os
import shutil
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from trainers import command_line
from trainers.command_line import CommandLine
from trainers.command_trainer import CommandTrainer
from trainers.command_values import size_of, values_of
from trainers.config import Command, RunConfig
from trainers.errors import TrainerError, unknown
from trainers.kind import Kind
from trainers.loop_settings import BATCH_TOKENS, LOOP_SETTINGS


def command_kind(command: Command) -> Kind:
    """Return what the script accepts: every setting and every size that its command asks for.

    Raises TrainerError where the command cannot be read.
    """
    line = command_line.parse(command.command)
    return Kind(
        name=line.label,
        settings={name: LOOP_SETTINGS[name] for name in ("lr", BATCH_TOKENS)},
        model_options={},
        shape_keys=(),
        parametrizations=(),
        sizes=partial(size_of, command),
        make=CommandTrainer,
        check_further=partial(_check, command, line),
        accepts_more=True,
        live=(),
    )


def _check(command: Command, line: CommandLine, config: RunConfig) -> None:
    values = values_of(config, size_of(command, config.shape, config.model))
    for name in line.names:
        if name not in values:
            raise unknown("value", name, values)
    line.fill(values)
    find_program(line, Path(command.cwd))


def find_program(line: CommandLine, cwd: Path) -> None:
    """Raise TrainerError unless the program and its script are there, seen from `cwd`."""
    if not cwd.is_dir():
        raise TrainerError(f"cwd: no folder {str(cwd)!r}; name the one that the command is run in")
    program = line.program
    if "/" in program:
        if not os.access(cwd / program, os.X_OK) or not (cwd / program).is_file():
            raise TrainerError(f"no program {program!r} in {cwd.resolve()} that can be run")
    elif shutil.which(program) is None:
        if (cwd / program).is_file():
            hint = f"to run the file of that name write 'python {program}' or './{program}'"
        elif near := get_close_matches(program, _programs(), n=1):
            hint = f"did you mean {near[0]!r}?"
        else:
            hint = "give its path, or launch where it is found"
        raise TrainerError(f"no program {program!r} on PATH; {hint}")
    if line.script is not None and not (cwd / line.script).is_file():
        raise TrainerError(
            f"no file {line.script!r} in {cwd.resolve()}; launch the sweep where it is, or give "
            "that folder as cwd"
        )


def _programs() -> list[str]:
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return [file.name for folder in folders if Path(folder).is_dir() for file in os.scandir(folder)]
