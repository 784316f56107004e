"""Overview: every sweep of the database, how far it is, its best run, its cost, what is next."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import frame, session, standing, theme
from dashboards.progress import duration, goal
from storage.columns import COMPLETED, FAILED, PARAMS, SECONDS, SWEEP, TOKENS
from storage.sweeps import DONE

REFRESH_SECONDS = 5.0
TABLE = "overview"

COLUMNS = {
    "name": st.column_config.TextColumn("Sweep", pinned=True),
    "state": st.column_config.TextColumn("State"),
    "done": st.column_config.ProgressColumn("Done", format="%d %%", max_value=100, width=110),
    "runs": st.column_config.TextColumn("Runs"),
    "left": st.column_config.TextColumn("Time left"),
    "next": st.column_config.TextColumn("What is next", width="large"),
    "best": st.column_config.NumberColumn("Best loss", format="%.4f"),
    "at": st.column_config.TextColumn("at N × D", help="The largest scale that has a loss."),
    "flops": st.column_config.TextColumn("FLOP"),
    "time": st.column_config.TextColumn("Run time", help="Of all runs, one after another."),
    "created": st.column_config.DatetimeColumn("Created", format="YYYY-MM-DD HH:mm"),
}


def show() -> None:
    """Show a row a sweep."""
    sweeps = frame.open_database()
    if sweeps is None:
        return
    st.title("Sweeps")
    live = bool(sweeps["state"].isin(standing.LIVE).any())
    st.fragment(_table, run_every=REFRESH_SECONDS if live else None)(live)


def _table(was_live: bool) -> None:
    sweeps = session.sweeps().iloc[::-1].reset_index(drop=True)
    if was_live and not sweeps["state"].isin(standing.LIVE).any():
        st.rerun()
    st.caption(f"{_counts(sweeps)} Click a row to open its sweep.")
    table = overview(sweeps, session.store().scales())
    chosen = st.dataframe(
        table,
        hide_index=True,
        column_config=COLUMNS,
        on_select="rerun",
        selection_mode="single-cell",
        key=TABLE,
    )
    cells = chosen["selection"]["cells"]
    if cells:
        from dashboards.pages import sweep as sweep_page

        opened = str(table["name"].iloc[cells[0][0]])
        page = st.Page(sweep_page.show, title="Sweep", url_path="sweep")
        st.switch_page(page, query_params={frame.SWEEP: opened})


def overview(sweeps: pd.DataFrame, scales: pd.DataFrame) -> pd.DataFrame:
    """Return what the table shows, a row a sweep.

    Parameters
    ----------
    sweeps, scales : as the store returns them.
    """
    known = scales[scales[COMPLETED] > 0]
    largest = (known[PARAMS] * known[TOKENS]).groupby(known[SWEEP]).idxmax()
    best = known.loc[largest].set_index(SWEEP).to_dict(orient="index")
    n_scales = known.groupby(SWEEP).size()
    rows = []
    for row in sweeps.to_dict(orient="records"):
        name, state, ended = str(row["name"]), str(row["state"]), int(row["runs"])
        at = best.get(name)
        done, planned, left = _progress(name, state, ended)
        failed = int(row[FAILED])
        rows.append(
            {
                "name": name,
                "state": state,
                "done": None if done is None else round(100 * done),
                "runs": _runs(ended, planned, failed),
                "best": None if at is None else float(at["best_loss"]),
                "at": None
                if at is None
                else f"{theme.format_count(at[PARAMS])} × {theme.format_count(at[TOKENS])}",
                "flops": theme.format_flops(row["flops"]) if row["flops"] else "–",
                "time": duration(row[SECONDS]) if row[SECONDS] else "–",
                "left": "–" if left is None else duration(left),
                "created": pd.Timestamp(row["created"]),
                "next": standing.next_step(
                    state, failed=failed, scales=int(n_scales.get(name, 0)), name=name
                ),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _progress(name: str, state: str, ended: int) -> tuple[float | None, int | None, float | None]:
    """Return the part done, the runs planned and the seconds left, as far as they are known."""
    if state == DONE:
        return 1.0, None, None
    record = session.store().sweep(name)
    if state in standing.LIVE:
        legs = session.running(record)
        far = standing.progress_of(record, standing.counts_of(name, legs), legs)
        return far.fraction, far.planned, far.seconds_left
    planned = goal(record.spec_text).runs
    return (None if planned is None else min(ended / planned, 1.0)), planned, None


def _runs(ended: int, planned: int | None, failed: int) -> str:
    of = f" of {planned:,}" if planned is not None else ""
    return f"{ended:,}{of}" + (f", {failed:,} failed" if failed else "")


def _counts(sweeps: pd.DataFrame) -> str:
    states = sweeps["state"].value_counts()
    parts = [f"{count} {state}" for state, count in states.items()]
    runs, n = int(sweeps["runs"].sum()), len(sweeps)
    return f"{n} sweep{'s' * (n != 1)}: {theme.listed(parts)}; {runs:,} runs."
