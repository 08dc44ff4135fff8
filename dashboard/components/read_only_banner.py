"""The banner over every page while a database is held in read-only mode, with the button that releases it."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from dashboard.format import duration, escape
from dashboard.guard import reported
from dashboard.session import held_databases, remember_message
from dashboard.who import actor, may
from services.catalog.read_only_modes import ReadOnlyMode
from services.commands import release_read_only
from services.emergency.words import after_release, state_of
from services.installation import Installation

EVERY = 3.0  # seconds


def read_only_banner(inst: Installation) -> None:
    """Draw the banner, anew every few seconds: it comes and goes by itself, on whatever page somebody looks at."""
    st.fragment(_banner, run_every=EVERY)(inst)


def _banner(inst: Installation) -> None:
    with reported():
        for mode in held_databases():
            with st.container(horizontal=True, vertical_alignment="center", key=f"held-{mode.database}"):
                st.warning(_words(mode, inst.clock()), icon=":material/edit_off:", title=_title(mode))
                if may("emergency.release") and st.button(
                    "Release now", key=f"release-{mode.id}", icon=":material/lock_open:", type="primary"
                ):
                    with st.spinner("Releasing …"):
                        release_read_only(inst, mode.database, actor=actor())
                    held_databases.clear()
                    remember_message("success", escape(after_release(mode)))
                    st.rerun()


def _title(mode: ReadOnlyMode) -> str:
    return f"Read-only mode: {escape(mode.database)} {state_of(mode)}"


def _words(mode: ReadOnlyMode, now: datetime) -> str:
    since = f"Since {mode.began_at:%H:%M} UTC, {duration(now - mode.began_at)} ago, by {escape(mode.actor)}"
    why = f": {escape(mode.reason)}" if mode.reason else ""
    if mode.last_error:
        return f"{since}{why}. It could not be released yet and is tried again: {escape(mode.last_error)}"
    if now >= mode.release_by:
        return f"{since}{why}. It should have been released at {mode.release_by:%H:%M} UTC."
    return f"{since}{why}. Released by itself when the backup is done, at {mode.release_by:%H:%M} UTC at the latest."
