"""The command line: every command and group, registered without importing what they need."""

import typer

from hyperlaw.cli import (
    dashboard,
    db,
    demo,
    doctor,
    emit,
    imports,
    init,
    law,
    loss,
    plan,
    predict,
    report,
    runs,
    schedule,
    soup,
    sweep,
    sweep_schedule,
    transfer,
)

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Which learning rate and batch size should a model have that is too big to tune? "
    "Sweep small proxies, fit a law to them, and extrapolate the optimum with honest intervals.",
    epilog="New here? 'hyperlaw demo' goes the whole way on this machine in a few minutes. "
    "Runs of your own already? 'hyperlaw predict --runs runs.csv --params 7e9 --tokens 1.4e11'.",
)
START, RUNS, ANSWERS = "Start here", "Runs", "Answers"

app.command("demo", rich_help_panel=START)(demo.demo)
app.command("init", rich_help_panel=START)(init.init)
app.command("doctor", rich_help_panel=START)(doctor.doctor)
sweep.app.command("schedule")(sweep_schedule.schedule)
app.add_typer(sweep.app, name="sweep", rich_help_panel=RUNS)
app.add_typer(imports.app, name="import", rich_help_panel=RUNS)
runs.app.command("soup")(soup.soup)
app.add_typer(runs.app, name="runs", rich_help_panel=RUNS)
app.add_typer(db.app, name="db", rich_help_panel=RUNS)
app.command("predict", rich_help_panel=ANSWERS)(predict.predict)
app.command("emit", rich_help_panel=ANSWERS)(emit.emit)
app.command("plan", rich_help_panel=ANSWERS)(plan.plan)
app.command("report", rich_help_panel=ANSWERS)(report.report)
app.command("dashboard", rich_help_panel=ANSWERS)(dashboard.dashboard)
app.add_typer(law.app, name="law", rich_help_panel=ANSWERS)
app.add_typer(loss.app, name="loss", rich_help_panel=ANSWERS)
app.add_typer(schedule.app, name="schedule", rich_help_panel=ANSWERS)
app.add_typer(transfer.app, name="transfer", rich_help_panel=ANSWERS)
