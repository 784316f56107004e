"""Ray and Ray Tune, kept quiet: the session of a sweep, and the training of its points."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.tune.error import TuneError

from hpo.controller import LegController, machines, room_for
from hpo.coordinator import Coordinator
from hpo.errors import SpecError, SweepError
from hpo.machine import n_cpus, n_gpus, refuse_too_few
from hpo.schedulers import build_scheduler
from hpo.schema import Resources, SweepSpec
from hpo.scratch import scratch_folder
from hpo.steering import Interruption

__all__ = ["check_room", "cluster_for", "join_cluster", "ray_session", "total_resources", "train"]

_OBJECT_STORE_BYTES = 100 * 2**20
"""Runs pass reports through Ray, not data, so that its object store can be small."""

_ANSWER_SECONDS = 5.0

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
"""Tune prints nothing: the observer does."""


@contextmanager
def ray_session(resources: Resources, address: str | None) -> Iterator[Path]:
    """Run the body with Ray up; yields a scratch folder that is gone afterwards.

    A session that this process already has is used and left running. With an `address` that
    cluster is joined and left at the end. Otherwise a local Ray is started with this machine's
    cores (and GPUs, if a run needs one), and shut down at the end.

    Raises
    ------
    SweepError
        Where there is no cluster at `address`.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_environment(_ENVIRONMENT))
        stack.enter_context(_quiet_loggers())
        # Ray prints its warnings to stdout, where only data belongs.
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        scratch = stack.enter_context(scratch_folder())
        if not ray.is_initialized():
            stack.callback(ray.shutdown)
            if address is not None:
                join_cluster(address)
            else:
                ray.init(
                    address="local",
                    num_cpus=n_cpus(),
                    num_gpus=n_gpus() if resources.gpus else 0,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    _temp_dir=str(scratch),
                )
        yield scratch


@contextmanager
def cluster_for(spec: SweepSpec, address: str) -> Iterator[None]:
    """Run the body as a member of a cluster that can run the sweep; it is left at the end.

    Raises
    ------
    SweepError
        Where there is no cluster at `address`.
    SpecError
        Where one run needs more than it has.
    """
    with ray_session(spec.resources, address):
        check_room(spec.resources)
        yield


def check_room(resources: Resources) -> None:
    """Raise SpecError if there is no machine in the Ray session that a run fits on."""
    refuse_too_few(resources, *total_resources(), "the Ray cluster")
    if not room_for(resources, machines()):
        raise SpecError(
            f"resources: a run needs {resources.cpus:g} cpus and {resources.gpus:g} gpus on one "
            "machine, and no machine of the Ray cluster has both; ask for less"
        )


def total_resources() -> tuple[float, float]:
    """Cores and GPUs of the Ray session, busy ones among them."""
    there = ray.cluster_resources()
    return there.get("CPU", 0.0), there.get("GPU", 0.0)


def train(
    spec: SweepSpec, coordinator: Coordinator, interruption: Interruption, scratch: Path
) -> None:
    """Train what the coordinator hands out, as much at once as there is room for, to its end.

    Raises
    ------
    SweepError
        Where Ray Tune gives up. What the store, the strategy or the observer raised is raised as
        it was.
    """
    try:
        scheduler = build_scheduler(spec, coordinator.stop_leg)
        LegController(spec, coordinator, interruption, scheduler, scratch).run()
    except TuneError as error:
        if coordinator.error is None:
            last = str(error).strip().splitlines()[-1]
            raise SweepError(f"Ray Tune gave up: {last}") from error
    if coordinator.error is not None:
        raise coordinator.error


def join_cluster(address: str) -> None:
    """Join the Ray cluster at `address`; SweepError, within seconds, where there is none."""
    none_there = SweepError(
        f"address {address}: no Ray cluster answers there; start one with 'ray start --head', "
        "or give no address to run on this machine alone"
    )
    if address.startswith("ray://"):
        raise SweepError(
            f"address {address}: a client's address; give the cluster's own, 'auto' or HOST:6379"
        )
    if address != "auto":
        # Ray itself goes on trying for minutes.
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise SweepError(f"address {address}: not an address; write 'auto' or HOST:6379")
        try:
            socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise none_there from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except ConnectionError as error:
        raise none_there from error


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
