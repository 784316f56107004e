"""Runs a sweep, or what is left of it: the one entry of this room for the command line.

    summary = run_sweep(load_spec("sweep.yaml"), store, spec_text=Path("sweep.yaml").read_text())

What to train is the search method's to say (`hpo.strategy`). A run that is in the store as
completed, diverged or stopped is done; all others are trained, each by a warm Ray actor, as many at
once as the resources allow. However a launch ends, by Ctrl-C or kill -9, the next one takes up what
is left: a run that was in its middle goes on from the last of its reports. A launch claims its
sweep in the store, so that there is one of a sweep at a time, and obeys what others ask of it there
(`hpo.steering`).
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from hpo.checks import run_config
from hpo.continued import check_start
from hpo.errors import SpecError
from hpo.extension import check_extendable, is_longer
from hpo.ladder import resolve_ladder
from hpo.legs import OVER, Standing, nothing_yet, stand
from hpo.machine import n_cpus, n_gpus, refuse_too_few
from hpo.methods import Launch, build_strategy
from hpo.progress import Silence, SweepObserver
from hpo.rows import Row, curve, stopped_row
from hpo.schema import SweepSpec
from hpo.spec import changed_keys, check_spec
from hpo.strategy import Closing, Strategy
from hpo.tally import SweepSummary
from storage import columns
from storage.drivers import Driver
from storage.store import Store
from storage.sweeps import DONE, INTERRUPTED

__all__ = ["SweepSummary", "check_machine", "run_sweep"]


def run_sweep(
    spec: SweepSpec,
    store: Store,
    *,
    spec_text: str,
    observer: SweepObserver | None = None,
    address: str | None = None,
) -> SweepSummary:
    """Launch, resume or extend a sweep; returns when it is done, or ended by a signal or request.

    Parameters
    ----------
    spec : SweepSpec
        The sweep. It may have more `runs` than the store's of the same name.
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
        Where the store cannot be written, or another process runs the sweep.
    """
    check_spec(spec)
    exists = store.has_sweep(spec.name)
    longer = exists and _is_longer(spec, store)
    if address is None:
        check_machine(spec)
    observer = Silence() if observer is None else observer
    driver = Driver.this_process()
    with contextlib.ExitStack() as stack:
        if exists:
            left_in = store.sweep(spec.name).state
            store.claim_sweep(spec.name, driver)
            stack.callback(store.release_sweep, spec.name, driver, left_in)
        strategy, standing = _restand(spec, store)
        standing = standing.with_first(strategy)
        done = _done_rows(spec.name, store) if exists else []
        if not standing.left:
            observer.started(spec.name, strategy.workload, done)
            _stop_frozen(spec, standing, store, observer)
            return _close(spec, strategy, store, observer, driver, DONE)

        check_start(spec, folder_beside(store, "runs"))
        # Not at the top: Ray takes a second to import, and what is wrong should be said before.
        from hpo.coordinator import Coordinator
        from hpo.launch import check_room, ray_session, train
        from hpo.steering import Helm, Interruption

        interruption = Interruption()
        stack.enter_context(interruption.on_signals())
        scratch = stack.enter_context(ray_session(spec.resources, address))
        interruption.listen()
        check_room(spec.resources)
        if not exists:
            store.add_sweep(spec.name, spec_text=spec_text)
            store.claim_sweep(spec.name, driver)
        elif longer:
            store.set_spec_text(spec.name, spec_text)
        states = folder_beside(store, "states") / spec.name
        coordinator = Coordinator(
            spec,
            (strategy, standing),
            lambda spec, retry_failed: _restand(spec, store, retry_failed=retry_failed),
            store,
            observer,
            interruption,
            Helm(store, spec.name, driver),
            states,
            folder_beside(store, "runs") / spec.name,
        )
        observer.started(spec.name, strategy.workload, done)
        state = INTERRUPTED
        try:
            train(spec, coordinator, interruption, scratch)
            state = coordinator.end_state()
            if state == DONE:
                _stop_frozen(spec, coordinator.standing, store, observer)
                _drop_states(states, spec.name, store)
        finally:
            summary = _close(coordinator.spec, coordinator.strategy, store, observer, driver, state)
    return summary


def _restand(
    spec: SweepSpec, store: Store, *, retry_failed: bool = True
) -> tuple[Strategy, Standing]:
    """Build a sweep's strategy, tell it all that the store has, and see what is left."""
    ladder = resolve_ladder(spec)
    if not store.has_sweep(spec.name):
        return build_strategy(Launch(spec, ladder, (), store)), nothing_yet()
    done = {str(row[columns.RUN_ID]) for row in _done_rows(spec.name, store)}
    strategy = build_strategy(Launch(spec, ladder, done, store))
    return strategy, stand(store, spec.name, strategy, retry_failed=retry_failed)


def _stop_frozen(
    spec: SweepSpec, standing: Standing, store: Store, observer: SweepObserver
) -> None:
    """Record the runs that are frozen for good as stopped."""
    for run_id, leg in standing.frozen.items():
        reports, point = standing.reports[run_id], leg.point
        config = run_config(spec, point.scale, point.setting, point.seed)
        row = stopped_row(spec.name, point, config, reports[-1])
        store.record_run(row, curve(reports))
        observer.finished(point, row)


def _close(
    spec: SweepSpec,
    strategy: Strategy,
    store: Store,
    observer: SweepObserver,
    driver: Driver,
    state: str,
) -> SweepSummary:
    """Leave the sweep in a state, and say how it stands."""
    store.release_sweep(spec.name, driver, state)
    if isinstance(strategy, Closing):
        strategy.close()
    summary = _summary(spec, strategy, store, state)
    observer.closed(summary)
    return summary


def _drop_states(states: Path, sweep: str, store: Store) -> None:
    """Remove the states of runs, unless there are failed ones that may be tried again."""
    if store.runs(sweep, statuses=[columns.FAILED]).empty:
        shutil.rmtree(states, ignore_errors=True)


def check_machine(spec: SweepSpec) -> None:
    """Raise SpecError if one run of the sweep needs more than this machine has."""
    gpus = n_gpus() if spec.resources.gpus else 0
    refuse_too_few(spec.resources, n_cpus(), gpus, "this machine")


def _is_longer(spec: SweepSpec, store: Store) -> bool:
    """Say whether the store's sweep of this name has fewer runs; SpecError if it is another one."""
    stored = store.sweep(spec.name).spec_text
    try:
        changed = changed_keys(stored, spec)
    except SpecError as error:
        raise SpecError(
            f"name: the store has runs named {spec.name!r} that no sweep file made; "
            "give this sweep another name"
        ) from error
    if changed and is_longer(stored, spec):
        check_extendable(spec)
        return True
    if changed:
        raise SpecError(
            f"name: the store has a sweep {spec.name!r} that differs ({'; '.join(changed)}); "
            "launch it as it was, or give this one another name"
        )
    return False


def _done_rows(sweep: str, store: Store) -> list[Row]:
    """The rows of those runs that need not be trained again."""
    frame = store.runs(sweep, statuses=OVER)
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def folder_beside(store: Store, what: str) -> Path:
    """Where something of runs is kept: beside the database, or here if it is no file."""
    beside = store.path
    return Path(f"hyperlaw.{what}" if beside is None else f"{beside}.{what}").resolve()


def _summary(spec: SweepSpec, strategy: Strategy, store: Store, state: str) -> SweepSummary:
    counts = store.runs(spec.name)[columns.STATUS].value_counts()
    ended = {status: int(counts.get(status, 0)) for status in columns.STATUSES}
    return SweepSummary(
        name=spec.name,
        planned=max(len(strategy.workload), sum(ended.values())),
        completed=ended[columns.COMPLETED],
        diverged=ended[columns.DIVERGED],
        failed=ended[columns.FAILED],
        state=state,
        stopped=ended[columns.STOPPED],
    )
