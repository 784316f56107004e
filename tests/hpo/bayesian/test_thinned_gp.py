"""What the Gaussian process learns from: the best trials, and those that cover the space."""

from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers._gp import sampler as optunas

from hpo.bayesian import thinned_gp
from hpo.bayesian.thinned_gp import ThinnedGPSampler, informative
from hpo.planned import quiet_optuna

AXES: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0, 1),
    "y": FloatDistribution(1e-3, 1, log=True),
    "name": CategoricalDistribution(["a", "b", "c"]),
}


@given(st.integers(2, 60), st.integers(2, 40), st.integers(0, 99))
def test_the_best_half_is_kept_and_nothing_twice(n_trials: int, n_kept: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, badness = rng.random((n_trials, 3)), rng.permutation(n_trials).astype(float)
    kept = informative(points, badness, n_kept)
    assert kept == sorted(set(kept))
    assert len(kept) == min(n_kept, n_trials)
    best = np.argsort(badness)[: min(n_trials, (n_kept + 1) // 2)]
    assert set(best.tolist()) <= set(kept)


def test_the_rest_covers_the_space_whatever_it_reached() -> None:
    """A thousand trials crowd about the best; the few elsewhere are all kept."""
    rng = np.random.default_rng(0)
    crowd = 0.5 + 0.01 * rng.standard_normal((1000, 2))
    corners = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1], [0.5, 0], [0, 0.5]])
    points = np.vstack([crowd, corners])
    badness = ((points - 0.5) ** 2).sum(axis=1)
    assert set(range(1000, 1006)) <= set(informative(points, badness, 40))


def test_equal_points_are_no_trouble() -> None:
    assert len(informative(np.zeros((50, 2)), np.zeros(50), 20)) == 20


def study_of(n_trials: int, *, directions: int = 1, bound: bool = False) -> optuna.Study:
    """A study of random trials, whose value grows with the distance from (0.3, 0.1, b)."""
    rng = np.random.default_rng(1)
    with quiet_optuna():
        study = optuna.create_study(directions=["minimize"] * directions)
        for _ in range(n_trials):
            x, y, name = rng.random(), 10 ** rng.uniform(-3, 0), "abc"[rng.integers(3)]
            value = (x - 0.3) ** 2 + 0.1 * np.log10(y / 0.1) ** 2 + 0.2 * (name != "b")
            study.add_trial(
                optuna.trial.create_trial(
                    values=[value, 1 / (1 + value)][:directions],
                    params={"x": x, "y": y, "name": name},
                    distributions=AXES,
                    constraints={"seconds": x - 0.25} if bound else None,
                )
            )
    return study


def propose(study: optuna.Study) -> dict[str, Any]:
    with quiet_optuna():
        study.sampler = ThinnedGPSampler(n_startup_trials=5, seed=0)
        return study.ask(AXES).params


@pytest.mark.parametrize(("directions", "bound"), [(1, False), (1, True), (2, False)])
def test_no_process_sees_more_than_the_kept(
    monkeypatch: pytest.MonkeyPatch, directions: int, bound: bool
) -> None:
    monkeypatch.setattr(thinned_gp, "KEPT", 30)
    fit, sizes = optunas.gp.fit_kernel_params, []

    def measured(**given: Any) -> Any:
        sizes.append(len(given["X"]))
        return fit(**given)

    monkeypatch.setattr(optunas.gp, "fit_kernel_params", measured)
    propose(study_of(200, directions=directions, bound=bound))
    assert sizes == [30] * (directions + bound)


def test_it_proposes_about_the_optimum_from_a_long_history() -> None:
    proposed = propose(study_of(400))
    assert proposed["x"] == pytest.approx(0.3, abs=0.15)
    assert abs(np.log10(proposed["y"] / 0.1)) < 0.6
    assert proposed["name"] == "b"


def test_a_trial_that_breaks_a_bound_is_none_of_the_best() -> None:
    trials = study_of(100, bound=True).trials
    order = np.argsort(thinned_gp._badness(trials))
    breaks = [trials[place].params["x"] > 0.25 for place in order]
    assert breaks == sorted(breaks)
