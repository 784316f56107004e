"""The digits that the image models are trained on, and what is refused about them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trainers.config import RunConfig
from trainers.errors import TrainerError
from trainers.registry import kind
from trainers.tasks import digit_images
from trainers.tasks.digits import MLPTask

CONFIG = RunConfig(
    "mlp", {"width": 16, "depth": 1}, 640, {"lr": 0.01, "batch_tokens": 32}, data="digits"
)


def first_shifts(part: digit_images.Images) -> np.ndarray:
    return part.images[:: len(digit_images.SHIFTS)]


def test_a_third_of_each_class_is_held_out():
    digits = digit_images.load()
    n_shifts = len(digit_images.SHIFTS)
    counts = [np.bincount(part.labels) / n_shifts for part in (digits.train, digits.held_out)]
    assert sum(counts).sum() == 1797
    assert counts[1] / sum(counts) == pytest.approx(1 / 3, abs=0.01)


def test_no_image_is_on_both_sides_in_any_shift():
    digits = digit_images.load()
    train, held_out = (
        {image.round(4).tobytes() for image in part.images}
        for part in (digits.train, digits.held_out)
    )
    assert not train & held_out


def test_shifts_move_an_image_by_a_pixel():
    images = digit_images.load().train.images
    empty = images.min()
    original = images[0]
    for index, (down, right) in enumerate(digit_images.SHIFTS):
        shifted = np.roll(original, (down, right), (0, 1))
        for axis, step in ((0, down), (1, right)):
            if step:
                np.moveaxis(shifted, axis, 0)[0 if step > 0 else -1] = empty
        np.testing.assert_allclose(images[index], shifted, atol=1e-6)


def test_training_pixels_are_scaled():
    images = digit_images.load().train.images
    assert images.mean() == pytest.approx(0, abs=1e-4)
    assert images.std() == pytest.approx(1, abs=1e-4)


def test_reports_are_judged_by_a_shift_of_each_image():
    task = MLPTask(CONFIG, torch.device("cpu"))
    final, report = (task.held_out(final=final)[1] for final in (True, False))
    assert len(final) == 599 * 9
    assert len(report) == pytest.approx(599 * 0.9, abs=1)


def test_a_seed_draws_the_same_images():
    task = MLPTask(CONFIG, torch.device("cpu"))
    first, again, other = (
        task.draw(8, torch.Generator().manual_seed(seed))[0] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_other_data_is_refused():
    with pytest.raises(TrainerError, match="data is 'python-stdlib'; trainer 'mlp' trains on 'dig"):
        kind("mlp").check(replace(CONFIG, data="python-stdlib"))


def test_without_scikit_learn_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(digit_images, "find_spec", lambda name: None)
    with pytest.raises(TrainerError, match=r"comes with scikit-learn, .*pip install scikit-learn"):
        kind("mlp").check(CONFIG)


def test_a_width_that_does_not_split_into_heads_is_refused():
    config = replace(CONFIG, trainer="vit", shape={"width": 40, "depth": 1})
    with pytest.raises(TrainerError, match="heads of 16; the nearest that work: 32 and 48"):
        kind("vit").check(config)
    kind("vit").check(replace(config, model={"head_size": 20}))
