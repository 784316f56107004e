"""The Gaussian process: gradients, what it learns of a known surface, and what it leaves unsure."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from hpo.gaussian_process import Hyperparameters, _negative_log_likelihood, condition, fit


def surface(points):
    """Steep along the first axis, flat along the others."""
    return 3 * (points[:, 0] - 0.3) ** 2


def test_gradient_is_that_of_the_likelihood():
    rng = np.random.default_rng(0)
    points = rng.random((12, 3))
    values = rng.standard_normal(12)
    theta = np.array([-0.5, 0.2, 0.8, 0.1, -3.0, 0.3])
    numeric = approx_fprime(theta, lambda at: _negative_log_likelihood(at, points, values)[0], 1e-7)
    exact = _negative_log_likelihood(theta, points, values)[1]
    assert exact == pytest.approx(numeric, rel=1e-4, abs=1e-4)


def test_finds_which_dimension_matters_and_predicts_others():
    rng = np.random.default_rng(1)
    points, others = rng.random((40, 3)), rng.random((100, 3))
    known = fit(points, surface(points))
    assert known.lengths[0] < 0.5 * known.lengths[1:].min()
    mean, sd = condition(known, points, surface(points)).predict(others)
    assert np.abs(mean - surface(others)).mean() < 0.05
    assert (sd > 0).all()


def test_is_sure_where_it_has_measured_and_knows_nothing_far_away():
    known = Hyperparameters(np.full(2, 0.1), signal=1.0, nugget=1e-4, mean=0.5)
    process = condition(known, np.array([[0.2, 0.2]]), np.array([-1.0]))
    mean, sd = process.predict(np.array([[0.2, 0.2], [0.9, 0.9]]))
    assert mean == pytest.approx([-1.0, 0.5], abs=1e-2)
    assert sd == pytest.approx([0.0, 1.0], abs=2e-2)
