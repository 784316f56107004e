"""Trainers whose curves are known, found by Ray's workers through Python's path."""

import dataclasses
import threading
from collections.abc import Mapping
from pathlib import Path

import ray
from trainers_for_tests import Instant

from trainers.config import RunConfig
from trainers.protocol import Report


class Falling(Instant):
    """At report r the loss is the size times (lr + 1/r): settings keep their order at any r."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.made = 0

    def step(self) -> Report:
        self.made += 1
        whole = super().step()
        part = self.made / self.config.reports
        return Report(
            step=round(whole.step * part),
            tokens=round(whole.tokens * part),
            flops=whole.flops * part,
            loss=self.config.shape["n"] * (self.loss() + 1 / self.made),
            train_loss=1.0,
            lr=1.0,
            seconds=0.5 * part,
            status="completed" if self.made == self.config.reports else "running",
        )

    def state_dict(self) -> dict[str, object]:
        return {"made": self.made}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        made = state["made"]
        assert isinstance(made, int)
        self.made = made


class Signed(Falling):
    """Reports the negative of its loss, which no run can have, while there is a file `minus`."""

    def loss(self) -> float:
        sign = -100 if Path(str(self.config.model["minus"])).exists() else 1
        return sign * super().loss()


class Unending(Falling):
    """Makes twice the reports that it is asked for, while there is a file `twice`."""

    def __init__(self, config: RunConfig) -> None:
        if Path(str(config.model["twice"])).exists():
            config = dataclasses.replace(config, reports=2 * config.reports)
        super().__init__(config)


class Located(Falling):
    """Leaves a file named by its machine in `folder`, and waits for runs on `machines` of them."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        folder = Path(str(config.model["folder"]))
        (folder / ray.get_runtime_context().get_node_id()).touch()
        while len(list(folder.iterdir())) < int(config.model["machines"]):
            threading.Event().wait(0.02)
