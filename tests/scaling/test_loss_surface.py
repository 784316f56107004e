import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.loss_surface import (
    Layout,
    SurfaceData,
    basin,
    best_offset,
    optimum,
    surface,
    surface_and_jacobian,
)

seeds = st.integers(0, 2**32 - 1)


def random_surface(
    seed: int,
    n_settings: int,
    n_axes: int = 2,
    n_size_axes: int = 1,
    n_runs: int = 7,
    n_surfaces: int = 3,
):
    rng = np.random.default_rng(seed)
    layout = Layout(n_settings, n_axes, n_size_axes)
    theta = rng.normal(0, 0.5, (n_surfaces, layout.size))
    data = SurfaceData(rng.normal(0, 1, (n_runs, n_axes)), rng.normal(0, 1.5, (n_runs, n_settings)))
    return layout, theta, data


@given(
    seed=seeds,
    n_settings=st.integers(1, 3),
    axes=st.sampled_from([(1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (4, 3)]),
)
def test_jacobian_is_the_derivative(seed, n_settings, axes):
    layout, theta, data = random_surface(seed, n_settings, *axes)
    log_loss, height, jacobian = surface_and_jacobian(theta, layout, data)
    value, value_height = surface(theta, layout, data)
    np.testing.assert_allclose(log_loss, value, rtol=1e-12)
    np.testing.assert_allclose(height, value_height, rtol=1e-12)
    for position in range(layout.size):
        step = np.zeros(layout.size)
        step[position] = 1e-6
        up, _ = surface(theta + step, layout, data)
        down, _ = surface(theta - step, layout, data)
        np.testing.assert_allclose(
            jacobian[:, position], (up - down) / 2e-6, rtol=1e-4, atol=1e-6 * np.abs(up).max()
        )


@given(seed=seeds, n_settings=st.integers(1, 3))
def test_basin_is_zero_at_its_centre_and_rises_along_every_ray(seed, n_settings):
    layout, theta, _ = random_surface(seed, n_settings)
    direction = np.random.default_rng(seed).normal(size=n_settings)
    distance = np.linspace(0, 20, 200)
    scale = np.random.default_rng(seed).normal(size=(1, 2))
    heights = basin(theta, layout, scale, (distance[:, None] * direction)[None])
    assert heights[:, 0] == pytest.approx(0)
    assert (np.diff(heights, axis=1) > 0).all()


def test_optimum_is_where_the_surface_is_least():
    layout, theta, data = random_surface(5, n_settings=2, n_runs=1, n_surfaces=1)
    best = optimum(theta, layout, data.scale)[0, 0]
    at_best, _ = surface(theta, layout, SurfaceData(data.scale, best[None]))
    around = best + np.random.default_rng(0).normal(0, 2, (500, 2))
    elsewhere, _ = surface(theta, layout, SurfaceData(np.repeat(data.scale, 500, axis=0), around))
    assert (elsewhere > at_best).all()


@given(seed=seeds, fixed=st.sampled_from([(0,), (1,), (0, 2), (2, 1)]))
def test_best_offset_is_the_lowest_cut_through_the_basin(seed, fixed):
    layout, theta, _ = random_surface(seed, n_settings=3)
    theta[:, layout.skew] *= 0.3
    rng = np.random.default_rng(seed)
    given_offsets = {index: rng.normal(0, 1, len(theta)) for index in fixed}
    best = best_offset(theta, layout, given_offsets)
    scale = np.zeros((1, 2))
    lowest = basin(theta, layout, scale, best[:, None])[:, 0]
    for index, value in given_offsets.items():
        np.testing.assert_array_equal(best[:, index], value)
    for _ in range(50):
        other = best + rng.normal(0, 0.3, best.shape)
        for index, value in given_offsets.items():
            other[:, index] = value
        assert (basin(theta, layout, scale, other[:, None])[:, 0] >= lowest - 1e-9).all()


def test_nothing_fixed_is_the_optimum():
    layout, theta, _ = random_surface(1, n_settings=2)
    np.testing.assert_array_equal(best_offset(theta, layout, {}), np.zeros((3, 2)))
