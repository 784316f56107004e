"""Sweep files made from runs that were done: the check of a law, and the next runs of a plan."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hyperlaw.errors import InputError
from hyperlaw.recipe import Recipe, recipe_of

if TYPE_CHECKING:
    import pandas as pd

    from hpo.schema import SweepSpec
    from trainers.config import Value

NEIGHBOUR: Final = {"batch_tokens": 2.0}
"""How many times smaller and larger the neighbours of the predicted value are, by setting."""
NEIGHBOUR_ELSE: Final = 1.6
"""A learning rate off by two costs more than 2 % of loss: too far to see the basin's floor."""

WARMUP_FRACTION: Final = "warmup_fraction"
"""What a trainer's setting gives the warm-up as; a runs table has it in tokens."""
STEM_LENGTH: Final = 50
"""Of a new sweep's name; a sweep's name has 64 characters at most."""


def next_name(source: str, taken: Collection[str]) -> str:
    """Return the name of the next sweep after `source`, none of those that are taken.

    >>> next_name("ladder", []), next_name("ladder-next-1", ["ladder", "ladder-next-1"])
    ('ladder-next-1', 'ladder-next-2')
    """
    stem = re.sub(r"-next-\d+$", "", source)[:STEM_LENGTH]
    names = (f"{stem}-next-{number}" for number in itertools.count(1))
    return next(name for name in names if name not in taken)


def check_sweep_text(
    spec: SweepSpec,
    *,
    name: str,
    shape: Mapping[str, int],
    tokens: int,
    optimum: Mapping[str, float],
) -> str:
    """Return a sweep file that tries the predicted setting and its neighbours at one new size.

    Parameters
    ----------
    spec : the ladder that the law was fitted to.
    name : of the new sweep.
    shape, tokens : the new size.
    optimum : what the law predicts for it, by setting. Settings that the law does not place stay
        as they are in the ladder's space.
    """
    recipe = recipe_of(spec)
    space: dict[str, object] = {
        key: dimension.model_dump(exclude_defaults=True) for key, dimension in spec.space.items()
    }
    for key, value in optimum.items():
        factor = NEIGHBOUR.get(key, NEIGHBOUR_ELSE)
        tried = [recipe.buildable(key, near) for near in (value / factor, value, value * factor)]
        space[key] = {"choices": list(dict.fromkeys(tried))}
    parts = {
        "scales": {**shape, "tokens": tokens},
        "search": {"method": "grid"},
        "space": space,
        "seeds": spec.seeds,
    }
    return recipe.file(name, parts)


def next_sweep_text(recipe: Recipe, *, name: str, plan: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Return a sweep file of planned runs, listed best first.

    Parameters
    ----------
    recipe : of the runs so far.
    name : of the new sweep.
    plan : a row a run: params, tokens and settings.
    runs : the runs so far. A searched setting that the plan does not name is that of the best run
        of the scale, or of the scale nearest in compute; a planned run that was done before gets
        a seed of its own.

    Raises
    ------
    InputError : a planned scale has an N whose shape no run tells.
    """
    from scaling.axes import SHAPE
    from storage.columns import PARAMS, TOKENS, WARMUP_TOKENS

    if WARMUP_TOKENS in plan.columns:
        plan = plan.assign(**{WARMUP_FRACTION: plan[WARMUP_TOKENS] / plan[TOKENS]})
    known = {*recipe.searched, *recipe.fixed}
    planned = [str(name) for name in plan.columns if name in known]
    kept = [name for name in recipe.searched if name not in planned and name in runs.columns]
    done = _seeds_done(runs, planned)
    points = []
    for row in plan.to_dict("records"):
        params, tokens = round(row[PARAMS]), round(row[TOKENS])
        if params not in recipe.shapes:
            sizes = ", ".join(f"{size:,}" for size in sorted(recipe.shapes))
            raise InputError(
                f"no run tells which shape has N = {params:,}, which the sweep file is to have; "
                f"the shapes of N = {sizes} are known"
            )
        best = _best_run(runs, params, tokens)
        given = [name for name in planned if row[name] == row[name]]  # a cell without a value: NaN
        chosen = {name: recipe.buildable(name, row[name]) for name in given}
        used = done.setdefault((params, tokens, *chosen.values()), set())
        seed = next(number for number in itertools.count() if number not in used)
        used.add(seed)
        shape = recipe.shapes[params]
        asked: dict[str, int] = {
            axis: round(row[axis]) for axis in SHAPE if axis in row and axis in shape
        }
        point: dict[str, object] = {
            "scale": {**shape, **asked, "tokens": tokens},
            "setting": chosen | {str(name): _plain(best[name]) for name in kept if name in best},
        }
        points.append(point | ({"seed": seed} if seed else {}))
    fixed = {name: value for name, value in recipe.fixed.items() if name not in planned}
    parts = {"search": {"method": "listed"}, "points": points}
    return replace(recipe, fixed=fixed).file(name, parts)


def _seeds_done(runs: pd.DataFrame, settings: list[str]) -> dict[tuple[Value, ...], set[int]]:
    """Return the seeds that each scale and setting has been run with."""
    from storage.columns import PARAMS, SEED, TOKENS

    done: dict[tuple[Value, ...], set[int]] = {}
    keys = runs.reindex(columns=[PARAMS, TOKENS, *settings]).itertuples(index=False, name=None)
    for key, seed in zip(keys, runs[SEED], strict=True):
        done.setdefault(key, set()).add(int(seed))
    return done


def _best_run(runs: pd.DataFrame, params: float, tokens: float) -> pd.Series:
    """Return the run of least loss of the scale, or of the one nearest to it in compute.

    Columns in which it has no value are left out.
    """
    import numpy as np

    from storage.columns import LOSS, PARAMS, TOKENS

    ended = runs[runs[LOSS].notna()]
    away = np.abs(np.log(ended[PARAMS] * ended[TOKENS] / (params * tokens)))
    nearest = ended[away == away.min()]
    best: pd.Series = nearest.iloc[int(nearest[LOSS].argmin())].dropna()
    return best


def _plain(cell: object) -> object:
    """Return a cell as a sweep file holds it: Python's own, whole numbers without a point."""
    import numpy as np

    value = cell.item() if isinstance(cell, np.generic) else cell
    return int(value) if isinstance(value, float) and value.is_integer() else value
