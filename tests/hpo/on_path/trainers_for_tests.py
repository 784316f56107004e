"""Trainers of a user, found by Ray's workers through Python's path."""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from trainers.config import RunConfig
from trainers.protocol import Report


class Instant:
    """Ends at its first report; its loss is its lr."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config

    @classmethod
    def sizes(
        cls, shape: Mapping[str, int], model: Mapping[str, float | int | str]
    ) -> tuple[int, int]:
        return shape["n"], shape["n"]

    def loss(self) -> float:
        return float(self.config.setting["lr"])

    def step(self) -> Report:
        tokens, batch = self.config.tokens, int(self.config.setting["batch_tokens"])
        flops = 6.0 * self.config.shape["n"] * tokens
        return Report(tokens // batch, tokens, flops, self.loss(), 1.0, 1.0, 0.5, "completed")

    def state_dict(self) -> dict[str, object]:
        return {}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        pass


class Fragile(Instant):
    """Raises at a lr above `raises_above`; below it its loss is `times` the lr."""

    def loss(self) -> float:
        lr = float(self.config.setting["lr"])
        if lr > float(self.config.model["raises_above"]):
            raise ArithmeticError(f"lr {lr}\nis too much")
        return lr * float(self.config.model.get("times", 1))


class Deadly(Instant):
    """Kills its own process at the lr that it is told."""

    def loss(self) -> float:
        lr = float(self.config.setting["lr"])
        if lr == self.config.model["dies_at"]:
            os.kill(os.getpid(), 9)
        return lr


class Threads(Instant):
    """Its loss is the number of torch's threads."""

    def __init__(self, config: RunConfig) -> None:
        import torch

        super().__init__(config)
        self.torch = torch

    def loss(self) -> float:
        return float(self.torch.get_num_threads())


class Process(Instant):
    """Its loss is the id of the process that it runs in."""

    def loss(self) -> float:
        return float(os.getpid())


class Endless(Instant):
    """Never returns from the step of its second run and later ones."""

    runs_begun = 0

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        Endless.runs_begun += 1

    def loss(self) -> float:
        if Endless.runs_begun > 1:
            threading.Event().wait()
        return 1.0


class Stepper(Instant):
    """Goes on from its state, and keeps a diary of the reports that it computes.

    In the folder `diary` there is a file a run, named by its lr, with a line a report. At report
    `holds_at` runs of at least the lr `holds` wait while there is a file `hold`, and say so by a
    file `held-LR`. At report `dies_at` the run of lr `dies` kills its process, `times` times.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.done = 0
        self.kept = time.monotonic()
        self.diary = Path(str(config.model["diary"]))
        self.lr = f"{float(config.setting['lr']):g}"

    def step(self) -> Report:
        # Runs of instants are not kept at every report: train longer than keeping it took.
        threading.Event().wait(20 * (time.monotonic() - self.kept))
        number, model = self.done + 1, self.config.model
        hold = self.diary / "hold"
        if number == model.get("holds_at") and float(self.lr) >= float(model["holds"]):
            while hold.exists():
                (self.diary / f"held-{self.lr}").touch()
                threading.Event().wait(0.01)
        with (self.diary / self.lr).open("a", encoding="utf-8") as file:
            file.write(f"{number}\n")
        self.perhaps_die(number)
        self.done = number
        self.kept = time.monotonic()
        tokens = self.config.tokens * number // self.config.reports
        status = "completed" if number == self.config.reports else "running"
        flops = 6.0 * self.config.shape["n"] * tokens
        return Report(10 * number, tokens, flops, 9.0 - number, 1.0, 1.0, 0.5, status)

    def perhaps_die(self, number: int) -> None:
        model = self.config.model
        if number != model.get("dies_at") or float(self.lr) != model["dies"]:
            return
        computed = (self.diary / self.lr).read_text(encoding="utf-8").splitlines()
        if computed.count(str(number)) <= int(model["times"]):
            os.kill(os.getpid(), 9)

    def state_dict(self) -> dict[str, object]:
        self.kept = time.monotonic()
        return {"done": self.done}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self.done = int(str(state["done"]))
