"""`hyperlaw runs soup`: what it prints of kept final states, and where there is no soup."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hpo.checkpoints import Kept
from hpo.final_states import save_final
from storage.store import Store
from tests.hyperlaw.conftest import Invoke
from trainers.config import RunConfig
from trainers.registry import kind

SWEEP = """\
name: kept
trainer: gpt
scales: {width: [16, 32], depth: 1, tokens: 2000}
search: {method: grid}
space:
  lr: {choices: [3e-3, 1e-2]}
fixed: {batch_tokens: 64}
final_states: 4
"""

RUN = RunConfig(
    "gpt",
    {"width": 32, "depth": 1},
    20 * 64,
    {"lr": 0.03, "batch_tokens": 64},
    model={"context": 16, "head_size": 8},
    reports=2,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("text") / "rhyme.txt"
    file.write_text("".join(f"{n} green bottles hanging on the wall\n" for n in range(2000)))
    return str(file)


def keep(runs: Mapping[str, RunConfig], *, spec_text: str = SWEEP, on_disk: bool = True) -> None:
    """Train runs, and leave them as a sweep would."""
    with Store.open("hyperlaw.db") as store:
        store.add_sweep("kept", spec_text=spec_text)
        for run_id, config in runs.items():
            trainer = kind("gpt").build(config)
            trainer.step()
            last = trainer.step()
            row = {"run_id": run_id, "sweep": "kept", "params": 1e4, "tokens": config.tokens}
            row |= {**config.shape, **config.setting, "loss": last.loss, "seed": config.seed}
            store.record_run(row, curve=None)
            if on_disk:
                kept = Kept(config, 2, (), trainer.state_dict())
                save_final(Path("hyperlaw.db.runs/kept") / run_id, kept)


def with_setting(config: RunConfig, **values: float | str) -> RunConfig:
    return replace(config, setting={**config.setting, **values})


def test_a_soup_is_made_judged_and_written(invoke: Invoke, data: str):
    """Two runs on from the same weights agree; one of a far higher rate stays out."""
    run = replace(RUN, data=data)
    runs = {
        "good": with_setting(run, lr=0.03),
        "near": with_setting(run, lr=0.029),
        "wild": with_setting(run, lr=0.5),
    }
    keep(runs)
    ran = invoke("runs", "soup", "kept", "--json", "--out", "soup.pt")
    assert (ran.code, ran.err.strip()) == (0, "the greedy soup's weights are in soup.pt")
    found = json.loads(ran.out)
    assert found["shape"] == {"width": 32, "depth": 1}
    assert found["warnings"] == []
    rows = {row["weights"]: row for row in found["weights"]}
    assert list(rows)[2:] == ["wild", "uniform soup", "greedy soup"]
    taken = [name for name, row in rows.items() if row["in_greedy"]]
    assert taken == found["members"]
    assert set(taken) <= {"good", "near"}
    best = next(iter(rows.values()))
    assert rows["greedy soup"]["choosing_loss"] <= best["choosing_loss"]
    assert rows["uniform soup"]["choosing_loss"] > best["choosing_loss"]
    # What was written is what was judged, on the half that did not choose it.
    weights = torch.load("soup.pt", weights_only=True)
    trainer = kind("gpt").build(run)
    assert trainer.judge(weights, part=1, parts=2) == rows["greedy soup"]["loss"]

    table = invoke("runs", "soup", "kept").out
    assert "greedy soup" in table
    lines = list(csv.DictReader(io.StringIO(invoke("runs", "soup", "kept", "--csv").out)))
    assert [line["weights"] for line in lines] == list(rows)
    again = invoke("runs", "soup", "kept", "--out", "soup.pt")
    assert (again.code, again.out) == (2, "")


def test_runs_of_several_shapes_are_refused_until_one_is_named(invoke: Invoke, data: str):
    run = replace(RUN, data=data)
    small = replace(run, shape={"width": 16, "depth": 1})
    keep({"a": run, "b": small, "c": with_setting(small, lr=0.01)})
    ran = invoke("runs", "soup", "kept")
    assert ran.code == 2
    assert "2 shapes (width 32, depth 1; width 16, depth 1)" in ran.err
    assert "add --only width=32" in ran.err
    assert invoke("runs", "soup", "kept", "--only", "width=16").code == 0
    alone = invoke("runs", "soup", "kept", "--only", "width=32")
    assert alone.code == 4
    assert "the final state of 1 such run; a soup needs 2 at least" in alone.err


def test_weights_that_do_not_mean_the_same_are_refused(invoke: Invoke, data: str):
    """The readout's forward multiplier of muP differs between bases."""
    run = replace(RUN, data=data, parametrization="mup", base={"width": 32})
    keep({"a": run, "b": replace(run, base={"width": 16})})
    ran = invoke("runs", "soup", "kept")
    assert ran.code == 2
    assert "readout of run b has the forward multiplier 0.5, of run a 1" in ran.err


def test_seeds_that_differ_are_warned_of(invoke: Invoke, data: str):
    run = replace(RUN, data=data)
    keep({"a": run, "b": replace(run, seed=1)})
    ran = invoke("runs", "soup", "kept")
    assert ran.code == 0
    assert "warning: the runs have 2 seeds" in ran.out


@pytest.mark.parametrize(
    ("spec_text", "says"),
    [
        (SWEEP.replace("final_states: 4\n", ""), "keeps no final states; write 'final_states: 8'"),
        ("", "keeps no final states"),
        (SWEEP, "none of 1 completed runs of sweep 'kept' has its final state in"),
    ],
)
def test_states_that_were_not_kept(invoke: Invoke, data: str, spec_text: str, says: str):
    keep({"a": replace(RUN, data=data)}, spec_text=spec_text, on_disk=False)
    ran = invoke("runs", "soup", "kept")
    assert ran.code == 3
    assert says in ran.err


def test_a_sweep_that_is_not_there(invoke: Invoke):
    Store.open("hyperlaw.db").close()
    assert invoke("runs", "soup", "kept").code == 3
