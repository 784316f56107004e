"""Training scripts as runs: what they report, how they fail, and that nothing outlives them."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from trainers.command_trainer import CommandTrainer
from trainers.config import Command, RunConfig
from trainers.errors import TrainerError
from trainers.protocol import Report
from trainers.registry import kind
from trainers.run_log import RunLog

BATCH, STEPS = 10, 20
ROOT = Path(__file__).parents[2]

COUNT = """\
import json, sys
steps, every = int(sys.argv[1]), int(sys.argv[2])
for step in range(every, steps + 1, every):
    print(json.dumps({"step": step, "loss": 5 - step / 10}))
"""

FAMILY = """\
import json, os, subprocess, sys, time
pipe, younger = sys.argv[1], int(sys.argv[2])
os.open(pipe, os.O_WRONLY)
if younger:
    command = [sys.executable, __file__, pipe, str(younger - 1)]
    subprocess.Popen(command, start_new_session=True)  # As torchrun starts its workers.
else:
    print(json.dumps({"step": 5, "loss": 3.0}))
time.sleep(60)
"""
"""Three generations, each in a session of its own, that all hold a pipe open."""

Make = Callable[..., CommandTrainer]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Write a script and return the trainer of a run of it, in a folder of its own."""
    made: list[CommandTrainer] = []

    def make(
        script: str, arguments: str = "", *, run: Mapping[str, object] | None = None, **keys: object
    ) -> CommandTrainer:
        (tmp_path / "train.py").write_text(script)
        text = f"{sys.executable} train.py {arguments}"
        command = replace(Command(text, cwd=str(tmp_path)), **keys)
        config = RunConfig(
            command,
            {"width": 16, "depth": 2},
            STEPS * BATCH,
            {"lr": 0.1, "batch_tokens": BATCH},
            reports=4,
            folder=str(tmp_path / "runs" / "a-00001"),
        )
        config = replace(config, **(run or {}))
        trainer = kind(command).build(config)
        assert isinstance(trainer, CommandTrainer)
        made.append(trainer)
        return trainer

    yield make
    for trainer in made:
        trainer.close()


def run(trainer: CommandTrainer) -> list[Report]:
    reports = [trainer.step()]
    while reports[-1].status == "running":
        reports.append(trainer.step())
    return reports


def wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)


def failure(trainer: CommandTrainer) -> str:
    with pytest.raises(TrainerError) as caught:
        run(trainer)
    message = str(caught.value)
    assert "\n" not in message
    return message


def log(tmp_path: Path) -> str:
    return (tmp_path / "runs" / "a-00001" / "output.log").read_text()


def test_reports_are_evenly_spaced_and_the_last_is_final(make: Make):
    reports = run(make(COUNT, "{steps} 1"))
    assert [report.step for report in reports] == [5, 10, 15, 20]
    assert [report.tokens for report in reports] == [50, 100, 150, 200]
    assert [report.loss for report in reports] == [4.5, 4.0, 3.5, 3.0]
    assert [report.status for report in reports] == ["running"] * 3 + ["completed"]
    assert reports[-1].flops == 6 * (12 * 2 * 16**2) * 200
    assert reports[-1].lr == 0.1
    assert math.isnan(reports[-1].train_loss)
    seconds = [report.seconds for report in reports]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_fewer_lines_than_reports_are_a_report_each(make: Make):
    assert [report.step for report in run(make(COUNT, "{steps} 10"))] == [10, 20]


def test_what_a_line_gives_is_kept(make: Make):
    line = {"tokens": 200, "loss": 2, "train_loss": 3, "lr": 0.5, "flops": 7e9, "seconds": 0.25}
    (report,) = run(make(f"print({json.dumps(json.dumps(line))})"))
    assert report == Report(20, 200, 7e9, 2.0, 3.0, 0.5, 0.25, "completed")


def test_a_line_without_its_place_counts_as_the_last(make: Make):
    (report,) = run(make("""print('{"loss": 9}'); print('{"loss": 2}')"""))
    assert (report.loss, report.step, report.tokens) == (2.0, 20, 200)


def test_the_values_are_arguments_whatever_is_in_them(make: Make, tmp_path: Path):
    script = "import sys; print(sys.argv[1:]); print('{\"loss\": 1}')"
    spaces = {"lr": 0.1, "batch_tokens": BATCH, "note": "a b; touch 'x' $HOME \"{lr}\""}
    arguments = "{note} {lr} {width} {base_width} {params} {steps} {run_id} {seed} {activation}"
    run(
        make(
            script,
            arguments,
            run={"setting": spaces, "base": {"width": 8}, "model": {"activation": "gelu"}},
        )
    )
    given = [
        "a b; touch 'x' $HOME \"{lr}\"",
        "0.1",
        "16",
        "8",
        "6144",
        "20",
        "a-00001",
        "0",
        "gelu",
    ]
    assert str(given) in log(tmp_path)


@pytest.mark.parametrize("loss", ["NaN", "Infinity", "null"])
def test_a_loss_that_is_not_finite_is_a_run_that_diverged(make: Make, loss: str):
    script = f"""import time; print('{{"step": 3, "loss": {loss}}}'); time.sleep(60)"""
    (report,) = run(make(script))
    assert (report.status, report.step) == ("diverged", 3)
    assert math.isnan(report.loss)


def test_a_script_that_fails_tells_its_last_words_and_its_log(make: Make, tmp_path: Path):
    said = failure(make(COUNT + "raise ValueError('no such file')", "{steps} 20"))
    assert said.startswith("ended with exit code 1: ")
    assert "ValueError: no such file; log: " in said
    assert said.endswith(str(tmp_path / "runs" / "a-00001" / "output.log"))
    assert "Traceback" in log(tmp_path)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11; log: "),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed (SIGKILL), as the sys"),
        ("import sys; sys.exit(137)", "killed (SIGKILL)"),
        ("raise MemoryError", "ran out of memory: "),
        ("print('nothing')", 'no metrics: expected a line such as {"step": 100, "loss": 3.21}'),
        ("""print('{"val_loss": 1}')""", "did you mean loss: val_loss?"),
        ("""print('{"step": 1, "loss": "a"}')""", "loss is 'a' in the line"),
        ("""print('{"step": 10, "loss": 1}')""", "ended after 100 of 200 tokens"),
        ("""print('{"step": 30, "loss": 1}')""", "went on after 300 of 200 tokens"),
    ],
)
def test_failures_say_why(make: Make, script: str, says: str):
    assert says in failure(make(script))


@pytest.mark.parametrize(
    ("budget", "line", "is_completed"),
    [
        (40, {"step": 3}, False),
        (40, {"step": 4}, True),
        (40, {"step": 5}, False),
        (40, {"tokens": 35}, True),
        (40, {"tokens": 34}, False),
        (40, {"tokens": 46}, False),
        (44, {"step": 4}, True),  # {steps} is 4.
        (44, {"tokens": 44}, True),
        (44, {"step": 5}, False),
        (46, {"step": 4}, False),
        (46, {"step": 5}, True),
        (45, {"step": 4}, True),  # Half a batch either way.
        (45, {"step": 5}, True),
        (1000, {"step": 95}, True),
        (1000, {"step": 94}, False),
        (1000, {"step": 105}, True),
        (1000, {"step": 106}, False),
    ],
)
def test_a_run_is_trained_for_its_budget_to_half_a_batch_or_a_twentieth(
    make: Make, budget: int, line: Mapping[str, int], is_completed: bool
):
    script = f"print({json.dumps(json.dumps({**line, 'loss': 2}))})"
    trainer = make(script, run={"tokens": budget})
    if is_completed:
        assert run(trainer)[-1].status == "completed"
    else:
        assert f" of {budget:,} tokens, by its last metrics" in failure(trainer)


@pytest.mark.parametrize("tokens", [10, 14, 15, 16, 25, 26, 35])
def test_the_steps_that_a_script_is_given_are_its_budget(make: Make, tokens: int):
    assert run(make(COUNT, "{steps} 1", run={"tokens": tokens}))[-1].status == "completed"


def test_a_run_that_takes_too_long_is_ended(make: Make):
    script = """print('{"step": 3, "loss": 1}'); import time; time.sleep(60)"""
    said = failure(make(script, timeout_minutes=0.005))
    assert said.startswith("stopped at its time limit, 0.005 minutes (timeout_minutes), after ")


@pytest.mark.parametrize("minutes", [1e6, 1e300])
def test_a_time_limit_may_be_of_any_length(make: Make, minutes: float):
    assert run(make(COUNT, "{steps} 1", timeout_minutes=minutes))[-1].status == "completed"


def test_a_script_that_ended_in_time_is_completed_however_late_it_is_asked(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wait = "    while step == 5 and not os.path.exists('go'): time.sleep(0.01)\n"
    trainer = make(f"import os, time\n{COUNT}{wait}", "{steps} 1", timeout_minutes=10)
    assert trainer.step().step == 5
    (tmp_path / "go").touch()
    much_later = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: much_later)
    assert [report.step for report in run(trainer)] == [10, 15, 20]


def test_a_script_is_ended_at_its_time_limit_though_nobody_asks(make: Make, tmp_path: Path):
    script = f"""
exec 3> {tmp_path}/alive
for step in 5 10 15; do echo '{{"step": '$step', "loss": 1}}'; done
sleep 60
"""
    with held_open(tmp_path / "alive") as alive:
        trainer = make(script, command="sh train.py", timeout_minutes=0.02)
        assert trainer.step().step == 5
        assert os.read(alive, 1) == b""
    assert [trainer.step().step, trainer.step().step] == [10, 15]
    assert "time limit, 0.02 minutes (timeout_minutes), after 150 of 200" in failure(trainer)


@contextmanager
def held_open(pipe: Path) -> Iterator[int]:
    """Make a pipe with a name; reading from it blocks for as long as a process holds it open."""
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    yield reader
    os.close(reader)


def test_the_end_of_a_run_is_the_end_of_all_that_it_started(make: Make, tmp_path: Path):
    with held_open(tmp_path / "alive") as alive:
        trainer = make(FAMILY, f"{tmp_path}/alive 2")
        assert trainer.step().status == "running"
        trainer.close()
        trainer.close()
        assert os.read(alive, 1) == b""


def test_a_killed_owner_takes_its_script_along(make: Make, tmp_path: Path):
    make(FAMILY)
    owner = f"""
import os
from trainers.config import Command, RunConfig
from trainers.registry import kind
from trainers.run_log import RunLog
command = Command({f"{sys.executable} train.py alive 2"!r})
config = RunConfig(command, {{"params": 100}}, 200, {{"lr": 0.1, "batch_tokens": 10}}, folder="run")
kind(command).build(config).step()
os.kill(os.getpid(), 9)
"""
    with held_open(tmp_path / "alive") as alive:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        ended = subprocess.run([sys.executable, "-c", owner], cwd=tmp_path, env=environment)
        assert ended.returncode == -signal.SIGKILL
        assert os.read(alive, 1) == b""


@pytest.mark.slow
def test_workers_of_torchrun_end_with_their_run(make: Make, tmp_path: Path):
    script = """
import json, os, time
os.open("alive", os.O_WRONLY)
if os.environ["RANK"] == "0":
    print(json.dumps({"step": 5, "loss": 3.0}))
time.sleep(60)
"""
    with held_open(tmp_path / "alive") as alive:
        launcher = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2"
        trainer = make(script, command=f"{launcher} train.py")
        assert trainer.step().status == "running"
        trainer.close()
        assert os.read(alive, 1) == b""


def test_a_trainer_that_takes_up_a_state_passes_over_what_was_reported(make: Make, tmp_path: Path):
    first = make(COUNT, "{steps} 1")
    before = [first.step(), first.step()]
    state = first.state_dict()
    first.close()
    second = make(COUNT, "{steps} 1")
    second.load_state_dict(state)
    after = run(second)
    assert [report.step for report in (*before, *after)] == [5, 10, 15, 20]
    assert after[0].seconds > before[-1].seconds
    assert log(tmp_path).count("== ") == 2


CHECKPOINTS = """\
import json, sys
from pathlib import Path
file = Path(sys.argv[1]) / "checkpoint"
done = int(file.read_text()) if file.exists() else 0
print("begins at", done)
for step in range(done + 1, 21):
    file.write_text(str(step))
    print(json.dumps({"step": step, "loss": 5 - step / 10}))
"""


def test_a_script_goes_on_from_its_own_checkpoint(make: Make, tmp_path: Path):
    first = make(CHECKPOINTS, "{folder}")
    first.step()
    state = first.state_dict()
    first.close()
    (tmp_path / "runs" / "a-00001" / "checkpoint").write_text("7")
    second = make(CHECKPOINTS, "{folder}")
    second.load_state_dict(state)
    assert [report.step for report in run(second)] == [10, 15, 20]
    assert "begins at 7" in log(tmp_path)


def test_what_was_said_beyond_the_report_is_not_lost(make: Make, tmp_path: Path):
    pause = "import time; time.sleep(60)"
    first = make(f"{CHECKPOINTS}(file.parent / 'done').touch(); {pause}", "{folder}")
    assert first.step().step == 5
    state = first.state_dict()
    wait_for(tmp_path / "runs" / "a-00001" / "done")
    first.close()
    second = make(CHECKPOINTS, "{folder}")
    second.load_state_dict(state)
    assert [(report.step, report.loss) for report in run(second)] == [
        (10, 4.0),
        (15, 3.5),
        (20, 3.0),
    ]
    assert log(tmp_path).endswith("begins at 20\n")


def test_a_script_that_begins_anew_in_its_folder_is_reported_once(make: Make):
    first = make(COUNT, "{steps} 1 {folder}")
    before = [first.step(), first.step()]
    first.close()
    second = make(COUNT, "{steps} 1 {folder}")
    second.load_state_dict(first.state_dict())
    assert [report.step for report in (*before, *run(second))] == [5, 10, 15, 20]


def test_a_script_that_had_ended_all_but_its_last_word_has_its_metrics(make: Make):
    first = make(COUNT, "{steps} 19")
    first.step()
    second = make("pass")
    second.load_state_dict(first.state_dict())
    assert [report.step for report in run(second)] == [19]


def test_what_another_run_left_in_the_folder_is_moved_aside(make: Make, tmp_path: Path):
    run(make(CHECKPOINTS, "{folder} old"))
    run(make(CHECKPOINTS, "{folder}"))
    assert (tmp_path / "runs" / "a-00001.1" / "checkpoint").exists()
    assert "begins at 0" in log(tmp_path)


@pytest.mark.parametrize(
    ("shape", "keys", "params"),
    [
        ({"width": 8, "depth": 3}, {}, 12 * 3 * 64),
        ({"width": 8, "depth": 3}, {"block_params": 1.5}, 288),
        ({"params": 1000, "heads": 4}, {}, 1000),
    ],
)
def test_n_is_what_the_shape_says(shape: Mapping[str, int], keys: Mapping[str, float], params: int):
    command = replace(Command("run"), **keys)
    assert kind(command).sizes(shape, {}) == (params, params)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": {"width": 16}}, "the shape is width, which does not give N; add width and"),
        ({"shape": {"width": 0, "depth": 2}}, "width is 0; it must be"),
        ({"setting": {"lr": 0.1}}, "setting 'batch_tokens' is missing"),
        ({"setting": {"lr": 0.1, "batch_tokens": 10, "seed": 1}}, "seed is a value of every run"),
        ({"shape": {"params": 9, "lr": 2}}, "lr is a size of the shape and a setting; rename"),
        ({"trainer": Command("no-such-program {lr}")}, "no program 'no-such-program' on PATH"),
        ({"trainer": Command("./no-such-program {lr}")}, "no program './no-such-program' in "),
        ({"trainer": Command(f"{sys.executable} no.py")}, "no file 'no.py' in"),
        ({"trainer": Command("env {lrs}")}, "unknown value 'lrs'; did you mean 'lr'?"),
        ({"trainer": Command("env", cwd="no/such")}, "cwd: no folder 'no/such'"),
    ],
)
def test_configurations_are_refused(change: Mapping[str, object], says: str):
    config = RunConfig(
        Command("env"), {"params": 100}, 100, {"lr": 0.1, "batch_tokens": 10}, folder="run"
    )
    config = replace(config, **change)
    with pytest.raises(TrainerError) as caught:
        kind(config.trainer).check(config)
    assert says in str(caught.value)


def test_a_file_that_is_no_program_is_told_how_to_be_run(tmp_path: Path):
    (tmp_path / "train.py").write_text("")
    command = Command("train.py", cwd=str(tmp_path))
    with pytest.raises(TrainerError, match=r"write 'python train\.py' or '\./train\.py'"):
        kind(command).check(
            RunConfig(command, {"params": 100}, 100, {"lr": 0.1, "batch_tokens": 10})
        )


def test_a_log_has_a_bound_and_the_last_words(tmp_path: Path):
    log = RunLog(tmp_path / "output.log", most_bytes=100)
    for number in range(100):
        log.write(f"line {number}\n".encode())
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["output.log", "output.log.1"]
    assert sum(file.stat().st_size for file in files) <= 200
    assert files[0].read_text().endswith("line 99\n")
    RunLog(tmp_path / "output.log", most_bytes=100).write(b"x" * 90)
    assert files[1].read_text().endswith("line 99\n")
