"""States of runs on disk, so that a run goes on after its worker or the whole sweep was killed.

A run has a folder; a state is a file in it, named by how many reports the run had made, with what
its leg had reported. It is written whole or not at all, and carries a digest: one that was torn by
a crash of the machine is passed over for the one before it. The newest two are kept, and of those
at the end of a leg, from which another run may begin, the newest two as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path

from trainers.config import RunConfig
from trainers.protocol import Report

State = dict[str, object]

KEPT = 2
_AT_REPORT, _AT_LEG_END = ".state", ".end"
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Kept:
    """A state that was kept.

    Attributes
    ----------
    config : of the run, with the setting of its leg.
    reports : how many reports the run had made.
    leg_reports : those of them that its leg had made.
    state : the trainer's.
    """

    config: RunConfig
    reports: int
    leg_reports: tuple[Report, ...]
    state: State


@dataclass(frozen=True)
class RunFolder:
    """The states of one run.

    Attributes
    ----------
    path : its folder, made when there is something to keep.
    """

    path: Path

    def save(self, kept: Kept, *, leg_end: bool) -> None:
        """Keep the state of a run, and drop what is not needed any more."""
        write_state(self.path / f"{kept.reports:06d}{_AT_LEG_END if leg_end else _AT_REPORT}", kept)
        for suffix in (_AT_REPORT, _AT_LEG_END):
            for old in self._files(suffix)[KEPT:]:
                old.unlink(missing_ok=True)

    def newest(self, config: RunConfig, *, after: int) -> Kept | None:
        """Return the newest whole state of more than `after` reports.

        One that another configuration left, such as an earlier sweep of the same name, is none.
        """
        for file in self._files(_AT_REPORT, _AT_LEG_END):
            if _reports(file) <= after:
                break
            found = read_state(file)
            if found is not None and found.config == config:
                return found
        return None

    def at(self, reports: int) -> Kept | None:
        """Return the state after exactly so many reports, whatever the configuration; or None."""
        for file in self._files(_AT_REPORT, _AT_LEG_END):
            if _reports(file) == reports and (found := read_state(file)) is not None:
                return found
        return None

    def close(self) -> None:
        """Drop the states of a run that is over, but for those at the ends of legs.

        With these a leg of another run may begin yet; all go when the sweep is done.
        """
        for file in self._files(_AT_REPORT):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # There is one left, or there was never any.
            self.path.rmdir()

    def _files(self, *suffixes: str) -> list[Path]:
        """Return the states' files, newest first."""
        if not self.path.is_dir():
            return []
        found = [file for file in self.path.iterdir() if file.suffix in suffixes]
        return sorted(found, key=_reports, reverse=True)


def _reports(file: Path) -> int:
    return int(file.stem)


def write_state(file: Path, kept: Kept) -> None:
    """Write a state with its digest, whole or not at all."""
    payload = pickle.dumps(kept, protocol=pickle.HIGHEST_PROTOCOL)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    unfinished.write_bytes(hashlib.sha256(payload).digest() + payload)
    unfinished.replace(file)


def read_state(file: Path) -> Kept | None:
    """Return what is in a file, or None where it is torn or gone."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    kept = pickle.loads(payload)
    assert isinstance(kept, Kept)
    return kept
