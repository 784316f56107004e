"""Runs whose memory ran out: how that is known, and what they say."""

from pathlib import Path

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError

from hpo.out_of_memory import WORKER_DIED, KillCount, advice, why_worker_died
from hpo.runner import run_sweep
from hpo.schema import Resources
from hpo.spec import parse_spec
from storage.store import Store
from trainers.config import Command, RunConfig

HUGE = RunConfig(
    "gpt", {"width": 4096, "depth": 48}, 10**9, {"lr": 0.01, "batch_tokens": 64 * 4096}
)


def test_the_kernel_s_count_is_read_where_there_is_one(tmp_path: Path) -> None:
    events, machine = tmp_path / "memory.events", tmp_path / "vmstat"
    machine.write_text("nr_free 5\noom_kill 7\n")
    count = KillCount([events, machine])
    assert not count.has_risen()
    machine.write_text("nr_free 5\noom_kill 8\n")
    assert count.has_risen()
    assert not count.has_risen()
    events.write_text("max 3\noom 1\noom_kill 12\noom_group_kill 0\n")
    count = KillCount([events, machine])
    machine.write_text("nr_free 5\noom_kill 9\n")
    assert not count.has_risen()
    assert not KillCount([]).has_risen()


def test_a_worker_that_the_system_ended_for_memory_says_what_would_fit() -> None:
    for error, killed in ((OutOfMemoryError("low on memory"), False), (ActorDiedError(), True)):
        said = why_worker_died(HUGE, Resources(), error, killed=killed)
        assert said.startswith("out of memory: the system ended the worker process to save the")
        assert " GiB, and by estimate takes " in said


def test_a_worker_that_died_otherwise_says_no_more_than_is_known() -> None:
    assert why_worker_died(HUGE, Resources(), ActorDiedError(), killed=False) == WORKER_DIED


def test_a_script_is_told_what_can_be_said_of_any() -> None:
    run = RunConfig(Command("train"), {"params": 10}, 100, {"lr": 0.1, "batch_tokens": 10})
    assert advice(run, 1, 0).startswith("; a smaller batch_tokens or model takes less")


def test_without_a_gpu_in_this_process_nothing_is_said_of_its_memory() -> None:
    assert advice(HUGE, 1, 1) == ""


HUNGRY = """\
import torch

class Hungry:
    def __init__(self, config):
        self.bytes = int(config.setting["lr"])
    @staticmethod
    def sizes(shape, model):
        return 10**9, 10**9
    def step(self):
        return torch.empty(self.bytes, dtype=torch.int8).sum()
    def state_dict(self):
        return {}
    def load_state_dict(self, state):
        pass
"""


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_runs_that_cannot_be_say_so(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hungry.py").write_text(HUNGRY)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = """\
name: hungry
trainer: "hungry:Hungry"
scales: {n: 1, tokens: 1000}
search: {method: grid}
space: {lr: {choices: [100, 1e15]}}
fixed: {batch_tokens: 10}
"""
    assert run_sweep(parse_spec(text), store, spec_text=text).failed == 2
    reasons = store.runs("hungry").set_index("lr")["reason"]
    assert reasons[100.0] == (
        "step() of trainer 'hungry:Hungry' returned Tensor; it must return a "
        "trainers.protocol.Report"
    )
    assert reasons[1e15].startswith("out of memory (RuntimeError: ")
    assert "DefaultCPUAllocator" in reasons[1e15]
    assert "1,000,000,000 parameters alone take about 15.3 GiB" in reasons[1e15]
