"""The text that models train on, as bytes, with held-out text that no training step sees.

`load("python-stdlib")` reads the standard library's source that came with this Python;
`load(path)` reads a text file or a folder of them. Where there are several files they are split
by file: a stable hash of each file's relative path decides, so that adding a file moves no other.
A single file is split once: its last part is held out. numpy only.
"""

import os
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainers.errors import TrainerError

STDLIB = "python-stdlib"
DIGITS = "digits"
"""scikit-learn's images, which `trainers.tasks.digit_images` reads; no text."""
HELD_OUT_FRACTION = 0.08
"""Of the files, or of a single file's bytes."""

_NOT_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


@dataclass(frozen=True, eq=False)
class Corpus:
    """Text as bytes, (n,) uint8 each."""

    name: str
    train: npt.NDArray[np.uint8]
    held_out: npt.NDArray[np.uint8]
    train_files: tuple[str, ...]
    held_out_files: tuple[str, ...]

    def check_context(self, context: int) -> None:
        """Raise TrainerError unless both parts hold a sequence of `context` and its next byte."""
        for part, text in (("train on", self.train), ("hold out", self.held_out)):
            if len(text) <= context:
                raise TrainerError(
                    f"data {self.name!r} has {len(text)} bytes to {part}; a context of {context} "
                    f"needs {context + 1} at least: give more text, or a smaller context"
                )


@lru_cache(maxsize=4)
def load(name: str) -> Corpus:
    """Return the text called `name`, read once a process.

    Raises TrainerError for a path that does not exist, a folder without two files, and a file
    that cannot be read or is not UTF-8 text. Hidden files and folders are left out.
    """
    if name == STDLIB:
        return _load_files(name, Path(sysconfig.get_path("stdlib")), _stdlib_files())
    path = Path(name)
    if path.is_file():
        text = _read_text(path, name)
        cut = len(text) - round(HELD_OUT_FRACTION * len(text))
        return Corpus(name, _as_array(text[:cut]), _as_array(text[cut:]), (name,), ())
    if path.is_dir():
        files = [
            file
            for file in _files_below(path, prune={"__pycache__"})
            if not any(part.startswith(".") for part in Path(file).parts)
        ]
        for file in files:
            _read_text(path / file, name)
        return _load_files(name, path, files)
    raise TrainerError(
        f"data {name!r}: no such file or folder; it must be {STDLIB!r} or the path of a text "
        "file or folder"
    )


def split_files(files: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return (train, held out), each in the order of `files`, which are relative paths.

    A file is held out where its hash, in [0, 1), is below HELD_OUT_FRACTION; of two files or
    more at least one is on each side: if need be the lowest hash is held out, the highest not.
    """
    order = sorted(files, key=_hash_fraction)
    held_out = {file for file in order[:-1] if _hash_fraction(file) < HELD_OUT_FRACTION}
    held_out |= set(order[:1])
    return [f for f in files if f not in held_out], [f for f in files if f in held_out]


def even_windows(n_bytes: int, context: int, count: int) -> npt.NDArray[np.int64]:
    """Return the starts of `count` windows of context + 1 bytes, evenly spread over the text.

    No more than fit side by side, but at least one.
    """
    last = n_bytes - context - 1
    fitting = max(1, n_bytes // (context + 1))
    return np.linspace(0, last, min(count, fitting)).astype(np.int64)


def _load_files(name: str, root: Path, files: Sequence[str]) -> Corpus:
    if len(files) < 2:
        raise TrainerError(
            f"data {name!r}: {len(files) or 'no'} file{'s' * (not files)} below {root}; at least "
            "2 are needed, so that one can be held out, or the path of a file itself"
        )
    train, held_out = split_files(files)
    parts = [
        _as_array(b"".join((root / file).read_bytes() for file in part))
        for part in (train, held_out)
    ]
    return Corpus(name, parts[0], parts[1], tuple(train), tuple(held_out))


def _stdlib_files() -> list[str]:
    """Return the library's own source; what the build wrote about this machine is left out."""
    files = _files_below(Path(sysconfig.get_path("stdlib")), prune=_NOT_LIBRARY)
    return [
        file
        for file in files
        if file.endswith(".py") and not Path(file).name.startswith("_sysconfigdata")
    ]


def _files_below(root: Path, prune: set[str]) -> list[str]:
    """Return the files below `root`, sorted relative POSIX paths; `prune` names folders."""
    files = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in prune]
        files += [(Path(folder) / name).relative_to(root).as_posix() for name in names]
    return sorted(files)


def _read_text(path: Path, name: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TrainerError(f"data {name!r}: {path} cannot be read: {reason}") from error
    try:
        content.decode("utf-8")
        bad = content.find(b"\0")
    except UnicodeDecodeError as error:
        bad = error.start
    if bad >= 0:
        raise TrainerError(
            f"data {name!r}: {path} is not UTF-8 text (byte {bad} is 0x{content[bad]:02x}); "
            "convert it, or take it away"
        )
    return content


def _as_array(text: bytes) -> npt.NDArray[np.uint8]:
    # A copy: torch refuses to share memory that is read-only.
    return np.frombuffer(text, dtype=np.uint8).copy()


def _hash_fraction(file: str) -> float:
    digest = blake2b(file.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
