"""What a person sees while a sweep runs: a live panel on a terminal, plain lines elsewhere.

`default_observer()` picks one of the two. `hpo.runner` tells an observer what happens; write
another one to show it elsewhere. Both write to stderr: stdout is for data.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Protocol, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.ladder import Scale
from hpo.points import Point
from hpo.tally import Clock, SweepSummary, SweepTally, duration
from storage.sweeps import DONE
from trainers.protocol import Report

LINE_SECONDS = 10.0
"""Without a terminal a line is written this often at least, while runs end or report."""

LINE_FRACTION = 0.1
"""... and whenever this part of the runs has ended."""


class SweepObserver(Protocol):
    """Is told what happens in a sweep, always in the driver and in order."""

    def started(
        self, sweep: str, workload: Sequence[Scale], finished: Sequence[Mapping[str, object]]
    ) -> None:
        """A launch begins: the scales of the runs it is known to have, the rows of those done."""

    def running(self, point: Point) -> None:
        """A run has begun."""

    def report(self, point: Point, report: Report) -> None:
        """A run has reported and goes on."""

    def finished(self, point: Point, row: Mapping[str, object]) -> None:
        """A run has ended, and its row is in the store."""

    def steered(self, said: str, workload: Sequence[Scale]) -> None:
        """Another process asked something, such as "paused"; the workload may have grown."""

    def closed(self, summary: SweepSummary) -> None:
        """The launch is over; also after an error, once `started` was called."""


class Silence:
    """Shows nothing: for callers that only want the runs."""

    def started(
        self, sweep: str, workload: Sequence[Scale], finished: Sequence[Mapping[str, object]]
    ) -> None:
        """Show nothing."""

    def running(self, point: Point) -> None:
        """Show nothing."""

    def report(self, point: Point, report: Report) -> None:
        """Show nothing."""

    def finished(self, point: Point, row: Mapping[str, object]) -> None:
        """Show nothing."""

    def steered(self, said: str, workload: Sequence[Scale]) -> None:
        """Show nothing."""

    def closed(self, summary: SweepSummary) -> None:
        """Show nothing."""


def default_observer(stream: TextIO | None = None) -> SweepObserver:
    """A live panel if `stream` (stderr if not given) is a terminal, else plain lines."""
    stream = sys.stderr if stream is None else stream
    return RichProgress(stream) if stream.isatty() else PlainProgress(stream)


class RichProgress:
    """One panel that is redrawn in place, for terminals."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on the terminal behind `stream`."""
        self._console = Console(file=stream)

    def started(
        self, sweep: str, workload: Sequence[Scale], finished: Sequence[Mapping[str, object]]
    ) -> None:
        """Show the panel."""
        self._tally = SweepTally(sweep, workload, finished)
        self._said = ""
        self._live = Live(
            get_renderable=self._panel, console=self._console, refresh_per_second=4, transient=True
        )
        self._live.start()

    def running(self, point: Point) -> None:
        """Count; the panel redraws itself."""
        self._tally.running(point)

    def report(self, point: Point, report: Report) -> None:
        """Count; the panel redraws itself."""
        self._tally.report(point, report)

    def finished(self, point: Point, row: Mapping[str, object]) -> None:
        """Count; the panel redraws itself."""
        self._tally.finished(point, row)

    def steered(self, said: str, workload: Sequence[Scale]) -> None:
        """Show it in the panel's title."""
        self._tally.expect(workload)
        self._said = said

    def closed(self, summary: SweepSummary) -> None:
        """Replace the panel by a last line."""
        self._live.stop()
        self._console.print(closing_line(self._tally, summary), highlight=False, soft_wrap=True)

    def _panel(self) -> RenderableType:
        tally = self._tally
        lines = Table.grid(expand=True)
        lines.add_row(ProgressBar(total=tally.total, completed=tally.n_done))
        lines.add_row(Text(f"{tally.counts_line}; {tally.time_line}"))
        lines.add_row(Text(tally.best_line))
        return Panel(
            lines,
            title=f"{tally.sweep}: {self._said}" if self._said else tally.sweep,
            title_align="left",
            width=min(100, self._console.width),
        )


class PlainProgress:
    """A line now and then, for files and pipes."""

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic) -> None:
        """Write to `stream`; `clock` gives seconds, another one in tests."""
        self._stream = stream
        self._clock = clock

    def started(
        self, sweep: str, workload: Sequence[Scale], finished: Sequence[Mapping[str, object]]
    ) -> None:
        """Say how many runs there are."""
        self._tally = SweepTally(sweep, workload, finished, self._clock)
        done = f", {self._tally.n_done} of them done before" if finished else ""
        self._write(f"{sweep}: {self._tally.total} runs{done}")

    def running(self, point: Point) -> None:
        """Count."""
        self._tally.running(point)

    def report(self, point: Point, report: Report) -> None:
        """Count, and write a line if it is time."""
        self._tally.report(point, report)
        self._maybe_write()

    def finished(self, point: Point, row: Mapping[str, object]) -> None:
        """Count, and write a line if it is time."""
        self._tally.finished(point, row)
        self._maybe_write()

    def steered(self, said: str, workload: Sequence[Scale]) -> None:
        """Say it."""
        self._tally.expect(workload)
        self._write(f"{self._tally.sweep}: {said}; {self._tally.counts_line}")

    def closed(self, summary: SweepSummary) -> None:
        """Say how it ended."""
        self._write(closing_line(self._tally, summary))

    def _maybe_write(self) -> None:
        tally = self._tally
        runs = tally.n_done - self._written_done
        waited = self._clock() - self._written_at
        if tally.n_done < tally.total and (
            runs >= LINE_FRACTION * tally.total or waited >= LINE_SECONDS
        ):
            self._write(f"{tally.sweep}: {tally.counts_line}; {tally.time_line}; {tally.best_line}")

    def _write(self, line: str) -> None:
        self._written_at = self._clock()
        self._written_done = self._tally.n_done
        print(line, file=self._stream, flush=True)


def closing_line(tally: SweepTally, summary: SweepSummary) -> str:
    """The last line on a launch."""
    counts = [f"{summary.completed} of {summary.planned} runs completed"]
    if summary.diverged:
        counts.append(f"{summary.diverged} diverged")
    if summary.stopped:
        counts.append(f"{summary.stopped} stopped")
    if summary.failed:
        counts.append(f"{summary.failed} failed")
    done = summary.completed + summary.diverged + summary.stopped + summary.failed
    end = "ended" if summary.state == DONE and done < summary.planned else summary.state
    return (
        f"{summary.name}: {end} after {duration(tally.seconds)}, {', '.join(counts)}; "
        f"{tally.best_line}"
    )
