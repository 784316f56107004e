"""Checks of transfer: their measurement, where they are kept, and which sweeps have passed one.

What a check is asked of is in `hyperlaw.transfer_plan`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from hyperlaw.sources import open_store, rehearse
from hyperlaw.transfer_plan import CheckPlan, basin_sweep, subject_of, typical_setting

if TYPE_CHECKING:
    import pandas as pd

    from hpo.schema import SweepSpec
    from hyperlaw.sweeps import SweepPlan
    from scaling.basin_check import BasinCheck
    from scaling.transfer_check import Subject, TransferCheck
    from storage.store import Store
    from storage.transfer_checks import TransferCheckRecord

NAME_LENGTH: Final = 50


def measure_changes(
    plan: CheckPlan, *, seeds: int, steps: int, tell: Callable[[str], None]
) -> pd.DataFrame:
    """Make the coordinate check's measurement; `tell` is told of each size when it is done.

    Raises TrainerError for what cannot be trained, before anything is.
    """
    import pandas as pd
    import torch

    from scaling.coordinate_slopes import CHANGES
    from trainers.coordinate_check import measure

    torch.set_num_threads(1)  # as a run of a sweep has on a CPU, where small models share it
    trainings = measure(plan.config, plan.sizes, seeds=seeds, steps=steps)
    tell(f"coordinate check of {plan.subject.title}: {steps} steps, seeds: {seeds}")
    rows = []
    for axis, of_axis in plan.sizes.items():
        for size in of_axis:
            of_size = [row for rows in itertools.islice(trainings, seeds) for row in rows]
            tell(f"{axis} {size}: {len({row.layer for row in of_size})} layers measured")
            rows += of_size
    return pd.DataFrame(rows, columns=list(CHANGES))


def plan_grid(plan: CheckPlan, name: str, *, seeds: int, db: str) -> SweepPlan:
    """Plan the grid over the learning rate that check `name` trains, as a sweep of its own.

    One that was trained before is found again; another of the same check, as where its rates were
    widened, gets a number.
    """
    from hyperlaw.sweeps import plan_text

    files = _sweep_files(db)
    grids = ((one, basin_sweep(plan, one, seeds=seeds)) for one in _numbered(f"{name}-basin"))
    called, text = next((one, text) for one, text in grids if files.get(one, text) == text)
    return plan_text(text, f"sweep '{called}'")


def train_basins(grid: SweepPlan, *, tolerance_pct: float, db: str) -> tuple[BasinCheck, ...]:
    """Train what is left of a grid over the learning rate, and check its basins."""
    from hyperlaw.errors import InputError
    from hyperlaw.hints import command
    from hyperlaw.sweeps import run_plan

    summary = run_plan(grid, db)
    called = grid.spec.name
    if summary.interrupted:
        resume = command(f"sweep resume {called}", db)
        raise InputError(f"the grid is {summary.state}; go on with: {resume}, then check again")
    return kept_basins(called, tolerance_pct=tolerance_pct, db=db)


def kept_basins(sweep: str, *, tolerance_pct: float, db: str) -> tuple[BasinCheck, ...]:
    """Check the basins of a sweep's runs; InsufficientDataError where they are too few."""
    from hyperlaw.sweeps import stored_plan
    from scaling.basin_check import HELD, check_basins

    with open_store(db) as store:
        runs, spec = store.runs(sweep), stored_plan(store, sweep).spec
    searched = [name for name in spec.space if name in runs and name not in ("lr", *HELD)]
    return check_basins(runs, held=(*HELD, *searched), tolerance_pct=tolerance_pct)


def judge(
    name: str, plan: CheckPlan, changes: pd.DataFrame, basins: Sequence[BasinCheck]
) -> TransferCheck:
    """Put a check together."""
    from scaling.transfer_check import TransferCheck
    from trainers.coordinate_check import judged_axes
    from trainers.registry import kind

    config = plan.config
    return TransferCheck(
        name=name,
        subject=plan.subject,
        setting=kind(config.trainer).complete(config.setting),
        data=config.data,
        judged_axes=judged_axes(config.parametrization),
        changes=changes,
        basins=tuple(basins),
    )


def keep(store: Store, check: TransferCheck) -> TransferCheck:
    """Keep a check in the database and return it as it is kept."""
    subject = asdict(check.subject)
    document = check.to_dict()
    store.save_transfer_check(check.name, subject=subject, passed=check.passed, document=document)
    return kept(store, check.name)


def kept(store: Store, name: str) -> TransferCheck:
    """Return a check of the database; NotFoundError where there is none of that name."""
    from scaling.transfer_check import TransferCheck

    record = store.transfer_check(name)
    return TransferCheck.from_dict(record.document, created=record.created)


def checks_frame(store: Store) -> pd.DataFrame:
    """Return a row a check, oldest first: name, subject's parts, passed, verdict and created."""
    import pandas as pd

    from scaling.transfer_words import PASSED

    rows = [
        {
            "name": one.name,
            **{key: one.subject[key] for key in ("trainer", "parametrization", "optimizer")},
            "passed": one.passed,
            "verdict": PASSED[one.passed],
            "created": one.created,
        }
        for one in store.transfer_checks()
    ]
    columns = ["name", "trainer", "parametrization", "optimizer", "passed", "verdict", "created"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def name_for(asked: str | None, plan: CheckPlan, db: str) -> str:
    """Return the name that a check is to have; StoreError where it is none.

    One that is not named is called after its subject; a check of something else keeps its own.
    """
    if asked is not None:
        rehearse(
            lambda store: store.save_transfer_check(asked, subject={}, passed=None, document={})
        )
        return asked
    subject = asdict(plan.subject)
    taken = {one.name: one.subject for one in _records(db)}
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in plan.stem)
    names = _numbered(plain.strip("._-")[:NAME_LENGTH] or "check")
    return next(name for name in names if taken.get(name, subject) == subject)


def unchecked(spec: SweepSpec, db: str) -> str | None:
    """Say of a transfer sweep what has not passed a check in this database; None where all has.

    Nothing is asked of the standard parametrization, which promises no transfer, nor of a trainer
    that trains by itself, which cannot be checked.
    """
    from trainers.optimizer_names import OPTIMIZERS

    if spec.search.method != "transfer" or spec.parametrization == "sp":
        return None
    newest_first = _records(db)[::-1]
    for subject in _subjects(spec):
        plain = asdict(subject)
        found = next((one for one in newest_first if one.subject == plain), None)
        if found is None:
            known = OPTIMIZERS.get(subject.optimizer)
            caution = f" ({known.caution})" if known is not None and known.caution else ""
            return f"{subject.title} has not passed a transfer check{caution}"
        if not found.passed:
            return f"{subject.title} did not pass its last transfer check, '{found.name}'"
    return None


def checks_of(store: Store, spec: SweepSpec) -> list[TransferCheck]:
    """Return the last check of each subject of a sweep, as far as there are any."""
    newest_first = store.transfer_checks()[::-1]
    found = []
    for subject in _subjects(spec):
        plain = asdict(subject)
        named = next((one.name for one in newest_first if one.subject == plain), None)
        if named is not None:
            found.append(kept(store, named))
    return found


def _subjects(spec: SweepSpec) -> list[Subject]:
    """Return what a check must be true of to speak for a sweep: one for each of its optimizers.

    None where its trainer cannot be checked.
    """
    from hpo.checks import run_config
    from hpo.ladder import resolve_ladder
    from trainers.registry import kind

    if kind(spec.trainer).load_task is None:
        return []
    typical = typical_setting(spec)
    searched = spec.space.get("optimizer")
    optimizers = searched.choices if searched is not None else None
    settings = [typical | {"optimizer": name} for name in optimizers or ()] or [typical]
    scale = resolve_ladder(spec)[0]
    return [subject_of(run_config(spec, scale, setting, spec.seed)) for setting in settings]


def _numbered(stem: str) -> Iterator[str]:
    """Give a name and, without end, the same with numbers: check, check-2, check-3."""
    yield stem
    for number in itertools.count(2):
        yield f"{stem}-{number}"


def _sweep_files(db: str) -> dict[str, str]:
    """Return the file of every sweep of a database, by name; none where there is none yet."""
    from storage.errors import NotFoundError

    try:
        with open_store(db) as store:
            return {name: store.sweep(name).spec_text for name in store.sweep_names()}
    except NotFoundError:
        return {}


def _records(db: str) -> list[TransferCheckRecord]:
    """Return all checks of a database, oldest first; none where there is no database yet."""
    from storage.errors import NotFoundError

    try:
        with open_store(db) as store:
            return store.transfer_checks()
    except NotFoundError:
        return []
