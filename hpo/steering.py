"""How a launch is steered while it runs: signals to its process, requests in the store.

Requests come from other processes, see `storage.control`; the coordinator polls them, and obeys
between two of Tune's events.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from ray import tune

from hpo.errors import SweepError
from storage.control import Request
from storage.drivers import BEAT_SECONDS, Driver
from storage.store import Store
from storage.sweeps import INTERRUPTED

POLL_SECONDS = 0.5
"""What was asked is looked up this often at most."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""From a terminal; from a cluster's scheduler or the machine that shuts down."""


class Interruption(tune.Stopper):
    """Ends the launch in the middle of its runs: Tune asks `stop_all` after every event.

    Attributes
    ----------
    requested : whether a signal or a request has come.
    state : that the sweep is left in then.
    """

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.requested = False
        self.state = INTERRUPTED
        self.actors_ended = False
        self._handlers_before: dict[signal.Signals, Callable[..., object] | int | None] = {}

    def __call__(self, trial_id: str, result: Mapping[str, object]) -> bool:
        """No run is stopped by itself."""
        return False

    def stop_all(self) -> bool:
        """Whether to end the launch: not before its actors, or Tune waits for their steps."""
        return self.actors_ended

    def request(self, state: str) -> None:
        """Ask for the end, which leaves the sweep in `state`."""
        self.requested = True
        self.state = state

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Within the body the first SIGINT or SIGTERM asks for the end; a second one ends at once.

        Only the main thread gets signals; in another one this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._handlers_before = {number: signal.getsignal(number) for number in _SIGNALS}
        self.listen()
        try:
            yield
        finally:
            self._let_go()
            self._handlers_before = {}

    def listen(self) -> None:
        """Take the signals (again): Ray takes SIGTERM for itself when it starts."""
        if not self.requested:
            for number in self._handlers_before:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.request(INTERRUPTED)
        self._let_go()

    def _let_go(self) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


class Helm:
    """The claim of this process on its sweep, and what others ask of it."""

    def __init__(self, store: Store, sweep: str, driver: Driver) -> None:
        """Steer a sweep that `driver`, this process, has claimed."""
        self._store = store
        self._sweep = sweep
        self._driver = driver
        self._polled = self._said = time.monotonic()

    def requests(self) -> list[Request]:
        """Return what is to be obeyed; looks no oftener than it need.

        Raises
        ------
        SweepError
            Where another process has taken the sweep over.
        """
        now = time.monotonic()
        if now - self._polled < POLL_SECONDS:
            return []
        self._polled = now
        if now - self._said >= BEAT_SECONDS:
            self._said = now
            if not self._store.beat(self._sweep, self._driver):
                raise SweepError(
                    f"sweep '{self._sweep}' was taken over by another process, as this one said "
                    "nothing for too long; nothing that had finished is lost"
                )
        return self._store.requests(self._sweep, untaken=True)

    def obeyed(self, request: Request, state: str) -> None:
        """Say that a request was obeyed, and how the sweep stands now."""
        self._store.set_sweep_state(self._sweep, state)
        self._store.take_request(request.id)
