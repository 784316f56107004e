"""Runs a sweep, or what is left of it: the one entry of this room for the command line.

    summary = run_sweep(load_spec("sweep.yaml"), store, spec_text=Path("sweep.yaml").read_text())

What to train is the search method's to say (`hpo.strategy`). A run that is in the store as
completed, diverged or stopped is done; all others are trained, each by a warm Ray actor, as many at
once as the resources allow. However a launch ends, by Ctrl-C or kill -9, the next one takes up what
is left: a run that was in its middle goes on from the last of its reports.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from hpo.errors import SpecError
from hpo.ladder import resolve_ladder
from hpo.legs import DONE, NOTHING_YET, stand
from hpo.machine import n_cpus, n_gpus
from hpo.methods import Launch, build_strategy
from hpo.progress import Silence, SweepObserver
from hpo.rows import Row
from hpo.schema import Resources, SweepSpec
from hpo.spec import changed_keys, check_spec
from hpo.strategy import Strategy
from hpo.tally import SweepSummary
from storage import columns
from storage.store import Store

__all__ = ["SweepSummary", "check_machine", "run_sweep"]


def run_sweep(
    spec: SweepSpec,
    store: Store,
    *,
    spec_text: str,
    observer: SweepObserver | None = None,
    address: str | None = None,
) -> SweepSummary:
    """Launch or resume a sweep; returns when it is done or interrupted.

    Parameters
    ----------
    spec : SweepSpec
        The sweep.
    store : Store
        Takes the runs. Only this process writes to it.
    spec_text : str
        The text of the sweep file, kept beside the runs.
    observer : SweepObserver, optional
        Is told what happens, such as `hpo.progress.default_observer()`.
    address : str, optional
        A Ray cluster to join: ``auto`` or ``HOST:6379``. A session that this process already has
        is used as it is and left running; otherwise Ray is started here for the sweep.

    Raises
    ------
    SpecError
        Where the sweep cannot be run, needs more than the machine has, or the store has another
        sweep of this name. Nothing is written then.
    SweepError
        Where there is no cluster at `address`, or Ray gives up.
    storage.errors.StoreError
        Where the store cannot be written.
    """
    check_spec(spec)
    exists = store.has_sweep(spec.name)
    if exists:
        _refuse_other_sweep(spec, store)
    if address is None:
        check_machine(spec)
    done = _done_rows(spec.name, store) if exists else []
    done_ids = {str(row[columns.RUN_ID]) for row in done}
    strategy = build_strategy(Launch(spec, resolve_ladder(spec), done_ids, store))
    standing = stand(store, spec.name, strategy) if exists else NOTHING_YET
    standing = standing.with_first(strategy)
    observer = Silence() if observer is None else observer
    if not standing.left and not standing.frozen:
        return _close_finished(spec, strategy, done, store, observer)

    # Not at the top: Ray takes a second to import, and what is wrong should be said before.
    from hpo.coordinator import Coordinator, Interruption
    from hpo.launch import ray_session, total_resources, train

    interruption = Interruption()
    states = _states_folder(store, spec.name)
    coordinator = Coordinator(spec, strategy, standing, store, observer, interruption, states)
    with interruption.on_sigint(), ray_session(spec.resources, address) as scratch:
        refuse_too_few(spec.resources, *total_resources(), "the Ray cluster")
        if not exists:
            store.add_sweep(spec.name, spec_text=spec_text)
        store.set_sweep_state(spec.name, "running")
        observer.started(spec.name, strategy.workload, done)
        state = "interrupted"
        try:
            train(spec, coordinator, interruption, scratch)
            if not interruption.requested:
                coordinator.stop_frozen()
                shutil.rmtree(states, ignore_errors=True)
                state = "done"
        finally:
            store.set_sweep_state(spec.name, state)
            summary = _summary(spec, strategy, store, interrupted=interruption.requested)
            observer.closed(summary)
    return summary


def _close_finished(
    spec: SweepSpec,
    strategy: Strategy,
    done: list[Row],
    store: Store,
    observer: SweepObserver,
) -> SweepSummary:
    """Close a sweep that has nothing left to train, without starting Ray."""
    store.set_sweep_state(spec.name, "done")
    observer.started(spec.name, strategy.workload, done)
    summary = _summary(spec, strategy, store, interrupted=False)
    observer.closed(summary)
    return summary


def check_machine(spec: SweepSpec) -> None:
    """Raise SpecError if one run of the sweep needs more than this machine has."""
    gpus = n_gpus() if spec.resources.gpus else 0
    refuse_too_few(spec.resources, n_cpus(), gpus, "this machine")


def refuse_too_few(resources: Resources, cpus: float, gpus: float, where: str) -> None:
    """Raise SpecError if one run needs more than there is."""
    for name, needed, there in (
        ("cpus", resources.cpus, cpus),
        ("gpus", resources.gpus, gpus),
    ):
        if needed > there:
            raise SpecError(
                f"resources.{name}: a run needs {needed:g}, more than the {there:g} of {where}; "
                f"ask for at most {there:g}"
            )


def _refuse_other_sweep(spec: SweepSpec, store: Store) -> None:
    advice = "launch it as it was, or give this one another name"
    try:
        changed = changed_keys(store.sweep(spec.name).spec_text, spec)
    except SpecError as error:
        raise SpecError(
            f"name: the store has runs named {spec.name!r} that no sweep file made; "
            "give this sweep another name"
        ) from error
    if changed:
        raise SpecError(
            f"name: the store has a sweep {spec.name!r} that differs "
            f"({'; '.join(changed)}); {advice}"
        )


def _done_rows(sweep: str, store: Store) -> list[Row]:
    """The rows of those runs that need not be trained again."""
    frame = store.runs(sweep, statuses=DONE)
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _states_folder(store: Store, sweep: str) -> Path:
    """Where the states of running runs are kept: beside the database, or here if it is no file."""
    beside = store.path
    folder = Path("hyperlaw.states") if beside is None else Path(f"{beside}.states")
    return folder.resolve() / sweep


def _summary(
    spec: SweepSpec, strategy: Strategy, store: Store, *, interrupted: bool
) -> SweepSummary:
    counts = store.runs(spec.name)[columns.STATUS].value_counts()
    ended = {status: int(counts.get(status, 0)) for status in columns.STATUSES}
    return SweepSummary(
        name=spec.name,
        planned=max(len(strategy.workload), sum(ended.values())),
        completed=ended[columns.COMPLETED],
        diverged=ended[columns.DIVERGED],
        failed=ended[columns.FAILED],
        interrupted=interrupted,
        stopped=ended[columns.STOPPED],
    )
