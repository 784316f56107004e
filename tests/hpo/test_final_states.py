"""Final states: few of each scale, the best ones, and what may go on from them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.checkpoints import Kept
from hpo.continued import check_start
from hpo.errors import SpecError
from hpo.final_states import BestOfScales, read_final, save_final
from hpo.runner import run_sweep
from hpo.schema import SweepSpec
from hpo.spec import parse_spec
from storage.store import Store
from trainers.config import RunConfig

RUN = RunConfig(
    "gpt",
    {"width": 32, "depth": 1},
    2000,
    {"lr": 0.01, "batch_tokens": 64},
    base={"width": 16, "depth": 1},
    model={"context": 16, "head_size": 8},
)

FIRST = """\
name: first
trainer: gpt
data: {data}
scales: {{width: [16, 32], depth: 1, tokens: 2000}}
search: {{method: grid}}
space:
  lr: {{choices: [3e-3, 3e-2]}}
fixed: {{batch_tokens: 64}}
model: {{context: 16, head_size: 8}}
final_states: 1
reports: 2
"""

ON = """\
name: on
trainer: gpt
data: {data}
scales: {{width: 32, depth: 1, tokens: 4000}}
base: {{width: 16}}
search: {{method: grid}}
start_from: {{sweep: first, run: {run}}}
space:
  lr: {{choices: [3e-3, 1e-2]}}
fixed: {{batch_tokens: 64, rewarm_at: 0.5}}
model: {{context: 16, head_size: 8}}
reports: 4
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("text") / "rhyme.txt"
    file.write_text("".join(f"{n} green bottles hanging on the wall\n" for n in range(2000)))
    return str(file)


@given(
    losses=st.lists(st.floats(1, 5), min_size=1, max_size=12),
    keep=st.integers(1, 4),
    n_before=st.integers(0, 12),
)
def test_the_best_of_each_scale_stay_and_never_more(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float], keep: int, n_before: int
):
    """Whatever the order, and when a launch begins in the middle."""
    folder = tmp_path_factory.mktemp("runs")
    rows = [
        {"run_id": f"{scale}-{n:02d}", "params": scale, "tokens": 10.0, "loss": loss}
        for n, loss in enumerate(losses)
        for scale in (100, 200)
    ]
    best = BestOfScales(folder, keep)
    for number, row in enumerate(rows):
        if number == n_before:
            best = BestOfScales(folder, keep)
            for earlier in rows[:number]:
                best.completed(earlier)
        run_id = str(row["run_id"])
        save_final(folder / run_id, Kept(RUN, 1, (), {"run": run_id}))
        best.completed(row)
        kept = [file.parent.name for file in folder.glob("*/final.state")]
        assert len(kept) <= 2 * keep
    for scale in (100, 200):
        ranked = sorted((loss, f"{scale}-{n:02d}") for n, loss in enumerate(losses))
        expected = {run_id for _, run_id in ranked[:keep]}
        assert {run_id for run_id in kept if run_id.startswith(str(scale))} == expected
    found = read_final(folder / kept[0])
    assert found is not None
    assert found.state == {"run": kept[0]}


def test_none_is_kept_unless_asked_for(tmp_path: Path):
    BestOfScales(tmp_path, 0).completed({"run_id": "a", "params": 1, "tokens": 1, "loss": 1.0})
    assert read_final(tmp_path / "a") is None


@pytest.mark.parametrize("key", ["final_states: 2", "start_from: {sweep: a, run: b}"])
def test_a_trainer_that_trains_by_itself_has_none(ladder_text: str, key: str):
    with pytest.raises(SpecError, match=r"(final_states|start_from): trainer 'simulated' trains"):
        parse_spec(f"{ladder_text}{key}\n")


def going_on(tmp_path: Path, data: str, *changes: tuple[str, str]) -> SweepSpec:
    save_final(tmp_path / "first" / "best", Kept(RUN, 2, (), {}))
    text = ON.format(data=data, run="best")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_spec(text)


def test_what_goes_on_from_a_finished_run(tmp_path: Path, data: str):
    check_start(going_on(tmp_path, data), tmp_path)
    check_start(going_on(tmp_path, data, ("rewarm_at: 0.5", "rewarm_at: 0")), tmp_path)
    check_start(going_on(tmp_path, data, ("batch_tokens: 64", "batch_tokens: 128")), tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("run: best", "run: bets"), "start_from: no final state of run 'bets' of sweep 'first'"),
        (("tokens: 4000", "tokens: 2000"), "scales.tokens: 2000 in all, .* give more than those"),
        (("width: 32", "width: 64"), "width 64, .* start from is width 32, .*give that shape"),
        (("base: {width: 16}\n", ""), "write base: {width: 16, depth: 1}"),
        (("context: 16", "context: 32"), "model.context: 32, .* had 16; keep to that"),
        (("trainer: gpt", "trainer: gpt\nparametrization: mup"), "parametrization: mup, .* had sp"),
        (("rewarm_at: 0.5", "rewarm_at: 0.4"), "fixed.rewarm_at: 0.4, .* write 0.5, or 0 to keep"),
        (("fixed: {", "fixed: {optimizer: sgd, "), "the run to start from are adamw's; keep to"),
    ],
)
def test_what_cannot_go_on_is_refused(
    tmp_path: Path, data: str, change: tuple[str, str], says: str
):
    with pytest.raises(SpecError, match=says):
        check_start(going_on(tmp_path, data, change), tmp_path)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_sweep_keeps_final_states_and_another_goes_on_from_one(store: Store, data: str):
    first = FIRST.format(data=data)
    assert run_sweep(parse_spec(first), store, spec_text=first).completed == 4
    assert store.path is not None
    folder = Path(f"{store.path}.runs")
    runs = store.runs("first")
    ranked = runs.sort_values("loss").groupby("width")["run_id"].head(1)
    assert {file.parent.name for file in folder.glob("first/*/final.state")} == set(ranked)

    best = runs[runs["width"] == 32].sort_values("loss").iloc[0]
    text = ON.format(data=data, run=best["run_id"])
    assert run_sweep(parse_spec(text), store, spec_text=text).completed == 2
    after = store.runs("on")
    assert (after["loss"] < best["loss"]).all()
    assert (after["tokens"] == 4000).all()
    # 31 steps of 62 were taken before; of four reports the first two would lie there.
    for curve in store.curves(list(after["run_id"])).values():
        assert curve.step.tolist() == [47, 62]
    assert not list(folder.glob("on/*/final.state"))
