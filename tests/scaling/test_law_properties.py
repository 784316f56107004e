"""What no law may depend on: units, the order of rows and columns, and how many runs there are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.axes import COMPUTE, SIZE_AND_TOKENS
from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.law import Law
from scaling.model_choice import FormScore, unusual_choice

AXES = (SIZE_AND_TOKENS, COMPUTE, ("width", "tokens"), ("width", "depth", "tokens"))
SHAPES = ((256, 4), (512, 4), (512, 8), (1024, 12))
TARGET = {"params": 12.0 * 20 * 2048**2, "tokens": 2e10, "width": 2048.0, "depth": 20.0}

few = settings(max_examples=8)  # an example is one or two fits
seeds = st.integers(0, 2**16)
decades = st.floats(-6, 6)


def random_runs(seed: int, *, per_scale: int = 8, shapes=SHAPES, decay: bool = False):
    """Draw runs of a random law in N and D, with the columns of their shapes."""
    law, rng = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    lr_in_params, lr_in_tokens = law.uniform(-0.8, 0), law.uniform(-0.3, 0.3)
    batch_in_tokens, alpha = law.uniform(0.2, 0.6), law.uniform(0.25, 0.45)
    frames = []
    for width, depth in shapes:
        params = 12.0 * depth * width**2
        for tokens in (8 * params, 40 * params):
            n, d = params / 4e7, tokens / 1e9
            best = {"lr": 2e-3 * n**lr_in_params * d**lr_in_tokens}
            best["batch_tokens"] = 2e5 * d**batch_in_tokens
            if decay:
                best["weight_decay"] = 0.1 * d**-0.3
            drawn = {
                name: value * np.exp(rng.uniform(-2, 2, per_scale)) for name, value in best.items()
            }
            height = sum(0.015 * np.log(drawn[name] / best[name]) ** 2 for name in best)
            loss = (1.7 + n**-alpha + d**-alpha) * np.exp(
                height + 0.001 * rng.normal(size=per_scale)
            )
            scale = {"params": params, "tokens": tokens, "width": width, "depth": depth}
            frames.append(pd.DataFrame({**scale, **drawn, "loss": loss}))
    return pd.concat(frames, ignore_index=True)


def target_of(law: Law) -> dict[str, float]:
    return {axis: TARGET[axis] for axis in ("params", "tokens", *law.shape_axes)}


@few
@given(
    seed=seeds,
    axes=st.sampled_from(AXES),
    decade=st.fixed_dictionaries(
        dict.fromkeys(("params", "tokens", "width", "depth", "lr", "batch_tokens", "loss"), decades)
    ),
)
def test_units_change_constants_and_not_predictions(seed, axes, decade):
    runs = random_runs(seed)
    unit = {name: 10.0**power for name, power in decade.items()}
    other_runs = runs.assign(**{name: runs[name] * factor for name, factor in unit.items()})
    law, other = (fit_law(table, axes=axes, n_draws=20) for table in (runs, other_runs))
    asked = target_of(law)
    ours = law.predict(**asked)
    theirs = other.predict(**{axis: value * unit[axis] for axis, value in asked.items()})
    for name, interval in ours.optimum.items():
        assert theirs.optimum[name].value / unit[name] == pytest.approx(interval.value, rel=1e-4)
        assert theirs.optimum[name].low / unit[name] == pytest.approx(interval.low, rel=1e-2)
        assert theirs.optimum[name].high / unit[name] == pytest.approx(interval.high, rel=1e-2)
    assert theirs.loss.value / unit["loss"] == pytest.approx(ours.loss.value, rel=1e-5)
    assert theirs.extrapolation.flops == pytest.approx(ours.extrapolation.flops)
    for drift, same in zip(law.drift(), other.drift(), strict=True):
        assert same.octaves.value == pytest.approx(drift.octaves.value, abs=1e-4)


@few
@given(seed=seeds, axes=st.sampled_from((None, *AXES)), order=seeds)
def test_the_order_of_rows_and_columns_changes_nothing(seed, axes, order):
    runs = random_runs(seed, decay=True)
    # Runs that differ in their decay and their shape alone have no order by scale, rate and loss.
    twins = runs.head(6).assign(weight_decay=runs["weight_decay"].iloc[6:12].to_numpy())
    runs = pd.concat([runs, twins, runs.head(3).assign(width=100, depth=26)], ignore_index=True)
    rng = np.random.default_rng(order)
    shuffled = runs.iloc[rng.permutation(len(runs)), rng.permutation(runs.shape[1])]
    law, other = (fit_law(table, axes=axes, n_draws=4) for table in (runs, shuffled))
    assert other.to_dict() == law.to_dict()
    pd.testing.assert_frame_equal(
        other.residuals(shuffled)[["loss", "residual_pct"]],
        law.residuals(runs)[["loss", "residual_pct"]],
    )


@few
@given(seed=seeds, more=st.sampled_from([16, 32]), larger=st.booleans())
def test_more_runs_never_change_conventions_unsaid(seed, more, larger):
    shapes = (*SHAPES, (1536, 12), (1536, 24)) if larger else SHAPES
    runs = random_runs(seed)
    law = fit_law(runs, n_draws=2)
    bigger = fit_law(pd.concat([runs, random_runs(seed, per_scale=more, shapes=shapes)]), n_draws=2)
    assert bigger.settings == law.settings
    for fitted in (law, bigger):
        said = any("scale is measured in flops" in text for text in fitted.warnings)
        assert said == (fitted.axes != SIZE_AND_TOKENS)
        assert fitted.axes in (SIZE_AND_TOKENS, COMPUTE)


def test_a_choice_of_compute_is_said():
    usual = FormScore(SIZE_AND_TOKENS, 0.5, False)
    said = unusual_choice((usual, FormScore(COMPUTE, 0.25, True)))
    assert said == (
        "scale is measured in flops, as on the largest scales, left out, that was 0.25 % off and "
        "params and tokens 0.5 %"
    )
    asked_for = (FormScore(COMPUTE, None, True),)
    as_usual = (FormScore(SIZE_AND_TOKENS, 0.5, True), FormScore(COMPUTE, 0.25, False))
    assert unusual_choice(asked_for) is None
    assert unusual_choice(as_usual) is None


def test_runs_that_lack_a_setting_drop_it_aloud():
    runs = random_runs(1, decay=True)
    assert "weight_decay" in fit_law(runs, n_draws=2).settings
    for none in (0.0, np.nan):
        more = pd.concat([runs, random_runs(2).assign(weight_decay=none)])
        law = fit_law(more, n_draws=2)
        assert "weight_decay" not in law.settings
        assert any("weight decay varies, but 64 of 128 runs" in text for text in law.warnings)
    with pytest.raises(LawError, match="'weight_decay' is not a positive number in every run"):
        fit_law(more, settings=["lr", "weight_decay"], n_draws=2)


def test_runs_that_lack_an_axis_do_not_change_it():
    runs = random_runs(1)
    more = pd.concat([runs, random_runs(2).drop(columns="width")])
    with pytest.raises(LawError, match="'width' is not a positive number in every run"):
        fit_law(more, axes=["width", "tokens"])


def test_runs_of_another_parametrization_are_named():
    runs = random_runs(1).assign(parametrization="mup")
    alone = fit_law(runs, n_draws=2)
    mixed = fit_law(pd.concat([runs, random_runs(2).assign(parametrization="sp")]), n_draws=2)
    assert alone.mu_parametrized
    assert not mixed.mu_parametrized
    assert not any("parametrizations" in text for text in alone.warnings)
    assert any("several parametrizations (mup, sp)" in text for text in mixed.warnings)
    untold = fit_law(pd.concat([runs, random_runs(2)]), n_draws=2)
    assert any("several parametrizations (mup, none)" in text for text in untold.warnings)
    nowhere = fit_law(runs.assign(parametrization=np.nan), n_draws=2)
    assert not any("parametrizations" in text for text in nowhere.warnings)
