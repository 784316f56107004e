"""`hyperlaw sweep`: launch, watch and steer sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperlaw.cli.options import DATABASE, Address, AsCsv, AsJson, Database
from hyperlaw.errors import ExitCode
from hyperlaw.sources import open_store

if TYPE_CHECKING:
    from hpo.tally import SweepSummary
    from hyperlaw.sweeps import SweepPlan
    from storage.store import Store
    from storage.sweeps import SweepRecord

app = typer.Typer(no_args_is_help=True, help="Launch, watch and steer sweeps.")

Name = Annotated[str, typer.Argument(metavar="SWEEP", help="Its name.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return only when no run is running any more.")]


@app.command("launch")
def launch(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sweep file.")],
    address: Address = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Run the sweep of a file; launched again, it takes up what is left.

    The file is checked whole before anything starts. Ctrl-C ends the sweep; nothing that has
    finished is lost. A file that differs only by more `runs` extends its sweep.
    """
    from hyperlaw.sweeps import plan_file

    plan = plan_file(file)
    _warn_of_transfer(plan, file, db)
    _run(plan, db, address, as_json=as_json)


@app.command("resume")
def resume(
    name: Name, address: Address = None, db: Database = DATABASE, as_json: AsJson = False
) -> None:
    """Go on with a sweep: one that is paused where it runs, else what is left of it here.

    Failed runs are left to do, too. All that is needed is in the database.
    """
    from hyperlaw.errors import InputError
    from hyperlaw.sweeps import stored_plan

    with open_store(db) as store:
        record = store.sweep(name)
        if record.running_in is not None:
            if record.state == "running":
                raise InputError(f"sweep '{name}' is running already, {_by(record)}")
            if _ask(store, db, name, "resume", as_json=as_json):
                return
        _require_file(record)
        plan = stored_plan(store, name)
    _run(plan, db, address, as_json=as_json)


@app.command("pause")
def pause(name: Name, wait: Wait = False, db: Database = DATABASE, as_json: AsJson = False) -> None:
    """Begin no more runs, and let the running ones finish; `resume` goes on."""
    _steer(name, "pause", db, wait=wait, as_json=as_json)


@app.command("stop")
def stop(name: Name, wait: Wait = False, db: Database = DATABASE, as_json: AsJson = False) -> None:
    """Let the running runs finish, then end the launch; `resume` begins another one."""
    _steer(name, "stop", db, wait=wait, as_json=as_json)


@app.command("cancel")
def cancel(name: Name, db: Database = DATABASE, as_json: AsJson = False) -> None:
    """End the launch now, in the middle of its runs; `resume` takes them up where they were."""
    _steer(name, "cancel", db, wait=True, as_json=as_json)


@app.command("retry")
def retry(
    name: Name, address: Address = None, db: Database = DATABASE, as_json: AsJson = False
) -> None:
    """Try failed runs again: where the sweep is running, else here, with what is left of it."""
    from hyperlaw.errors import InputError
    from hyperlaw.sweeps import stored_plan

    with open_store(db) as store:
        record = store.sweep(name)
        _require_file(record)
        if store.runs(name, statuses=["failed"]).empty:
            raise InputError(f"sweep '{name}' has no failed runs; it is {record.state}")
        if record.running_in is not None and _ask(store, db, name, "retry", as_json=as_json):
            return
        plan = stored_plan(store, name)
    _run(plan, db, address, as_json=as_json)


@app.command("extend")
def extend(
    name: Name,
    runs: Annotated[int, typer.Option(min=1, metavar="N", help="How many runs more.")],
    address: Address = None,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Add runs to a sweep: where it is running, else here; what was run is kept."""
    from hpo.errors import SpecError
    from hpo.extension import extended
    from hyperlaw.errors import InputError
    from hyperlaw.sweeps import plan_text

    with open_store(db) as store:
        record = store.sweep(name)
        _require_file(record)
        try:
            text, _ = extended(record.spec_text, runs)
        except SpecError as error:
            raise InputError(str(error)) from error
        if record.running_in is not None and _ask(store, db, name, "extend", runs, as_json=as_json):
            return
    _run(plan_text(text, f"sweep '{name}'"), db, address, as_json=as_json)


@app.command("list")
def list_sweeps(db: Database = DATABASE, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List the sweeps of the database."""
    from hyperlaw import output
    from hyperlaw.output import Cell

    form = output.chosen_form(as_json, as_csv)
    with open_store(db) as store:
        sweeps = store.sweeps()
    cells = (
        Cell("name"),
        Cell("state"),
        *(
            Cell(name, right=True)
            for name in ("runs", "completed", "diverged", "stopped", "failed")
        ),
        Cell("best_loss", "best loss", output.loss, right=True),
        Cell("flops", "compute", output.compute, right=True),
        Cell("seconds", "run time", output.duration, right=True),
        Cell("created"),
    )
    output.print_frame(sweeps, form, "sweeps", cells)


@app.command("status")
def status(name: Name, db: Database = DATABASE, as_json: AsJson = False) -> None:
    """Show how far a sweep is: what is running now, its runs by scale, and why runs failed."""
    from hyperlaw import output, show
    from hyperlaw.hints import command
    from hyperlaw.steering import running_now
    from hyperlaw.sweeps import failures, planned_runs, scale_counts

    with open_store(db) as store:
        record = store.sweep(name)
        planned = planned_runs(record.spec_text)
        runs = store.runs(name)
        running = running_now(store, name)
    scales, failed, driver = scale_counts(runs), failures(runs), record.running_in
    if as_json:
        output.print_json(
            {
                "name": name,
                "state": record.state,
                "driver": None if driver is None else {"host": driver.host, "pid": driver.pid},
                "heartbeat": None if driver is None else record.heartbeat,
                "created": record.created,
                "updated": record.updated,
                "planned": planned,
                "runs": len(runs),
                "running": output.records(running),
                "failures": output.records(failed),
                "scales": output.records(scales),
            }
        )
        return
    of = f" of {planned}" if planned is not None else ""
    where = "" if driver is None else f", {_by(record)}"
    output.print_line(f"sweep '{name}' is {record.state}{where}: {len(runs)}{of} runs ended")
    if not scales.empty:
        show.print_scales(scales)
    if not running.empty:
        show.print_running(running)
    for failure in output.records(failed):
        output.print_line(f"failed: {failure['runs']} × {failure['reason']}")
    if driver is None and record.state in ("interrupted", "stopped", "cancelled"):
        output.print_note(f"next: {command(f'sweep resume {name}', db)}")


def _require_file(record: SweepRecord) -> None:
    from hyperlaw.errors import InputError

    if not record.spec_text:
        raise InputError(f"sweep '{record.name}' was imported: there is nothing to run in it")


def _by(record: SweepRecord) -> str:
    driver = record.running_in
    assert driver is not None
    return f"by process {driver.pid} on {driver.host}"


def _steer(name: str, action: str, db: str, *, wait: bool, as_json: bool) -> None:
    """Ask something of a running sweep; InputError where it makes no sense now."""
    from hyperlaw.errors import InputError
    from hyperlaw.hints import command

    with open_store(db) as store:
        record = store.sweep(name)
        if record.running_in is None:
            on = (
                "" if record.state == "done" else f"; {command(f'sweep resume {name}', db)} goes on"
            )
            raise InputError(f"sweep '{name}' is not running; it is {record.state}{on}")
        if record.state == {"pause": "paused", "stop": "stopping"}.get(action):
            if not wait:
                raise InputError(f"sweep '{name}' is {record.state} already")
            _say_how_it_stands(store, db, name, wait=True, as_json=as_json)
        elif not _ask(store, db, name, action, wait=wait, as_json=as_json):
            raise InputError(f"sweep '{name}' ended meanwhile; it is {store.sweep(name).state}")


def _ask(
    store: Store,
    db: str,
    name: str,
    action: str,
    amount: int | None = None,
    *,
    wait: bool = False,
    as_json: bool,
) -> bool:
    """Ask the process that runs a sweep, and say how it stands then; False where it has ended."""
    from hyperlaw.steering import ask

    if not ask(store, name, action, amount):
        return False
    _say_how_it_stands(store, db, name, wait=wait, as_json=as_json)
    return True


def _say_how_it_stands(store: Store, db: str, name: str, *, wait: bool, as_json: bool) -> None:
    from hyperlaw import output
    from hyperlaw.hints import command
    from hyperlaw.steering import running_now, wait_until_idle
    from hyperlaw.sweeps import planned_runs

    record = wait_until_idle(store, name) if wait else store.sweep(name)
    planned, n_running = planned_runs(record.spec_text), len(running_now(store, name))
    if as_json:
        output.print_json(
            {"name": name, "state": record.state, "planned": planned, "running": n_running}
        )
    else:
        runs = "1 run is" if n_running == 1 else f"{n_running} runs are"
        what = "being trained" if record.state == "running" else "finishing"
        said = f": {runs} {what}" if n_running else ""
        of = "" if planned is None else f", {planned} runs in all"
        output.print_line(f"sweep '{name}' is {record.state}{of}{said}")
    if record.state not in ("running", "done"):
        output.print_note(f"go on with: {command(f'sweep resume {name}', db)}")


def _run(plan: SweepPlan, db: str, address: str | None, *, as_json: bool) -> None:
    from hyperlaw import output, show
    from hyperlaw.sweeps import check_room, run_plan, scale_counts

    check_room(plan, address)

    show.print_plan(plan)
    summary = run_plan(plan, db, address=address)
    with open_store(db) as store:
        scales = scale_counts(store.runs(summary.name))
        took_over = store.has_exploits(summary.name)
    if as_json:
        output.print_json(
            {
                "name": summary.name,
                "planned": summary.planned,
                "completed": summary.completed,
                "diverged": summary.diverged,
                "failed": summary.failed,
                "stopped": summary.stopped,
                "state": summary.state,
                "interrupted": summary.interrupted,
                "scales": output.records(scales),
            }
        )
    else:
        show.print_scales(scales)
    _say_what_next(summary, db, n_scales=len(scales), took_over=took_over)


def _warn_of_transfer(plan: SweepPlan, file: Path, db: str) -> None:
    """Say it where the optimum of a transfer sweep's model was not seen to transfer."""
    import shlex

    from hyperlaw.hints import command
    from hyperlaw.output import print_note
    from hyperlaw.transfer import unchecked

    doubt = unchecked(plan.spec, db)
    if doubt is not None:
        print_note(f"warning: {doubt}: {command(f'transfer check {shlex.quote(str(file))}', db)}")


def _say_what_next(summary: SweepSummary, db: str, *, n_scales: int, took_over: bool) -> None:
    """Suggest the next command, and end with the exit code that the launch deserves.

    Runs of one scale carry no law; where some took over others' states there is a schedule.
    """
    from hyperlaw.hints import command
    from hyperlaw.output import print_note

    name = summary.name
    resume, retry = (command(f"sweep {action} {name}", db) for action in ("resume", "retry"))
    if summary.interrupted:
        print_note(f"{summary.state}; go on with: {resume}")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if summary.failed:
        why = command(f"runs list --sweep {name} --status failed", db)
        print_note(f"{summary.failed} runs failed; see why: {why}; try them again: {retry}")
        raise typer.Exit(ExitCode.FAILED)
    print_note("next:")
    if took_over:
        commands = [f"sweep schedule {name}"]
    elif n_scales == 1:
        commands = [f"runs list --sweep {name}"]
    else:
        commands = [f"law fit --sweep {name}", f"predict --sweep {name} --params N --tokens D"]
    for text in (*commands, f"report --sweep {name} --out report.html"):
        print_note(f"  {command(text, db)}")
