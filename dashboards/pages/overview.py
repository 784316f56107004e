"""Overview: every sweep of the database, how far it is, its best run and what it cost."""

from __future__ import annotations

import streamlit as st

from dashboards import frame


def show() -> None:
    """Show a row a sweep."""
    sweeps = frame.open_database()
    if sweeps is None:
        return
    st.title("Sweeps")
    st.dataframe(sweeps.iloc[::-1], hide_index=True)
