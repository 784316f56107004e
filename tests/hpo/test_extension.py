"""More runs for a sweep: its text is kept but for their number, and its plan goes on."""

import pytest

from hpo.errors import SpecError
from hpo.extension import extended, is_longer
from hpo.ladder import resolve_ladder
from hpo.planned import plan_points
from hpo.runner import run_sweep
from hpo.spec import changed_keys, parse_spec
from storage.store import Store

GRID = """\
name: own
trainer: simulated
scales: {params: [1000000, 2000000], tokens: 1000000}
search: {method: grid}
space:
  lr: {choices: [0.01, 0.02, 0.04]}
fixed: {batch_tokens: 512}
"""


def test_only_the_number_of_runs_changes_and_the_plan_goes_on(ladder_text: str) -> None:
    text = ladder_text.replace("runs: 24", "runs: 24   # in all")
    longer, spec = extended(text, 13)
    assert longer == text.replace("24   #", "37   #")
    assert spec == parse_spec(longer)
    points = plan_points(spec, resolve_ladder(spec))
    before = parse_spec(text)
    assert points[:24] == plan_points(before, resolve_ladder(before))
    assert len(points) == 37


def test_a_file_on_one_line_is_written_anew() -> None:
    text = (
        "{name: x, trainer: simulated, scales: {params: 1000000, tokens: 1000000}, runs: 4,"
        " search: {method: random}, space: {lr: {log: [0.001, 0.1]}}, fixed: {batch_tokens: 512}}"
    )
    longer, spec = extended(text, 3)
    assert spec.runs == 7
    assert parse_spec(longer) == spec


def test_a_grid_goes_on_to_its_end_and_no_further() -> None:
    assert extended(f"{GRID}runs: 2\n", 4)[1].runs == 6
    with pytest.raises(SpecError, match=r"runs: 7 is more than the full grid has; at most 6"):
        extended(f"{GRID}runs: 2\n", 5)
    with pytest.raises(SpecError, match=r"cannot be extended: .* all of its grid are planned"):
        extended(GRID, 1)


def test_listed_points_are_not_extended() -> None:
    listed = GRID[: GRID.index("scales")] + (
        "search: {method: listed}\n"
        "points: [{scale: {params: 1000000, tokens: 1000000},"
        " setting: {lr: 0.01, batch_tokens: 512}}]\n"
    )
    with pytest.raises(SpecError, match="runs: sweep 'own' cannot be extended: its runs are the"):
        extended(listed, 1)


def test_the_order_by_which_settings_are_dealt_is_held_against_a_file(
    ladder_text: str, store: Store
) -> None:
    lr, batch = ladder_text.splitlines(keepends=True)[6:8]
    turned = ladder_text.replace(lr + batch, batch + lr)
    before = parse_spec(ladder_text)
    for text in (turned, turned.replace("runs: 24", "runs: 30")):
        spec = parse_spec(text)
        ladder = resolve_ladder(spec)
        assert plan_points(spec, ladder)[:24] != plan_points(before, ladder)
        assert "order of space: [lr, batch_tokens], now [batch_tokens, lr]" in changed_keys(
            ladder_text, spec
        )
        assert not is_longer(ladder_text, spec)
    store.add_sweep("ladder", spec_text=ladder_text)
    with pytest.raises(
        SpecError, match=r"differs \(runs: 24, now 30; order of space: \[lr, .*as it"
    ):
        run_sweep(spec, store, spec_text=text)
    assert store.sweep("ladder").spec_text == ladder_text
    other = "depth: 2, width: [32, 64, 128]"
    deeper = parse_spec(ladder_text.replace("width: [32, 64, 128], depth: 2", other))
    assert changed_keys(ladder_text, deeper) == [
        "order of scales: [width, depth], now [depth, width]"
    ]
    same = ladder_text.replace(
        "name: ladder\ntrainer: simulated\n", "trainer: simulated\nname: ladder\n"
    )
    assert changed_keys(ladder_text, parse_spec(same)) == []


def test_a_file_is_longer_only_by_its_runs(ladder_text: str) -> None:
    def longer(after: str) -> bool:
        return is_longer(ladder_text, parse_spec(after))

    assert longer(ladder_text.replace("runs: 24", "runs: 25"))
    assert not longer(ladder_text)
    assert not longer(ladder_text.replace("runs: 24", "runs: 23"))
    assert not longer(ladder_text.replace("runs: 24", "runs: 25").replace("1e0", "2e0"))
