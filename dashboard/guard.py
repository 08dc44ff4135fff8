"""The edge of every page: errors that a person can act on are shown with their hint; the rest goes to the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from dashboard.format import advice, escape
from dashboard.who import has_changed
from services.errors import ApprovalNeeded, BackupsError, SettingsError


@contextmanager
def reported() -> Iterator[None]:
    """Run a page, or a fragment of one; show a BackupsError in its place.

    Whoever may no longer what the page was drawn for is led before the wall: a fragment runs without the entry point.
    """
    try:
        if has_changed():
            st.rerun()
        yield
    except BackupsError as error:
        show_error(error)


def show_error(error: BackupsError) -> None:
    """Show what went wrong, why and what to do."""
    if isinstance(error, ApprovalNeeded):
        st.info(escape(error.message), icon=":material/how_to_reg:", title="A second person has to approve this")
        st.caption(advice(error.hint))
        return
    st.error(escape(error.message), icon=":material/cancel:")
    if isinstance(error, SettingsError):
        for fault in error.faults:
            st.markdown(f"- {escape(fault)}")
    if error.hint:
        st.info(advice(error.hint), icon=":material/lightbulb:", title="What to do")
