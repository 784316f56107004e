"""The dashboard: the sweeps of a database, their runs and laws, and predictions for any target.

    streamlit run dashboards/app.py -- --db hyperlaw.db

`dashboards.launch.serve` starts it with the right options. Unless it was started with
`--allow-control` it only reads the database.
"""

from __future__ import annotations

import streamlit as st

from dashboards.pages import explore, laws, overview, predict

# Module, title and path in the URL; the first is what opens. (No docstring: Streamlit shows text
# that stands by itself in the main script.)
PAGES = (
    (overview, "Overview", ""),
    (explore, "Explore", "explore"),
    (laws, "Laws", "laws"),
    (predict, "Predict", "predict"),
)


def main() -> None:
    """Show the page that was asked for."""
    st.set_page_config(page_title="hyperlaw", layout="wide")
    pages = [
        st.Page(module.show, title=title, url_path=path, default=not path)
        for module, title, path in PAGES
    ]
    page = st.navigation(pages)
    st.sidebar.title("hyperlaw")
    page.run()


if __name__ == "__main__":
    main()
