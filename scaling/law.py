"""The law: a fitted loss surface with its draws, asked for the optimum of any scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scaling import law_prediction, law_terms, loss_surface
from scaling.axes import layout_of, log_axes, shape_axes
from scaling.errors import LawError
from scaling.law_terms import Drift
from scaling.loss_surface import Array, Layout
from scaling.model_choice import FormScore
from scaling.prediction import Prediction
from scaling.robust_fit import STUDENT_DOF, residual_variance
from scaling.selection import usable
from scaling.shapes import complete_shape
from storage.columns import BATCH_TOKENS, DEPTH, LOSS, LR, PARAMS, TOKENS, WIDTH

DOCUMENT_VERSION = 1
KIND = "loss-surface"
NEAR_PCT = 2.0  # runs within this much of their optimum are "near" it


@dataclass(frozen=True)
class Law:
    """A joint loss surface with its draws. Made by `scaling.fitting.fit_law` or `Law.from_dict`.

    Attributes
    ----------
    name : what it is called in the store and in predictions.
    settings : the hyperparameters it can place: "lr", and "batch_tokens" where runs vary it.
    axes : what scale is measured in; see `scaling.axes`.
    theta : (layout.size,), the fitted surface; see `scaling.loss_surface`.
    draws : (n_draws, layout.size), surfaces that the same runs might have given.
    centre : (n_axes + n_settings,), natural logs of scale and settings that `theta` is relative to.
    noise : σ of the runs near the optimum, in log loss; see `scaling.robust_fit` and `noise_pct`.
    scales : a row a measured scale: params, tokens, width and depth as far as they are axes, flops,
        runs, diverged, best_loss.
    warnings : what the runs could not say.
    forms : the forms that were tried, with their errors on scales left out.
    mu_parametrized : whether every run was trained under muP or one of its kin.
    """

    name: str
    settings: tuple[str, ...]
    axes: tuple[str, ...]
    theta: Array
    draws: Array
    centre: Array
    noise: float
    scales: pd.DataFrame
    warnings: tuple[str, ...]
    forms: tuple[FormScore, ...]
    mu_parametrized: bool = False

    @property
    def n_runs(self) -> int:
        """Runs that the law is fitted to."""
        return int(self.scales["runs"].sum())

    @property
    def n_scales(self) -> int:
        """Scales, rows of `scales`, among them."""
        return len(self.scales)

    @property
    def noise_pct(self) -> float:
        """Standard deviation of the loss from run to run of one setting, in %.

        σ is the scale of a Student-t law, whose standard deviation is larger.
        """
        return 100 * self.noise * math.sqrt(STUDENT_DOF / (STUDENT_DOF - 2))

    @property
    def shape_axes(self) -> tuple[str, ...]:
        """Which of width and depth the law stands on: what a target needs beside N and D."""
        return shape_axes(self.axes)

    @property
    def layout(self) -> Layout:
        """Where each term stands in `theta`."""
        return layout_of(self.axes, self.settings)

    @property
    def setting_centre(self) -> Array:
        """Natural logs that the settings of `theta` are relative to, (n_settings,)."""
        return self.centre[len(self.axes) :]

    def optimum(
        self,
        params: ArrayLike,
        tokens: ArrayLike,
        *,
        width: ArrayLike | None = None,
        depth: ArrayLike | None = None,
    ) -> dict[str, Array]:
        """Return the settings of least loss at N parameters and D tokens (scalars or arrays).

        A law on width or depth takes them too; at a measured N they may be left out.
        """
        asked = {PARAMS: params, TOKENS: tokens, WIDTH: width, DEPTH: depth}
        scale, shape = self.log_scale(asked)
        centred = loss_surface.optimum(self.theta[None], self.layout, scale)[0]
        logs = centred + self.setting_centre
        return {name: np.exp(logs[:, i]).reshape(shape) for i, name in enumerate(self.settings)}

    def loss(
        self,
        params: ArrayLike,
        tokens: ArrayLike,
        lr: ArrayLike | None = None,
        batch_tokens: ArrayLike | None = None,
        *,
        width: ArrayLike | None = None,
        depth: ArrayLike | None = None,
        **others: ArrayLike,
    ) -> Array:
        """Return the loss, nats a token, at the settings given, at the optimum of those not given.

        Arguments broadcast; width and depth are as for `optimum`. A setting that the law does not
        know, such as a batch size that the runs did not vary, is ignored.
        """
        settings = {LR: lr, BATCH_TOKENS: batch_tokens, **others}
        given = {
            name: np.asarray(value, float) for name, value in settings.items() if value is not None
        }
        asked = {PARAMS: params, TOKENS: tokens, WIDTH: width, DEPTH: depth}
        scale, shape = self.log_scale(asked, *given.values())
        offset = np.zeros((1, len(scale), len(self.settings)))
        at_optimum = loss_surface.optimum(self.theta[None], self.layout, scale)[0]
        for index, name in enumerate(self.settings):
            if name in given:
                logs = np.log(np.broadcast_to(given[name], shape).ravel())
                offset[0, :, index] = logs - self.setting_centre[index] - at_optimum[:, index]
        height = loss_surface.basin(self.theta[None], self.layout, scale, offset)[0]
        floor = loss_surface.log_loss_at_optimum(self.theta[None], self.layout, scale)[0]
        return np.asarray(np.exp(floor + height).reshape(shape))

    def predict(
        self,
        params: float,
        tokens: float,
        *,
        width: float | None = None,
        depth: float | None = None,
        level: float = 0.9,
        fixed: Mapping[str, float] | None = None,
    ) -> Prediction:
        """Return the optimum, its loss and its regret at one scale, with intervals.

        Parameters
        ----------
        params, tokens : the target's N (non-embedding) and D, positive.
        width, depth : the target's, where the law stands on them; those of the runs where its N was
            measured, if None.
        level : coverage of the intervals.
        fixed : settings that cannot be chosen, such as ``{"batch_tokens": 2**20}``; the others are
            then the best beside them, and a note says what fixing them costs.

        Raises
        ------
        LawError : a target or fixed setting that is not positive, a width or depth that the law
            needs and does not have or has no use for, a fixed setting that the law does not know,
            a fixed batch larger than `tokens`, or a level outside (0, 1).
        """
        shape = {WIDTH: width, DEPTH: depth}
        return law_prediction.predict(
            self, params, tokens, shape=shape, level=level, fixed=fixed or {}
        )

    def log_scale(
        self, asked: Mapping[str, ArrayLike | None], *others: Array
    ) -> tuple[Array, tuple[int, ...]]:
        """Return scales on the law's axes, centred, (n_scales, n_axes), and their common shape.

        Parameters
        ----------
        asked : params and tokens, and width and depth where they are given; they broadcast.
        others : arrays that they broadcast with.
        """
        known = {
            axis: np.asarray(value, float) for axis, value in asked.items() if value is not None
        }
        shape = np.broadcast_shapes(*(value.shape for value in (*known.values(), *others)))
        flat = {axis: np.broadcast_to(value, shape).ravel() for axis, value in known.items()}
        params, tokens = flat.pop(PARAMS), flat.pop(TOKENS)
        of_shape = complete_shape(self.axes, self.scales, params, flat)
        logs = log_axes(
            self.axes,
            np.log(np.stack([params, tokens], axis=1)),
            {axis: np.log(values) for axis, values in of_shape.items()},
        )
        return logs - self.centre[: len(self.axes)], shape

    def residuals(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Return the usable runs with what the law says of each.

        Returns
        -------
        The runs with columns `predicted` (nats a token), `residual_pct` (measured over predicted),
        `height_pct` (the run above its scale's optimum, by the law), `expected_pct` (the residual
        that the law expects there) and `near` (within 2 % of the optimum).
        """
        kept = usable(runs)
        columns = (*self.shape_axes, *self.settings)
        given = {name: kept[name].to_numpy(dtype=float) for name in columns}
        params, tokens = (kept[name].to_numpy(dtype=float) for name in (PARAMS, TOKENS))
        predicted = self.loss(params, tokens, **given)
        shape = {axis: given[axis] for axis in self.shape_axes}
        height = np.log(predicted / self.loss(params, tokens, **shape))
        return kept.assign(
            predicted=predicted,
            residual_pct=100 * (kept[LOSS].to_numpy(dtype=float) / predicted - 1),
            height_pct=100 * np.expm1(height),
            expected_pct=100 * np.sqrt(residual_variance(height, np.array(self.noise))),
            near=100 * np.expm1(height) <= NEAR_PCT,
        )

    def terms(self, *, level: float = 0.9) -> pd.DataFrame:
        """Return the law's constants with intervals: columns term, value, low, high, meaning."""
        return law_terms.terms(self, level=level)

    def formula(self, name: str) -> str:
        """Write the optimum of a setting as a power law, e.g. `lr = 1.8·N^-0.71·D^0.31`."""
        return law_terms.formula(self, name)

    def drift(self, *, level: float = 0.9) -> tuple[Drift, ...]:
        """Return how far each optimum moves as the model doubles, with an interval.

        One for each setting and each axis of size (params, width, depth) that the law stands on;
        none for a law on compute, which does not tell size from data.
        """
        return law_terms.drift(self, level=level)

    def to_dict(self) -> dict[str, Any]:
        """Return the law as plain data that `from_dict` takes back and JSON can hold."""
        return {
            "schema_version": DOCUMENT_VERSION,
            "kind": KIND,
            "name": self.name,
            "settings": list(self.settings),
            "axes": list(self.axes),
            "theta": self.theta.tolist(),
            "draws": self.draws.tolist(),
            "centre": self.centre.tolist(),
            "noise": self.noise,
            "runs": self.n_runs,
            "scales": self.scales.to_dict(orient="records"),
            "mu_parametrized": self.mu_parametrized,
            "warnings": list(self.warnings),
            "forms": [
                {"axes": list(form.axes), "error_pct": form.error_pct, "chosen": form.chosen}
                for form in self.forms
            ],
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Law:
        """Rebuild a law from `to_dict`; LawError where the document is of another version."""
        if (version := document.get("schema_version")) != DOCUMENT_VERSION:
            raise LawError(
                f"this law was written as version {version!r}; this hyperlaw reads version "
                f"{DOCUMENT_VERSION}: fit it again"
            )
        return cls(
            name=document["name"],
            settings=tuple(document["settings"]),
            axes=tuple(document["axes"]),
            theta=np.array(document["theta"]),
            draws=np.array(document["draws"]),
            centre=np.array(document["centre"]),
            noise=float(document["noise"]),
            scales=pd.DataFrame(document["scales"]),
            mu_parametrized=document.get("mu_parametrized", False),
            warnings=tuple(document["warnings"]),
            forms=tuple(
                FormScore(tuple(form["axes"]), form["error_pct"], form["chosen"])
                for form in document["forms"]
            ),
        )
