"""A sweep's studies in its own database, for `optuna-dashboard` and `optuna.load_study`.

The search itself works in memory and is rebuilt from our own runs; nothing is ever read back from
here. Runs that have ended are written in batches, each a transaction: many runs a batch where they
are short, and none waits longer than some seconds where they are long. A launch that was killed may
leave the last batch out; the next one writes it.

Values are as measured. A run that diverged has infinite ones, so that it is on no Pareto front.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import make_url

from hpo import planned
from hpo.bayesian.scale_study import reached_by, violations
from hpo.bayesian.study_tables import RUN_ID, add_trials, has_studies, mirrored, open_storage
from hpo.ladder import Scale
from hpo.planned import quiet_optuna
from hpo.points import Outcome
from hpo.schema import SweepSpec
from hpo.search_keys import BayesianSearch
from hpo.space import Dimension
from storage import columns

BATCH = 100
WAIT_SECONDS = 10.0
"""A batch is written when it has so many runs, or the last one is so old."""

OURS = "hyperlaw"
"""User attribute of a study that is the mirror of a sweep."""


class Mirror:
    """Writes the ended runs of a sweep as trials.

    Parameters
    ----------
    spec : the sweep.
    ladder : its scales; a study each.
    url : of the database.
    """

    def __init__(self, spec: SweepSpec, ladder: Sequence[Scale], url: str) -> None:
        search = spec.search
        assert isinstance(search, BayesianSearch)
        self._spec = spec
        self._search = search
        self._ladder = ladder
        self._url = url
        self._names = study_names(spec.name, ladder)
        self._left: list[tuple[int, FrozenTrial]] = []
        self._written_at = time.monotonic()
        self._storage: optuna.storages.RDBStorage | None = None
        self._study_ids: dict[int, int] = {}
        self._there: dict[int, set[tuple[str, bool]]] = {}
        self._n_there: dict[int, int] = {}

    @classmethod
    def of_sweep(cls, spec: SweepSpec, ladder: Sequence[Scale], url: str) -> Mirror | None:
        """Return the mirror of a sweep; None where its database is one that nobody else can open.

        That is SQLite in memory.
        """
        place = make_url(url)
        if place.get_backend_name() == "sqlite" and place.database in (None, "", ":memory:"):
            return None
        return cls(spec, ladder, url)

    def taken(self) -> str | None:
        """Return the name of a study that is there already and no mirror of ours.

        Raises
        ------
        storage.errors.StoreError
            Where Optuna's tables are of another version.
        """
        if not has_studies(self._url):
            return None
        with quiet_optuna():
            storage = open_storage(self._url)
            others = [s for s in storage.get_all_studies() if s.study_name in self._names]
            storage.engine.dispose()
        return next((s.study_name for s in others if OURS not in s.user_attrs), None)

    def take(self, rung: int, outcome: Outcome) -> None:
        """Take a run that has ended; write the batch if it is due."""
        self._left.append((rung, as_trial(self._spec.space, self._search, outcome)))
        is_old = time.monotonic() - self._written_at >= WAIT_SECONDS
        if is_old or len(self._left) >= BATCH:
            self.write()

    def write(self) -> None:
        """Write what is left.

        Raises
        ------
        storage.errors.StoreError
            Where the database cannot be written.
        """
        with quiet_optuna():
            for rung in sorted({rung for rung, _ in self._left}):
                self._write_study(rung, [trial for r, trial in self._left if r == rung])
        self._left = []
        self._written_at = time.monotonic()

    def close(self) -> None:
        """Write what is left, and close the database."""
        self.write()
        if self._storage is not None:
            self._storage.engine.dispose()

    def _write_study(self, rung: int, trials: Sequence[FrozenTrial]) -> None:
        if self._storage is None:
            self._storage = open_storage(self._url)
        if rung not in self._study_ids:
            self._study_ids[rung] = self._open_study(self._storage, rung)
            there = mirrored(self._storage.engine, self._study_ids[rung])
            self._there[rung], self._n_there[rung] = set(there), len(there)
        new = [trial for trial in trials if _key(trial) not in self._there[rung]]
        if new:
            add_trials(self._storage.engine, self._study_ids[rung], self._n_there[rung], new)
            self._there[rung].update(map(_key, new))
            self._n_there[rung] += len(new)

    def _open_study(self, storage: optuna.storages.RDBStorage, rung: int) -> int:
        """Return the id of a scale's study, which is made where it is not there."""
        objectives = list(self._search.objectives)
        study = optuna.create_study(
            storage=storage,
            study_name=self._names[rung],
            directions=["minimize"] * len(objectives),
            load_if_exists=True,
        )
        if OURS not in study.user_attrs:
            scale = self._ladder[rung]
            marks = {"sweep": self._spec.name, "params": scale.params, "tokens": scale.tokens}
            study.set_user_attr(OURS, marks)
            study.set_metric_names(objectives)
        return storage.get_study_id_from_name(self._names[rung])


def study_names(sweep: str, ladder: Sequence[Scale]) -> list[str]:
    """Return the name of each scale's study: the sweep's, with the scale where there are several.

    Scales of the same N and D, of another shape, are numbered.
    """
    if len(ladder) == 1:
        return [sweep]
    names: list[str] = []
    for scale in ladder:
        name = f"{sweep}/N={scale.params},D={scale.tokens}"
        n_before = sum(other.split("#")[0] == name for other in names)
        names.append(f"{name}#{n_before + 1}" if n_before else name)
    return names


def as_trial(
    space: Mapping[str, Dimension], search: BayesianSearch, outcome: Outcome
) -> FrozenTrial:
    """Return an ended run as a trial of Optuna's, its reports as intermediate values."""
    reached = reached_by(outcome)
    params = {n: v for n, v in outcome.point.setting.items() if n in space}
    state, values, constraints, reports = TrialState.FAIL, None, None, None
    if reached is not None:
        state = TrialState.COMPLETE
        diverged = not math.isfinite(reached[columns.LOSS])
        values = [math.inf if diverged else reached[name] for name in search.objectives]
        constraints = violations(search, reached)
    if len(search.objectives) == 1:  # Optuna has reports of a single objective only.
        reports = dict(enumerate(outcome.losses, start=1))
    trial = create_trial(
        state=state,
        values=values,
        params=params,
        distributions={name: _distribution(space[name]) for name in params},
        user_attrs={RUN_ID: outcome.point.run_id, "status": outcome.status},
        intermediate_values=reports,
        constraints=constraints,
    )
    trial.datetime_complete = datetime.now()
    trial.datetime_start = trial.datetime_complete - timedelta(seconds=outcome.seconds)
    return trial


def _distribution(dimension: Dimension) -> BaseDistribution:
    """Return a dimension with its values as they are in the runs table."""
    if dimension.multiple_of is None:
        return planned.distribution(dimension)
    assert dimension.bounds is not None
    low, high = map(round, dimension.bounds)
    if dimension.log is not None:
        return IntDistribution(low, high, log=True)
    return IntDistribution(low, high, step=dimension.multiple_of)


def _key(trial: FrozenTrial) -> tuple[str, bool]:
    return str(trial.user_attrs[RUN_ID]), trial.state == TrialState.FAIL
