"""How a sampler is made for a proposal; what each can search is in `hpo.bayesian.abilities`."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.distributions import BaseDistribution

from hpo.bayesian import space as axes
from hpo.search_keys import BayesianSearch
from hpo.space import Dimension

COST = "cost"
"""User attribute of a trial: what its whole run cost, above 0."""

STATEFUL = ("cma-es", "nsga-ii")
"""Samplers that note their generation with each trial that they propose: also at a resume."""


def first_generation(search: BayesianSearch) -> dict[str, int]:
    """Return the system attributes with which nsga-ii takes a trial for one of its first."""
    if search.sampler != "nsga-ii":
        return {}
    return {optuna.samplers.NSGAIISampler._get_generation_key(): 0}


class JointTPESampler(optuna.samplers.TPESampler):
    """TPE over a space in which every run has every setting, told beforehand.

    Optuna's own finds the space by going through all trials at every proposal.
    """

    def __init__(self, space: Mapping[str, Dimension], *, n_startup_trials: int, seed: int) -> None:
        super().__init__(
            n_startup_trials=n_startup_trials, seed=seed, multivariate=True, constant_liar=True
        )
        drawn_from = {name: axes.distribution(dimension) for name, dimension in space.items()}
        self._axes = {name: axis for name, axis in drawn_from.items() if not axis.single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the space, but for what has a single value."""
        return self._axes


def make_sampler(
    search: BayesianSearch,
    seed: int,
    *,
    space: Mapping[str, Dimension],
    known: list[optuna.trial.FrozenTrial],
) -> optuna.samplers.BaseSampler:
    """Return a sampler for one proposal.

    Parameters
    ----------
    search : the keys of the sweep file.
    seed : of this proposal.
    space : what is searched.
    known : completed trials from elsewhere, with which CMA-ES begins; the others find them in the
        study.
    """
    startup = search.startup
    if search.sampler == "tpe":
        if not any(dimension.when for dimension in space.values()):
            return JointTPESampler(space, n_startup_trials=startup, seed=seed)
        # Jointly within each group of settings that are there together.
        return optuna.samplers.TPESampler(
            n_startup_trials=startup, seed=seed, multivariate=True, group=True, constant_liar=True
        )
    if search.sampler == "gp":
        from hpo.bayesian.thinned_gp import ThinnedGPSampler  # with it torch is imported

        return ThinnedGPSampler(
            n_startup_trials=startup, seed=seed, per_cost=search.per_cost is not None
        )
    if search.sampler == "cma-es":
        return optuna.samplers.CmaEsSampler(
            n_startup_trials=startup, seed=seed, source_trials=known or None
        )
    if search.sampler == "nsga-ii":
        return optuna.samplers.NSGAIISampler(population_size=max(2, startup), seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)
