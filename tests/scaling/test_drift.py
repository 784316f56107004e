"""The drift of the optimum with size: the check of hyperparameter transfer, in numbers."""

import numpy as np
import pandas as pd
import pytest

from scaling.fitting import fit_law
from scaling.law import Law

WIDTHS = (128, 256, 512, 1024)


def runs_with_drift(octaves: float, *, per_scale: int = 20, seed: int = 0) -> pd.DataFrame:
    """Draw runs under muP whose optimal rate moves by so many octaves a doubling of width."""
    rng = np.random.default_rng(seed)
    frames = []
    for width in WIDTHS:
        for tokens in (1e9, 6e9):
            best = 2e-3 * (width / 256) ** octaves
            lr = best * np.exp(rng.uniform(-2, 2, per_scale))
            height = 0.02 * np.log(lr / best) ** 2
            loss = 1.7 + (width / 256) ** -0.7 + (tokens / 1e9) ** -0.35
            frames.append(
                pd.DataFrame(
                    {
                        "params": 48.0 * width**2,
                        "tokens": tokens,
                        "width": width,
                        "lr": lr,
                        "batch_tokens": 2e5,
                        "loss": loss * np.exp(height + 0.001 * rng.normal(size=per_scale)),
                        "parametrization": "mup",
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def law_on_width(runs: pd.DataFrame) -> Law:
    return fit_law(runs, axes=["width", "tokens"], n_draws=150)


@pytest.mark.parametrize(("octaves", "holds"), [(0.0, True), (0.01, True), (-0.5, False)])
def test_the_drift_is_found_and_judged(octaves, holds):
    (drift,) = law_on_width(runs_with_drift(octaves)).drift()
    assert (drift.setting, drift.axis) == ("lr", "width")
    assert drift.octaves.low <= octaves <= drift.octaves.high
    assert drift.octaves.value == pytest.approx(octaves, abs=0.03)
    assert drift.holds is holds


@pytest.mark.parametrize("narrow", [128, 1024])
def test_runs_of_one_width_do_not_tell_whatever_is_expected_under_mup(narrow):
    runs = runs_with_drift(0.0)
    (drift,) = law_on_width(runs[runs["width"] == narrow]).drift()
    assert drift.holds is None
    assert drift.octaves.low < 0 < drift.octaves.high


def test_a_wider_level_gives_a_wider_interval():
    law = law_on_width(runs_with_drift(0.0))
    (narrow,), (wide,) = law.drift(level=0.5), law.drift(level=0.98)
    assert wide.octaves.low < narrow.octaves.low < narrow.octaves.high < wide.octaves.high


def test_a_law_remembers_that_its_runs_were_under_mup():
    law = fit_law(runs_with_drift(0.0), n_draws=2)
    assert law.mu_parametrized
    assert Law.from_dict(law.to_dict()).mu_parametrized
    assert not fit_law(runs_with_drift(0.0).assign(parametrization="sp"), n_draws=2).mu_parametrized
    kept_before = {key: value for key, value in law.to_dict().items() if key != "mu_parametrized"}
    assert not Law.from_dict(kept_before).mu_parametrized


def test_compute_does_not_tell_size_from_data():
    assert fit_law(runs_with_drift(0.0), axes=["flops"], n_draws=2).drift() == ()
