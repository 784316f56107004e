"""Settings that change in mid-run: piecewise schedules of all that is live, lr first of all.

A table of changes is how a schedule is replayed that a population of runs found, or one that was
refined from gradient norms. What the table gives for lr is its peak, which the `schedule` shapes;
with schedule constant and no warm-up it is the rate itself.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from trainers.config import Change, Value
from trainers.errors import TrainerError

if TYPE_CHECKING:
    from trainers.kind import Kind


@dataclass(frozen=True)
class Timeline:
    """The setting of every step of a run; build it by `timeline`."""

    starts: tuple[int, ...]
    """First step of each stretch, ascending from 0."""
    settings: tuple[Mapping[str, Value], ...]
    """The whole setting of each stretch."""

    def at(self, step: float) -> Mapping[str, Value]:
        """Return the setting that the step number `step`, counted from 0, is taken with.

        It is a fraction where steps of other batches were taken before.
        """
        return self.settings[bisect_right(self.starts, step) - 1]

    def stretches(self, first: int, end: int) -> Iterator[tuple[int, Mapping[str, Value]]]:
        """Cut the steps from `first` up to `end` where the setting changes.

        Yields (the step before which a stretch ends, its setting).
        """
        inner = [start for start in self.starts if first < start < end]
        for begin, stop in zip([first, *inner], [*inner, end], strict=True):
            yield stop, self.at(begin)


def timeline(setting: Mapping[str, Value], changes: Sequence[Change], steps: int) -> Timeline:
    """Return the timeline of a run of `steps` steps that starts with the whole `setting`.

    A change takes hold at the step nearest to its part of the steps.
    """
    starts, settings = [0], [dict(setting)]
    for change in changes:
        starts.append(round(change.at * steps))
        settings.append({**settings[-1], **change.setting})
    return Timeline(tuple(starts), tuple(settings))


class ChangeError(NamedTuple):
    """What is wrong with a table of changes: in which row, of which key, and what."""

    row: int
    key: str | None
    message: str


def find_errors(kind: "Kind", changes: Sequence[Change]) -> Iterator[ChangeError]:
    """Hold a table of changes against the trainer that is to follow it."""
    before = 0.0
    for row, change in enumerate(changes):
        if not before < change.at < 1:
            right = f"above {before:g}, as the changes are in order, and below 1"
            yield ChangeError(
                row, "at", f"at is {change.at:g}, a part of the steps; it must be {right}"
            )
            return
        before = change.at
        if not change.setting:
            yield ChangeError(row, None, "nothing changes here; name a setting and its new value")
        for name, value in change.setting.items():
            if kind.live is None:
                yield ChangeError(
                    row,
                    name,
                    f"trainer {kind.name!r} does not say that it obeys changes; name the settings "
                    "that may change in its class attribute live_settings",
                )
            elif name not in kind.live and name not in kind.in_changes:
                also = "".join(f"; and in a table of changes {other}" for other in kind.in_changes)
                yield ChangeError(row, name, f"{kind.why_not_live(name)}{also}")
            elif rule := {**kind.settings, **kind.in_changes}.get(name):
                try:
                    rule.parse(name, value)
                except TrainerError as error:
                    yield ChangeError(row, name, str(error))
