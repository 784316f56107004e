"""Laws on width and depth in place of size: asked for, scored, questioned, and kept."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from scaling.axes import COMPUTE, SIZE_AND_TOKENS, checked_axes
from scaling.errors import InsufficientDataError, LawError
from scaling.fitting import fit_law
from scaling.law import Law
from trainers.simulated import SimulatedLaw

WIDTH_AND_TOKENS = ("width", "tokens")
SHAPE_AND_TOKENS = ("width", "depth", "tokens")


def params_of(width, depth):
    return 12.0 * depth * width**2


@pytest.fixture(scope="module")
def one_depth(draw: Callable[..., pd.DataFrame], truth: SimulatedLaw) -> pd.DataFrame:
    """Runs of one depth: width and size say the same."""
    sizes = [params_of(width, 4) for width in (256, 512, 1024)]
    runs = draw(truth, scales=[(n, ratio * n) for n in sizes for ratio in (8, 40)], per_scale=16)
    return runs.assign(width=np.round(np.sqrt(runs["params"] / 48)).astype(int), depth=4)


@pytest.fixture(scope="module")
def by_shape(shaped: pd.DataFrame) -> Law:
    return fit_law(shaped, axes=SHAPE_AND_TOKENS, n_draws=60)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (["width", "tokns"], "'tokns' is none: scale has params, .*; did you mean 'tokens'"),
        ([], "axes are none; name one or more"),
        (["tokens", "tokens"], "each once"),
        (["params", "flops", "tokens"], "name two of the three"),
    ],
)
def test_axes_that_are_none_are_refused(axes, message):
    with pytest.raises(LawError, match=message):
        checked_axes(axes)


def test_the_order_in_which_axes_are_named_changes_nothing(shaped):
    one, other = (
        fit_law(shaped, axes=axes, n_draws=2) for axes in (SHAPE_AND_TOKENS, SHAPE_AND_TOKENS[::-1])
    )
    assert one.axes == other.axes == SHAPE_AND_TOKENS
    np.testing.assert_array_equal(one.theta, other.theta)


def test_at_one_depth_a_law_on_width_is_the_law_on_size(one_depth):
    by_width = fit_law(one_depth, axes=WIDTH_AND_TOKENS, n_draws=20)
    by_size = fit_law(one_depth, axes=SIZE_AND_TOKENS, n_draws=20)
    n, d = params_of(4096, 4), 2e11
    ours, theirs = by_width.predict(n, d, width=4096), by_size.predict(n, d)
    for name, interval in ours.optimum.items():
        assert interval.value == pytest.approx(theirs.optimum[name].value, rel=1e-4)
        assert interval.low == pytest.approx(theirs.optimum[name].low, rel=1e-2)
    assert ours.loss.value == pytest.approx(theirs.loss.value, rel=1e-5)
    drifts = zip(by_width.drift(), by_size.drift(), strict=True)
    for width, size in drifts:
        assert (width.setting, width.axis, size.axis) == (size.setting, "width", "params")
        assert width.octaves.value == pytest.approx(2 * size.octaves.value, abs=1e-4)


def test_depth_alone_may_stand_for_size(draw, truth):
    sizes = [(params_of(512, depth), depth) for depth in (4, 8, 16)]
    scales = [(n, ratio * n) for n, _ in sizes for ratio in (8, 40)]
    runs = draw(truth, scales=scales, per_scale=16).assign(width=512)
    runs["depth"] = runs["params"].map(dict(sizes))
    law = fit_law(runs, axes=["depth", "tokens"], n_draws=20)
    n, d = params_of(512, 64), 1e11
    assert law.predict(n, d, depth=64).optimum["lr"].value == pytest.approx(
        float(truth.optimum(n, d).lr), rel=0.2
    )
    assert "·L^" in law.formula("lr")


def test_width_and_depth_are_told_apart(by_shape, shaped):
    terms = by_shape.terms().set_index("term")["value"]
    assert terms["lr: exponent of W"] == pytest.approx(-1.0, abs=0.05)
    assert terms["lr: exponent of L"] == pytest.approx(0.0, abs=0.05)
    assert terms["alpha_width"] == pytest.approx(0.7, abs=0.1)
    assert terms["alpha_depth"] == pytest.approx(0.35, abs=0.1)
    n, d = params_of(4096, 6), 1e12
    expected = 2e-3 * (4096 / 512) ** -1.0
    prediction = by_shape.predict(n, d, width=4096, depth=6)
    assert prediction.optimum["lr"].value == pytest.approx(expected, rel=0.1)
    assert prediction.target.shape == {"width": 4096, "depth": 6}
    assert prediction.extrapolation.width == 4
    assert prediction.extrapolation.depth == 0.75
    assert "width 4096, depth 6" in prediction.title
    assert prediction.to_dict()["target"]["width"] == 4096
    assert by_shape.residuals(shaped)["residual_pct"].abs().median() < 0.2


def test_shapes_of_one_size_are_scales_of_their_own(by_shape, shaped):
    twins = shaped[shaped["params"] == params_of(256, 8)].assign(width=512, depth=2)
    twins["loss"] *= 1.02
    both = pd.concat([shaped, twins], ignore_index=True)
    assert fit_law(both, axes=SHAPE_AND_TOKENS, n_draws=2).n_scales == by_shape.n_scales + 2
    assert fit_law(both, n_draws=2).n_scales == by_shape.n_scales


def test_a_target_lacks_its_width_only_where_its_size_was_not_measured(by_shape):
    n, d = params_of(512, 8), 4e9
    known = by_shape.predict(n, d)
    assert known == by_shape.predict(n, d, width=512, depth=8)
    assert known.target.shape == {"width": 512, "depth": 8}
    with pytest.raises(LawError, match=r"stands on width, depth and tokens: give the target's wid"):
        by_shape.predict(1e9, d)
    with pytest.raises(LawError, match=r"give the target's depth .*was not measured"):
        by_shape.predict(1e9, d, width=2048)
    with pytest.raises(LawError, match="width of the target is -3"):
        by_shape.predict(1e9, d, width=-3, depth=8)


def test_a_size_of_several_shapes_does_not_tell_its_width(shaped):
    twins = shaped[shaped["params"] == params_of(256, 8)].assign(width=512, depth=2)
    law = fit_law(pd.concat([shaped, twins]), axes=SHAPE_AND_TOKENS, n_draws=2)
    with pytest.raises(LawError, match=r"give the target's width .*has several"):
        law.optimum(params_of(256, 8), 4e9)
    assert law.optimum(params_of(256, 8), 4e9, width=256, depth=8)["lr"] > 0


def test_a_law_on_size_does_not_take_a_width(shaped):
    law = fit_law(shaped, n_draws=2)
    assert law.axes == SIZE_AND_TOKENS
    with pytest.raises(LawError, match="stands on params and tokens: it does not take the width"):
        law.predict(1e9, 2e10, width=2048)


def test_forms_on_width_are_scored_and_never_chosen_unasked(shaped):
    law = fit_law(shaped, try_shapes=True, n_draws=2)
    errors = {form.axes: form.error_pct for form in law.forms}
    assert list(errors) == [
        SIZE_AND_TOKENS, COMPUTE, WIDTH_AND_TOKENS, ("depth", "tokens"), SHAPE_AND_TOKENS,
    ]  # fmt: skip
    assert errors[SHAPE_AND_TOKENS] < errors[SIZE_AND_TOKENS] / 2
    assert law.axes in (SIZE_AND_TOKENS, COMPUTE)


def test_a_form_under_another_name_is_not_tried(one_depth):
    runs = pd.concat(
        [one_depth, one_depth.assign(tokens=one_depth["tokens"] * 4, loss=one_depth["loss"] * 0.9)]
    )
    forms = fit_law(runs, try_shapes=True, n_draws=2).forms
    assert [form.axes for form in forms] == [SIZE_AND_TOKENS, COMPUTE]


def test_a_form_on_columns_that_some_runs_lack_is_not_tried(shaped):
    some = shaped.assign(width=shaped["width"].where(shaped["depth"] == 4))
    forms = fit_law(some, try_shapes=True, n_draws=2).forms
    assert [form.axes for form in forms] == [SIZE_AND_TOKENS, COMPUTE, ("depth", "tokens")]


def test_what_an_axis_does_not_tell_apart_is_named(shaped):
    law = fit_law(shaped.assign(tokens=4e9), axes=WIDTH_AND_TOKENS, n_draws=2)
    assert any("differ in params but not in width and tokens" in text for text in law.warnings)
    assert any("all runs have one token budget D" in text for text in law.warnings)


def test_runs_that_do_not_carry_an_axis_are_refused(shaped, runs):
    with pytest.raises(LawError, match="no column 'width', which is to be an axis of scale"):
        fit_law(runs, axes=WIDTH_AND_TOKENS)
    with pytest.raises(LawError, match="'depth' is not a positive number in every run"):
        fit_law(shaped.assign(depth=shaped["depth"].where(shaped.index > 3)), axes=SHAPE_AND_TOKENS)
    with pytest.raises(InsufficientDataError, match="all 192 runs have the same width"):
        fit_law(shaped.assign(width=64), axes=["width"])


def test_a_law_on_width_survives_json(by_shape):
    again = Law.from_dict(json.loads(json.dumps(by_shape.to_dict())))
    target = {"params": 1e9, "tokens": 2e10, "width": 2048, "depth": 20}
    assert again.predict(**target) == by_shape.predict(**target)
    assert again.predict(params_of(512, 8), 4e9) == by_shape.predict(params_of(512, 8), 4e9)


def test_diverged_runs_are_counted_beside_their_shape(shaped):
    lost = shaped.head(3).assign(loss=np.nan)
    law = fit_law(pd.concat([shaped, lost]), axes=SHAPE_AND_TOKENS, n_draws=2)
    assert law.scales.loc[law.scales["diverged"] > 0, "width"].tolist() == [256]
    assert law.scales["diverged"].sum() == 3
