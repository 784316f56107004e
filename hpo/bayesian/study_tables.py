"""Trials into Optuna's own tables, many in one transaction.

Through Optuna's API each trial is a transaction of its own, 25 to 50 ms on SQLite. Here a batch is
six inserts. The tables are those of `optuna.storages.RDBStorage`, which makes and checks them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import Engine, create_engine, insert, inspect, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from storage.errors import StoreError

RUN_ID = "run_id"
"""User attribute of a trial: the run that it is."""

_LOCK_WAIT_SECONDS = 30
Row = dict[str, object]


def has_studies(url: str) -> bool:
    """Say whether a database has Optuna's tables."""
    engine = create_engine(url)
    try:
        return inspect(engine).has_table(models.StudyModel.__tablename__)
    finally:
        engine.dispose()


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """Open Optuna's tables in a database, making them where there are none.

    Raises
    ------
    StoreError
        Where another version of Optuna made them, or the database cannot be written.
    """
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    arguments = {"connect_args": {"timeout": _LOCK_WAIT_SECONDS}} if is_sqlite else {}
    try:
        return optuna.storages.RDBStorage(url, engine_kwargs=arguments)
    except (RuntimeError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        said = " ".join(str(error).split())
        raise StoreError(f"Optuna's tables in the database cannot be used: {said}") from error


def mirrored(engine: Engine, study_id: int) -> list[tuple[str, bool]]:
    """Return the runs that a study has as trials, each with whether it had failed."""
    trials, attributes = models.TrialModel, models.TrialUserAttributeModel
    query = (
        select(attributes.value_json, trials.state)
        .join(trials, trials.trial_id == attributes.trial_id)
        .where(trials.study_id == study_id, attributes.key == RUN_ID)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return [(json.loads(run_id), state == optuna.trial.TrialState.FAIL) for run_id, state in rows]


def add_trials(
    engine: Engine, study_id: int, first_number: int, trials: Sequence[FrozenTrial]
) -> None:
    """Append ended trials to a study, all of them or none.

    Raises
    ------
    StoreError
        Where the database cannot be written.
    """
    heads = [
        {
            "number": first_number + place,
            "study_id": study_id,
            "state": trial.state,
            "datetime_start": _in_utc(trial.datetime_start),
            "datetime_complete": _in_utc(trial.datetime_complete),
        }
        for place, trial in enumerate(trials)
    ]
    # The first statement writes, so that SQLite's lock is waited for and not failed on halfway.
    numbered = insert(models.TrialModel).returning(
        models.TrialModel.trial_id, sort_by_parameter_order=True
    )
    try:
        with engine.begin() as connection:
            trial_ids = connection.execute(numbered, heads).scalars().all()
            parts: dict[type[models.BaseModel], list[Row]] = {}
            for trial_id, trial in zip(trial_ids, trials, strict=True):
                for model, row in _parts(trial):
                    parts.setdefault(model, []).append({"trial_id": trial_id, **row})
            for model, rows in parts.items():
                connection.execute(insert(model), rows)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        said = str(cause).strip().splitlines()[0]
        raise StoreError(f"Optuna's tables in the database cannot be written: {said}") from error


def _parts(trial: FrozenTrial) -> Iterator[tuple[type[models.BaseModel], Row]]:
    """Give the rows of a trial in the tables beside that of trials."""
    for objective, value in enumerate(trial.values or ()):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        yield (
            models.TrialValueModel,
            {"objective": objective, "value": stored, "value_type": kind},
        )
    for name, chosen in trial.params.items():
        axis = trial.distributions[name]
        yield (
            models.TrialParamModel,
            {
                "param_name": name,
                "param_value": axis.to_internal_repr(chosen),
                "distribution_json": distribution_to_json(axis),
            },
        )
    for key, attribute in trial.user_attrs.items():
        yield models.TrialUserAttributeModel, {"key": key, "value_json": json.dumps(attribute)}
    for key, attribute in trial.system_attrs.items():
        yield models.TrialSystemAttributeModel, {"key": key, "value_json": json.dumps(attribute)}
    reports = models.TrialIntermediateValueModel
    for step, loss in trial.intermediate_values.items():
        stored, how = reports.intermediate_value_to_stored_repr(loss)
        yield (
            reports,
            {"step": step, "intermediate_value": stored, "intermediate_value_type": how},
        )


def _in_utc(local: datetime | None) -> datetime | None:
    """Return a naive local time as Optuna stores it: naive, in UTC."""
    return None if local is None else local.astimezone(UTC).replace(tzinfo=None)
