"""The columns of the runs table and of tables of curves: their names, units and meanings.

A runs table is a pandas frame with a row a run, the one thing that passes between the rooms; a
table of curves has a row a report of a run. This module only names their columns, and imports
nothing; `storage.runs_table` and `storage.curves_table` read and check such tables.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, Literal

Kind = Literal["float", "int", "str", "time"]


@dataclass(frozen=True)
class Column:
    """One column of the runs table.

    Parameters
    ----------
    name : str
        As it stands in the table's header.
    kind : {"float", "int", "str", "time"}
        What a cell holds. A whole number is kept as a float column where some run lacks it; a time
        is kept as text, ISO 8601 in UTC to the second, so that text and time sort alike.
    unit : str
        Unit of the values, "" where they have none.
    meaning : str
        What the column says about a run, in a few words.
    required : bool
        A table without this column is refused.
    positive, nonnegative : bool
        The sign that every value must have.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    required: bool = False
    positive: bool = False
    nonnegative: bool = False

    @property
    def is_text(self) -> bool:
        """Whether a checked column holds text, not numbers."""
        return self.kind in ("str", "time")


RUN_ID: Final = "run_id"
SWEEP: Final = "sweep"
PARAMS: Final = "params"
TOKENS: Final = "tokens"
LR: Final = "lr"
BATCH_TOKENS: Final = "batch_tokens"
LOSS: Final = "loss"
STATUS: Final = "status"
SEED: Final = "seed"
FLOPS: Final = "flops"

WIDTH: Final = "width"
DEPTH: Final = "depth"
PARAMS_TOTAL: Final = "params_total"
STEPS: Final = "steps"
UNIQUE_TOKENS: Final = "unique_tokens"
WEIGHT_DECAY: Final = "weight_decay"
BETA1: Final = "beta1"
BETA2: Final = "beta2"
EPS: Final = "eps"
WARMUP_TOKENS: Final = "warmup_tokens"
SCHEDULE: Final = "schedule"
OPTIMIZER: Final = "optimizer"
PARAMETRIZATION: Final = "parametrization"
MODEL: Final = "model"
DATA: Final = "data"
SECONDS: Final = "seconds"
CREATED: Final = "created"
REASON: Final = "reason"

COMPLETED: Final = "completed"
DIVERGED: Final = "diverged"
STOPPED: Final = "stopped"
FAILED: Final = "failed"
STATUSES: Final = (COMPLETED, DIVERGED, STOPPED, FAILED)

STANDARD: Final = (
    Column(RUN_ID, "str", "", "name of the run, its own in the whole table"),
    Column(SWEEP, "str", "", "sweep that the run belongs to; empty for none"),
    Column(
        PARAMS, "float", "parameters", "model size N, non-embedding", required=True, positive=True
    ),
    Column(TOKENS, "float", "tokens", "training tokens D", required=True, positive=True),
    Column(LR, "float", "", "peak learning rate", required=True, positive=True),
    Column(BATCH_TOKENS, "float", "tokens", "tokens a step", required=True, positive=True),
    Column(
        LOSS,
        "float",
        "nats/token",
        "final validation loss; NaN where diverged",
        True,
        positive=True,
    ),
    Column(STATUS, "str", "", "how the run ended: completed, diverged, stopped or failed"),
    Column(SEED, "int", "", "seed of initialization and data order"),
    Column(FLOPS, "float", "FLOP", "training compute; 6ND where not measured", positive=True),
)

OPTIONAL: Final = (
    Column(WIDTH, "int", "", "model width", positive=True),
    Column(DEPTH, "int", "blocks", "number of blocks", positive=True),
    Column(PARAMS_TOTAL, "float", "parameters", "model size, embeddings included", positive=True),
    Column(STEPS, "int", "steps", "optimizer steps", positive=True),
    Column(
        UNIQUE_TOKENS, "float", "tokens", "tokens in the data, each counted once", positive=True
    ),
    Column(WEIGHT_DECAY, "float", "", "weight decay", nonnegative=True),
    Column(BETA1, "float", "", "decay of the first moment, a step", nonnegative=True),
    Column(BETA2, "float", "", "decay of the second moment, a step", nonnegative=True),
    Column(EPS, "float", "", "ε of the optimizer", nonnegative=True),
    Column(WARMUP_TOKENS, "float", "tokens", "length of the warm-up", nonnegative=True),
    Column(SCHEDULE, "str", "", "learning-rate schedule"),
    Column(OPTIMIZER, "str", "", "optimizer"),
    Column(PARAMETRIZATION, "str", "", "how hyperparameters scale with shape: sp, mup, …"),
    Column(MODEL, "str", "", "kind of model"),
    Column(DATA, "str", "", "training data"),
    Column(SECONDS, "float", "s", "time spent training", nonnegative=True),
    Column(CREATED, "time", "", "when the run ended, ISO 8601; in UTC where it names no zone"),
    Column(REASON, "str", "", "why a run failed, one line"),
)

COLUMNS: Final = STANDARD + OPTIONAL
REQUIRED: Final = tuple(column.name for column in STANDARD if column.required)

STEP: Final = "step"
GRAD_NORM: Final = "grad_norm"
WARMUP_STEPS: Final = "warmup_steps"

OF_CURVES: Final = (
    Column(RUN_ID, "str", "", "run that the report is of; a table without it is one run"),
    Column(STEP, "float", "steps", "optimizer steps done", nonnegative=True),
    Column(LR, "float", "", "learning rate of the step", nonnegative=True),
    Column(LOSS, "float", "nats/token", "loss; empty where none was measured", positive=True),
    Column(PARAMS, "float", "parameters", "model size N, non-embedding", positive=True),
    Column(TOKENS, "float", "tokens", "tokens trained on so far", nonnegative=True),
    Column(FLOPS, "float", "FLOP", "training compute so far", nonnegative=True),
    Column(BATCH_TOKENS, "float", "tokens", "tokens a step", positive=True),
    Column(WARMUP_STEPS, "float", "steps", "length of the warm-up", nonnegative=True),
    Column(GRAD_NORM, "float", "", "norm of the gradient", positive=True),
)


@dataclass(frozen=True)
class TableKind:
    """What a table must hold to answer one kind of question.

    Parameters
    ----------
    name : str
        What it is called in errors.
    columns : tuple of Column
        Those that have rules, in their order.
    """

    name: str
    columns: tuple[Column, ...]

    @classmethod
    def needing(
        cls, name: str, columns: tuple[Column, ...], required: Collection[str]
    ) -> "TableKind":
        """Return the kind of table of which just these columns are required."""
        return cls(
            name, tuple(replace(column, required=column.name in required) for column in columns)
        )

    @property
    def required(self) -> tuple[str, ...]:
        """The columns without which a table is refused."""
        return tuple(column.name for column in self.columns if column.required)


RUNS: Final = TableKind("a runs table", COLUMNS)
LOSSES: Final = TableKind.needing("a table of losses by scale", COLUMNS, (PARAMS, TOKENS, LOSS))
