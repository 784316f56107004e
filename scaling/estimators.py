"""The law as a scikit-learn estimator, for pipelines, cross-validation and model selection.

    >>> from scaling.estimators import LossSurface
    >>> model = LossSurface().fit(runs[["params", "tokens", "lr", "batch_tokens"]], runs["loss"])
    >>> model.law_.predict(params=7e9, tokens=1.4e11)

`scaling.fitting.fit_law` does the same from a runs table without importing scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.loss_surface import Array
from storage.columns import BATCH_TOKENS, LOSS, LR, PARAMS, TOKENS

FEATURES = (PARAMS, TOKENS, LR, BATCH_TOKENS)


class LossSurface(RegressorMixin, BaseEstimator):
    """Joint loss surface over scale and setting; see `scaling.loss_surface`.

    Parameters
    ----------
    n_draws : surfaces drawn for intervals; 1 is enough where only `predict` is wanted.
    seed : of the draws.
    axes, settings : what scale is measured in and which hyperparameters are placed; as for
        `scaling.fitting.fit_law`, which chooses where None.

    Attributes
    ----------
    law_ : scaling.law.Law, the fitted law.
    n_features_in_ : the number of columns.
    feature_names_in_ : their names, where X had them.
    """

    def __init__(
        self,
        n_draws: int = 200,
        seed: int = 0,
        axes: Sequence[str] | None = None,
        settings: Sequence[str] | None = None,
    ) -> None:
        self.n_draws = n_draws
        self.seed = seed
        self.axes = axes
        self.settings = settings

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to runs.

        Parameters
        ----------
        X : (n_runs, 4), columns params, tokens, lr, batch_tokens, all positive; or a DataFrame with
            these by name, in any order, and with others, such as weight_decay or width.
        y : (n_runs,), losses, nats a token, positive.

        Raises
        ------
        LawError : columns that are wrong, values without a logarithm, or runs that carry no law.
        """
        features, loss = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
        if (loss <= 0).any():
            row = int((loss <= 0).argmax())
            raise LawError(f"y[{row}] is {loss[row]:g}; a loss must be positive")
        runs = self._runs(features).assign(**{LOSS: loss})
        self.law_ = fit_law(
            runs, axes=self.axes, settings=self.settings, n_draws=self.n_draws, seed=self.seed
        )
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Return the expected loss of each row of X, (n_runs,), nats a token."""
        check_is_fitted(self)
        runs = self._runs(validate_data(self, X, dtype=np.float64, reset=False))
        asked = (PARAMS, TOKENS, *self.law_.shape_axes, *self.law_.settings)
        return self.law_.loss(**{name: runs[name].to_numpy() for name in asked})

    def __sklearn_tags__(self) -> Tags:
        """Declare that X and y must be positive, and that no other function is learned."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.positive_only = True
        tags.regressor_tags.poor_score = True
        return tags

    def _runs(self, features: Array) -> pd.DataFrame:
        """Return features as a table of runs; LawError where it lacks what a law needs."""
        names = [str(name) for name in getattr(self, "feature_names_in_", FEATURES)]
        if features.shape[1] != len(names):
            raise LawError(
                f"X has {features.shape[1]} columns; without names it must have these "
                f"{len(FEATURES)}: {', '.join(FEATURES)}"
            )
        if missing := [name for name in FEATURES if name not in names]:
            raise LawError(f"X has no column {missing[0]!r}; it needs {', '.join(FEATURES)}")
        for name in FEATURES:
            column = names.index(name)
            wrong = features[:, column] <= 0
            if wrong.any():
                row = int(wrong.argmax())
                raise LawError(
                    f"X[{row}, {column}] ({name}) is {features[row, column]:g}; it must be positive"
                )
        return pd.DataFrame(features, columns=names)
