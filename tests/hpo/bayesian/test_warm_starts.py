"""Warm starts: runs of earlier sweeps, and what published laws say, where the space has them."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.bayesian.warm_starts import TRIED, warm_starts
from hpo.checks import run_config
from hpo.errors import SpecError
from hpo.ladder import resolve_ladder
from hpo.planned import plan_points
from hpo.points import Leg, Outcome
from hpo.rows import run_row
from hpo.spec import parse_spec
from storage.store import Store
from trainers.protocol import Report
from trainers.registry import kind


def earlier(params: float = 100000, tokens: float = 1000000, **columns: object) -> pd.DataFrame:
    """A sweep of sixteen runs, best at lr 0.01 and batch 2048; one of them diverged."""
    rates = np.geomspace(1e-3, 1e-1, 8)
    rows = [
        {"lr": lr, "batch_tokens": b, "loss": 2 + math.log(lr / 0.01) ** 2 + abs(b - 2048) / 1e5}
        for lr in rates
        for b in (1024, 2048)
    ]
    frame = pd.DataFrame(rows).assign(
        run_id=[f"early-{k:05d}" for k in range(16)],
        sweep="early",
        params=params,
        tokens=tokens,
        model="simulated",
        data="python-stdlib",
        parametrization="sp",
        seconds=2.0,
        **columns,
    )
    frame.loc[15, "loss"] = math.nan
    return frame.assign(status=["completed"] * 15 + ["diverged"])


def with_prior(text: str, names: str = "[early]") -> str:
    return text.replace("startup: 6", f"startup: 6, prior: {names}")


def starts(text: str, store: Store) -> Any:
    spec = parse_spec(text)
    return warm_starts(spec, resolve_ladder(spec), store)


def test_runs_of_the_same_scale_are_known(store: Store, one_scale_text: str) -> None:
    store.add_runs(earlier())
    (start,) = starts(with_prior(one_scale_text), store)
    assert len(start.known) == 15
    assert start.tries == []
    assert {type(run.setting["batch_tokens"]) for run in start.known} == {int}
    best = min(start.known, key=lambda run: run.reached["loss"])
    assert best.setting["batch_tokens"] == 2048
    assert best.reached["seconds"] == 2.0


@pytest.mark.parametrize(
    "told",
    [
        {"params": 3e5},
        {"tokens": 2e6},
        {"model": "gpt"},
        {"data": "other"},
        {"parametrization": "mup"},
    ],
)
def test_where_losses_do_not_compare_the_best_settings_are_tried_first(
    searching: Any, one_scale_text: str, told: dict[str, object]
) -> None:
    frame = earlier()
    searching.store.add_runs(frame.assign(**told))
    text = with_prior(one_scale_text)
    (start,) = starts(text, searching.store)
    best = frame.sort_values("loss").head(TRIED)
    assert start.known == []
    assert [setting["lr"] for setting in start.tries] == best["lr"].tolist()
    search = searching.begin(text)
    first = [search.ask().point.setting for _ in range(8)]
    assert [setting["lr"] for setting in first[:TRIED]] == best["lr"].tolist()


def test_another_fixed_setting_does_not_compare(store: Store, one_scale_text: str) -> None:
    store.add_runs(earlier(weight_decay=0.1))
    text = (
        with_prior(one_scale_text)
        .replace("simulated", "gpt")
        .replace("params: 100000", "width: 32, depth: 1")
    )
    spec = parse_spec(f"{text}model: {{context: 64}}\nfixed: {{weight_decay: 0.2}}\n")
    (start,) = warm_starts(spec, resolve_ladder(spec), store)
    assert start.known == []


LAUNCHED = """\
name: early
trainer: gpt
parametrization: mup
base: {width: 32}
scales: {width: 64, depth: 2, tokens: 204800}
search: {method: random}
space: {lr: {log: [1e-3, 6e-2]}}
fixed: {batch_tokens: 1024}
model: {context: 128}
runs: 4
"""


def launch(store: Store, text: str) -> None:
    """Record the runs of a sweep as a launch does; their losses are made up."""
    spec = parse_spec(text)
    store.add_sweep(spec.name, spec_text=text)
    for point in plan_points(spec, resolve_ladder(spec)):
        tokens, lr = point.scale.tokens, float(point.setting["lr"])
        report = Report(200, tokens, point.scale.flops, 3 + lr, 3.0, lr, 1.0, "completed")
        config = run_config(spec, point.scale, point.setting, point.seed)
        store.record_run(run_row(spec.name, point, config, report), None)


def after(text: str) -> str:
    """A search that begins with that sweep, and is trained as it was."""
    text = text.replace("name: early", "name: late")
    return text.replace("{method: random}", "{method: bayesian, prior: [early]}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("context: 128", "context: 128, head_size: 16"),  # the default, as the next one
        ("batch_tokens: 1024", "batch_tokens: 1024, weight_decay: 0.1"),
        ("runs: 4", "runs: 7\nreports: 3\nseed: 5"),
        ("[1e-3, 6e-2]", "[1e-3, 5e-2]"),
        ("lr: {log: [1e-3, 6e-2]}", "lr: {log: [1e-3, 6e-2]}, ema: {choices: [0.0, 0.9]}"),
    ],
)
def test_runs_that_were_trained_alike_are_known(store: Store, old: str, new: str) -> None:
    launch(store, LAUNCHED)
    (start,) = starts(after(LAUNCHED).replace(old, new), store)
    assert start.known
    assert start.tries == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("batch_tokens: 1024", "batch_tokens: 1024, weight_decay: 3.0"),
        ("batch_tokens: 1024", "batch_tokens: 1024, warmup_fraction: 0.25"),
        ("batch_tokens: 1024", "batch_tokens: 1024, optimizer: sgd"),
        ("context: 128", "context: 16"),
        ("width: 32", "width: 16"),
        ("runs: 4", "runs: 4\nchanges: [{at: 0.5, lr: 0.001}]"),
        ("runs: 4", "runs: 4\nparametrization_options: {hidden_decay: constant}"),
    ],
)
@pytest.mark.parametrize("changed", ["early", "late"])
def test_runs_that_were_trained_otherwise_are_not_known(
    store: Store, old: str, new: str, changed: str
) -> None:
    """Whichever of the two sweeps says it: what the other leaves out is the default."""
    early, late = LAUNCHED, after(LAUNCHED)
    if changed == "early":
        early = early.replace(old, new)
    else:
        late = late.replace(old, new)
    launch(store, early)
    (start,) = starts(late, store)
    assert start.known == []
    assert len(start.tries) == TRIED


def test_what_an_earlier_sweep_searched_and_this_one_does_not_is_compared(store: Store) -> None:
    launch(
        store, LAUNCHED.replace("space: {", "space: {warmup_fraction: {choices: [0.0, 0.125]}, ")
    )
    runs = store.runs("early")
    with_warmup = runs[runs["warmup_fraction"] == 0.125]
    assert 0 < len(with_warmup) < len(runs)
    late = after(LAUNCHED).replace("1024}", "1024, warmup_fraction: 0.125}")
    (start,) = starts(late, store)
    assert {run.setting["lr"] for run in start.known} == set(with_warmup["lr"])


def test_imported_runs_that_tell_another_setting_than_the_default_do_not_compare(
    store: Store, one_scale_text: str
) -> None:
    text = with_prior(one_scale_text).replace("simulated", "gpt")
    text = text.replace("params: 100000", "width: 64, depth: 2") + "model: {context: 64}\n"
    (scale,) = resolve_ladder(parse_spec(text))
    ours = kind("gpt").complete({"lr": 0.1, "batch_tokens": 1024})
    told = {"params": scale.params, "model": "gpt", "beta2": ours["beta2"]}
    store.add_runs(earlier().assign(**told))
    other = earlier().assign(
        **(told | {"beta2": 0.5}), sweep="other", run_id=[f"other-{k}" for k in range(16)]
    )
    store.add_runs(other)
    assert len(starts(text, store)[0].known) == 15
    assert starts(text.replace("[early]", "[other]"), store)[0].known == []


def test_the_nearest_scale_of_several_is_taken(store: Store, one_scale_text: str) -> None:
    near, far = earlier(params=2e5), earlier(params=1e7)
    far["run_id"] = [f"far-{k}" for k in range(16)]
    far["loss"] -= 1
    far["lr"] *= 1.5
    store.add_runs(pd.concat([near, far], ignore_index=True))
    (start,) = starts(with_prior(one_scale_text), store)
    rates = set(near["lr"])
    assert {setting["lr"] for setting in start.tries} <= rates


def test_runs_outside_of_the_space_are_left_out(store: Store, one_scale_text: str) -> None:
    store.add_runs(earlier())
    narrow = with_prior(one_scale_text).replace("[1e-4, 1e0]", "[5e-3, 5e-2]")
    (start,) = starts(narrow.replace("[512, 1024, 2048, 4096, 8192]", "[2048, 4096]"), store)
    settings = [run.setting for run in start.known]
    assert 0 < len(settings) < 8
    assert all(s["batch_tokens"] == 2048 and 5e-3 <= s["lr"] <= 5e-2 for s in settings)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga-ii"])
def test_a_sampler_learns_from_known_runs(
    searching: Any, one_scale_text: str, sampler: str
) -> None:
    """With enough known runs there is no startup: the first proposals are good ones."""
    frame = pd.concat([earlier()] * 3, ignore_index=True).assign(status="completed")
    frame["run_id"] = [f"early-{k}" for k in range(len(frame))]
    frame["lr"] = np.geomspace(1e-4, 1e0, len(frame))
    frame["loss"] = 2 + np.log(frame["lr"] / 0.01) ** 2
    searching.store.add_runs(frame)
    text = one_scale_text.replace("tpe", sampler)

    def ending(leg: Leg) -> Outcome:
        return searching.ended(leg, 2 + math.log(float(leg.point.setting["lr"]) / 0.01) ** 2)

    def distance(text: str) -> float:
        rates = [
            float(outcome.point.setting["lr"])
            for seed in range(4)
            for outcome in searching.drive(
                searching.begin(f"{text}seed: {seed}\n"), ending, n_runs=6
            )
        ]
        return float(np.mean([abs(math.log(rate / 0.01)) for rate in rates]))

    assert distance(with_prior(text)) < 0.8 * distance(text)


def test_several_sweeps_add_up(store: Store, one_scale_text: str) -> None:
    other = earlier().assign(sweep="other", run_id=[f"other-{k}" for k in range(16)])
    store.add_runs(pd.concat([earlier(), other], ignore_index=True))
    (start,) = starts(with_prior(one_scale_text, "[early, other]"), store)
    assert len(start.known) == 30


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[early]", "[aerly]", r"^search\.prior\[0\]: .*'aerly'.*early"),
        ("[1e-4, 1e0]", "[0.5, 1.0]", r"^search\.prior\[0\]: sweep 'early' has no completed run"),
    ],
)
def test_a_prior_that_gives_nothing_is_refused(
    store: Store, one_scale_text: str, old: str, new: str, said: str
) -> None:
    store.add_runs(earlier())
    with pytest.raises(SpecError, match=said):
        starts(with_prior(one_scale_text).replace(old, new), store)


def test_published_optima_are_tried_first(searching: Any, one_scale_text: str) -> None:
    text = one_scale_text.replace("startup: 6", "startup: 6, published: true")
    text = text.replace("params: 100000, tokens: 1000000", "params: 100000000, tokens: 2000000000")
    text = text.replace("[512, 1024, 2048, 4096, 8192]", "[65536, 131072, 262144, 524288]")
    (start,) = starts(text, searching.store)
    step_law = 1.79 * 1e8**-0.713 * 2e9**0.307
    assert start.tries[0] == {"lr": pytest.approx(step_law), "batch_tokens": 131072}
    search = searching.begin(text)
    assert search.ask().point.setting == start.tries[0]
    # Kaplan's law tells the rate alone; the batch is then of the startup's own.
    rates = [search.ask().point.setting["lr"] for _ in range(5)]
    assert pytest.approx(3.239e-3 - 1.395e-4 * math.log(1e8)) in rates


def test_published_optima_that_all_lie_outside_are_refused(
    store: Store, one_scale_text: str
) -> None:
    text = one_scale_text.replace("startup: 6", "startup: 6, published: true")
    with pytest.raises(SpecError, match=r"^search\.published: no published law .*widen the space"):
        starts(text.replace("[1e-4, 1e0]", "[0.5, 1.0]"), store)
