"""Ray Tune's controller for sweeps of thousands of short legs.

`tune.run` is made for hundreds of long trials: it keeps each trial, its configuration, its results
and a folder to the end, writes all of them down as JSON, looks through all of them at every event,
asks Ray for resources a second time for a trial that will take over a warm actor, and starts actors
one after the other. `LegController` is the same event loop without that: what a leg costs does not
grow with the legs before it, and nothing of a leg that is over stays.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import ray
from ray.actor import ActorHandle
from ray.train._internal.storage import StorageContext
from ray.tune import PlacementGroupFactory
from ray.tune.execution.placement_groups import resource_dict_to_pg_factory
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import SearchAlgorithm

from hpo.coordinator import Coordinator
from hpo.schema import Resources, SweepSpec
from hpo.steering import Interruption
from hpo.trainable import RunTrainable

CLUSTER_SECONDS = 5.0
"""How often to look for machines that joined or left."""

_FOLDER = "legs"
"""One folder for all trials: Tune writes there how one failed, and it is read at once."""


class LegTrial(Trial):
    """A leg as Tune's trial: nothing is looked up, copied or made for it on disk."""

    def __init__(
        self,
        number: int,
        config: Mapping[str, object],
        storage: StorageContext,
        resources: PlacementGroupFactory,
    ) -> None:
        """Make the trial of a leg's configuration; `number` is any that no other one has."""
        super().__init__(
            RunTrainable.__name__,
            config=config,
            trial_id=f"{number:06d}",
            storage=storage,
            placement_group_factory=resources,
            stub=True,
        )
        self.relative_logdir = self.storage.trial_dir_name = _FOLDER

    def get_trainable_cls(self) -> type[RunTrainable]:
        """Return the one there is; Tune would ask Ray's registry for it."""
        return RunTrainable

    def set_ray_actor(self, ray_actor: ActorHandle | None) -> None:
        """Take an actor; Tune would first ask it for metrics, which nobody reads."""
        self.temporary_state.ray_actor = ray_actor


class Legs(SearchAlgorithm):
    """What Tune asks for the next trial."""

    def __init__(
        self,
        coordinator: Coordinator,
        find_room: Callable[[], int],
        storage: StorageContext,
        resources: PlacementGroupFactory,
    ) -> None:
        """Hand out what `coordinator` gives; `find_room` says how many actors there can be."""
        self._coordinator = coordinator
        self._find_room = find_room
        self._storage = storage
        self._resources = resources
        self._numbers = itertools.count()

    def next_trial(self) -> LegTrial | None:
        """Return the trial of the next legs; None if there is none now, or never again."""
        finished = self.is_finished()
        config = None if finished else self._coordinator.next_trial(self._find_room())
        if config is not None:
            return LegTrial(next(self._numbers), config, self._storage, self._resources)
        if self._coordinator.finished:
            self.set_finished()
        return None


class LegController(TuneController):
    """Runs legs on warm actors, as many at once as the cluster has room for."""

    def __init__(
        self,
        spec: SweepSpec,
        coordinator: Coordinator,
        interruption: Interruption,
        scheduler: TrialScheduler,
        scratch: Path,
    ) -> None:
        """Train what `coordinator` hands out; `scratch` is a folder of this machine."""
        needs = spec.resources
        request = resource_dict_to_pg_factory({"cpu": needs.cpus, "gpu": needs.gpus})
        storage = StorageContext(storage_path=str(scratch), experiment_dir_name=spec.name)
        super().__init__(
            search_alg=Legs(coordinator, self._find_room, storage, request),
            scheduler=scheduler,
            stopper=interruption,
            callbacks=[coordinator],
            storage=storage,
            reuse_actors=True,
        )
        self._needs = needs
        self._room = 0
        self._looked = -math.inf
        # Or Tune would keep one actor only while a search waits for its runs to end.
        self._actor_cache.increase_max(request, by=self._find_room())

    def run(self) -> None:
        """Train until there are no more legs, or the launch is interrupted."""
        try:
            while not self.is_finished():
                self.step()
        finally:
            self.cleanup()

    def checkpoint(self, force: bool = False, wait: bool = False) -> None:
        """Write nothing: the store has it all."""

    def on_step_end(self) -> None:
        """Forget the trials that are over."""
        super().on_step_end()
        for trial in [trial for trial in self._trials if trial.is_finished()]:
            self._trials.remove(trial)
            for known in (
                self._live_trials,
                self._stopped_trials,
                self._failed_trials,
                self._trials_to_cache,
            ):
                known.discard(trial)

    def _maybe_update_trial_queue(self) -> None:
        """Ask for as many legs as there is room for, and not for one ahead.

        Their actors are then started side by side, a leg that follows another takes over its warm
        actor at once, and a search proposes with all that is known.
        """
        self._max_pending_trials = max(0, self._find_room() - len(self._running_trials))
        super()._maybe_update_trial_queue()

    def _maybe_reuse_cached_actor(self, trial: Trial) -> bool:
        """Give a warm actor to a trial that has none, rather than to one whose own is starting.

        Tune prefers the older trial, ends the actor that is starting, and starts another one for
        the other trial, and so on: no second actor ever comes to train.
        """
        has_actor = trial in self._trial_to_actor
        if has_actor and any(other not in self._trial_to_actor for other in self._pending_trials):
            return trial in self._resetting_trials
        reuses: bool = super()._maybe_reuse_cached_actor(trial)
        return reuses

    def _find_room(self) -> int:
        now = time.monotonic()
        if now - self._looked >= CLUSTER_SECONDS:
            self._looked = now
            # A run that is too big for what is left waits for a machine to come back.
            self._room = max(1, room_for(self._needs, machines()))
        return self._room


def machines() -> list[Mapping[str, float]]:
    """Return what each machine of the Ray session has, free or not."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def room_for(needs: Resources, machines: Iterable[Mapping[str, float]]) -> int:
    """Return how many runs fit on machines at once, each run on one machine, its GPU part on one.

    >>> room_for(Resources(cpus=2, gpus=0.4), [{"CPU": 8, "GPU": 2}, {"CPU": 3}])
    4
    """
    room = 0
    for machine in machines:
        fits = _floor(machine.get("CPU", 0.0) / needs.cpus)
        if needs.gpus >= 1:
            fits = min(fits, _floor(machine.get("GPU", 0.0) / needs.gpus))
        elif needs.gpus:
            fits = min(fits, _floor(machine.get("GPU", 0.0)) * _floor(1 / needs.gpus))
        room += fits
    return room


def _floor(ratio: float) -> int:
    """Round down, but for what rounding errors took: 0.3 is in 0.9 three times."""
    return math.floor(ratio + 1e-9)
