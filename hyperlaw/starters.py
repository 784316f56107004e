"""Sweep files to begin with, kept beside this module as templates."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from hyperlaw.errors import InputError

OF_IMAGES: Final = ("mlp", "resnet", "vit")
BUILT_IN: Final = ("gpt", *OF_IMAGES, "random-features", "simulated")
DIGITS: Final = "digits"
"""The starter of models of images."""
COMMAND: Final = "command"
"""A training script of any kind."""
OWN: Final = "own"
SEARCHES: Final = ("bayesian",)
"""Search methods that have a starter of their own, over gpt."""


def template(name: str) -> str:
    """Return the text of a template."""
    return (resources.files("hyperlaw") / "templates" / f"{name}.yaml").read_text(encoding="utf-8")


def write_starter(
    path: Path,
    trainer: str,
    name: str | None = None,
    *,
    search: str | None = None,
    replace: bool = False,
) -> None:
    """Write a commented sweep file.

    Parameters
    ----------
    path : the file to write.
    trainer : a built-in, "command" for a script, or "module:Class".
    name : of the sweep; the file's stem where None.
    search : the method, one of `SEARCHES`; the one that each trainer's starter has where None.
    replace : whether a file that is there may be written over.

    Raises
    ------
    InputError : the file exists, its folder does not, or there is no such trainer or search.
    """
    text = _starter(trainer, name or path.stem, search)
    try:
        with path.open("w" if replace else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InputError(f"{path} exists; give another name, or --force to replace it") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{path} cannot be written: {reason}; name a place that can") from error


def _starter(trainer: str, name: str, search: str | None) -> str:
    from trainers.errors import unknown

    if search is not None:
        if search not in SEARCHES:
            raise InputError(str(unknown("starter of a search", search, SEARCHES)))
        if trainer != BUILT_IN[0]:
            raise InputError(
                f"the starter of a {search} search is for {BUILT_IN[0]}; leave --trainer out, and "
                f"write {trainer} into it"
            )
        return template(search).format(name=name)
    if ":" in trainer:
        return template(OWN).format(name=name, trainer=trainer)
    if trainer not in (*BUILT_IN, COMMAND):
        error = unknown("trainer", trainer, (*BUILT_IN, COMMAND))
        raise InputError(f"{error}, or module:Class for your own")
    starter = DIGITS if trainer in OF_IMAGES else trainer
    return template(starter).format(name=name, trainer=trainer)
