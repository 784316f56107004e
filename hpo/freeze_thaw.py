"""Freeze-thaw search: short legs of many settings, longer ones of those whose curves promise most.

A run is trained in legs, and frozen between them. Two models say what to do next: learning curves
(`scaling.learning_curves`) forecast where each run will end and how surely, and a Gaussian process
(`hpo.gaussian_process`) over the settings learns from these forecasts where further settings are
worth a look (freeze-thaw Bayesian optimization: Swersky et al. 2014, arXiv 1406.3896; second-hand).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc, rankdata

from hpo.fields import Value
from hpo.gaussian_process import Array, GaussianProcess, Hyperparameters, condition, fit
from hpo.space import Dimension
from scaling.learning_curves import forecast_curves

LEG_FACTOR = 4
LEGS = 3
SEARCH_SHARE = 0.5
N_DRAWN = 1024
THINNED = 200
REFIT = 1.1


@dataclass(frozen=True)
class Leg:
    """A run to train, from where it is, until it has made so many reports in all."""

    number: int
    setting: Mapping[str, Value]
    reports: int


@dataclass
class _Run:
    setting: Mapping[str, Value]
    encoded: Array
    asked: int
    losses: list[float] = field(default_factory=list)

    @property
    def diverged(self) -> bool:
        return not np.isfinite(self.losses).all()

    @property
    def is_out(self) -> bool:
        return not self.diverged and len(self.losses) < self.asked


class FreezeThaw:
    def __init__(
        self,
        space: Mapping[str, Dimension],
        *,
        n_reports: int,
        seed: int,
        candidates: Sequence[Mapping[str, Value]] | None = None,
    ) -> None:
        self._space = space
        self._n_reports = n_reports
        self._seed = seed
        self._legs = sorted({max(1, round(n_reports / LEG_FACTOR**k)) for k in range(LEGS)})
        self._runs: dict[int, _Run] = {}
        self._n_first = len(space) + 2
        self._hyper: tuple[int, Hyperparameters] | None = None
        self._table = candidates
        if candidates is None:
            unit = qmc.Sobol(len(space), scramble=True, seed=np.random.default_rng(seed)).random(N_DRAWN)
            candidates = [decode(space, u) for u in unit]
        self._candidates = list(candidates)
        self._encoded = np.array([encode(space, c) for c in self._candidates])
        order = np.random.default_rng(seed).permutation(len(self._candidates))
        self._order = [int(i) for i in order]
        self._used: set[int] = set()

    def ask(self, budget: int | None = None) -> Leg | None:
        spent = sum(max(r.asked if r.is_out else 0, len(r.losses)) for r in self._runs.values())
        left = budget if budget is not None else 10**9
        if left <= 0:
            return None
        if budget is None:
            total = 4 * self._n_reports
            while total <= spent:
                total *= 2
        else:
            total = spent + budget
        first = self._legs[0]
        searching = (len(self._runs) + 1) * first <= SEARCH_SHARE * total
        told = [n for n, r in self._runs.items() if r.losses]
        if searching and len(self._used) < len(self._candidates) and left >= first:
            if len(self._runs) < self._n_first or not told:
                index = next(i for i in self._order if i not in self._used)
            else:
                index = self._propose(told)
            return self._start(index, min(first, left))
        return self._thaw(told, left)

    def _start(self, index, reports):
        self._used.add(index)
        number = max(self._runs, default=-1) + 1
        self._runs[number] = _Run(self._candidates[index], self._encoded[index], reports)
        return Leg(number, self._candidates[index], reports)

    def _scores(self, told):
        f = forecast_curves([self._runs[n].losses for n in told], self._n_reports)
        return f, *normal_scores(f.best, f.best_sd)

    def _gp(self, told, y, var):
        x = np.array([self._runs[n].encoded for n in told])
        if self._hyper is None or len(told) >= REFIT * self._hyper[0]:
            self._hyper = (len(told), fit(x, y, var))
        return condition(self._hyper[1], x, y, var)

    def _propose(self, told):
        f, y, sd = self._scores(told)
        gp = self._gp(told, y, sd**2)
        rest = np.array([i for i in range(len(self._candidates)) if i not in self._used])
        mu, s = gp.predict(self._encoded[rest])
        best = gp.at_measurements()[0].min() if MODE_B == "run" else gp.predict(gp.points)[0].min()
        return int(rest[np.argmax(expected_improvement(best, mu, s))])

    def _thaw(self, told, left):
        T = self._n_reports
        cand = [n for n in told if not self._runs[n].is_out and not self._runs[n].diverged and len(self._runs[n].losses) < T]
        if not cand:
            return None
        f = forecast_curves([self._runs[n].losses for n in told], T)
        pos = np.array([told.index(n) for n in cand])
        seen = np.array([len(self._runs[n].losses) for n in cand])
        lo = min(min(self._runs[n].losses) for n in told if not self._runs[n].diverged)
        ei = expected_improvement(lo, f.end[pos], np.maximum(f.end_sd[pos], 1e-12))
        if THAW == "ei":
            pick = int(np.argmax(ei / (T - seen)))
        elif THAW == "mean":
            pick = int(np.argmin(f.best[pos]))
        elif THAW == "halving":
            last = np.array([np.mean(self._runs[n].losses[-2:]) for n in cand])
            # asynchronous rungs: share of the remaining budget by level
            pick = None
            for leg, nxt in reversed(list(zip(self._legs[:-1], self._legs[1:]))):
                at = [k for k in range(len(cand)) if seen[k] >= leg and seen[k] < nxt]
                above = sum(len(r.losses) >= nxt for r in self._runs.values())
                below = sum(len(r.losses) >= leg for r in self._runs.values())
                if at and above < below / LEG_FACTOR:
                    pick = min(at, key=lambda k: f.best[pos[k]] if HV else last[k]); break
            if pick is None:
                pick = int(np.argmin(f.best[pos] if HV else last))
        n = cand[pick]
        goal = next(leg for leg in self._legs if leg > seen[pick])
        goal = min(goal, seen[pick] + left)
        self._runs[n].asked = int(goal)
        return Leg(n, self._runs[n].setting, int(goal))

    def tell(self, number, losses):
        self._runs[number].losses = [float(v) for v in losses]


MODE_B = "run"
THAW = "ei"
HV = True


def expected_improvement(best, mean, sd):
    z = (best - mean) / sd
    return sd * (z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))


def normal_scores(mean, sd):
    n = len(mean)
    y = ndtri((rankdata(mean) - 0.5) / n)
    fin = np.isfinite(mean)
    s = np.zeros(n)
    if fin.sum() < 2:
        return y, s
    xs, first = np.unique(mean[fin], return_index=True)
    ys = y[fin][first]
    def at(v):
        return np.interp(v, xs, ys)
    s[fin] = (at(mean[fin] + sd[fin]) - at(mean[fin] - sd[fin])) / 2
    # beyond ends interp saturates
    return y, s


def encode(space, setting):
    out = []
    for name, d in space.items():
        v = setting[name]
        if d.choices is not None:
            out.append(d.choices.index(v) / max(len(d.choices) - 1, 1))
        else:
            lo, hi = d.bounds
            out.append(np.log(v / lo) / np.log(hi / lo) if d.log else (v - lo) / (hi - lo))
    return np.array(out)


def decode(space, unit):
    out = {}
    for (name, d), u in zip(space.items(), unit):
        if d.choices is not None:
            out[name] = d.choices[min(int(u * len(d.choices)), len(d.choices) - 1)]
        else:
            lo, hi = d.bounds
            out[name] = float(lo * (hi / lo) ** u) if d.log else float(lo + u * (hi - lo))
    return out
