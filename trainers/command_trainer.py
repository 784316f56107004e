"""One run of a training script: from the lines that its process prints to reports."""

import contextlib
import math
import os
import shlex
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from trainers import command_line
from trainers.command_values import size_of, steps_of, values_of
from trainers.config import Command, RunConfig
from trainers.errors import TrainerError
from trainers.kept_process import Ending, KeptProcess
from trainers.loop_settings import BATCH_TOKENS
from trainers.memory import says_out_of_memory
from trainers.metrics_lines import Metrics, MetricsReader
from trainers.protocol import Report, Status
from trainers.run_log import RunLog

LOG = "output.log"
SAID_LINES = 3
"""Of what a script that failed wrote last, so many lines are told."""
METRICS = "metrics.jsonl"
"""In the folder of a run that is given it: the metrics that it printed. A script that goes on from
a checkpoint does not say again what it said before, and that may not have been reported yet."""
STARTED = "command.txt"
"""In the run's folder: the arguments that it was begun with."""

BUDGET_SLACK = 0.05
"""A run whose last metrics are further from its budget than this part of it, and than the half
batch that whole steps take, was not trained as it was asked, and would mislead a law."""


class CommandTrainer:
    """One run of a script; see `trainers.protocol.Trainer`.

    Its process begins at the first step and ends with the run, or when the trainer is closed. A
    trainer that takes up a state begins the script anew: what it prints up to the report that the
    state was made at is passed over. A script that keeps its own checkpoints in `{folder}` saves
    itself the training, too; what it had printed beyond that report is taken from the folder.
    """

    def __init__(self, config: RunConfig) -> None:
        assert isinstance(config.trainer, Command)
        if not config.folder:
            raise TrainerError("a command needs a folder of its run's own, for its log")
        self._command = config.trainer
        self._config = config
        self._size = size_of(self._command, config.shape, config.model)
        self._reader = MetricsReader(self._command.loss)
        self._batch_tokens = int(config.setting[BATCH_TOKENS])
        self._budget = steps_of(config.tokens, self._batch_tokens) * self._batch_tokens
        self._slack = max(BUDGET_SLACK * config.tokens, self._batch_tokens / 2)
        self._log_path = Path(config.folder) / LOG
        self._metrics_path: Path | None = None
        self._process: KeptProcess | None = None
        self._began = 0.0
        self._seconds_before = 0.0
        self._said_before: deque[str] = deque()
        self._latest: Metrics | None = None
        self._reported_tokens = 0
        self._over = False

    def step(self) -> Report:
        """Read on up to the next report.

        Raises TrainerError where the script failed, took too long, printed no metrics or trained
        for other than its budget; nothing of it is left running then.
        """
        if self._over:
            raise TrainerError("the run is over; it has no further report")
        try:
            report = self._read_on(self._process or self._start())
        except BaseException:
            self.close()
            raise
        if report.status != "running":
            self._over = True
            self.close()
        return report

    def state_dict(self) -> dict[str, object]:
        """Return what has been reported; the script's own state is in its folder, if anywhere."""
        return {
            "reported_tokens": self._reported_tokens,
            "latest": self._latest,
            "seconds": self._seconds(),
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take up what has been reported; the script is begun anew at the next step."""
        self.close()
        self._reported_tokens = cast(int, state["reported_tokens"])
        self._seconds_before = cast(float, state["seconds"])
        self._latest = cast(Metrics | None, state["latest"])

    def close(self) -> None:
        """End the script and all that it started."""
        if self._process is not None:
            for line in self._process.close():
                with contextlib.suppress(TrainerError):  # It will be said again where it counts.
                    self._read(line)
            self._seconds_before = self._seconds()
            self._process = None

    def _start(self) -> KeptProcess:
        line = command_line.parse(self._command.command)
        arguments = line.fill(values_of(self._config, self._size))
        written = shlex.join(arguments)
        folder = Path(self._config.folder)
        _claim_folder(folder, written)
        if "folder" in line.names:
            self._metrics_path = folder / METRICS
            self._metrics_path.touch()
            self._said_before = deque(self._metrics_path.read_text(encoding="utf-8").splitlines())
        log = RunLog(self._log_path)
        log.note(f"in {self._command.cwd}: {written}")
        # Python holds back what it prints into a pipe, metrics too.
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        minutes = self._command.timeout_minutes
        seconds = math.inf if minutes is None else 60 * minutes
        cwd = Path(self._command.cwd)
        process = KeptProcess(arguments, cwd=cwd, env=env, seconds=seconds, log=log)
        self._process, self._began = process, time.monotonic()
        return process

    def _read_on(self, process: KeptProcess) -> Report:
        while True:
            if self._said_before:
                metrics = self._reader.read(self._said_before.popleft())
            else:
                line = process.next_line()
                if line is None:
                    return self._final(process)
                metrics = self._read(line)
            if metrics is None:
                continue
            self._latest = metrics
            if math.isnan(metrics.loss):
                return self._report(metrics, "diverged")
            if self._is_due(metrics):
                return self._report(metrics, "running")

    def _read(self, line: str) -> Metrics | None:
        """Return a new line's metrics, None where it is log; keep what may be needed again."""
        metrics = self._reader.read(line)
        if metrics is None:
            return None
        if (self._tokens(metrics) or 0) > self._config.tokens + self._slack:
            self._latest = metrics
            raise TrainerError(
                f"went on {self._how_far()}; give it its budget, as {{tokens}} or {{steps}}"
                f"{self._see_log()}"
            )
        if self._metrics_path is not None and math.isfinite(metrics.loss):
            with self._metrics_path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        return metrics

    def _is_due(self, metrics: Metrics) -> bool:
        """Whether these are the first metrics past the next of the evenly spaced reports.

        Those of the end are not: whether the run has completed is known when its process has ended.
        """
        tokens, reports = self._tokens(metrics), self._config.reports
        if tokens is None or tokens >= self._budget:
            return False
        return tokens * reports // self._budget > self._reported_tokens * reports // self._budget

    def _final(self, process: KeptProcess) -> Report:
        ending = process.ending
        assert ending is not None
        if ending.timed_out:
            raise TrainerError(
                f"stopped at its time limit, {self._command.timeout_minutes:g} minutes "
                f"(timeout_minutes), {self._how_far()}{self._see_log()}"
            )
        if not ending.is_success:
            raise TrainerError(_why(ending, process.tail) + self._see_log())
        if self._latest is None:
            raise TrainerError(
                f"printed no metrics: expected {self._reader.what_was_expected()}{self._see_log()}"
            )
        tokens = self._tokens(self._latest)
        if tokens is not None and tokens < self._config.tokens - self._slack:
            raise TrainerError(
                f"ended {self._how_far()}; it is to train for all of them, and to print metrics at "
                f"the end{self._see_log()}"
            )
        return self._report(self._latest, "completed")

    def _report(self, metrics: Metrics, status: Status) -> Report:
        tokens = self._tokens(metrics)
        tokens = self._budget if tokens is None else tokens
        self._reported_tokens = tokens
        step = round(tokens / self._batch_tokens) if metrics.step is None else metrics.step
        flops = 6.0 * self._size.params * tokens if metrics.flops is None else metrics.flops
        lr = float(self._config.setting["lr"]) if metrics.lr is None else metrics.lr
        return Report(
            step=step,
            tokens=tokens,
            flops=flops,
            loss=metrics.loss,
            train_loss=math.nan if metrics.train_loss is None else metrics.train_loss,
            lr=lr,
            seconds=self._seconds() if metrics.seconds is None else metrics.seconds,
            status=status,
        )

    def _tokens(self, metrics: Metrics) -> int | None:
        if metrics.tokens is None and metrics.step is not None:
            return metrics.step * self._batch_tokens
        return metrics.tokens

    def _seconds(self) -> float:
        now = 0.0 if self._process is None else time.monotonic() - self._began
        return self._seconds_before + now

    def _how_far(self) -> str:
        tokens = None if self._latest is None else self._tokens(self._latest)
        return f"after {tokens or 0:,} of {self._config.tokens:,} tokens, by its last metrics"

    def _see_log(self) -> str:
        return f"; log: {self._log_path}"


def _claim_folder(folder: Path, written: str) -> None:
    """Make the run's folder; what another run left there is moved aside, not taken for its own."""
    started = folder / STARTED
    if started.exists() and started.read_text(encoding="utf-8") != written:
        asides = (folder.with_name(f"{folder.name}.{n}") for n in range(1, 10**6))
        folder.replace(next(aside for aside in asides if not aside.exists()))
    folder.mkdir(parents=True, exist_ok=True)
    started.write_text(written, encoding="utf-8")


def _why(ending: Ending, tail: tuple[str, ...]) -> str:
    """Say how a script failed, in its own last words."""
    if ending.unstarted:
        return f"could not be started: {ending.unstarted}"
    words = [line for line in tail if any(map(str.isalnum, line))][-SAID_LINES:]
    said = f": {_cut(' / '.join(words))}" if words else ""
    if says_out_of_memory(" ".join(tail)):
        return f"ran out of memory{said}; a smaller batch_tokens or model takes less"
    if ending.signal == 9 or ending.code == 137:
        return f"was killed (SIGKILL), as the system does where memory runs out{said}"
    if ending.signal is not None:
        return f"ended by signal {ending.signal}{said}"
    return f"ended with exit code {ending.code}{said}"


def _cut(text: str) -> str:
    return text if len(text) <= 300 else f"…{text[-299:]}"
