"""The dashboard: the sweeps of a database, their runs and laws, and predictions for any target.

`hyperlaw dashboard` serves it, from a script of its own: where the script that is served stands
beside a folder `pages`, Streamlit takes links to a page for links to the files in it. Unless it was
started with `--allow-control` it only reads the database.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboards.pages import (
    explore,
    laws,
    overview,
    plan,
    population,
    predict,
    sweep,
    transfer,
)
from dashboards.sweep_maker import SweepMaker

# Module, title and path in the URL; the first is what opens. (No docstring: Streamlit shows text
# that stands by itself in the main script.)
PAGES = (
    (overview, "Overview", ""),
    (sweep, "Sweep", "sweep"),
    (explore, "Explore", "explore"),
    (transfer, "Transfer", "transfer"),
    (population, "Population", "population"),
    (laws, "Laws", "laws"),
    (predict, "Predict", "predict"),
    (plan, "Plan", "plan"),
)


def main(sweep_maker: SweepMaker | None = None) -> None:
    """Show the page that was asked for.

    Parameters
    ----------
    sweep_maker : makes sweep files of planned runs; None where the script that is served has none.
    """
    st.set_page_config(page_title="hyperlaw", layout="wide")
    pages = [
        st.Page(
            partial(plan.show, sweep_maker) if module is plan else module.show,
            title=title,
            url_path=path,
            default=not path,
        )
        for module, title, path in PAGES
    ]
    page = st.navigation(pages)
    st.sidebar.title("hyperlaw")
    page.run()


if __name__ == "__main__":
    main()
