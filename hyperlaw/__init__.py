"""hyperlaw: which learning rate and batch size should a model have that is too big to tune?

The front door, from Python and from the command line (`python -m hyperlaw --help`).

    import hyperlaw as hl

    runs = hl.read_runs("runs.csv")                # a checked runs table
    law = hl.fit(runs)                             # the law, its uncertainty included
    p = law.predict(params=7e9, tokens=1.4e11)
    p.optimum["lr"].value, p.optimum["lr"].low, p.optimum["lr"].high
    hl.backtest(runs)                              # how such a law does on scales it did not see
    hl.plan(runs, params=7e9, tokens=1.4e11)       # which small runs to do next
    hl.sweep("sweep.yaml")                         # runs the sweep, or what is left of it
    hl.fit_loss("losses.csv").terms()              # a law of loss by scale, its constants
    hl.optimal_allocation("losses.csv", flops=1e24)  # the best N and D of a budget
    hl.fit_schedule("curves.csv")                  # loss curves under any schedule

Importing this package loads nothing but itself: each name is fetched when it is first used, and
torch, Ray and Streamlit only by what needs them.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hyperlaw.facade import (
        backtest,
        crossover,
        fit,
        fit_loss,
        fit_schedule,
        optimal_allocation,
        plan,
        read_runs,
        sweep,
    )
    from scaling.law import Law
    from scaling.prediction import Prediction

__version__: Final = "0.1.0"

__all__ = [
    "Law",
    "Prediction",
    "__version__",
    "backtest",
    "crossover",
    "fit",
    "fit_loss",
    "fit_schedule",
    "optimal_allocation",
    "plan",
    "read_runs",
    "sweep",
]

_HOMES: Final = {
    "Law": "scaling.law",
    "Prediction": "scaling.prediction",
    "backtest": "hyperlaw.facade",
    "crossover": "hyperlaw.facade",
    "fit": "hyperlaw.facade",
    "fit_loss": "hyperlaw.facade",
    "fit_schedule": "hyperlaw.facade",
    "optimal_allocation": "hyperlaw.facade",
    "plan": "hyperlaw.facade",
    "read_runs": "hyperlaw.facade",
    "sweep": "hyperlaw.facade",
}


def __getattr__(name: str) -> object:
    """Fetch a public name from the module where it lives."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'hyperlaw' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, fetched or not."""
    return sorted({*globals(), *__all__})
