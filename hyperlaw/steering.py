"""Steering a sweep from another terminal: requests to the process that runs it, and its answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

    from storage.store import Store
    from storage.sweeps import SweepRecord

ANSWER_SECONDS: Final = 60.0
"""How long to wait for a launch to see a request: it may still be starting Ray."""

_LOOK_SECONDS: Final = 0.2


def running_now(store: Store, name: str) -> pd.DataFrame:
    """Return a row a run that is being trained: how far it is, and its last loss.

    Columns run_id, params, tokens, lr, batch_tokens, reports made and `of` how many, loss (nats a
    token, NaN before the first report), and started (ISO 8601 in UTC).
    """
    import pandas as pd

    legs = [leg for leg in store.legs(name) if leg.ended is None]
    if store.sweep(name).running_in is None:
        legs = []
    curves = store.curves([leg.run_id for leg in legs])
    reported = [len(curves[leg.run_id]) if leg.run_id in curves else 0 for leg in legs]
    return pd.DataFrame(
        {
            "run_id": [leg.run_id for leg in legs],
            "params": [leg.scale["params"] for leg in legs],
            "tokens": [leg.scale["tokens"] for leg in legs],
            "lr": [leg.setting.get("lr") for leg in legs],
            "batch_tokens": [leg.setting.get("batch_tokens") for leg in legs],
            "reports": reported,
            "of": [leg.reports for leg in legs],
            "loss": [
                float(curves[leg.run_id].loss[-1]) if n else float("nan")
                for leg, n in zip(legs, reported, strict=True)
            ],
            "started": [leg.started for leg in legs],
        }
    )


def ask(store: Store, name: str, action: str, amount: int | None = None) -> bool:
    """Ask something of the process that runs a sweep, and wait until it has obeyed.

    Returns
    -------
    Whether it has; False where it ended before it saw the request.

    Raises
    ------
    SweepError
        Where the process says nothing for `ANSWER_SECONDS`; it may still obey.
    storage.errors.SweepIdleError
        Where nothing runs the sweep.
    """
    from hpo.errors import SweepError

    number = store.ask(name, action, amount)
    until = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < until:
        record = store.sweep(name)
        if any(request.id == number and request.taken for request in store.requests(name)):
            return True
        if record.running_in is None:
            return False
        time.sleep(_LOOK_SECONDS)
    raise SweepError(
        f"sweep '{name}' has not answered for {ANSWER_SECONDS:.0f} s; it will {action} "
        "once its process looks up"
    )


def wait_until_idle(store: Store, name: str) -> SweepRecord:
    """Wait until no run of a sweep is being trained any more; return how it stands then.

    A launch that stops or cancels is waited for to its end.
    """
    from storage.sweeps import PAUSED

    while True:
        record = store.sweep(name)
        paused = record.state == PAUSED and running_now(store, name).empty
        if record.running_in is None or paused:
            return record
        time.sleep(_LOOK_SECONDS)
