"""What is shown of a sweep: plain lines in files and pipes, one panel on a terminal."""

import io
from collections.abc import Mapping

import pytest

from hpo.ladder import resolve_ladder
from hpo.planned import plan_points
from hpo.points import Point
from hpo.progress import PlainProgress, RichProgress, SweepObserver, default_observer
from hpo.spec import parse_spec
from hpo.tally import SweepSummary
from trainers.protocol import Report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def points(ladder_text: str) -> list[Point]:
    spec = parse_spec(ladder_text)
    return plan_points(spec, resolve_ladder(spec))


def row(point: Point) -> Mapping[str, object]:
    return {
        "run_id": point.run_id,
        "status": "completed",
        "loss": 1.25,
        "seconds": 0.5,
        "params": point.scale.params,
        "tokens": point.scale.tokens,
        **point.setting,
    }


def summary(points: list[Point], completed: int) -> SweepSummary:
    state = "interrupted" if completed < len(points) else "done"
    return SweepSummary("ladder", len(points), completed, 0, 0, state)


def run(observer: SweepObserver, points: list[Point]) -> None:
    observer.started("ladder", [p.scale for p in points], [])
    for point in points:
        observer.running(point)
        observer.finished(point, row(point))
    observer.closed(summary(points, len(points)))


def test_without_a_terminal_there_are_a_few_plain_lines(points: list[Point]) -> None:
    stream = io.StringIO()
    run(PlainProgress(stream, Clock()), points)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "ladder: 24 runs"
    assert [line.split(";")[0] for line in lines[1:-1]] == [
        f"ladder: {done}/24 runs" for done in range(3, 24, 3)
    ]
    assert lines[-1].startswith("ladder: done after 0s, 24 of 24 runs completed; best at N=393k")
    assert "\x1b" not in stream.getvalue()


def test_a_slow_run_writes_a_line_now_and_then(points: list[Point]) -> None:
    stream, clock = io.StringIO(), Clock()
    observer = PlainProgress(stream, clock)
    observer.started("ladder", [p.scale for p in points], [row(points[0])])
    observer.running(points[1])
    for _ in range(25):
        clock.now += 1
        observer.report(points[1], Report(1, 10, 1.0, 2.0, 2.0, 0.1, 1.0, "running"))
    assert [line.split(";")[0] for line in stream.getvalue().splitlines()] == [
        "ladder: 24 runs, 1 of them done before",
        "ladder: 1/24 runs, 1 running",
        "ladder: 1/24 runs, 1 running",
    ]


def test_an_interrupted_launch_says_so(points: list[Point]) -> None:
    stream = io.StringIO()
    observer = PlainProgress(stream, Clock())
    observer.started("ladder", [p.scale for p in points], [])
    observer.closed(summary(points, 5))
    assert "ladder: interrupted after 0s, 5 of 24 runs completed" in stream.getvalue()


def test_a_terminal_gets_a_panel_and_keeps_the_last_line(points: list[Point]) -> None:
    stream = Terminal()
    run(RichProgress(stream), points)
    written = stream.getvalue()
    assert "╭─ ladder ─" in written
    assert "│ 24/24 runs; 0s " in written
    assert "│ best at N=393k" in written
    assert "ladder: done after" in written.rstrip().splitlines()[-1]


def test_the_stream_decides() -> None:
    assert isinstance(default_observer(Terminal()), RichProgress)
    assert isinstance(default_observer(io.StringIO()), PlainProgress)
