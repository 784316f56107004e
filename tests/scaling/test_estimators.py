from typing import Self

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from scaling.errors import LawError
from scaling.estimators import FEATURES, LossSurface


class LossSurfaceOfLogs(LossSurface):
    """LossSurface on exp(X), the columns of X repeated or cut to the four that it takes.

    scikit-learn's checks draw X of any number of columns and around zero, or from zero on where an
    estimator says that it takes positive values only; a scale or a rate of zero has no power law,
    and an array without names has four columns. Put so, the same numbers are a proper case, and
    every check applies.
    """

    def fit(self, X, y) -> Self:
        logs, loss = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
        self.surface_ = LossSurface(**self.get_params()).fit(self._four(logs), loss)
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.surface_.predict(
            self._four(validate_data(self, X, dtype=np.float64, reset=False))
        )

    def _four(self, logs):
        return np.exp(logs[:, np.arange(len(FEATURES)) % logs.shape[1]])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = False
        return tags


@pytest.mark.slow
@parametrize_with_checks([LossSurfaceOfLogs(n_draws=1)])
def test_every_check_of_scikit_learn_holds(estimator, check):
    check(estimator)


def test_it_is_an_estimator_like_any_other(runs):
    model = LossSurface(n_draws=1, seed=4)
    assert clone(model).get_params() == {"n_draws": 1, "seed": 4, "axes": None, "settings": None}
    shuffled = runs.sample(frac=1, random_state=0)
    scores = cross_val_score(model, shuffled[list(FEATURES)], shuffled["loss"], cv=4)
    assert scores.min() > 0.95


def test_it_predicts_what_the_law_says(runs):
    model = LossSurface(n_draws=1).fit(runs[list(FEATURES)].to_numpy(), runs["loss"].to_numpy())
    rows = runs[list(FEATURES)].to_numpy()[:3]
    np.testing.assert_array_equal(model.predict(rows), model.law_.loss(*rows.T))


def test_the_axes_may_be_searched_over(runs):
    search = GridSearchCV(
        LossSurface(n_draws=1), {"axes": [("params", "tokens"), ("flops",)]}, cv=3
    ).fit(runs[list(FEATURES)], runs["loss"])
    assert search.best_estimator_.law_.axes == ("params", "tokens")


def test_columns_go_by_their_names(runs):
    rng = np.random.default_rng(0)
    decay = np.exp(rng.uniform(-2, 2, len(runs)))
    loss = runs["loss"] * np.exp(0.01 * np.log(decay) ** 2)
    features = runs.assign(weight_decay=decay)[["weight_decay", *reversed(FEATURES)]]
    model = LossSurface(n_draws=1).fit(features, loss)
    assert model.law_.settings == ("lr", "batch_tokens", "weight_decay")
    assert list(model.feature_names_in_) == list(features.columns)
    of_law = model.law_.loss(
        runs["params"], runs["tokens"], runs["lr"], runs["batch_tokens"], weight_decay=decay
    )
    np.testing.assert_array_equal(model.predict(features), of_law)
    two = LossSurface(n_draws=1, settings=("lr", "weight_decay")).fit(features, loss)
    assert two.law_.settings == ("lr", "weight_decay")


def test_a_law_on_width_is_asked_with_the_widths(runs):
    width = np.sqrt(runs["params"] / 120)
    features = runs.assign(width=width)[[*FEATURES, "width"]]
    model = LossSurface(n_draws=1, axes=("width", "tokens")).fit(features, runs["loss"])
    assert model.law_.axes == ("width", "tokens")
    wider = features.head(2).assign(params=1e9, width=3e3)
    expected = model.law_.loss(1e9, wider["tokens"], wider["lr"], wider["batch_tokens"], width=3e3)
    np.testing.assert_array_equal(model.predict(wider), expected)


def test_values_without_a_logarithm_and_wrong_columns_are_refused(runs):
    features = runs[list(FEATURES)].to_numpy(copy=True)
    features[5, 2] = 0
    with pytest.raises(LawError, match=r"X\[5, 2\] \(lr\) is 0"):
        LossSurface().fit(features, runs["loss"])
    with pytest.raises(LawError, match="X has 3 columns"):
        LossSurface().fit(features[:, :3], runs["loss"])
    with pytest.raises(LawError, match="X has no column 'params'"):
        LossSurface().fit(runs[list(FEATURES)].rename(columns={"params": "n"}), runs["loss"])
    with pytest.raises(LawError, match=r"y\[0\] is -"):
        LossSurface().fit(runs[list(FEATURES)], -runs["loss"])
