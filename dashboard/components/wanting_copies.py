"""Copies that ought to be there and are not whole: which, why, when they are tried again, and a button for now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from dashboard.format import ago, day, escape, number, short, size
from dashboard.theme import COPY_MARKS, RUN_MARKS
from dashboard.who import may
from services.catalog.copies import MissingCopy
from services.catalog.model import Run, RunState

SHOWN = 20
FIRST = 5
"""So many are in sight; the others fold into a line."""


def wanting_copies(
    missing: Sequence[MissingCopy], count: int, active: Sequence[Run], now: datetime, *, anything: bool = True
) -> MissingCopy | None:
    """Draw the copies, the newest backups first; return the one whose button was pressed.

    ``anything``: whether anything is stored at all.
    """
    if not count:
        whole = "Every backup is in every storage in which the settings want it."
        st.markdown(whole if anything else "There is no backup yet that could be copied.")
        return None
    working = {(run.backup_id, run.params.get("storage")): run.state for run in active if run.kind == "copy"}
    pressed = _rows(missing[:FIRST], working, now)
    rest = missing[FIRST:SHOWN]
    if rest:
        with st.expander(f"{len(rest)} older {'one' if len(rest) == 1 else 'ones'}"):
            pressed = _rows(rest, working, now) or pressed
    if count > SHOWN:
        st.caption(f"The newest {SHOWN} of {number(count)}; the worker makes them one after the other.")
    return pressed


def _rows(
    missing: Sequence[MissingCopy], working: Mapping[tuple[str | None, Any], RunState], now: datetime
) -> MissingCopy | None:
    pressed = None
    for each in missing:
        with st.container(border=True):
            text, button = st.columns([6, 1], vertical_alignment="center")
            running = working.get((each.backup_id, each.storage))
            text.markdown(_words(each, running=running, now=now))
            label = f"copy-{each.backup_id}-{each.storage}"
            possible = not running and each.has_source and may("backup.copy")
            if possible and button.button("Copy now", icon=":material/sync:", key=label):
                pressed = each
    return pressed


def _words(each: MissingCopy, *, running: RunState | None, now: datetime) -> str:
    mark = RUN_MARKS[running] if running else COPY_MARKS[each.state]
    word = {"running": "being copied", "queued": "queued"}.get(running or "", each.state or "not begun")
    first = (
        f"{mark.inline(word)} · **{escape(each.backup_name)}** to **{escape(each.storage)}** · "
        f"{size(each.stored_bytes)} · finished {day(each.finished_at)}"
    )
    said = []
    if each.error and not running:
        said.append(escape(short(each.error, 300)))
        if each.attempts > 1:
            said.append(f"Failed {each.attempts} times in a row.")
    if not each.has_source:
        said.append("There is no good copy that it could be made from; one that lies frozen is none.")
    elif each.next_attempt_at is not None and each.next_attempt_at > now and not running:
        said.append(f"Tried again {ago(each.next_attempt_at, now)}.")
    return first + (f"  \n:gray[{' '.join(said)}]" if said else "")
