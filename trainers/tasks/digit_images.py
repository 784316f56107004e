"""scikit-learn's handwritten digits: 1,797 real grey images of 8 × 8 pixels, nothing downloaded.

A third of them, drawn once for all runs and evenly from the ten classes, is held out. Each image
is there nine times: as it is, and shifted by a pixel in each of the eight directions, with what
comes in from outside empty. numpy only; scikit-learn is imported where the images are read.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from trainers.data import DIGITS
from trainers.errors import TrainerError
from trainers.models.images import N_CLASSES

HELD_OUT_FRACTION = 1 / 3
SPLIT_SEED = 0
SHIFTS = tuple((down, right) for down in (0, -1, 1) for right in (0, -1, 1))
"""Pixels; the first is none."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images, (n, 8, 8) float32, and their classes, (n,) int64.

    The shifts of an image stand side by side, len(SHIFTS) of them.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Digits:
    """What is trained on and what is held out, scaled alike: training pixels to mean 0, rms 1."""

    train: Images
    held_out: Images


def check_installed() -> None:
    """Raise TrainerError unless scikit-learn can be imported."""
    if find_spec("sklearn") is None:
        raise TrainerError(
            f"data {DIGITS!r} comes with scikit-learn, which is not installed here; install it "
            "(pip install scikit-learn), or train gpt"
        )


@lru_cache(maxsize=1)
def load() -> Digits:
    """Return the digits, read once a process."""
    check_installed()
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 8, 8).astype(np.float64)
    held_out = _held_out(labels)
    train_images = _shifted(images[~held_out])
    mean, std = train_images.mean(), train_images.std()

    def scaled(part: npt.NDArray[np.bool_]) -> Images:
        shifted = (_shifted(images[part]) - mean) / std
        return Images(shifted.astype(np.float32), np.repeat(labels[part], len(SHIFTS)))

    return Digits(train=scaled(~held_out), held_out=scaled(held_out))


def _held_out(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Draw a mask with HELD_OUT_FRACTION of each class."""
    generator = np.random.default_rng(SPLIT_SEED)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in range(N_CLASSES):
        of_class = generator.permutation(np.flatnonzero(labels == label))
        held_out[of_class[: round(HELD_OUT_FRACTION * len(of_class))]] = True
    return held_out


def _shifted(images: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (n · shifts, h, w): each image by each of SHIFTS."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    height, width = images.shape[1:]
    shifted = [
        padded[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
        for down, right in SHIFTS
    ]
    return np.stack(shifted, axis=1).reshape(-1, height, width)
