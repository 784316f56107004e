"""Freeze-thaw search: legs add up, better than a look at random settings, and the same again."""

import numpy as np
import pytest

from hpo import freeze_thaw
from hpo.freeze_thaw import FreezeThaw, Leg
from hpo.space import Dimension

N_REPORTS = 32
SPACE = {
    "lr": Dimension(log=(1e-4, 1.0)),
    "momentum": Dimension(uniform=(0.0, 1.0)),
    "batch": Dimension(choices=(16, 32, 64, 128)),
    "optimizer": Dimension(choices=("adam", "sgd")),
}


def losses_of(setting, reports=N_REPORTS):
    """A curve whose floor is lowest at lr 0.01, momentum 0.8, batch 64 and adam; NaN at high lr."""
    off = abs(np.log10(setting["lr"]) + 2) + 2 * abs(setting["momentum"] - 0.8)
    off += 0.5 * abs(np.log2(setting["batch"]) - 6) + (setting["optimizer"] == "sgd")
    curve = 0.2 + 0.3 * off + np.arange(1, reports + 1) ** -0.6
    if setting["lr"] > 0.5:
        curve[1:] = np.nan
    return curve.tolist()


def search(seed=0, **options):
    return FreezeThaw(SPACE, n_reports=N_REPORTS, seed=seed, **options)


def play(searcher, budget, *, curve=losses_of):
    """Train as the search says until the budget is spent; returns the legs."""
    legs, seen = [], {}
    while (leg := searcher.ask(budget)) is not None:
        budget -= leg.reports - seen.get(leg.number, 0)
        seen[leg.number] = leg.reports
        legs.append(leg)
        searcher.tell(leg.number, curve(leg.setting)[: leg.reports])
    assert budget >= 0
    return legs


def test_finds_better_than_as_many_whole_runs_of_even_settings():
    ours, others = [], []
    for seed in range(4):
        searcher = search(seed)
        play(searcher, 10 * N_REPORTS)
        ours.append(searcher.best.loss)
        even = search(seed)  # the first legs are spread evenly, before there is anything to learn
        settings = [even.ask().setting for _ in range(10)]
        others.append(min(min(losses_of(setting)) for setting in settings))
    assert np.mean(ours) - 0.32 < 0.5 * (np.mean(others) - 0.32)


def test_the_budget_is_spent_to_the_last_report_on_legs_that_grow():
    searcher = search()
    legs = play(searcher, 200)
    last = {}
    for leg in legs:
        assert leg.reports > last.get(leg.number, 0)
        last[leg.number] = leg.reports
    assert sum(last.values()) == 200
    assert max(last.values()) == N_REPORTS


def test_equal_seeds_search_alike_and_others_do_not():
    first, again, other = (play(search(seed), 300) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_resumed_search_goes_on_as_it_would_have():
    searcher, seen = search(), {}
    for _ in range(60):
        leg = searcher.ask()
        seen[leg.number] = leg
        searcher.tell(leg.number, losses_of(leg.setting)[: leg.reports])
    resumed = search()
    for leg in seen.values():
        resumed.resume(leg)
        resumed.tell(leg.number, losses_of(leg.setting)[: leg.reports])
    assert resumed.best == searcher.best
    ahead, goes_on = searcher.ask(500), resumed.ask(500)
    assert (ahead.number, ahead.reports) == (goes_on.number, goes_on.reports)


@pytest.mark.parametrize("n_begun", [1, 3, 8])
def test_a_resumed_search_tries_no_setting_again_and_the_next_as_it_would_have(n_begun):
    for seed in range(20):
        searcher, resumed = search(seed), search(seed)
        legs = [searcher.ask(1000) for _ in range(n_begun)]
        for leg in legs:
            resumed.resume(leg)
        following = [searcher.ask(1000) for _ in range(3)]
        assert [resumed.ask(1000) for _ in range(3)] == following
        settings = [tuple(leg.setting.values()) for leg in (*legs, *following)]
        assert len(set(settings)) == len(settings)


def test_legs_that_are_out_are_all_different():
    searcher = search()
    legs = [searcher.ask(1000) for _ in range(20)]
    assert len({leg.number for leg in legs}) == 20
    assert len({tuple(leg.setting.values()) for leg in legs}) == 20
    for leg in legs:
        searcher.tell(leg.number, losses_of(leg.setting)[: leg.reports])
    more = [searcher.ask(1000) for _ in range(6)]
    assert len({tuple(leg.setting.values()) for leg in more}) == 6


def test_diverged_and_given_up_runs_are_never_thawed():
    searcher = search()
    bad = set()
    for index in range(200):
        leg = searcher.ask(400)
        assert leg.number not in bad
        told = losses_of(leg.setting)[: leg.reports]
        if index % 3 == 0:
            told = [*told[:-1], np.nan]
            bad.add(leg.number)
        elif index % 7 == 0 and leg.reports == 2:
            told = []
            bad.add(leg.number)
        searcher.tell(leg.number, told)
    assert np.isfinite(searcher.best.loss)


def test_a_stopped_run_is_never_thawed_and_is_known():
    searcher = search()
    leg = searcher.ask(1000)
    searcher.tell(leg.number, [0.1, 0.05], stopped=True)
    legs = play(searcher, 500)
    assert leg.number not in {later.number for later in legs}
    assert searcher.best == (leg.number, leg.setting, 0.05)
    assert max(later.reports for later in legs) == N_REPORTS


def test_a_table_is_used_row_by_row_and_ends():
    table = [
        {"lr": lr, "momentum": 0.5, "batch": 32, "optimizer": "adam"} for lr in (1e-3, 1e-2, 1e-1)
    ]
    searcher = search(candidates=table)
    legs = play(searcher, 10**6)
    assert {leg.setting["lr"] for leg in legs} == {1e-3, 1e-2, 1e-1}
    assert all(any(leg.setting is row for row in table) for leg in legs)
    assert sum({leg.number: leg.reports for leg in legs}.values()) == 3 * N_REPORTS
    assert searcher.best.setting["lr"] == 1e-2


def test_choices_alone_are_each_tried_once():
    searcher = FreezeThaw({"batch": Dimension(choices=(1, 2, 4))}, n_reports=1, seed=0)
    legs = play(searcher, 100, curve=lambda setting: [float(setting["batch"])])
    assert sorted(leg.setting["batch"] for leg in legs) == [1, 2, 4]
    assert searcher.best.loss == 1.0


def test_without_a_budget_some_are_trained_to_the_end_again_and_again():
    searcher = search()
    finished = []
    for index in range(150):
        leg = searcher.ask()
        if leg.reports == N_REPORTS:
            finished.append(index)
        searcher.tell(leg.number, losses_of(leg.setting)[: leg.reports])
    assert finished
    assert finished[0] < 50
    assert finished[-1] > 75


def test_all_diverged_ends_in_no_best_and_goes_on_looking():
    searcher = search()
    legs = play(searcher, 100, curve=lambda setting: [np.nan] * N_REPORTS)
    assert searcher.best is None
    assert all(leg.reports <= 2 for leg in legs)


def test_many_runs_are_thinned_for_the_process(monkeypatch):
    sizes = []
    condition = freeze_thaw.condition

    def spy(known, points, values):
        sizes.append(len(points))
        return condition(known, points, values)

    monkeypatch.setattr(freeze_thaw, "condition", spy)
    searcher = search()
    for number in range(500):
        setting = {"lr": 1e-3, "momentum": number / 500, "batch": 32, "optimizer": "adam"}
        searcher.resume(Leg(number, setting, 2))
        searcher.tell(number, losses_of(setting)[:2])
    assert searcher.ask(10**5).number == 500
    assert sizes == [freeze_thaw.THINNED]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: FreezeThaw(SPACE, n_reports=0, seed=0), "n_reports is 0"),
        (lambda: FreezeThaw({}, n_reports=3, seed=0), "the space is empty"),
        (lambda: search(candidates=[]), "no candidate"),
        (lambda: search(candidates=[{"lr": 0.1}]), "the space is lr, momentum"),
        (lambda: search().tell(3, [1.0]), "run 3 was never asked for"),
        (
            lambda: search(
                candidates=[{"lr": 2.0, "momentum": 0.5, "batch": 16, "optimizer": "adam"}]
            ),
            "lr is 2.0; it lies from 0.0001 to 1",
        ),
        (
            lambda: search().resume(
                Leg(0, {"lr": 0.1, "momentum": 0.5, "batch": 16, "optimizer": "lion"}, 3)
            ),
            "optimizer is 'lion'; it is one of adam, sgd",
        ),
    ],
)
def test_wrong_input_is_refused_with_what_would_be_right(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()


def test_more_losses_than_a_run_has_are_refused():
    searcher = search()
    leg = searcher.ask()
    with pytest.raises(ValueError, match="has 33 losses; a run has 32"):
        searcher.tell(leg.number, [1.0] * 33)
