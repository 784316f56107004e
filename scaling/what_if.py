"""What other settings than the optimum would give at a target: loss and regret, with intervals.

outcome = what_if(law, prediction.target, {"lr": np.geomspace(1e-4, 1e-2, 50)})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling import loss_surface
from scaling.errors import LawError
from scaling.law import Law
from scaling.law_prediction import MAX_REGRET
from scaling.loss_surface import Array
from scaling.prediction import Target
from storage.columns import PARAMS, TOKENS


@dataclass(frozen=True)
class Outcome:
    """What settings give at one target; an entry a setting, arrays (n_settings,).

    Attributes
    ----------
    loss, loss_low, loss_high : nats a token, by the law, and its interval.
    regret_pct, regret_low, regret_high : loss above the target's own optimum, in %: expected over
        the draws of the law, and its interval.
    """

    loss: Array
    loss_low: Array
    loss_high: Array
    regret_pct: Array
    regret_low: Array
    regret_high: Array


def what_if(
    law: Law, target: Target, settings: Mapping[str, ArrayLike], *, level: float = 0.9
) -> Outcome:
    """Return what settings give at a target, each drawn surface having its own optimum there.

    Parameters
    ----------
    target : of a prediction of this law.
    settings : positive values of each setting of the law, which broadcast; one that is left out is
        at the law's optimum.
    level : coverage of the intervals.

    Raises
    ------
    LawError : a setting that the law does not place, or a value that is not positive.
    """
    for name, values in settings.items():
        if name not in law.settings:
            raise LawError(f"the law does not place {name!r}; it knows {', '.join(law.settings)}")
        array = np.asarray(values, dtype=float)
        if not (np.isfinite(array) & (array > 0)).all():
            raise LawError(f"{name} is {array.min()}; it must be a positive number")
    scale, _ = law.log_scale({PARAMS: target.params, TOKENS: target.tokens, **target.shape})
    at_best = loss_surface.optimum(law.theta[None], law.layout, scale)[0, 0]
    free = np.exp(at_best + law.setting_centre)
    asked = [settings.get(name, free[index]) for index, name in enumerate(law.settings)]
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(values, float)) for values in asked))
    logs = np.log(np.stack(arrays, axis=-1)) - law.setting_centre
    theta = np.vstack([law.theta, law.draws])
    centre = loss_surface.optimum(theta, law.layout, scale)[:, 0]
    points = np.repeat(scale, len(logs), axis=0)
    height = loss_surface.basin(theta, law.layout, points, logs[None] - centre[:, None])
    floor = loss_surface.log_loss_at_optimum(theta, law.layout, scale)
    tail = (1 - level) / 2
    loss = np.exp(floor + height)
    ends = np.quantile(loss[1:], [tail, 1 - tail], axis=0)
    regret = 100 * np.expm1(np.minimum(height[1:], MAX_REGRET))
    regret_ends = np.quantile(regret, [tail, 1 - tail], axis=0)
    return Outcome(
        loss=loss[0],
        loss_low=np.minimum(ends[0], loss[0]),
        loss_high=np.maximum(ends[1], loss[0]),
        regret_pct=regret.mean(axis=0),
        regret_low=regret_ends[0],
        regret_high=regret_ends[1],
    )
