"""The functions of `import hyperlaw`; each imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hyperlaw.sources import axes_for, open_store
from storage.location import default_database

if TYPE_CHECKING:
    import pandas as pd

    from scaling.law import Law
    from scaling.loss_laws.budget import Allocation
    from scaling.loss_laws.crossover import Crossover
    from scaling.loss_laws.law import LossLaw
    from scaling.schedule_law import ScheduleLaw


def read_runs(path: str | Path, mapping: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read and check a runs table: a .csv, .tsv or .parquet file with a row a run.

    Parameters
    ----------
    path : the file.
    mapping : our column to the file's, as ``{"lr": "learning_rate"}``, where the names differ.

    Returns
    -------
    DataFrame with at least params, tokens, lr, batch_tokens and loss; see `storage.columns`.

    Raises
    ------
    storage.errors.RunsTableError : the message names the file, the row and the column.
    """
    from storage.runs_table import read_runs

    return read_runs(path, mapping)


def fit(
    runs: pd.DataFrame | str | Path,
    *,
    name: str = "loss-surface",
    axes: Sequence[str] | None = None,
    n_draws: int = 200,
    seed: int = 0,
) -> Law:
    """Fit the law to runs, with its uncertainty.

    Parameters
    ----------
    runs : a runs table, or the path of a file that `read_runs` reads.
    name : what the law is to be called.
    axes : what scale is measured in: some of params, width, depth, tokens and flops. Where None,
        ("params", "tokens") or ("flops",), whichever does better on the largest scales when they
        are left out; `Law.forms` has their scores, and those of forms on width and depth. A law on
        ("width", "tokens") is asked with the target's width: ``law.predict(7e9, 1.4e11,
        width=4096)``.
    n_draws : surfaces drawn for the intervals.
    seed : of the draws.

    Raises
    ------
    storage.errors.RunsTableError : the runs are not a runs table.
    scaling.errors.InsufficientDataError : they cannot carry a law; the message says what lacks.
    scaling.errors.LawError : axes that no law stands on, or that the runs do not tell.
    """
    from scaling.fitting import fit_law

    table = _runs_table(runs)
    return fit_law(table, name=name, axes=axes, try_shapes=True, n_draws=n_draws, seed=seed)


def backtest(runs: pd.DataFrame | str | Path, *, hold_out: int = 1) -> pd.DataFrame:
    """Leave the largest scales out, fit to the others, and score every law on those left out.

    Parameters
    ----------
    runs : a runs table, or the path of a file that `read_runs` reads.
    hold_out : how many scales to leave out, the largest by compute.

    Returns
    -------
    DataFrame, a row for each law and held-out scale; see `scaling.backtest.backtest`.

    Raises
    ------
    storage.errors.RunsTableError : the runs are not a runs table.
    scaling.errors.InsufficientDataError : too few scales are left to fit to.
    """
    from scaling.backtest import backtest

    return backtest(_runs_table(runs), hold_out=hold_out)


def plan(
    runs: pd.DataFrame | str | Path,
    *,
    params: float,
    tokens: float,
    width: float | None = None,
    depth: float | None = None,
    n_runs: int = 8,
    candidates: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Choose the next runs: those that lower the expected regret at a target for least compute.

    Parameters
    ----------
    runs : a runs table, or the path of a file that `read_runs` reads; the law is fitted to it.
    params, tokens : the target's N (non-embedding) and D.
    width, depth : the target's; where one is given, the law stands on it in place of N.
    n_runs : how many to choose at most; fewer come back where more would hardly help.
    candidates : the rows to choose from, with columns params, tokens, lr and batch_tokens;
        settings around the optimum of each measured scale where None.

    Returns
    -------
    DataFrame, a row a run, best first: the candidate's columns, flops (6ND), and
    expected_regret_pct, at the target after this run and those before it. Its `attrs` have
    expected_regret_pct, what it is now, and floor_pct, what runs of these scales cannot remove.

    Raises
    ------
    storage.errors.RunsTableError : the runs are not a runs table.
    scaling.errors.InsufficientDataError : they cannot carry a law; the message says what lacks.
    scaling.errors.LawError : a target, a number of runs or candidates that make no sense.
    """
    from scaling.design import plan_runs
    from scaling.fitting import fit_law

    table = _runs_table(runs)
    return plan_runs(
        fit_law(table, axes=axes_for(width, depth)),
        table,
        params=params,
        tokens=tokens,
        width=width,
        depth=depth,
        n_runs=n_runs,
        candidates=candidates,
    )


def sweep(
    path: str | Path, *, db: str | Path | None = None, address: str | None = None
) -> pd.DataFrame:
    """Run the sweep of a file, or what is left of it, and return its runs table.

    Progress goes to stderr. After an interruption the same call takes up what is left.

    Parameters
    ----------
    path : the sweep file.
    db : the database, a file or a URL; HYPERLAW_DB or hyperlaw.db where not given.
    address : a Ray cluster to join, such as "auto"; Ray is started here where not given.

    Raises
    ------
    hpo.errors.SpecError : the file does not describe a sweep that can be run.
    hpo.errors.SweepError : Ray cannot be reached, or gives up.
    storage.errors.StoreError : the database cannot be opened or written.
    KeyboardInterrupt : the sweep was interrupted; what had finished is kept.
    """
    from hyperlaw.sweeps import plan_file, run_plan

    plan = plan_file(Path(path))
    database = str(db or default_database())
    if run_plan(plan, database, address=address).interrupted:
        raise KeyboardInterrupt
    with open_store(database) as store:
        return store.runs(plan.spec.name)


def fit_loss(
    runs: pd.DataFrame | str | Path,
    *,
    form: str = "chinchilla",
    r_data: float | None = None,
    r_params: float | None = None,
    n_draws: int = 200,
    seed: int = 0,
) -> LossLaw:
    """Fit a law of loss by scale to the best loss of each scale, with its uncertainty.

    ``law.predict(7e9, 1.4e11)`` is the loss there with its interval, ``law.terms()`` the constants
    with theirs.

    Parameters
    ----------
    runs : a frame with params, tokens and loss, or the path of such a file; lr and batch_tokens
        are not needed.
    form : "chinchilla", "kaplan", "repeated-data" (needs unique_tokens), "sparse" (needs
        final_sparsity) or "flops"; see `scaling.loss_laws.choice.fit_form`.
    r_data, r_params : R*_D and R*_N of repeated-data, fitted where None.
    n_draws : laws drawn for the intervals.
    seed : of the draws.

    Raises
    ------
    storage.errors.RunsTableError : the runs are no table of losses by scale.
    scaling.errors.InsufficientDataError : they cannot carry this law; the message says what lacks.
    scaling.errors.LawError : no such form, or the column that it needs is missing.
    """
    from hyperlaw.tables import losses_of
    from scaling.loss_laws.choice import fit_form

    return fit_form(
        losses_of(runs), form, r_data=r_data, r_params=r_params, n_draws=n_draws, seed=seed
    )


def optimal_allocation(
    runs: pd.DataFrame | str | Path,
    *,
    flops: float | None = None,
    seconds: float | None = None,
    money: float | None = None,
    price_per_hour: float | None = None,
    batch_tokens: float | None = None,
    form: str = "chinchilla",
    unique_tokens: float | None = None,
    level: float = 0.9,
) -> Allocation:
    """Return the N and D of least loss that one budget pays for, by a law fitted to runs.

    Parameters
    ----------
    runs : as `fit_loss` takes them; for seconds and money also with batch_tokens and seconds.
    flops, seconds, money : the budget, one of them.
    price_per_hour : of the whole machine that the runs were timed on, with money.
    batch_tokens : tokens a step, with seconds or money; the runs' own where they have one only.
    form : of the law; one over params and tokens.
    unique_tokens : how many different tokens there are, with form "repeated-data".
    level : coverage of the intervals.

    Raises
    ------
    storage.errors.RunsTableError : the runs are no table of losses by scale.
    scaling.errors.InsufficientDataError : they cannot carry the law, or do not say what time buys.
    scaling.errors.LawError : a budget that is not positive or buys no run.
    hyperlaw.errors.InputError : no budget, or two of them.
    """
    from hyperlaw.loss_answers import Budget, best_allocations
    from hyperlaw.tables import losses_of

    budget = Budget(
        () if flops is None else (flops,),
        () if seconds is None else (seconds,),
        () if money is None else (money,),
        price_per_hour=price_per_hour,
        batch_tokens=batch_tokens,
    )
    answer = best_allocations(
        losses_of(runs), budget, form=form, unique_tokens=unique_tokens, level=level
    )
    return answer.allocations[0]


def crossover(
    first: pd.DataFrame | str | Path,
    second: pd.DataFrame | str | Path,
    *,
    names: tuple[str, str] = ("first", "second"),
    form: str = "chinchilla",
    between: tuple[float, float] | None = None,
    level: float = 0.9,
) -> Crossover:
    """Find the compute from which one recipe beats another, each at its own best N and D.

    Parameters
    ----------
    first, second : runs of the two recipes, as `fit_loss` takes them.
    names : what to call them.
    form : of both laws; one over params and tokens.
    between : least and greatest FLOPs to search; from the least compute measured to a thousand
        times the greatest where None.
    level : coverage of the interval.

    Raises
    ------
    storage.errors.RunsTableError : runs that are no table of losses by scale.
    scaling.errors.InsufficientDataError : a recipe's runs carry no law; the message names it.
    """
    from hyperlaw.loss_answers import crossovers
    from hyperlaw.tables import losses_of

    recipes = dict(zip(names, (losses_of(first), losses_of(second)), strict=True))
    return crossovers(recipes, form=form, between=between, level=level)[0][2]


def fit_schedule(
    curves: pd.DataFrame | str | Path, *, warmup_steps: int | None = None
) -> ScheduleLaw:
    """Fit the Multi-Power Law to whole loss curves of one model under several schedules.

    ``law.loss(Schedule(lr_of_every_step, warmup_steps), steps)`` is then the loss under any other
    schedule; `Schedule` is in `scaling.schedule_curves`.

    Parameters
    ----------
    curves : a frame with a row a report (run_id, step, lr, loss), or the path of such a file; of
        one model and one batch.
    warmup_steps : of every curve; that of the column warmup_steps where None, else seen from lr.

    Raises
    ------
    storage.errors.RunsTableError : the curves are no such table.
    scaling.errors.InsufficientDataError : too few points, or no curve whose rate changes.
    scaling.errors.LawError : curves of several models or batches.
    """
    from scaling.schedule_law import fit_schedule_law
    from scaling.schedule_table import loss_curves
    from storage.columns import LOSS, LR, STEP
    from storage.curves_table import check_curves, read_curves

    needs = (STEP, LR, LOSS)
    if isinstance(curves, str | Path):
        table = read_curves(curves, needs=needs)
    else:
        table = check_curves(curves, needs=needs)
    found, _ = loss_curves(table, warmup_steps=warmup_steps)
    return fit_schedule_law(list(found.values()))


def _runs_table(runs: pd.DataFrame | str | Path) -> pd.DataFrame:
    from storage.runs_table import check_runs, read_runs

    return read_runs(runs) if isinstance(runs, str | Path) else check_runs(runs)
