"""The strategy of `search: {method: bayesian}`: a study a scale, asked in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpo.bayesian.mirror import Mirror
from hpo.bayesian.scale_study import ScaleStudy
from hpo.bayesian.warm_starts import WarmStart, warm_starts
from hpo.errors import SpecError
from hpo.ladder import Scale
from hpo.planned import sobol_settings
from hpo.points import Leg, Outcome, Point, Setting
from hpo.schema import SweepSpec
from hpo.search_keys import BayesianSearch
from storage.store import Store


class Bayesian:
    """Runs are dealt to the scales in turn; a setting is repeated with each of the sweep's seeds.

    Parameters
    ----------
    spec : the sweep, checked.
    ladder : its scales, by compute.
    starts : what each scale begins with.
    mirror : takes the runs that end; None for none.
    """

    def __init__(
        self,
        spec: SweepSpec,
        ladder: Sequence[Scale],
        starts: Sequence[WarmStart],
        mirror: Mirror | None = None,
    ) -> None:
        search = spec.search
        assert isinstance(search, BayesianSearch)
        assert spec.runs is not None
        self._spec = spec
        self._ladder = ladder
        self._n_runs = spec.runs
        self._mirror = mirror
        self._begun = 0
        self._settings: dict[tuple[int, int], Setting] = {}
        self._studies = [
            ScaleStudy(
                spec.space,
                search,
                (spec.seed, rung),
                first=_first_settings(spec, search, rung, len(ladder), start),
                known=start.known,
            )
            for rung, start in enumerate(starts)
        ]

    @property
    def workload(self) -> Sequence[Scale]:
        """The scale of each run."""
        return [self._ladder[index % len(self._ladder)] for index in range(self._n_runs)]

    def ask(self) -> Leg | None:
        """Return the next run, whole."""
        if self._begun == self._n_runs:
            return None
        index = self._begun
        self._begun += 1
        rung, number, seed = self._place(index)
        run_id = f"{self._spec.name}-{index:05d}"
        study = self._studies[rung]
        if (rung, number) in self._settings:
            setting = study.begin(run_id, number, self._settings[rung, number])
        else:
            setting = study.propose(run_id, number)
        self._note(rung, number, setting)
        point = Point(run_id, self._ladder[rung], {**self._spec.fixed, **setting}, seed)
        return Leg(point, self._spec.reports)

    def resume(self, leg: Leg) -> None:
        """Take a run that an earlier launch began, with the setting that it was given."""
        index = int(leg.point.run_id.rpartition("-")[2])
        self._begun = max(self._begun, index + 1)
        rung, number, _ = self._place(index)
        setting = self._studies[rung].begin(leg.point.run_id, number, leg.point.setting)
        self._note(rung, number, setting)

    def tell(self, outcome: Outcome) -> None:
        """Take how a run ended."""
        index = int(outcome.point.run_id.rpartition("-")[2])
        rung, number, _ = self._place(index)
        self._studies[rung].tell(number, outcome)
        if self._mirror is not None:
            self._mirror.take(rung, outcome)

    def close(self) -> None:
        """Write the rest of the mirror."""
        if self._mirror is not None:
            self._mirror.close()

    def _place(self, index: int) -> tuple[int, int, int]:
        """Return a run's scale, the number of its setting there, and its seed."""
        rung, nth = index % len(self._ladder), index // len(self._ladder)
        return rung, nth // self._spec.seeds, self._spec.seed + nth % self._spec.seeds

    def _note(self, rung: int, number: int, setting: Setting) -> None:
        """Keep a setting until it has run with every seed."""
        if self._spec.seeds > 1:
            self._settings[rung, number] = setting
            self._settings.pop((rung, number - 1), None)


def build(spec: SweepSpec, ladder: Sequence[Scale], store: Store) -> Bayesian:
    """Return the strategy of a checked sweep; SpecError where it cannot begin as it asks to."""
    starts = warm_starts(spec, ladder, store)
    mirror = Mirror.of_sweep(spec, ladder, store.url)
    if mirror is not None and (name := mirror.taken()):
        raise SpecError(
            f"name: the database has an Optuna study {name!r} that is not this sweep's; "
            "give the sweep another name"
        )
    return Bayesian(spec, ladder, starts, mirror)


def _first_settings(
    spec: SweepSpec, search: BayesianSearch, rung: int, n_scales: int, start: WarmStart
) -> list[Setting]:
    """Return what a scale tries before its sampler is asked.

    What the warm start has it try comes first, in the place of as much of the startup; what that
    leaves open, and the rest of the startup, is from a Sobol sequence.
    """
    if search.sampler == "random":
        count = 0
    elif search.sampler == "qmc":
        assert spec.runs is not None
        count = -(-spec.runs // (n_scales * spec.seeds))
    else:
        count = max(search.startup - len(start.known), len(start.tries))
    seed = int(np.random.SeedSequence((spec.seed, rung)).generate_state(1)[0])
    spread = sobol_settings(spec.space, max(count, len(start.tries)), seed)
    return [*start.complete(spec.space, spread), *spread[len(start.tries) :]]
