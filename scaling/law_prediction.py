"""A law's answer for one target: the optimum, its loss and its regret, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from scaling import loss_surface
from scaling.errors import LawError
from scaling.evidence import setting_name
from scaling.loss_surface import Array
from scaling.prediction import (
    Extrapolation,
    Interval,
    LawSummary,
    Prediction,
    Regret,
    Target,
    format_setting,
)
from scaling.shapes import complete_shape
from storage.columns import BATCH_TOKENS, FLOPS, PARAMS, TOKENS

if TYPE_CHECKING:
    from scaling.law import Law

FAR_COMPUTE: Final = 1000.0  # beyond this many times the largest run's compute, say so
WIDE_INTERVAL: Final = 4.0  # high / low of a setting from which its interval settles little
MAX_REGRET: Final = math.log(2)  # of a draw: at twice the best loss, a run has diverged


def predict(
    law: Law,
    params: float,
    tokens: float,
    *,
    shape: Mapping[str, float | None],
    level: float,
    fixed: Mapping[str, float],
) -> Prediction:
    """Answer for one target; see `Law.predict`.

    Parameters
    ----------
    shape : width and depth, None where not given.
    """
    asked = {PARAMS: params, TOKENS: tokens, **shape}
    for what, value in (*asked.items(), *fixed.items()):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise LawError(f"{what} of the target is {value}; it must be a positive number")
    if unknown := [name for name in fixed if name not in law.settings]:
        raise LawError(
            f"the law cannot fix {unknown[0]!r}: its runs did not place it; it knows "
            f"{', '.join(law.settings)}"
        )
    if BATCH_TOKENS in fixed:
        check_batch(fixed[BATCH_TOKENS], tokens)
    if not 0 < level < 1:
        raise LawError(f"level is {level}; it must lie between 0 and 1, such as 0.9")
    scale, _ = law.log_scale(asked)
    best, offset, floor, height = _best_at(law, law.theta[None], scale, fixed)
    drawn, drawn_offset, drawn_floor, drawn_height = _best_at(law, law.draws, scale, fixed)
    missed = (drawn_offset + best - drawn)[:, None]
    used = loss_surface.basin(law.draws, law.layout, scale, missed)[:, 0]
    regret_pct = 100 * np.expm1(np.clip(used - drawn_height, 0, MAX_REGRET))
    optimum = {
        name: _interval(best[0, index], drawn[:, index], level)
        for index, name in enumerate(law.settings)
        if name not in fixed
    }
    target = _target(law, params, tokens, shape)
    extrapolation = _extrapolation(law, target)
    return Prediction(
        target=target,
        optimum=optimum,
        loss=_interval(floor[0] + height[0], drawn_floor + drawn_height, level),
        regret_pct=Regret(float(regret_pct.mean()), float(np.quantile(regret_pct, 0.9))),
        extrapolation=extrapolation,
        law=LawSummary(law.name, law.n_runs, law.n_scales),
        level=level,
        warnings=(*_warnings(optimum, extrapolation), *law.warnings),
        notes=tuple(_costs_of_fixing(law, scale, fixed, best[0] - offset[0], height[0])),
    )


def check_batch(batch_tokens: float, tokens: float) -> None:
    """Raise LawError for a batch that is larger than the whole training."""
    if batch_tokens > tokens:
        raise LawError(
            f"batch_tokens is {batch_tokens:,.0f}, more than the {tokens:,.0f} tokens of the whole "
            "training; a step takes a part of them"
        )


def _best_at(
    law: Law, theta: Array, scale: Array, fixed: Mapping[str, float]
) -> tuple[Array, Array, Array, Array]:
    """Return the best that can be had at one scale with some settings fixed.

    Returns
    -------
    log settings and their offsets from the free optimum, (n_surfaces, n_settings); the log
    loss at the free optimum and the height above it, (n_surfaces,).
    """
    free = loss_surface.optimum(theta, law.layout, scale)[:, 0] + law.setting_centre
    given = {
        law.settings.index(name): math.log(value) - free[:, law.settings.index(name)]
        for name, value in fixed.items()
    }
    offset = loss_surface.best_offset(theta, law.layout, given)
    height = loss_surface.basin(theta, law.layout, scale, offset[:, None])[:, 0]
    floor = loss_surface.log_loss_at_optimum(theta, law.layout, scale)[:, 0]
    return free + offset, offset, floor, height


def _target(law: Law, params: float, tokens: float, shape: Mapping[str, float | None]) -> Target:
    given = {axis: np.array([value]) for axis, value in shape.items() if value is not None}
    taken = complete_shape(law.axes, law.scales, np.array([params]), given)
    values = {axis: float(value[0]) for axis, value in taken.items()}
    return Target(float(params), float(tokens), 6.0 * params * tokens, **values)


def _extrapolation(law: Law, target: Target) -> Extrapolation:
    largest = {axis: float(law.scales[axis].max()) for axis in law.shape_axes}
    return Extrapolation(
        params=target.params / float(law.scales[PARAMS].max()),
        tokens=target.tokens / float(law.scales[TOKENS].max()),
        flops=target.flops / float(law.scales[FLOPS].max()),
        **{axis: getattr(target, axis) / value for axis, value in largest.items()},
    )


def _costs_of_fixing(
    law: Law, scale: Array, fixed: Mapping[str, float], free: Array, together: float
) -> Iterator[str]:
    """Say what fixing each setting costs by itself, and where there are several, what all do.

    Parameters
    ----------
    free : log settings of the optimum with none fixed, (n_settings,).
    together : height of the best with all of them fixed, in log loss.
    """
    several = len(fixed) > 1
    for name, value in fixed.items():
        optimum = math.exp(free[law.settings.index(name)])
        *_, height = _best_at(law, law.theta[None], scale, {name: value})
        yield (
            f"{setting_name(name)} fixed at {format_setting(name, value)}: its own optimum is "
            f"{format_setting(name, optimum)}, and fixing {'it alone ' * several}costs "
            f"{_loss_pct(height[0])}"
        )
    if several:
        names = " and ".join(setting_name(name) for name in fixed)
        yield f"fixing {names} together costs {_loss_pct(together)}"


def _loss_pct(height: float) -> str:
    return f"{100 * math.expm1(height):.2g} % of loss"


def _interval(best: float, drawn: Array, level: float) -> Interval:
    """Return the interval of exp(best) from drawn logs; it never leaves the best estimate out."""
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(
        value=math.exp(best), low=math.exp(min(low, best)), high=math.exp(max(high, best))
    )


def _warnings(optimum: dict[str, Interval], extrapolation: Extrapolation) -> list[str]:
    warnings = []
    if extrapolation.flops > FAR_COMPUTE:
        warnings.append(
            f"the target takes {extrapolation.flops:,.0f} times the compute of the largest run: "
            "the intervals assume that the same power laws hold that far"
        )
    for name, interval in optimum.items():
        if interval.high > WIDE_INTERVAL * interval.low:
            warnings.append(
                f"the {setting_name(name)} is known to a factor of "
                f"{interval.high / interval.low:.2g} only: more runs, or larger ones, would help"
            )
    return warnings
