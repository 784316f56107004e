"""`hyperlaw schedule`: what another learning-rate schedule or a longer one would do."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from hyperlaw.cli.options import (
    DATABASE,
    AsCsv,
    AsJson,
    Database,
    Mapping,
    Only,
    Sweeps,
)
from hyperlaw.errors import InputError
from hyperlaw.sources import Asked, parse_mapping
from hyperlaw.tables import find_curves, parse_only

app = typer.Typer(
    no_args_is_help=True, help="Predict what another learning-rate schedule would do."
)


class Weights(StrEnum):
    """How gradient norms weigh in a refined schedule."""

    SGD = "sgd"
    ADAM = "adam"


Curves = Annotated[
    Path | None,
    typer.Option(
        "--curves",
        metavar="FILE",
        help="Training curves, a row a report: run_id, step, lr, loss; .csv, .tsv or .parquet.",
    ),
]
RecordedWarmup = Annotated[
    int | None,
    typer.Option(
        "--warmup-steps",
        metavar="W",
        min=0,
        help="Warm-up of the curves; where not given, the column warmup_steps, else seen from lr.",
    ),
]
Planned = Annotated[
    list[str],
    typer.Option(
        "--to",
        metavar="SCHEDULE",
        help="linear, cosine, wsd or constant with its steps, such as wsd:24000, or a file of step "
        "and lr. Repeatable.",
    ),
]


@app.command("fit")
def fit(
    curves: Curves = None,
    mapping: Mapping = None,
    only: Only = None,
    sweep: Sweeps = None,
    warmup_steps: RecordedWarmup = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Fit the Multi-Power Law to whole loss curves of one model under several schedules.

    Two or three curves are enough, if the rate of one of them falls. Beside the law stands how well
    each curve is predicted by the others.
    """
    from hyperlaw.output import print_json
    from hyperlaw.schedule_answers import NEEDS, fit_curves
    from hyperlaw.show_schedule import print_schedule_law, schedule_law_document

    asked = _asked(db, curves, mapping, sweep)
    fitted = fit_curves(find_curves(asked, NEEDS, parse_only(only or [])), warmup_steps)
    if as_json:
        print_json(schedule_law_document(fitted))
    else:
        print_schedule_law(fitted)


@app.command("predict")
def predict(
    to: Planned,
    lr: Annotated[
        float | None,
        typer.Option(metavar="LR", help="Peak rate; that of the curves for shapes if not given."),
    ] = None,
    to_warmup_steps: Annotated[
        int | None,
        typer.Option(
            metavar="W",
            min=0,
            help="Warm-up of the planned schedules; that of the curves if not given.",
        ),
    ] = None,
    curves: Curves = None,
    mapping: Mapping = None,
    only: Only = None,
    sweep: Sweeps = None,
    warmup_steps: RecordedWarmup = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Predict the final loss of a model under schedules that were never run.

    The law is fitted to curves of the same model, data and batch; see 'schedule fit'.
    """
    from hyperlaw.output import print_json
    from hyperlaw.planned_schedules import read_schedule
    from hyperlaw.schedule_answers import NEEDS, fit_curves, predict_schedules
    from hyperlaw.show_schedule import predicted_document, print_predicted

    asked = _asked(db, curves, mapping, sweep)
    table = find_curves(asked, NEEDS, parse_only(only or []))
    fitted = fit_curves(table, warmup_steps)
    planned_warmup = fitted.warmup_steps if to_warmup_steps is None else to_warmup_steps
    if planned_warmup is None:
        raise InputError(
            "the curves differ in warm-up; name the planned one with --to-warmup-steps"
        )
    planned = [read_schedule(text, planned_warmup) for text in to]
    predicted, warnings = predict_schedules(fitted, planned, lr)
    if as_json:
        print_json(predicted_document(fitted, predicted, warnings))
    else:
        print_predicted(fitted, predicted, warnings)


@app.command("transfer")
def transfer(
    tuned: Annotated[
        str,
        typer.Option(
            "--from", metavar="SCHEDULE", help="The schedule that the rate was tuned with."
        ),
    ],
    to: Planned,
    lr: Annotated[float | None, typer.Option(metavar="LR", help="The tuned peak rate.")] = None,
    warmup_steps: Annotated[
        int, typer.Option(metavar="W", min=0, help="Warm-up of every schedule.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Carry a tuned peak rate over to another schedule or another number of steps."""
    from hyperlaw.output import print_json
    from hyperlaw.planned_schedules import read_schedule
    from hyperlaw.schedule_answers import transfer_rates
    from hyperlaw.show_schedule import print_transfer, transfer_document

    planned = [read_schedule(text, warmup_steps) for text in to]
    factors = transfer_rates(read_schedule(tuned, warmup_steps), planned, lr)
    if as_json:
        print_json(transfer_document(tuned, lr, factors))
    else:
        print_transfer(tuned, lr, factors)


@app.command("refine")
def refine(
    norms: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Gradient norms of an earlier run, a row a report: step, grad_norm.",
        ),
    ],
    mapping: Mapping = None,
    only: Only = None,
    optimizer: Annotated[
        Weights,
        typer.Option(help="sgd takes Euclidean norms, adam sums of absolute values."),
    ] = Weights.SGD,
    smoothing: Annotated[
        float, typer.Option(metavar="SHARE", help="Width of the median filter, of all steps.")
    ] = 0.1,
    lr: Annotated[
        float | None, typer.Option(metavar="LR", help="Its peak rate; 1 if not given.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every step to this .csv file of step and lr."),
    ] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Shape a schedule by the gradient norms of an earlier run (Defazio et al.).

    What --out writes can be given to 'schedule predict --to' and 'schedule transfer --to'.
    """
    from hyperlaw.output import Form, chosen_form, print_frame, print_note
    from hyperlaw.schedule_answers import NORMS, refine_schedule
    from hyperlaw.show_schedule import print_refined

    form = chosen_form(as_json, as_csv)
    if out is not None and (out.suffix != ".csv" or out.exists()):
        raise InputError(f"--out {out}: name a new file that ends in .csv")
    table = find_curves(
        Asked("", norms, parse_mapping(mapping or [])), NORMS, parse_only(only or [])
    )
    weights: Literal["sgd", "adam"] = "sgd" if optimizer is Weights.SGD else "adam"
    refined = refine_schedule(table, optimizer=weights, smoothing=smoothing, lr=lr)
    if out is not None:
        _write(out, refined.to_csv(index=False, lineterminator="\n"))
        print_note(f"{len(refined):,} steps written to {out}")
    if form is Form.TABLE:
        print_refined(refined)
    else:
        print_frame(refined, form, "schedule", ())


def _asked(
    db: str, curves: Path | None, mapping: list[str] | None, sweep: list[str] | None
) -> Asked:
    if curves is not None and sweep:
        raise InputError("--curves and --sweep are given; the answer comes from one of them")
    if curves is None and mapping:
        raise InputError("--map says what a file calls our columns; give the file with --curves")
    return Asked(db, curves, parse_mapping(mapping or []), tuple(sweep or ()))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"--out {path}: {reason}; name a file that can be written") from error
