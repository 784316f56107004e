"""Who runs a sweep, and what is asked of it: claims that die with their process, and requests."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from storage.drivers import STALE_SECONDS, Driver
from storage.errors import SweepBusyError, SweepIdleError
from storage.legs import LegRecord
from storage.store import Store

ME = Driver.this_process()
ELSEWHERE = Driver("another-host", 1, "7")


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """A process that claims nothing by itself, and waits to be ended."""
    code = (
        "import sys; from storage.drivers import Driver; print(Driver.this_process(), flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def leg(number: int) -> LegRecord:
    scale = {"params": 1, "params_total": 1, "tokens": 1, "shape": {}}
    return LegRecord(number, f"ladder-{number}", 3, None, None, scale, {"lr": 0.1}, 0)


def test_one_process_at_a_time_runs_a_sweep(store: Store, other: subprocess.Popen[str]) -> None:
    assert other.stdout is not None
    first = Driver.parse(other.stdout.readline().strip())
    assert (first.host, first.pid) == (socket.gethostname(), other.pid)
    store.claim_sweep("ladder", first)
    assert store.sweep("ladder").running_in == first
    assert store.sweep("ladder").state == "running"
    with pytest.raises(SweepBusyError, match=rf"'ladder' is being run .* by process {other.pid} "):
        store.claim_sweep("ladder", ME)
    assert store.beat("ladder", first)
    assert not store.beat("ladder", ME)
    store.begin_leg("ladder", leg(0))

    other.kill()
    other.wait()
    assert store.sweep("ladder").running_in is None
    assert store.sweep("ladder").state == "interrupted"
    assert store.sweeps().set_index("name").loc["ladder", "state"] == "interrupted"
    store.claim_sweep("ladder", ME)
    assert not store.beat("ladder", first)
    assert store.legs("ladder")[0].ended is not None
    store.release_sweep("ladder", first, "done")
    assert store.sweep("ladder").running_in == ME
    store.release_sweep("ladder", ME, "stopped")
    assert (store.sweep("ladder").state, store.sweep("ladder").driver) == ("stopped", None)


def test_a_killed_process_is_gone_before_anyone_has_buried_it(
    other: subprocess.Popen[str],
) -> None:
    assert other.stdout is not None
    driver = Driver.parse(other.stdout.readline().strip())
    assert not driver.is_gone(None)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert driver.is_gone(None)


def test_a_later_process_of_the_same_number_is_another_one() -> None:
    assert not ME.is_gone(None)
    if ME.started:
        assert Driver(ME.host, ME.pid, "1").is_gone(None)


def test_a_process_elsewhere_is_gone_once_it_is_silent() -> None:
    def ago(seconds: float) -> str:
        return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()

    assert not ELSEWHERE.is_gone(ago(STALE_SECONDS / 2))
    assert ELSEWHERE.is_gone(ago(STALE_SECONDS * 2))


def test_requests_wait_for_the_process_that_runs_the_sweep(store: Store) -> None:
    with pytest.raises(SweepIdleError, match="sweep 'ladder' is not running"):
        store.ask("ladder", "pause")
    store.claim_sweep("ladder", ME)
    first, second = store.ask("ladder", "pause"), store.ask("ladder", "extend", 8)
    waiting = store.requests("ladder", untaken=True)
    assert [(r.id, r.action, r.amount) for r in waiting] == [
        (first, "pause", None),
        (second, "extend", 8),
    ]
    store.take_request(first)
    assert [request.id for request in store.requests("ladder", untaken=True)] == [second]
    assert [request.taken is None for request in store.requests("ladder")] == [False, True]

    store.release_sweep("ladder", ME, "done")
    store.claim_sweep("ladder", ME)
    assert [request.id for request in store.requests("ladder")] == [first]


def test_legs_that_run_and_states_taken_over_are_found_without_reading_all(store: Store) -> None:
    store.begin_leg("ladder", leg(0))
    store.begin_leg("ladder", leg(1))
    store.end_leg("ladder", 0, reached=1)
    assert [record.number for record in store.legs("ladder", unended=True)] == [1]
    own = replace(leg(2), origin_run_id=leg(2).run_id, origin_reports=1)
    store.begin_leg("ladder", own)
    assert not store.has_exploits("ladder")
    store.begin_leg("ladder", replace(own, number=3, origin_run_id="another"))
    assert store.has_exploits("ladder")
