"""The dashboard: the sweeps of a database, their runs and laws, and predictions for any target.

`hyperlaw dashboard` serves it, from a script of its own: where the script that is served stands
beside a folder `pages`, Streamlit takes links to a page for links to the files in it. Unless it was
started with `--allow-control` it only reads the database.
"""

from __future__ import annotations

import importlib
from functools import partial

import streamlit as st

from dashboards.sweep_maker import SweepMaker

# Module in `dashboards.pages`, title and path in the URL; the first is what opens. A module is
# imported when its page is asked for. (No docstring: Streamlit shows text that stands by itself in
# the main script.)
PAGES = (
    ("overview", "Overview", ""),
    ("sweep", "Sweep", "sweep"),
    ("explore", "Explore", "explore"),
    ("transfer", "Transfer", "transfer"),
    ("population", "Population", "population"),
    ("laws", "Laws", "laws"),
    ("predict", "Predict", "predict"),
    ("plan", "Plan", "plan"),
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
            partial(_show, name, *((sweep_maker,) if name == "plan" else ())),
            title=title,
            url_path=path,
            default=not path,
        )
        for name, title, path in PAGES
    ]
    page = st.navigation(pages)
    st.sidebar.title("hyperlaw")
    page.run()


def _show(name: str, *options: SweepMaker | None) -> None:
    importlib.import_module(f"dashboards.pages.{name}").show(*options)


if __name__ == "__main__":
    main()
