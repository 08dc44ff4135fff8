"""A run, watched: drawn anew each second while it goes, in whatever tab it is looked at."""

from __future__ import annotations

import streamlit as st

from dashboard.components.run_view import LOG_LINES, ended, progress, wants_read_only
from dashboard.guard import reported
from dashboard.who import actor, may
from services.catalog.model import Run
from services.catalog.read_only_modes import ReadOnlyMode
from services.commands import request_cancel
from services.installation import Installation

EVERY = 1.0  # seconds


def watch(inst: Installation, run: Run) -> None:
    """Draw a run: live while it is active, then how it ended."""
    if run.is_active:
        st.fragment(_live, run_every=EVERY)(inst, run.id)
    else:
        ended(run, inst.catalog.runs.log(run.id, last=200), _modes(inst, run))


def _live(inst: Installation, run_id: str) -> None:
    with reported():
        run = inst.catalog.runs.get(run_id)
        if not run.is_active:
            st.rerun()
        with st.container(border=True):
            progress(run, inst.catalog.runs.log(run_id, last=LOG_LINES), inst.clock(), _modes(inst, run))
            _cancel(inst, run)


def _modes(inst: Installation, run: Run) -> list[ReadOnlyMode]:
    return inst.catalog.read_only_modes.of_run(run.id) if wants_read_only(run) else []


def _cancel(inst: Installation, run: Run) -> None:
    if run.cancel_requested_at is not None:
        st.caption("Asked to stop: the run ends its programs and removes what it has stored so far.")
        return
    if not may("run.cancel"):
        return
    with st.popover("Cancel this run", icon=":material/stop_circle:"):
        st.markdown("The programs are ended and what is half-stored is removed. Earlier backups are not touched.")
        if st.button("Yes, cancel it", key=f"cancel-{run.id}", type="primary"):
            request_cancel(inst, run.id, actor=actor())
            st.rerun(scope="fragment")
