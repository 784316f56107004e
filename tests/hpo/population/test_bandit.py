"""PB2's bandit: on problems whose best setting is known, it finds it, also where it moves."""

import numpy as np
import pytest

from hpo.population.bandit import Gain, propose

MEMBERS, TAKERS = 8, 2


def run_bandit(best_at: list[np.ndarray], *, random: bool, seed: int = 0) -> list[np.ndarray]:
    """Play generations in which a leg gains 1 - |x - best|²; return the points that were chosen."""
    rng = np.random.default_rng(seed)
    units = rng.random((MEMBERS, 2))
    losses = np.full(MEMBERS, 10.0)
    gains: list[Gain] = []
    chosen = []
    for generation, best in enumerate(best_at):
        after = losses - 1 + ((units - best) ** 2).sum(axis=1) + 0.02 * rng.standard_normal(MEMBERS)
        gains += [Gain(generation, *leg) for leg in zip(units.copy(), losses, after, strict=True)]
        order = np.argsort(after)
        losses = after.copy()
        losses[order[-TAKERS:]] = after[order[:TAKERS]]
        if random:
            points = list(rng.random((TAKERS, 2)))
        else:
            points = propose(
                gains,
                generation + 1,
                going_on=[units[i] for i in order[:-TAKERS]],
                count=TAKERS,
                rng=rng,
            )
        units[order[-TAKERS:]] = points
        chosen += points
    return chosen


def distance(points: list[np.ndarray], best: np.ndarray) -> float:
    return float(np.mean([np.linalg.norm(point - best) for point in points]))


@pytest.mark.parametrize("seed", range(3))
def test_its_proposals_gain_more_than_random_ones(seed: int) -> None:
    best = np.array([0.3, 0.8])
    ours = run_bandit([best] * 10, random=False, seed=seed)
    drawn = run_bandit([best] * 10, random=True, seed=seed)
    assert distance(ours[-8:], best) < 0.5 * distance(drawn, best)


def test_it_forgets_what_was_best_before() -> None:
    first, second = np.array([0.2, 0.2]), np.array([0.8, 0.8])
    points = run_bandit([first] * 4 + [second] * 7, random=False)
    assert distance(points[-6:], second) < 0.3 < distance(points[-6:], first)


def test_those_that_take_over_together_do_not_take_the_same() -> None:
    rng = np.random.default_rng(0)
    units = rng.random((MEMBERS, 2))
    gains = [Gain(0, unit, 10.0, 9.0 + ((unit - 0.5) ** 2).sum()) for unit in units]
    points = propose(gains, 1, going_on=[], count=4, rng=rng)
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i]]
    assert min(gaps) > 0


def test_a_leg_that_diverged_counts_as_a_bad_one() -> None:
    rng = np.random.default_rng(0)
    units = rng.random((20, 1))
    after = [np.inf if unit[0] > 0.5 else 9.0 - unit[0] for unit in units]
    gains = [Gain(0, unit, 10.0, loss) for unit, loss in zip(units, after, strict=True)]
    (point,) = propose(gains, 1, going_on=[], count=1, rng=rng)
    assert point[0] < 0.6
